//! Files from the web, over TLS or not. The agent has no TLS of its own: apt's helper is in every Debian, and goes
//! through apt's proxy; curl and wget are the second choice, for systems whose apt has no TLS (before Debian 10).

use std::time::Duration;

use pikube_config::FirstbootPlan;

use super::programs;
use crate::host::{Answer, Command, Error, Host, Look};
use crate::step::Stop;

/// apt's own (apt-helper is not in `PATH`).
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
/// How long one file may take: 100 MB at 100 kB/s.
const LIMIT: Duration = Duration::from_secs(1200);

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server has no such file.
    Absent(String),
    /// It may work later.
    Passing(String),
    /// The disk is full, or cannot be written.
    Stop(Stop),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match Stop::from(error) {
            Stop::Again(what) => Self::Passing(what),
            stop => Self::Stop(stop),
        }
    }
}

/// Downloads `url` to the file `to`, whose folder must exist. With a checksum (SHA-256, hexadecimal) what differs is
/// refused, and removed.
pub fn fetch(
    host: &dyn Host,
    plan: &FirstbootPlan,
    url: &str,
    to: &str,
    sha256: Option<&str>,
) -> Result<(), Failure> {
    bring(host, plan, url, to, sha256)?;
    match sha256 {
        Some(sum) if !has_sum(host, to, sum)? => {
            host.remove(to)?;
            let what = format!("downloading `{url}`: what came has not the SHA-256 sum {sum}");
            Err(Failure::Passing(what))
        }
        _ => Ok(()),
    }
}

/// As [`fetch`]; only apt's helper looks at the checksum by itself.
fn bring(
    host: &dyn Host,
    plan: &FirstbootPlan,
    url: &str,
    to: &str,
    sha256: Option<&str>,
) -> Result<(), Failure> {
    // apt would take what is there for a part of it, or for the file itself if it is newer.
    host.remove(to)?;
    let proxy = plan.system.apt_proxy.as_deref();
    let mut said = None;
    if host.exists(APT_HELPER)? {
        let mut args = vec!["-q".to_owned(), "-o".into(), "Acquire::Retries=3".into()];
        args.extend(["download-file", url, to].map(str::to_owned));
        args.extend(sha256.map(|sum| format!("SHA256:{sum}")));
        let answer = host.ask(&Command::new(APT_HELPER, args).within(LIMIT))?;
        if answer.status == 0 {
            return Ok(());
        }
        host.remove(&format!("{to}.FAILED"))?;
        match understand(url, &answer.stderr) {
            // The method for this scheme is a package of its own before apt 1.5.
            Failure::Passing(what) if answer.stderr.contains("method driver") => said = Some(what),
            failure => return Err(failure),
        }
    }
    for fetcher in [Fetcher::Curl, Fetcher::Wget] {
        if !programs::has(host, fetcher.program())? {
            continue;
        }
        let ended = match fetcher.run(host, proxy, url, to) {
            Ok(answer) if answer.status == 0 => return Ok(()),
            Ok(answer) => understand(url, &answer.stderr),
            Err(failure) => failure,
        };
        // wget leaves an empty one.
        host.remove(to)?;
        return Err(ended);
    }
    Err(Failure::Stop(Stop::person(
        format!(
            "downloading `{url}`: {}",
            said.as_deref().unwrap_or("neither apt's helper nor curl nor wget is there")
        ),
        "use an image with apt 1.5 or later, or with curl",
    )))
}

/// Whether a file has this checksum (SHA-256, hexadecimal).
pub fn has_sum(host: &dyn Look, path: &str, sum: &str) -> Result<bool, Error> {
    if !host.exists(path)? {
        return Ok(false);
    }
    let answer = host.ask(&Command::new("sha256sum", [path]))?;
    Ok(answer.stdout.split_whitespace().next() == Some(sum))
}

/// The second choice. What is asked for over TLS comes over TLS, whatever a server says of another place; apt's own
/// helper does not leave it either (apt 1.5, "Redirection from https to 'http://…' is forbidden").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetcher {
    Curl,
    Wget,
}

/// How many places a server may name, one after the other.
const MOST_PLACES: usize = 5;

