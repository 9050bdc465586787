//! The web server of a laptop: files of a folder over plain HTTP/1.1, for apt, containerd and the agent of the nodes on
//! a switch; and, on demand, everything that goes wrong with web servers.
//!
//! A path is a file below the folder; `/v2/…` is an image registry (see [`content`]). Its socket is in the namespace
//! of the switch, so every node reaches it at [`LAPTOP`] and, through its default route, at [`BEYOND`].
//!
//! [`LAPTOP`]: crate::switch::LAPTOP
//! [`BEYOND`]: crate::switch::BEYOND

mod content;
mod fault;
mod http;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::switch::Switch;
pub use fault::{Fault, Times};

/// Port of the web server.
const PORT: u16 = 80;
/// How often a thread that waits for a request looks whether the server is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who asked.
    pub client: Ipv4Addr,
    /// `GET` or `HEAD`.
    pub method: String,
    /// As asked, with its query.
    pub path: String,
    /// Status code; 0: none was sent.
    pub status: u16,
    /// Length of the body that was sent.
    pub body_bytes: u64,
}

/// A web server that runs. Gone, with its connections, when dropped.
#[derive(Debug)]
pub struct Web {
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    faults: Mutex<Vec<fault::Rule>>,
    log: Mutex<Vec<Access>>,
    stopped: AtomicBool,
}

impl Web {
    /// Serves the files below `folder` on the laptop of this switch.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the port is taken.
    pub fn start(switch: &Switch, folder: &Path) -> Result<Self> {
        let listener = switch
            .within(|| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT))))
            .context("starting the web server")?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            folder: folder.canonicalize().with_context(|| format!("no {}", folder.display()))?,
            faults: Mutex::default(),
            log: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let listener = std::thread::spawn(move || listen(&listener, &of_thread));
        Ok(Self { shared, listener: Some(listener) })
    }

    /// From now on, paths that begin with `prefix` fail like this, so many times. The newest fault that applies wins.
    pub fn fail(&self, prefix: &str, fault: Fault, times: Times) {
        lock(&self.shared.faults).push(fault::Rule::new(prefix, fault, times));
    }

    /// Paths that begin with `prefix` work again, from the next request on, as far as a fault of that very prefix goes.
    pub fn lift(&self, prefix: &str) {
        lock(&self.shared.faults).retain(|rule| !rule.is_of(prefix));
    }

    /// Everything works again, from the next request on; hanging requests are answered.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
    }

    /// What was asked and answered so far.
    #[must_use]
    pub fn log(&self) -> Vec<Access> {
        lock(&self.shared.log).clone()
    }

    /// Waits until an answered request is one of those asked for.
    ///
    /// # Errors
    /// When there is none within `limit`; with the end of the log.
    pub fn wait_for(&self, wanted: impl Fn(&Access) -> bool, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while !self.log().iter().any(&wanted) {
            if Instant::now() > end {
                let log = self.log();
                let tail = &log[log.len().saturating_sub(10)..];
                bail!("not asked for within {} s; last: {tail:#?}", limit.as_secs());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The fault for a request of this path, used up once.
    fn fault(&self, path: &str) -> Option<Fault> {
        fault::take(&mut lock(&self.faults), path)
    }

    /// Whether requests of this path are to hang, without using the fault up.
    fn hangs(&self, path: &str) -> bool {
        fault::hangs(&lock(&self.faults), path)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts until the server is stopped, a thread for each connection; returns when all of them have ended.
fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections: Vec<JoinHandle<()>> = Vec::new();
    while !shared.is_stopped() {
        match listener.accept() {
            Ok((stream, client)) => {
                let shared = Arc::clone(shared);
                connections.push(std::thread::spawn(move || converse(stream, client, &shared)));
            }
            // nobody there, or somebody who has gone again
            Err(_) => std::thread::sleep(LOOK / 10),
        }
        connections.retain(|connection| !connection.is_finished());
    }
    for connection in connections {
        let _ = connection.join();
    }
}

/// Answers one request after the other, until somebody has had enough.
fn converse(stream: TcpStream, client: SocketAddr, shared: &Shared) {
    let prepared = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_nodelay(true))
        .and_then(|()| stream.set_read_timeout(Some(LOOK)));
    let SocketAddr::V4(client) = client else { return };
    let Ok(mut connection) = prepared.and_then(|()| http::Connection::new(stream)) else { return };
    while let Some(request) = connection.next(|| shared.is_stopped()) {
        let fault = shared.fault(&request.path);
        while fault == Some(Fault::Hang) && shared.hangs(&request.path) && !shared.is_stopped() {
            std::thread::sleep(LOOK);
        }
        if shared.is_stopped() {
            return;
        }
        let answer = match fault {
            Some(Fault::Status(status)) => content::failure(status),
            Some(Fault::Html) => content::captive_portal(),
            Some(Fault::CutHalfWay | Fault::Hang) | None => {
                content::answer(&shared.folder, &request)
            }
        };
        let half = fault == Some(Fault::CutHalfWay);
        let sent = connection.send(&request, answer.status, &answer.headers, answer.body, half);
        let (status, body_bytes) = sent.as_ref().map_or((0, 0), |sent| (answer.status, *sent));
        let (method, path) = (request.method.clone(), request.path.clone());
        lock(&shared.log).push(Access { client: *client.ip(), method, path, status, body_bytes });
        if half || sent.is_err() || request.closes {
            return;
        }
    }
}
