//! An API server as far as tokens go: TLS with a certificate of the cluster's CA, clients whose certificate is of it too,
//! and the Secrets of kube-system. It takes only what a real one would take.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::desk::Desk;

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";
const QUERY: &str = "fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken";

#[derive(Default)]
pub struct State {
    /// By their names.
    pub secrets: BTreeMap<String, Value>,
    /// Whether the administrator has no rights yet.
    pub forbids: bool,
    /// Requests that got through TLS.
    pub requests: Vec<String>,
}

/// The server; stops when dropped.
pub struct ApiServer {
    /// `127.0.0.1:PORT`
    pub address: String,
    pub state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Of a cluster that this desk has, with these names in its certificate.
    pub fn start(desk: &Desk, cluster: &str, names: &[&str]) -> Self {
        Self::with_clients(desk, cluster, names, cluster)
    }

    /// The same, which knows the administrators of another cluster than its own.
    pub fn with_clients(desk: &Desk, cluster: &str, names: &[&str], clients: &str) -> Self {
        let config = Arc::new(tls(desk, cluster, names, clients));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (state, stop) =
            (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (state.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that does not trust us is what some tests are about.
                let _ = serve(stream.unwrap(), config.clone(), &shared);
            }
        });
        Self { address, state, stop, thread: Some(thread) }
    }

    /// A value of a token's Secret, as text.
    pub fn data(&self, id: &str, key: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        let secret = state.secrets.get(&format!("bootstrap-token-{id}"))?;
        let bytes = STANDARD.decode(secret["data"][key].as_str()?).unwrap();
        Some(String::from_utf8(bytes).unwrap())
    }

    /// The ids of the tokens.
    pub fn ids(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state
            .secrets
            .keys()
            .map(|name| name.trim_start_matches("bootstrap-token-").into())
            .collect()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn tls(desk: &Desk, cluster: &str, names: &[&str], clients: &str) -> rustls::ServerConfig {
    let state = |name: &str| desk.state(&format!("{cluster}/{name}"));
    let mut issuer = rcgen::CertificateParams::default();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    issuer.distinguished_name.push(rcgen::DnType::CommonName, "kubernetes");
    let issuer = rcgen::Issuer::new(issuer, rcgen::KeyPair::from_pem(&state("ca.key")).unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let ca = desk.state(&format!("{clients}/ca.crt"));
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    );
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap()
}

fn serve(
    stream: TcpStream,
    config: Arc<rustls::ServerConfig>,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(config).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut reader = BufReader::new(&mut stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.trim().split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let client = stream.conn.peer_certificates().unwrap()[0].to_vec();
    let group = b"kubeadm:cluster-admins";
    let is_admin = client.windows(group.len()).any(|part| part == group);
    let words: Vec<&str> = first.split(' ').collect();
    let mut state = state.lock().unwrap();
    state.requests.push(format!("{} {}", words[0], words[1]));
    let (code, answer) = match is_admin && !state.forbids {
        true => answer(&mut state, words[0], words[1], &body),
        false => failure(403, "secrets is forbidden: User \"kubernetes-admin\" cannot do this"),
    };
    drop(state);
    let answer = answer.to_string();
    let head = "Content-Type: application/json\r\nConnection: close\r\n";
    write!(
        stream,
        "HTTP/1.1 {code} Said\r\n{head}Content-Length: {}\r\n\r\n{answer}",
        answer.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn failure(code: u16, message: &str) -> (u16, Value) {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}),
    )
}

fn answer(state: &mut State, method: &str, target: &str, body: &[u8]) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (method, path.strip_prefix(SECRETS)) {
        ("GET", Some("")) if query == QUERY => {
            let items: Vec<Value> = state.secrets.values().cloned().collect();
            (200, json!({"kind": "SecretList", "apiVersion": "v1", "items": items}))
        }
        ("POST", Some("")) => match taken(body) {
            Ok((name, _)) if state.secrets.contains_key(&name) => {
                failure(409, &format!("secrets \"{name}\" already exists"))
            }
            Ok((name, secret)) => {
                state.secrets.insert(name, secret.clone());
                (201, secret)
            }
            Err(why) => failure(422, &why),
        },
        ("DELETE", Some(name)) => match state.secrets.remove(name.trim_start_matches('/')) {
            Some(_) => (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
            None => failure(404, "not found"),
        },
        _ => failure(404, &format!("the server could not find {method} {target}")),
    }
}

/// What the API server and the controllers that read bootstrap tokens demand of one (k8s.io/cluster-bootstrap,
/// `token/util/helpers.go`; pkg/apis/core/validation).
fn taken(body: &[u8]) -> Result<(String, Value), String> {
    let secret: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let is = |pointer: &str, value: &str| match secret.pointer(pointer).and_then(Value::as_str) {
        Some(found) if found == value => Ok(()),
        other => Err(format!("{pointer} is {other:?}, not {value}")),
    };
    is("/apiVersion", "v1")?;
    is("/kind", "Secret")?;
    is("/type", "bootstrap.kubernetes.io/token")?;
    is("/metadata/namespace", "kube-system")?;
    let data = secret["data"].as_object().ok_or("there is no data")?;
    let mut texts = BTreeMap::new();
    for (key, value) in data {
        let bytes = STANDARD.decode(value.as_str().ok_or("data is no text")?);
        let text = String::from_utf8(bytes.map_err(|error| error.to_string())?).unwrap();
        texts.insert(key.as_str(), text);
    }
    let known = [
        "auth-extra-groups",
        "description",
        "expiration",
        "token-id",
        "token-secret",
        "usage-bootstrap-authentication",
        "usage-bootstrap-signing",
    ];
    if let Some(other) = texts.keys().find(|key| !known.contains(key)) {
        return Err(format!("kubeadm writes no {other}"));
    }
    let letters = |key: &str, count: usize| {
        let text = texts.get(key).map(String::as_str).unwrap_or_default();
        let good = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (good && text.len() == count).then(|| text.to_owned()).ok_or(format!("{key}: {text}"))
    };
    let id = letters("token-id", 6)?;
    letters("token-secret", 16)?;
    is("/metadata/name", &format!("bootstrap-token-{id}"))?;
    for (key, value) in [
        ("usage-bootstrap-authentication", "true"),
        ("usage-bootstrap-signing", "true"),
        ("auth-extra-groups", "system:bootstrappers:kubeadm:default-node-token"),
    ] {
        if texts.get(key).map(String::as_str) != Some(value) {
            return Err(format!("{key}: {:?}", texts.get(key)));
        }
    }
    let expires = texts.get("expiration").ok_or("there is no end")?;
    expires.parse::<jiff::Timestamp>().map_err(|error| error.to_string())?;
    if expires.len() != 20 || !expires.ends_with('Z') {
        return Err(format!("{expires} is not RFC 3339 in UTC to the second"));
    }
    Ok((format!("bootstrap-token-{id}"), secret))
}
