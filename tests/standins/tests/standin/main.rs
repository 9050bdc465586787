//! The stand-ins of kubeadm, kubelet and kube-apiserver, judged by openssl and by Debian's real kubectl: directories of
//! this machine stand for nodes.
#![allow(clippy::unwrap_used, reason = "a test")]

mod kubectl;
mod stand;

use std::path::Path;
use std::process::Command;

use kubectl::ask;
use pikube_tests::needs;
use stand::{ENDPOINT, Stand, TOKEN, free_port, said};

/// The hash of the CA by the recipe of Kubernetes' documentation, for any kind of key.
fn pin(certificate: &Path) -> String {
    let script = "openssl x509 -pubkey -noout -in \"$0\" | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1";
    let output = Command::new("sh").args(["-c", script]).arg(certificate).output().unwrap();
    format!("sha256:{}", String::from_utf8(output.stdout).unwrap().trim())
}

fn openssl(arguments: &[&str]) -> String {
    said(&Command::new("openssl").args(arguments).output().unwrap())
}

/// A control plane that is up, and the port of its API.
fn control_plane(name: &str) -> (Stand, u16) {
    let mut node = Stand::new(name);
    let port = free_port();
    node.keep_kubelet();
    let output = node.init(port, "apiServer: {certSANs: [cp1.local, 192.0.2.7]}\n");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("--token {TOKEN}")), "{}", said(&output));
    (node, port)
}

