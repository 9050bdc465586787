//! Files from the web, over TLS or not. The agent has no TLS of its own: apt's helper is in every Debian, and goes
//! through apt's proxy; curl and wget are the second choice, for systems whose apt has no TLS (before Debian 10).

use std::time::Duration;

use pikube_config::FirstbootPlan;

use super::programs;
use crate::host::{Command, Error, Host};
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
/// refused; where apt's helper is not there, that is left to the caller.
pub fn fetch(
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
    for (program, mut args) in [
        ("curl", vec!["--fail", "--location", "--silent", "--show-error", "--retry", "3"]),
        ("wget", vec!["--no-verbose", "--tries=3"]),
    ] {
        if !programs::has(host, program)? {
            continue;
        }
        let through;
        match (program, proxy) {
            ("curl", proxy) => {
                args.extend(proxy.iter().flat_map(|proxy| ["--proxy", *proxy]));
                args.extend(["--output", to, url]);
            }
            (_, Some(proxy)) => {
                through = [
                    format!("--execute=http_proxy={proxy}"),
                    format!("--execute=https_proxy={proxy}"),
                ];
                args.extend(through.iter().map(String::as_str));
                args.extend(["--output-document", to, url]);
            }
            (_, None) => args.extend(["--output-document", to, url]),
        }
        let answer = host.ask(&Command::new(program, args).within(LIMIT))?;
        if answer.status == 0 {
            return Ok(());
        }
        host.remove(to)?;
        return Err(understand(url, &answer.stderr));
    }
    Err(Failure::Stop(Stop::person(
        format!(
            "downloading `{url}`: {}",
            said.as_deref().unwrap_or("neither apt's helper nor curl nor wget is there")
        ),
        "use an image with apt 1.5 or later, or with curl",
    )))
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
}
