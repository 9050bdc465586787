//! A web server on this computer that does as it is told, which includes failing at any byte. Included as a module by
//! the tests of the sources.
#![allow(dead_code, missing_docs, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// How many requests came before it.
    pub number: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// `Range: bytes=N-`
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub cut_at: Option<usize>,
    /// Sleep between pieces of 64 KiB.
    pub pause: Option<Duration>,
    /// Leave out `Content-Length`.
    pub without_length: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into(), ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn cut_at(mut self, at: usize) -> Self {
        self.cut_at = Some(at);
        self
    }
}

/// As a good server answers: with ranges, versions and conditions.
pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Reply {
    if request.header("if-none-match") == Some(etag) {
        return Reply::new(304, "");
    }
    let same = request.header("if-range").is_none_or(|version| version == etag);
    let reply = match request.range().filter(|_| same) {
        Some(from) if from >= bytes.len() => {
            Reply::new(416, "").header("Content-Range", &format!("bytes */{}", bytes.len()))
        }
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206, &bytes[from..]).header("Content-Range", &range)
        }
        None => Reply::new(200, bytes),
    };
    reply.header("ETag", etag)
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// Turns a connection into one that is encrypted, or not.
pub type Wrap = dyn Fn(TcpStream) -> Box<dyn Stream> + Send + Sync;

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The server; stops when dropped.
pub struct Web {
    pub address: SocketAddr,
    pub log: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answer)
    }

    pub fn at(
        address: SocketAddr,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::wrapped(address, Arc::new(|stream| Box::new(stream)), answer)
    }

    pub fn wrapped(
        address: SocketAddr,
        wrap: Arc<Wrap>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, log) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let answer: Arc<Answer> = Arc::new(answer);
        let (stopped, logged, open) = (stop.clone(), log.clone(), connections.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let stream = stream.unwrap();
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (answer, logged, wrap) = (answer.clone(), logged.clone(), wrap.clone());
                let closing = stream.try_clone().unwrap();
                std::thread::spawn(move || {
                    // A client that goes away is what some tests are about.
                    let _ = serve(&mut *wrap(stream), &logged, &*answer);
                    // The list above has it open as well.
                    let _ = closing.shutdown(Shutdown::Both);
                });
            }
        });
        Self { address, log, stop, connections, thread: Some(thread) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Requests for this path.
    pub fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path == path).count()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(
    stream: &mut dyn Stream,
    log: &Mutex<Vec<Request>>,
    answer: &Answer,
) -> std::io::Result<()> {
    let request = {
        let mut lines = BufReader::new(&mut *stream).lines();
        let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for line in lines {
            let line = line?;
            match line.split_once(": ") {
                Some((key, value)) => headers.push((key.to_owned(), value.to_owned())),
                None => break,
            }
        }
        let mut log = log.lock().unwrap();
        let request = Request { path, headers, number: log.len() };
        log.push(request.clone());
        request
    };
    let reply = answer(&request);
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status);
    let named = reply.headers.iter().any(|(name, _)| name == "Content-Length");
    if !reply.without_length && !named && reply.status != 304 {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let len = reply.cut_at.unwrap_or(usize::MAX).min(reply.body.len());
    for piece in reply.body[..len].chunks(64 << 10) {
        stream.write_all(piece)?;
        if let Some(pause) = reply.pause {
            std::thread::sleep(pause);
        }
    }
    stream.flush()
}
