//! The web, as far as the agent asks it itself: names, and one question over plain HTTP (RFC 9112). What comes over TLS,
//! or is large, is [`super::download`]'s.

use std::net::{IpAddr, SocketAddr};

use pikube_config::FirstbootPlan;

use crate::host::{Command, Error, Look};

/// An address as the plan has it (`pikube_config::values::host::url` has checked it): no user, no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// `https`.
    pub tls: bool,
    /// Name or IPv4 address.
    pub host: &'a str,
    /// The one that is named, else the usual one of the scheme.
    pub port: u16,
    /// From the first `/` on; `/` at least.
    pub path: &'a str,
}

impl<'a> Url<'a> {
    /// The parts of an address; one without a scheme is taken for `http`.
    pub fn of(url: &'a str) -> Self {
        let tls = url.starts_with("https://");
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let usual = if tls { 443 } else { 80 };
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        Self { tls, host, port: port.parse().unwrap_or(usual), path }
    }

    /// `Host:` of a question.
    fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual {
            self.host.to_owned()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// apt's proxy, which all that is downloaded goes through.
pub fn proxy(plan: &FirstbootPlan) -> Option<Url<'_>> {
    plan.system.apt_proxy.as_deref().map(Url::of)
}

/// Addresses of a name, as every program of the node gets them (getent(1), `ahosts`); none where nobody knows it.
pub fn addresses(host: &dyn Look, name: &str) -> Result<Vec<IpAddr>, Error> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let answer = host.ask(&Command::new("getent", ["ahosts", name]))?;
    let mut found: Vec<IpAddr> = Vec::new();
    for line in answer.stdout.lines() {
        let address = line.split_whitespace().next().and_then(|word| word.parse().ok());
        if let Some(address) = address
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    Ok(found)
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// As in `200`.
    pub status: u16,
    head: Vec<(String, String)>,
    /// Its beginning, as text.
    pub body: String,
}

impl Page {
    /// What came over the wire; `None` where that is no HTTP.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let mut first = lines.next()?.split_whitespace();
        let status = first.next()?.starts_with("HTTP/").then(|| first.next())??.parse().ok()?;
        let head = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self { status, head, body: body.to_owned() })
    }

    /// A field of its head; names have no case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.head.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it is a page for people.
    pub fn is_html(&self) -> bool {
        let typed = self.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html"));
        typed || is_html(&self.body)
    }
}

/// Whether a text begins as pages for people do.
pub fn is_html(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(14).collect();
    let start = start.to_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// Asks for a page, through a proxy or not. `Err` says why there is no answer.
pub fn ask(host: &dyn Look, url: Url<'_>, via: Option<Url<'_>>) -> Result<Page, String> {
    let to = via.unwrap_or(url);
    let target = match via {
        Some(_) => format!("http://{}{}", url.authority(), url.path),
        None => url.path.to_owned(),
    };
    let words = format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: pikube-agent\r\nConnection: close\r\n\r\n",
        url.authority()
    );
    let mut why = format!("no address of `{}` is known", to.host);
    for address in addresses(host, to.host).map_err(|error| error.to_string())? {
        match host.converse(SocketAddr::new(address, to.port), words.as_bytes()) {
            Ok(bytes) => match Page::read(&bytes) {
                Some(page) => return Ok(page),
                None => why = format!("`{}` does not speak HTTP at port {}", to.host, to.port),
            },
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::Node;

    #[test]
    fn addresses_have_parts() {
        let part = |url| {
            let url = Url::of(url);
            (url.tls, url.host.to_owned(), url.port, url.path.to_owned())
        };
        assert_eq!(part("https://a.example.org"), (true, "a.example.org".into(), 443, "/".into()));
        assert_eq!(
            part("http://10.0.0.1:3142/x/y/"),
            (false, "10.0.0.1".into(), 3142, "/x/y/".into())
        );
    }

    #[test]
    fn a_page_has_status_head_and_body() {
        let page = Page::read(b"HTTP/1.1 200 OK\r\ndate: x\r\nContent-Type: text/html\r\n\r\nhi");
        let page = page.unwrap();
        assert_eq!((page.status, page.header("Date"), page.body.as_str()), (200, Some("x"), "hi"));
        assert!(page.is_html() && is_html("\n<!DOCTYPE HTML>\n<p>") && !is_html("-----BEGIN"));
        assert_eq!(Page::read(b"SSH-2.0-x\r\n"), None);
        assert_eq!(Page::read(b""), None);
    }

    #[test]
    fn a_question_goes_to_the_proxy_or_to_the_host_itself() {
        let node = Node::bare();
        node.put("/run/dns/a.example.org", "203.0.113.5 203.0.113.6\n");
        node.answering.borrow_mut().insert("203.0.113.6:80".into(), b"HTTP/1.0 204 x\r\n".into());
        let url = Url::of("http://a.example.org/x");
        assert_eq!(ask(&node, url, None).unwrap().status, 204);
        let proxy = Url::of("http://10.0.0.1:3142");
        let why = ask(&node, url, Some(proxy)).unwrap_err();
        assert!(why.contains("10.0.0.1:3142"), "{why}");
        node.answering.borrow_mut().insert(":3142".into(), b"HTTP/1.1 200 OK\r\n\r\n".into());
        assert_eq!(ask(&node, url, Some(proxy)).unwrap().status, 200);
        assert!(
            ask(&node, Url::of("http://b.example.org"), None).unwrap_err().contains("no address")
        );
    }
}