#[test]
fn init_makes_what_openssl_and_kubectl_take() {
    let (node, port) = control_plane("cp1");
    let file = |name: &str| node.path(name).to_str().unwrap().to_owned();
    let (ca, api) = (file("etc/kubernetes/pki/ca.crt"), file("etc/kubernetes/pki/apiserver.crt"));
    let verdict = openssl(&["verify", "-purpose", "sslserver", "-CAfile", &ca, &api]);
    assert!(verdict.trim().ends_with(": OK"), "{verdict}");
    let names = openssl(&["x509", "-noout", "-ext", "subjectAltName", "-in", &api]);
    let names = names.lines().last().unwrap().trim();
    assert_eq!(
        names,
        format!(
            "DNS:{ENDPOINT}, DNS:cp1, DNS:cp1.local, DNS:kubernetes, DNS:kubernetes.default, \
             DNS:kubernetes.default.svc, DNS:kubernetes.default.svc.cluster.local, \
             IP Address:10.96.0.1, IP Address:127.0.0.1, IP Address:192.0.2.7"
        )
    );
    assert_eq!(node.read("var/lib/kubelet/kubeadm-flags.env"), "KUBELET_KUBEADM_ARGS=\"\"\n");
    assert!(node.read("var/lib/kubelet/instance-config.yaml").contains("containerRuntimeEndpoint"));

    let Some(program) = needs::or_skip("kubectl", kubectl::kubectl()) else { return };
    let kubectl = |arguments: &[&str]| {
        let output = ask(&program, &node, port, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    assert!(kubectl(&["get", "--raw", "/version"]).contains("v1.36.4"));
    let taint = kubectl(&["get", "node", "cp1", "-o", "jsonpath={.spec.taints[0].key}"]);
    assert_eq!(taint, "node-role.kubernetes.io/control-plane");
    let table = kubectl(&["get", "nodes"]);
    let row: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
    // no runtime here: the node says so
    assert_eq!((row[0], row[1], row[2], row[4]), ("cp1", "NotReady", "control-plane", "v1.36.4"));
    assert!(kubectl(&["get", "pods", "-A", "-o", "name"]).contains("pod/coredns-0"));
    node.write(
        "map.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: one}\n---\napiVersion: v1\nkind: ConfigMap\n\
         metadata: {name: two, namespace: one}\ndata: {a: '1'}\n",
    );
    let file = file("map.yaml");
    for _ in 0..2 {
        let said = kubectl(&["apply", "--server-side", "-f", &file]);
        assert!(said.contains("configmap/two serverside-applied"), "{said}");
    }
    kubectl(&["apply", "-f", &file]);
    assert_eq!(kubectl(&["get", "cm", "-n", "one", "two", "-o", "jsonpath={.data.a}"]), "1");
    kubectl(&["label", "node", "cp1", "a=b"]);
    assert_eq!(kubectl(&["get", "node", "-l", "a=b", "-o", "name"]), "node/cp1\n");
    kubectl(&["delete", "namespace", "one"]);
    let gone = ask(&program, &node, port, &["get", "cm", "-n", "one", "two"]);
    assert!(said(&gone).contains("NotFound"), "{}", said(&gone));

    // nobody in particular may read cluster-info and no more; another cluster's certificate is nobody's
    let curl = |path: &str| {
        let url = format!("https://{ENDPOINT}:{port}{path}");
        let host = format!("{ENDPOINT}:{port}:127.0.0.1");
        said(
            &Command::new("curl")
                .args(["-s", "--resolve", &host, "--cacert", &ca, &url])
                .output()
                .unwrap(),
        )
    };
    assert!(
        curl("/api/v1/namespaces/kube-public/configmaps/cluster-info")
            .contains("jws-kubeconfig-abcdef")
    );
    let refusal = curl("/api/v1/namespaces/kube-system/secrets");
    assert!(refusal.contains("secrets is forbidden: User \\\"system:anonymous\\\" cannot list resource \\\"secrets\\\" in API group \\\"\\\" in the namespace \\\"kube-system\\\""), "{refusal}");
}

#[test]
fn a_worker_joins_with_the_right_token_and_the_right_authority_only() {
    let (node, port) = control_plane("cp1");
    let hash = pin(&node.path("etc/kubernetes/pki/ca.crt"));
    let mut worker = Stand::new("w1");
    let none = format!("sha256:{}", "0".repeat(64));
    for (token, hash, words) in [
        (TOKEN, none.as_str(), format!("none of the public keys \"{hash}\" are pinned")),
        (TOKEN, "sha256:00", "expected a 32 byte SHA-256 hash, found 1 bytes".to_owned()),
        (
            "aaaaaa.0123456789abcdef",
            &hash,
            "could not find a JWS signature in the cluster-info ConfigMap for token ID \"aaaaaa\""
                .to_owned(),
        ),
        (
            "abcdef.fedcba9876543210",
            &hash,
            "failed to verify JWS signature of received cluster info object".to_owned(),
        ),
    ] {
        let output = worker.join(port, token, hash, "");
        assert!(
            !output.status.success() && said(&output).contains(&words),
            "{words}: {}",
            said(&output)
        );
        assert!(!worker.path("etc/kubernetes").exists(), "a refusal leaves nothing behind");
    }
    worker.keep_kubelet();
    let output = worker.join(port, TOKEN, &hash, "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("This node has joined the cluster"));
    assert!(!worker.path("etc/kubernetes/bootstrap-kubelet.conf").exists());
    assert_eq!(worker.read("etc/kubernetes/pki/ca.crt"), node.read("etc/kubernetes/pki/ca.crt"));
    let own = worker.path("var/lib/kubelet/pki/kubelet-client-current.pem");
    let subject = openssl(&[
        "x509",
        "-noout",
        "-subject",
        "-nameopt",
        "RFC2253",
        "-in",
        own.to_str().unwrap(),
    ]);
    assert_eq!(subject.trim(), "subject=CN=system:node:w1,O=system:nodes");

    // Again on the same node: what is there is in the way, unless it is ignored as the tests do.
    let text = worker
        .read("kubeadm.yaml")
        .replace("ignorePreflightErrors: [all]", "ignorePreflightErrors: [CRI]");
    worker.write("again.yaml", &text);
    let output = worker.kubeadm(&["join", "--config", worker.path("again.yaml").to_str().unwrap()]);
    for file in ["kubelet.conf", "pki-ca.crt"] {
        let words = format!("[ERROR FileAvailable--etc-kubernetes-{file}]");
        assert!(!output.status.success() && said(&output).contains(&words), "{}", said(&output));
    }
    worker.stop_kubelet();
    assert!(worker.kubeadm(&["reset", "-f"]).status.success());
    assert!(!worker.path("etc/kubernetes/kubelet.conf").exists());
    assert!(!worker.path("etc/kubernetes/pki/ca.crt").exists());
}

#[test]
fn a_token_that_is_over_lets_nobody_in() {
    let (node, port) = control_plane("cp1");
    let Some(program) = needs::or_skip("kubectl", kubectl::kubectl()) else { return };
    let hash = pin(&node.path("etc/kubernetes/pki/ca.crt"));
    let past = "stringData: {token-id: bbbbbb, token-secret: 0123456789abcdef, expiration: '2020-01-01T00:00:00Z', usage-bootstrap-signing: 'true', usage-bootstrap-authentication: 'true', auth-extra-groups: 'system:bootstrappers:kubeadm:default-node-token'}";
    let head = "apiVersion: v1\nkind: Secret\ntype: bootstrap.kubernetes.io/token\nmetadata: {name: bootstrap-token-bbbbbb, namespace: kube-system}\n";
    let worker = Stand::new("w1");
    node.write("token.yaml", &format!("{head}{past}\n"));
    let file = node.path("token.yaml");
    let apply = ["create", "-f", file.to_str().unwrap()];
    let output = ask(&program, &node, port, &apply);
    assert!(output.status.success(), "{}", said(&output));
    let output = worker.join(port, "bbbbbb.0123456789abcdef", &hash, "");
    assert!(said(&output).contains("could not find a JWS signature"), "{}", said(&output));
    // and one that was revoked
    let gone = ask(
        &program,
        &node,
        port,
        &["delete", "secret", "-n", "kube-system", "bootstrap-token-abcdef"],
    );
    assert!(gone.status.success(), "{}", said(&gone));
    // the signer needs a moment to take its signature back
    let taken_back = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let info = ["get", "cm", "-n", "kube-public", "cluster-info", "-o", "yaml"];
        !said(&ask(&program, &node, port, &info)).contains("jws-kubeconfig-abcdef")
    });
    assert!(taken_back);
    let output = worker.join(port, TOKEN, &hash, "");
    assert!(said(&output).contains("could not find a JWS signature"), "{}", said(&output));
}

#[test]
fn control_planes_join_one_after_the_other() {
    let (node, port) = control_plane("cp1");
    let hash = pin(&node.path("etc/kubernetes/pki/ca.crt"));
    let (mut second, mut third) = (Stand::new("cp2"), Stand::new("cp3"));
    let place = |port: u16| {
        format!(
            "controlPlane: {{localAPIEndpoint: {{advertiseAddress: 127.0.0.1, bindPort: {port}}}}}\n"
        )
    };
    let (second_port, third_port) = (free_port(), free_port());
    let output = second.join(port, TOKEN, &hash, &place(second_port));
    assert!(
        said(&output).contains("couldn't load /etc/kubernetes/pki/ca.key"),
        "{}",
        said(&output)
    );
    for stand in [&mut second, &mut third] {
        stand.take_pairs_of(&node);
        stand.keep_kubelet();
    }
    let outputs = std::thread::scope(|scope| {
        let one = scope.spawn(|| second.join(port, TOKEN, &hash, &place(second_port)));
        let other = scope.spawn(|| third.join(port, TOKEN, &hash, &place(third_port)));
        [one.join().unwrap(), other.join().unwrap()]
    });
    let refused: Vec<usize> = (0..2).filter(|at| !outputs[*at].status.success()).collect();
    assert_eq!(refused.len(), 1, "{}\n{}", said(&outputs[0]), said(&outputs[1]));
    let words = said(&outputs[refused[0]]);
    assert!(words.contains("etcdserver: too many learner members in cluster"), "{words}");

    let Some(program) = needs::or_skip("kubectl", kubectl::kubectl()) else { return };
    let (joined, joined_port) =
        if refused[0] == 0 { (&third, third_port) } else { (&second, second_port) };
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: written-by-the-other}\n";
    joined.write("map.yaml", map);
    let file = joined.path("map.yaml");
    let apply = ["apply", "--server-side", "-f", file.to_str().unwrap()];
    let output = ask(&program, joined, joined_port, &apply);
    assert!(output.status.success(), "{}", said(&output));
    let output =
        ask(&program, &node, port, &["get", "configmap", "written-by-the-other", "-o", "name"]);
    assert_eq!(said(&output), "configmap/written-by-the-other\n");
}

