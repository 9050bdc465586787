//! HTTP/1.1 (RFC 9112) as far as apt, containerd and the agent speak it: GET and HEAD, kept connections, pipelining.

use std::io::{BufReader, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

/// Header lines of all requests together; a client that sends more is none of ours.
const MOST_HEADER_BYTES: usize = 32 << 10;

/// One request. Only what is answered differently because of it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// `GET`, `HEAD` or another.
    pub method: String,
    /// As asked, with its query.
    pub path: String,
    /// The value of `Range`.
    pub range: Option<String>,
    /// The value of `If-Range`.
    pub if_range: Option<String>,
    /// The value of `If-Modified-Since`.
    pub if_modified_since: Option<String>,
    /// Whether the client wants no further answer on this connection.
    pub closes: bool,
}

/// What follows the header: so many bytes of this.
pub(super) struct Body {
    pub bytes: Box<dyn Read>,
    pub length: u64,
}

/// A client's connection.
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Result<Self> {
        Ok(Self { reader: BufReader::new(stream.try_clone()?), writer: stream })
    }

    /// The next request; none when the client has gone, makes no sense, or `stopped` says so.
    pub(super) fn next(&mut self, stopped: impl Fn() -> bool) -> Option<Request> {
        let mut header = Vec::new();
        while !header.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.reader.read(&mut byte) {
                Ok(1) => header.push(byte[0]),
                // the stream's time is up: nobody has asked for a while
                Err(error)
                    if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return None,
            }
            if stopped() || header.len() > MOST_HEADER_BYTES {
                return None;
            }
        }
        parse(std::str::from_utf8(&header).ok()?)
    }

    /// Sends an answer, the body without its second half if told so; returns how much of the body went out.
    pub(super) fn send(
        &mut self,
        request: &Request,
        status: u16,
        headers: &[(&str, String)],
        mut body: Body,
        half: bool,
    ) -> Result<u64> {
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
        let mut head = format!("HTTP/1.1 {status} {}\r\nServer: pikube-test\r\n", reason(status));
        head.push_str(&format!("Date: {date}\r\n"));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if request.closes {
            head.push_str("Connection: close\r\n");
        }
        // RFC 9110 §15.4.5: a 304 has no body, and a length there would be that of another answer
        if status != 304 {
            head.push_str(&format!("Content-Length: {}\r\n", body.length));
        }
        head.push_str("\r\n");
        self.writer.write_all(head.as_bytes())?;
        if request.method == "HEAD" || status == 304 {
            return Ok(0);
        }
        let wanted = if half { body.length / 2 } else { body.length };
        std::io::copy(&mut Read::take(&mut body.bytes, wanted), &mut self.writer)
    }
}

fn parse(header: &str) -> Option<Request> {
    let mut lines = header.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let mut request = Request {
        method: method.to_owned(),
        path: origin_form(target).to_owned(),
        closes: version != "HTTP/1.1",
        ..Request::default()
    };
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.range = Some(value.to_owned()),
            "if-range" => request.if_range = Some(value.to_owned()),
            "if-modified-since" => request.if_modified_since = Some(value.to_owned()),
            "connection" => request.closes |= value.eq_ignore_ascii_case("close"),
            // a request with a body: whatever comes next would be taken for a request
            "content-length" if value != "0" => return None,
            _ => {}
        }
    }
    Some(request)
}

/// A client that takes us for its proxy asks for `http://HOST/PATH`.
fn origin_form(target: &str) -> &str {
    let Some(rest) = target.strip_prefix("http://") else { return target };
    rest.find('/').map_or("/", |slash| &rest[slash..])
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        503 => "Service Unavailable",
        _ => "As Ordered",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_asks() {
        let request = parse(
            "GET /debian/pool/a%2bb.deb HTTP/1.1\r\nHost: 203.0.113.1\r\nRange: bytes=100-\r\n\
             If-Range: Thu, 18 Jun 2026 00:00:00 GMT\r\nUser-Agent: Debian APT-HTTP/1.3\r\n\r\n",
        );
        let wanted = Request {
            method: "GET".into(),
            path: "/debian/pool/a%2bb.deb".into(),
            range: Some("bytes=100-".into()),
            if_range: Some("Thu, 18 Jun 2026 00:00:00 GMT".into()),
            ..Request::default()
        };
        assert_eq!(request, Some(wanted));
    }

    #[test]
    fn a_proxy_s_client_and_one_that_closes() {
        let request = parse("HEAD http://a.example.org/b HTTP/1.1\r\nconnection: Close\r\n\r\n");
        assert_eq!(request.as_ref().map(|request| request.path.as_str()), Some("/b"));
        assert_eq!(request.map(|request| request.closes), Some(true));
        assert_eq!(parse("POST /v2/ HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), None);
    }
}
