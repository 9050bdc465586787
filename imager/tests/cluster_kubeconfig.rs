//! `piflash kubeconfig`, judged by Debian's kubectl: read, merged, and used against an API server's TLS.
//!
//! Rung 1: files and a local port, no root; fetches a package the first time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
#[path = "support/kubectl.rs"]
mod kubectl;
mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use desk::{Desk, fails, good, said};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

fn with(program: &Path, config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(config)
        .args(args)
        .env_clear()
        .env("HOME", config.parent().unwrap());
    command
}

#[test]
fn it_is_there_before_the_first_node() {
    let Some(kubectl) = kubectl::kubectl() else { return };
    let desk = Desk::new();
    fails(&mut desk.piflash(&["kubeconfig"]), 1, &["there is no cluster `pikube`"]);
    desk.write(&["--role", "worker", "--hostname", "fregate", "a.img"]);
    fails(&mut desk.piflash(&["kubeconfig"]), 3, &["has no master yet", "--server"]);
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let server = |args: &[&str]| {
        let text = good(desk.piflash(&["kubeconfig"]).args(args));
        fs::write(desk.path("kc"), text).unwrap();
        let view = good(&mut with(&kubectl, &desk.path("kc"), &["config", "view", "-o", "json"]));
        let view: serde_json::Value = serde_json::from_str(&view).unwrap();
        assert_eq!(view["current-context"], "pikube");
        assert_eq!(view["clusters"][0]["cluster"]["tls-server-name"], "cp.pikube.internal");
        view["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned()
    };
    assert_eq!(server(&[]), "https://laperouse.local:6443");
    assert_eq!(server(&["--server", "10.0.0.7"]), "https://10.0.0.7:6443");
    assert_eq!(server(&["--server", "pi.example.org:443"]), "https://pi.example.org:443");
    assert_eq!(server(&["--server", "fd00::7"]), "https://[fd00::7]:6443");
    good(&mut desk.piflash(&["inventory", "set", "laperouse", "--address", "10.55.0.10"]));
    assert_eq!(server(&[]), "https://10.55.0.10:6443");
    fails(&mut desk.piflash(&["kubeconfig", "--server", "a b"]), 2, &["--server"]);
    let json = good(&mut desk.piflash(&["kubeconfig", "--json"]));
    let line: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&line["event"], &line["context"]), (&"kubeconfig".into(), &"pikube".into()));
    assert!(line["kubeconfig"].as_str().unwrap().starts_with("apiVersion: v1\n"));
}

/// What somebody has: comments, unknown keys, two spaces here and none there.
const THEIRS: &str = "\
# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
  # at work
  - cluster:
      server: https://work.example.org
      proxy-url: http://proxy:3128   # unknown to us
    name: work
  # at home

contexts:
- context: {cluster: work, user: me, namespace: harbour}
  name: work