impl Fetcher {
    fn program(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Wget => "wget",
        }
    }

    fn run(
        self,
        host: &dyn Host,
        proxy: Option<&str>,
        url: &str,
        to: &str,
    ) -> Result<Answer, Failure> {
        let mut place = url.to_owned();
        for _ in 0..MOST_PLACES {
            let command = Command::new(self.program(), self.args(proxy, &place, to));
            let answer = host.ask(&command.within(LIMIT))?;
            let next = match self {
                Self::Wget if answer.status != 0 && is_tls(&place) => {
                    led_to(&place, &answer.stderr)
                }
                _ => None,
            };
            match next {
                None => return Ok(answer),
                Some(next) if is_tls(&next) => place = next,
                Some(next) => {
                    let what = format!("downloading `{url}`: it leads to `{next}`, without TLS");
                    return Err(Failure::Passing(what));
                }
            }
        }
        Err(Failure::Passing(format!("downloading `{url}`: it leads from place to place")))
    }

    fn args(self, proxy: Option<&str>, url: &str, to: &str) -> Vec<String> {
        let mut args: Vec<&str> = match self {
            Self::Curl => {
                vec!["--fail", "--location", "--silent", "--show-error", "--retry", "3"]
            }
            Self::Wget => vec!["--no-verbose", "--tries=3"],
        };
        // wget has no word for "only to TLS": each place that a server names is looked at here.
        match (self, is_tls(url)) {
            (Self::Curl, true) => args.extend(["--proto", "=https", "--proto-redir", "=https"]),
            (Self::Wget, true) => args.extend(["--server-response", "--max-redirect=0"]),
            (_, false) => {}
        }
        let through = proxy.map(|proxy| match self {
            Self::Curl => ["--proxy".to_owned(), proxy.to_owned()],
            Self::Wget => {
                ["http_proxy", "https_proxy"].map(|key| format!("--execute={key}={proxy}"))
            }
        });
        args.extend(through.iter().flatten().map(String::as_str));
        let output = if self == Self::Curl { "--output" } else { "--output-document" };
        args.extend([output, to, url]);
        args.into_iter().map(str::to_owned).collect()
    }
}

fn is_tls(url: &str) -> bool {
    url.starts_with("https://")
}

/// The place that a server names instead (RFC 9110 §10.2.2), from the head of its answer that wget prints.
fn led_to(place: &str, stderr: &str) -> Option<String> {
    let mut lines = stderr.lines().rev().map(str::trim);
    let named = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim())
    })?;
    if named.contains("://") {
        return Some(named.to_owned());
    }
    // A place on the same server.
    let server = place.match_indices('/').nth(2).map_or(place, |(at, _)| &place[..at]);
    named.starts_with('/').then(|| format!("{server}{named}"))
}