#[test]
fn what_breaks_off_half_way_is_undone_and_done_again() {
    let mut node = Stand::new("cp1");
    let port = free_port();
    node.write("etc/pikube-standin/faults", "init-dies-after=kubelet-start\n");
    node.keep_kubelet();
    assert!(!node.init(port, "").status.success());
    assert!(node.path("etc/kubernetes/manifests/etcd.yaml").exists());
    assert_eq!(node.read("etc/pikube-standin/faults"), "", "a fault strikes once");
    let ca = node.read("etc/kubernetes/pki/ca.crt");
    let key = node.read("etc/kubernetes/pki/ca.key");

    // a second init without a reset finds what the first one left
    let text = node
        .read("kubeadm.yaml")
        .replace("ignorePreflightErrors: [all]", "ignorePreflightErrors: [CRI]");
    node.write("again.yaml", &text);
    let output = node.kubeadm(&["init", "--config", node.path("again.yaml").to_str().unwrap()]);
    assert!(
        said(&output)
            .contains("[ERROR FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml]"),
        "{}",
        said(&output)
    );
    node.stop_kubelet();
    assert!(node.kubeadm(&["reset", "-f"]).status.success());
    assert!(!node.path("etc/kubernetes/pki/ca.crt").exists());

    node.write("etc/kubernetes/pki/ca.crt", &ca);
    node.write("etc/kubernetes/pki/ca.key", &key);
    node.keep_kubelet();
    let output = node.init(port, "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("Using existing ca certificate authority"));
    assert_eq!(node.read("etc/kubernetes/pki/ca.crt"), ca);
}

#[test]
fn pairs_that_do_not_belong_together_are_refused() {
    let (node, other) = (Stand::new("cp1"), Stand::new("cp2"));
    // no kubelet: it gives up after the certificates
    for stand in [&node, &other] {
        stand.write("etc/pikube-standin/faults", "init-dies-after=certs\n");
        assert!(!stand.init(free_port(), "").status.success());
    }
    node.write("etc/kubernetes/pki/ca.key", &other.read("etc/kubernetes/pki/ca.key"));
    let output = node.init(free_port(), "");
    assert!(said(&output).contains("private key does not match public key"), "{}", said(&output));
}