current-context: work  # mostly
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      args: [\"-x\", '- name: pikube-admin']
extensions:
- name: ours
  extension: {a: 1}
";

#[test]
fn merging_keeps_everything_else() {
    let Some(kubectl) = kubectl::kubectl() else { return };
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--address", "10.0.0.2/24", "a.img"]);
    let config = desk.path("home/.kube/config");
    let merge = |args: &[&str]| good(desk.piflash(&["kubeconfig", "--merge"]).args(args));
    let view = |args: &[&str]| good(&mut with(&kubectl, &config, &[&["config"], args].concat()));
    merge(&[]);
    assert_eq!(view(&["current-context"]).trim(), "pikube");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);

    let apart = "jsonpath={.contexts[?(@.name=='work')].context.namespace} {.users[?(@.name=='me')].user.exec.args} {.clusters[?(@.name=='work')].cluster.proxy-url}";
    fs::write(&config, THEIRS).unwrap();
    let before = view(&["view", "--raw", "-o", apart]);
    assert!(merge(&[]).contains("added"));
    let text = fs::read_to_string(&config).unwrap();
    for line in THEIRS.lines().filter(|line| !line.starts_with("current-context")) {
        assert!(text.lines().any(|other| other == line), "{line}\nnot in\n{text}");
    }
    assert_eq!(view(&["view", "--raw", "-o", apart]), before);
    let contexts = || {
        let mut names: Vec<String> =
            view(&["get-contexts", "-o", "name"]).lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(contexts(), ["pikube", "work"]);
    assert_eq!(view(&["current-context"]).trim(), "pikube");
    let backup = |config: &Path| -> Vec<String> {
        let folder = fs::read_dir(config.parent().unwrap()).unwrap();
        let paths = folder.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.to_string_lossy().contains("config.backup-"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    };
    assert!(backup(&config).contains(&THEIRS.to_owned()), "the file as it was");
    // Again: the entries are replaced, not doubled; a second cluster comes beside it.
    assert!(merge(&["--server", "10.0.0.9"]).contains("renewed"));
    assert!(view(&["view"]).contains("https://10.0.0.9:6443"));
    assert_eq!(contexts(), ["pikube", "work"]);
    desk.write(&["--cluster", "other", "--hostname", "laperouse", "b.img"]);
    merge(&["--cluster", "other"]);
    assert_eq!(contexts(), ["other", "pikube", "work"]);
    // kubectl writes it in its own way; that can be added to as well.
    view(&["use-context", "work"]);
    merge(&[]);
    assert_eq!((contexts().len(), view(&["current-context"]).trim()), (3, "pikube"));
    // KUBECONFIG's first file, and a link stays one.
    std::os::unix::fs::symlink(&config, desk.path("link")).unwrap();
    let list = format!("{}:nowhere", desk.path("link").display());
    let mut linked = desk.piflash(&["kubeconfig", "--merge", "--server", "10.0.0.8"]);
    good(linked.env("KUBECONFIG", list));
    assert!(desk.path("link").is_symlink() && view(&["view"]).contains("https://10.0.0.8:6443"));
}

#[test]
fn what_would_lose_something_is_refused() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let config = desk.path("home/.kube/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    for (text, expected) in [
        (
            r#"{"apiVersion": "v1", "clusters": [{"name": "a"}]}"#.to_owned(),
            "something would be lost",
        ),
        ("clusters: [{name: a}]\n".into(), "something would be lost"),
        ("clusters:\n- name: 'x\n".into(), "is not YAML"),
        ("a: 1\n---\nb: 1\n".into(), "more than one"),
        ("\"clusters\":\n- name: a\n".into(), "something would be lost"),
        (THEIRS.replace('\n', "\r\n"), "as on Windows"),
        (THEIRS.replace("name: work", "name: pikube"), "another cluster"),
        (THEIRS.replace("current-context: work  # mostly", "current-context:\n  work"), "lost"),
    ] {
        fs::write(&config, &text).unwrap();
        let mut merge = desk.piflash(&["kubeconfig", "--merge"]);
        fails(&mut merge, 3, &[expected, "piflash kubeconfig > FILE"]);
        assert_eq!(fs::read_to_string(&config).unwrap(), text);
    }
    fs::write(&config, THEIRS).unwrap();
    let lock = desk.path("home/.kube/config.lock");
    fs::write(&lock, "").unwrap();
    fails(&mut desk.piflash(&["kubeconfig", "--merge"]), 3, &["config.lock"]);
    fs::remove_file(lock).unwrap();
    let folder = fs::read_dir(config.parent().unwrap()).unwrap().count();
    assert_eq!(folder, 1, "nothing is left beside it");
}

/// An API server as far as TLS goes: its certificate is of the cluster's CA, and so is every client's.
fn api_server(
    desk: &Desk,
    cluster: &str,
    connections: usize,
) -> (u16, thread::JoinHandle<Vec<bool>>) {
    let state = |name: &str| desk.state(&format!("{cluster}/{name}"));
    let ca = CertificateDer::from_pem_slice(state("ca.crt").as_bytes()).unwrap();
    let mut issuer = rcgen::CertificateParams::default();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    issuer.distinguished_name.push(rcgen::DnType::CommonName, "kubernetes");
    let issuer = rcgen::Issuer::new(issuer, rcgen::KeyPair::from_pem(&state("ca.key")).unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    let names = ["laperouse".to_owned(), format!("cp.{cluster}.internal")];
    let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    );
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let answer = |_: usize| {
            let (stream, _) = listener.accept().unwrap();
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut request = [0; 4096];
            let Ok(len) = stream.read(&mut request) else { return false };
            let asked = String::from_utf8_lossy(&request[..len]).starts_with("GET /version");
            let client = stream.conn.peer_certificates().unwrap()[0].to_vec();
            let group = b"kubeadm:cluster-admins";
            let body = r#"{"major":"1","minor":"36"}"#;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.conn.send_close_notify();
            let _ = stream.flush();
            asked && client.windows(group.len()).any(|part| part == group)
        };
        (0..connections).map(answer).collect()
    };
    (port, thread::spawn(serve))
}

#[test]
fn kubectl_gets_in_with_it_and_with_no_other() {
    let Some(kubectl) = kubectl::kubectl() else { return };
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    desk.write(&["--cluster", "other", "--hostname", "laperouse", "b.img"]);
    let (port, server) = api_server(&desk, "pikube", 1);
    let kubeconfig = |cluster: &str, port: u16| {
        let server = format!("127.0.0.1:{port}");
        let text =
            good(&mut desk.piflash(&["kubeconfig", "--cluster", cluster, "--server", &server]));
        fs::write(desk.path(cluster), text).unwrap();
        desk.path(cluster)
    };
    let version = ["get", "--raw", "/version"];
    let own = kubeconfig("pikube", port);
    assert!(good(&mut with(&kubectl, &own, &version)).contains("36"));
    assert_eq!(server.join().unwrap(), [true]);
    // The other cluster's file: its CA does not know the server.
    let (port, server) = api_server(&desk, "pikube", 1);
    let output = with(&kubectl, &kubeconfig("other", port), &version).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("x509"), "{}", said(&output));
    assert_eq!(server.join().unwrap(), [false]);
    // And where it trusts the server blindly, the server does not know it.
    let (port, server) = api_server(&desk, "pikube", 1);
    let text = fs::read_to_string(kubeconfig("other", port)).unwrap();
    let lines = text.lines().filter(|line| !line.contains("certificate-authority-data"));
    let blind = lines.collect::<Vec<_>>().join("\n");
    let blind = blind
        .replace("    tls-server-name: cp.other.internal", "    insecure-skip-tls-verify: true");
    fs::write(desk.path("blind"), blind).unwrap();
    let output = with(&kubectl, &desk.path("blind"), &version).output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(server.join().unwrap(), [false]);
}
