//! HTTP/1.1, as much as kubectl and the nodes speak.

use std::collections::HashMap;
use std::io::{Read, Write};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// Longest head and longest body, bytes.
const HEAD: usize = 64 << 10;
const BODY: usize = 8 << 20;

/// A request.
pub(super) struct Request {
    /// `GET` and so on.
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    query: HashMap<String, String>,
    headers: Vec<(String, String)>,
    /// As it came.
    pub(super) body: Vec<u8>,
    /// With the query, as it came.
    pub(super) target: String,
    /// Whether the connection ends with it.
    pub(super) is_last: bool,
}

impl Request {
    /// A parameter of the query, empty where there is none.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// A header (name in lower case), empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// All headers of a name.
    pub(super) fn headers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.headers.iter().filter(move |(key, _)| key == name);
        all.map(|(_, value)| value.as_str())
    }
}

/// An answer.
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    kind: &'static str,
    /// As it goes.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// An object.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self { status, kind: "application/json", body: value.to_string().into_bytes() }
    }

    /// A plain text.
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: text.as_bytes().to_vec() }
    }

    /// What came from another server.
    pub(super) fn passed_on(status: u16, body: Vec<u8>) -> Self {
        Self { status, kind: "application/json", body }
    }

    /// A refusal (`metav1.Status`).
    pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Self {
        Self::json(
            code,
            &json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason, "code": code,
            }),
        )
    }

    /// There is no such resource.
    pub(super) fn unknown() -> Self {
        Self::refusal(404, "NotFound", "the server could not find the requested resource")
    }
}

/// The next request of a connection; `None` when there are no more.
///
/// # Errors
/// It is none, or too long, or the connection breaks.
pub(super) fn read(stream: &mut impl Read) -> Result<Option<Request>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD {
            bail!("head too long");
        }
        match stream.read(&mut byte) {
            Ok(0) | Err(_) if head.is_empty() => return Ok(None),
            Ok(0) => bail!("unexpected end"),
            Ok(_) => head.push(byte[0]),
            Err(error) => return Err(error.into()),
        }
    }
    let head = String::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> =
        pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let mut body = Vec::new();
    if find("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        loop {
            let size = usize::from_str_radix(line(stream)?.trim(), 16).context("chunk")?;
            if body.len() + size > BODY {
                bail!("body too long");
            }
            let at = body.len();
            body.resize(at + size, 0);
            stream.read_exact(&mut body[at..])?;
            line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = find("content-length") {
        let length: usize = length.parse()?;
        if length > BODY {
            bail!("body too long");
        }
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    }
    let is_last = find("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    });
    Ok(Some(Request {
        method: method.to_owned(),
        path: decode(path),
        query: query.collect(),
        headers,
        body,
        target: target.to_owned(),
        is_last,
    }))
}

fn line(stream: &mut impl Read) -> Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") && line.len() < 1024 {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8(line)?)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match (first, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends an answer.
///
/// # Errors
/// The connection breaks.
pub(super) fn write(stream: &mut impl Write, answer: &Answer, is_last: bool) -> Result<()> {
    let Answer { status, kind, body } = answer;
    let end = if is_last { "Connection: close\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{end}\r\n",
        reason(*status),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()?;
    Ok(())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        _ => "Status",
    }
}