/// What the programs say.
fn understand(url: &str, stderr: &str) -> Failure {
    let line = stderr
        .lines()
        .map(|line| line.trim_start_matches("E: ").trim())
        .find(|line| {
            ["Failed to fetch ", "curl:", " ERROR "].iter().any(|part| line.contains(part))
        })
        .or_else(|| stderr.lines().next())
        .unwrap_or("nothing said");
    let line = line.trim_start_matches("Failed to fetch ").trim_start_matches(url).trim();
    let what = format!("downloading `{url}`: {line}");
    if stderr.contains("No space left on device") {
        return Failure::Stop(Stop::person(what, "make room on the card, or use a larger one"));
    }
    let absent = ["404", "410"];
    let words = line.split(|c: char| !c.is_ascii_alphanumeric()).take(12);
    if words.into_iter().any(|word| absent.contains(&word)) {
        return Failure::Absent(what);
    }
    Failure::Passing(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::{Node, PLAN};

    const URL: &str = "http://203.0.113.1:8765/x/y";

    /// What the programs really said: apt 2.6 and 3.0, curl 7.88, wget 1.21.
    #[test]
    fn a_file_that_is_not_there_is_told_from_a_server_that_does_not_answer() {
        let absent = [
            "E: Failed to fetch http://203.0.113.1:8765/x/y  404  File not found [IP: 203.0.113.1 8765]\nE: Download Failed\n",
            "curl: (22) The requested URL returned error: 404\n",
            "http://203.0.113.1:8765/x/y:\n2026-11-21 15:44:01 ERROR 404: File not found.\n",
        ];
        for said in absent {
            assert!(matches!(understand(URL, said), Failure::Absent(_)), "{said}");
        }
        let passing = [
            "E: Failed to fetch http://203.0.113.1:8765/x/y  503  Service Unavailable [IP: 203.0.113.1 8765]\nE: Download Failed\n",
            "E: Failed to fetch http://203.0.113.1:8765/x/y  Connection failed [IP: 203.0.113.1 8765]\nE: Download Failed\n",
            "E: Failed to fetch http://203.0.113.1:8765/x/y  Hash Sum mismatch\n   Hashes of expected file:\n    - SHA256:00\nE: Download Failed\n",
            "curl: (6) Could not resolve host: no.such.example.invalid\n",
            "",
        ];
        for said in passing {
            assert!(matches!(understand(URL, said), Failure::Passing(_)), "{said}");
        }
        let Failure::Passing(what) = understand(URL, passing[0]) else { panic!() };
        assert_eq!(
            what,
            "downloading `http://203.0.113.1:8765/x/y`: 503  Service Unavailable [IP: 203.0.113.1 8765]"
        );
        let full = "E: Write error - write (28: No space left on device)\n";
        assert!(matches!(understand(URL, full), Failure::Stop(Stop::Person { .. })));
    }
    /// A node whose apt has no TLS, with one of the other two.
    fn with(program: &str) -> (Node, FirstbootPlan) {
        let node = Node::pi();
        node.entries.borrow_mut().remove("/usr/lib/apt/apt-helper");
        node.put(&format!("/usr/bin/{program}"), "");
        let plan = FirstbootPlan::from_toml(PLAN).unwrap();
        (node, plan)
    }

    #[test]
    fn what_is_asked_for_over_tls_comes_over_tls() {
        const TLS: &str = "https://packages.example.org/x";
        let (node, plan) = with("curl");
        node.put(&format!("web:{TLS}"), "x");
        fetch(&node, &plan, TLS, "/var/x", None).unwrap();
        let line = node.log.borrow().last().cloned().unwrap();
        assert!(line.contains("--proto =https --proto-redir =https --proxy http"), "{line}");
        let _ = fetch(&node, &plan, URL, "/var/x", None);
        assert!(!node.log.borrow().last().unwrap().contains("--proto"));

        let (node, plan) = with("wget");
        node.put("web:https://mirror.example.org/y", "y");
        node.fail(&format!("wget --no-verbose --tries=3 --server-response --max-redirect=0 --execute=http_proxy=http://192.168.1.2:3142 --execute=https_proxy=http://192.168.1.2:3142 --output-document /var/x {TLS}"), 8, "  HTTP/1.1 302 Found\n  Location: https://mirror.example.org/y\n0 redirections exceeded.\n", 1);
        fetch(&node, &plan, TLS, "/var/x", None).unwrap();
        assert_eq!(node.get("/var/x"), "y");
        let plaintext = "  HTTP/1.1 302 Found\n  location: http://mirror.example.org/y\n";
        node.fail("wget", 8, plaintext, 1);
        let Err(Failure::Passing(what)) = fetch(&node, &plan, TLS, "/var/x", None) else {
            panic!()
        };
        assert!(what.contains("leads to `http://mirror.example.org/y`, without TLS"), "{what}");
        assert!(!node.exists("/var/x").unwrap());
        node.fail("wget", 8, "  Location: /x\n", 9);
        let Err(Failure::Passing(what)) = fetch(&node, &plan, TLS, "/var/x", None) else {
            panic!()
        };
        assert!(what.contains("from place to place"), "{what}");
    }

    #[test]
    fn a_place_may_be_named_without_its_server() {
        let stderr = "  HTTP/1.1 301 Moved\n  Location: /b/c\n";
        assert_eq!(
            led_to("https://a.example.org:8443/x", stderr).as_deref(),
            Some("https://a.example.org:8443/b/c")
        );
        assert_eq!(led_to("https://a.example.org/x", "  HTTP/1.1 404 Not Found\n"), None);
    }
}
