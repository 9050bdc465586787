//! `kube-apiserver`, and as much of etcd and of the controller-manager as nodes notice: a store of objects behind real
//! TLS, with client certificates, bootstrap tokens, and Kubernetes' own discovery, so that the real kubectl works.
//!
//! One process: the kubelet starts it where the manifests of a control plane are. Objects are not checked against their
//! schemas: what is written is what is read.

mod auth;
mod controllers;
mod http;
pub(crate) mod members;
mod objects;
mod openapi;
pub(crate) mod patch;
mod resources;
mod store;
mod table;
mod target;
mod watch;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::config::yaml;
use crate::{place, say, tls, version};
use auth::User;
use http::{Answer, Request};
use store::Store;

/// Seconds that a connection may be silent.
const SILENCE: Duration = Duration::from_secs(90);

/// The server.
struct Server {
    store: Mutex<Store>,
    /// Something in the store is new.
    changed: Condvar,
    flags: Flags,
    members: members::Members,
}

/// What the manifests say.
struct Flags {
    /// Where the pairs are.
    certificates: String,
    /// The network of pods, empty where nobody gives addresses to nodes.
    pods: String,
    port: u16,
    data: String,
}

/// Serves until it is killed.
///
/// # Errors
/// A manifest, the store or a pair cannot be used, or the port is taken.
pub(crate) fn run(_: &[String]) -> Result<()> {
    // it ends with the kubelet that started it
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let flags = Flags::read()?;
    let read = |name: &str| place::read(&format!("{}/{name}", flags.certificates));
    let own = tls::Pair { certificate: read("apiserver.crt")?, key: read("apiserver.key")? };
    let config = tls::server(&own, &read("ca.crt")?)?;
    read("sa.key")?;
    read("sa.pub").context("unable to load service account public key")?;
    let store = Store::open(&format!("{}/member/snap/db.json", flags.data))?;
    let host = if place::is_node() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let listener = TcpListener::bind((host, flags.port))
        .with_context(|| format!("failed to create listener: listen tcp {host}:{}", flags.port))?;
    // The ports of what this process also stands in for.
    let mut others = Vec::new();
    for port in [2379, 2380, 10257, 10259].into_iter().filter(|_| place::is_node()) {
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        others.push(other.with_context(|| format!("listen tcp 127.0.0.1:{port}"))?);
    }
    let members = members::Members::new(&flags)?;
    let server =
        Arc::new(Server { store: Mutex::new(store), changed: Condvar::new(), flags, members });
    say::log('I', &format!("Serving securely on [::]:{}", server.flags.port));
    let controllers = server.clone();
    std::thread::spawn(move || controllers::run(&controllers));
    let members = server.clone();
    std::thread::spawn(move || members::run(&members));
    for stream in listener.incoming() {
        let (server, config) = (server.clone(), config.clone());
        let Ok(stream) = stream else { continue };
        std::thread::spawn(move || {
            // clients come and go in the middle of anything
            let _ = converse(&server, config, stream);
        });
    }
    Ok(())
}

fn converse(server: &Arc<Server>, config: Arc<ServerConfig>, stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
    while let Some(request) = http::read(&mut stream)? {
        let certificate = stream.conn.peer_certificates().and_then(|all| all.first().cloned());
        let certificate = certificate.map(|certificate| certificate.to_vec());
        let is_last = request.is_last;
        let user = match auth::who(server, &request, certificate.as_deref()) {
            Ok(user) => user,
            Err(answer) => {
                http::write(&mut stream, &answer, is_last)?;
                if is_last {
                    break;
                }
                continue;
            }
        };
        if let Some(answer) = members::forwarded(server, &user, &request) {
            http::write(&mut stream, &answer, is_last)?;
        } else if let Some(watch) = watch::wanted(server, &user, &request) {
            return watch::serve(server, watch, &mut stream);
        } else {
            http::write(&mut stream, &answer(server, &user, &request), is_last)?;
        }
        if is_last {
            break;
        }
    }
    stream.conn.send_close_notify();
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(())
}

/// The answer to anything but a watch.
fn answer(server: &Server, user: &User, request: &Request) -> Answer {
    match request.path.trim_end_matches('/') {
        "/healthz" | "/livez" | "/readyz" => Answer::text(200, "ok"),
        "/version" => {
            let own = version::own();
            let (major, minor, _) = version::parts(&own).unwrap_or_default();
            Answer::json(
                200,
                &json!({
                    "major": major.to_string(), "minor": minor.to_string(), "gitVersion": own,
                    "gitCommit": "", "gitTreeState": "clean", "buildDate": "2026-08-12T00:00:00Z",
                    "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
                }),
            )
        }
        path if path.starts_with("/standin/") => members::answer(server, user, request),
        path => {
            if !auth::may_read_path(user, path) {
                return auth::no_path(user, request);
            }
            if let Some(answer) = resources::discovery(server, path) {
                return answer;
            }
            if let Some(answer) = openapi::answer(server, path) {
                return answer;
            }
            objects::answer(server, user, request)
        }
    }
}

impl Server {
    /// The store, for one transaction.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something new, at most this long.
    fn wait(&self, patience: Duration) {
        let waited = self.changed.wait_timeout(self.store(), patience);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Something is new.
    fn announce(&self) {
        self.changed.notify_all();
    }
}

impl Flags {
    fn read() -> Result<Self> {
        let of = |name: &str| -> Result<Vec<String>> {
            let documents =
                yaml::documents(&place::read(&format!("/etc/kubernetes/manifests/{name}.yaml"))?)?;
            let pod = documents.first().cloned().unwrap_or_default();
            let command = pod.pointer("/spec/containers/0/command").and_then(Value::as_array);
            let Some(command) = command else { bail!("{name}.yaml has no command") };
            Ok(command.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let find = |flags: &[String], name: &str| {
            let prefix = format!("--{name}=");
            flags.iter().find_map(|flag| flag.strip_prefix(&prefix)).unwrap_or_default().to_owned()
        };
        let (api, etcd) = (of("kube-apiserver")?, of("etcd")?);
        let manager = of("kube-controller-manager")?;
        let certificate = find(&api, "tls-cert-file");
        let (certificates, _) = certificate.rsplit_once('/').context("--tls-cert-file")?;
        Ok(Self {
            certificates: certificates.to_owned(),
            pods: find(&manager, "cluster-cidr"),
            port: find(&api, "secure-port").parse().context("--secure-port")?,
            data: find(&etcd, "data-dir"),
        })
    }
}
