//! A client of the API: HTTP/1.1 over TLS, a connection for each request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

use crate::{resolve, tls};

/// Seconds that an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the API is and as whom to ask.
#[derive(Clone)]
pub(crate) struct Client {
    host: String,
    port: u16,
    config: Arc<ClientConfig>,
    token: Option<String>,
    /// Further header lines, each with its CR LF.
    pub(crate) headers: String,
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// HTTP status.
    pub(crate) code: u16,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Client {
    /// A client of `host:port` that trusts this CA (PEM), or anyone, and shows a certificate or a token.
    ///
    /// # Errors
    /// CA or certificate are none.
    pub(crate) fn new(
        endpoint: (String, u16),
        ca: Option<&str>,
        own: Option<&tls::Pair>,
        token: Option<&str>,
    ) -> Result<Self> {
        let (host, port) = endpoint;
        let (config, token) = (tls::client(ca, own)?, token.map(str::to_owned));
        Ok(Self { host, port, config, token, headers: String::new() })
    }

    /// Reads an object.
    ///
    /// # Errors
    /// Nobody answers, or not with success ([`Refusal`]).
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, None)
    }

    /// Reads an object that may be absent.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn find(&self, path: &str) -> Result<Option<Value>> {
        match self.get(path) {
            Ok(object) => Ok(Some(object)),
            Err(error) if code(&error) == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an object in a collection, or replaces the one of that name.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn put(&self, collection: &str, object: &Value) -> Result<Value> {
        match self.ask("POST", collection, Some(object)) {
            Err(error) if code(&error) == Some(409) => {
                let name = object.pointer("/metadata/name").and_then(Value::as_str);
                let path = format!("{collection}/{}", name.unwrap_or_default());
                self.ask("PUT", &path, Some(object))
            }
            other => other,
        }
    }

    /// Any request.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if method == "PATCH" { "merge-patch+json" } else { "json" };
        let (status, text) = self.raw(method, path, kind, body.as_bytes())?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let message = answer.pointer("/message").and_then(Value::as_str).map(str::to_owned);
        let message = message.unwrap_or_else(|| format!("the server answered {status}: {answer}"));
        Err(Refusal { code: status, message }.into())
    }

    /// A request as it is: status and body of the answer.
    ///
    /// # Errors
    /// Nobody answers, in Go's words.
    pub(crate) fn raw(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>)> {
        let Self { host, port, .. } = self;
        let go = match method {
            "GET" => "Get",
            "POST" => "Post",
            "PUT" => "Put",
            "DELETE" => "Delete",
            _ => "Patch",
        };
        let named = || format!("{go} \"https://{host}:{port}{path}\"");
        let address = resolve::address(host).with_context(|| format!("{}: dial tcp", named()))?;
        let address = SocketAddr::new(address, *port);
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("{}: dial tcp {address}: connect", named()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(host.clone()).context("host name")?;
        let connection = ClientConnection::new(self.config.clone(), name)?;
        let mut stream = StreamOwned::new(connection, stream);
        let token = self.token.as_ref();
        let token =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n{token}{}Content-Type: application/{kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.headers,
            body.len()
        );
        let mut answer = Vec::new();
        let done = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .and_then(|()| stream.flush())
            .and_then(|()| match stream.read_to_end(&mut answer) {
                // the server is done when the connection is
                Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error),
                _ => Ok(()),
            });
        done.with_context(|| format!("{}: tls", named()))?;
        parse(&answer).with_context(|| format!("{}: EOF", named()))
    }
}

/// The HTTP status of the refusal in an error, if it is one.
pub(crate) fn code(error: &anyhow::Error) -> Option<u16> {
    error.downcast_ref::<Refusal>().map(|refusal| refusal.code)
}

fn parse(answer: &[u8]) -> Result<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").context("no head")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("no status")?;
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let body = &answer[end + 4..];
    if body.len() < length {
        bail!("unexpected end");
    }
    Ok((status, body[..length].to_vec()))
}
