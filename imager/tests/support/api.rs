//! A stand-in of an API server, for what a real one cannot be (a certificate of the right CA for another name, clients of
//! another CA), and for the tests of tokens where no real one is built. It knows Secrets of kube-system, and takes
//! whatever it is given: what a Secret has to look like, the real one judges.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::desk::Desk;

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

/// Secrets by their names.
type Secrets = Mutex<BTreeMap<String, Value>>;

/// The server; stops when dropped.
pub struct StandIn {
    /// `127.0.0.1:PORT`
    pub address: String,
    secrets: Arc<Secrets>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// With a certificate of the CA of `cluster`, for these names; its clients are those of the cluster `clients`.
    pub fn start(desk: &Desk, cluster: &str, names: &[&str], clients: &str) -> Self {
        let config = Arc::new(tls(desk, cluster, names, clients));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (secrets, stop) = (Arc::<Secrets>::default(), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (secrets.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that does not trust us is what some tests are about.
                let _ = serve(stream.unwrap(), config.clone(), &shared);
            }
        });
        Self { address, secrets, stop, thread: Some(thread) }
    }

    /// All Secrets.
    pub fn list(&self) -> Value {
        list(&self.secrets.lock().unwrap())
    }
}

impl Drop for StandIn {
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
    secrets: &Secrets,
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
    let words: Vec<&str> = first.split(' ').collect();
    let (code, answer) = answer(&mut secrets.lock().unwrap(), words[0], words[1], &body);
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

fn list(secrets: &BTreeMap<String, Value>) -> Value {
    let items: Vec<Value> = secrets.values().cloned().collect();
    json!({"kind": "SecretList", "apiVersion": "v1", "items": items})
}

fn answer(
    secrets: &mut BTreeMap<String, Value>,
    method: &str,
    target: &str,
    body: &[u8],
) -> (u16, Value) {
    let path = target.split('?').next().unwrap();
    match (method, path.strip_prefix(SECRETS)) {
        ("GET", Some("")) => (200, list(secrets)),
        ("POST", Some("")) => {
            let secret: Value = serde_json::from_slice(body).unwrap();
            let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
            secrets.insert(name, secret.clone());
            (201, secret)
        }
        ("DELETE", Some(name)) if secrets.remove(name.trim_start_matches('/')).is_some() => {
            (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
        }
        _ => (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})),
    }
}
