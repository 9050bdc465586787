//! apt and dpkg: one way to call them, one way to understand them (apt-get(8), dpkg(1), dpkg-query(1)).

pub mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::{Answer, Command, Error, Host, Look};
use crate::step::Stop;
use words::Trouble;

/// How long apt-get waits for another's lock, in seconds. Not longer: then the report says who holds it.
const LOCK_S: u32 = 120;
/// How long a transaction may take: 300 MB over a slow line onto a slow card.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

/// `apt-get` that never asks (`kubernetes-on-pi.md` §3.2).
pub fn apt_get<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut all = vec!["-y".to_owned(), "-q".to_owned()];
    for option in [
        &format!("DPkg::Lock::Timeout={LOCK_S}"),
        "Acquire::Retries=5",
        "Dpkg::Use-Pty=0",
        "Dpkg::Options::=--force-confdef",
        "Dpkg::Options::=--force-confold",
    ] {
        all.extend(["-o".to_owned(), option.to_owned()]);
    }
    all.extend(args.into_iter().map(str::to_owned));
    Command::new("apt-get", all).within(LIMIT)
}

/// What an answer of apt-get complains about, whatever its status: lists that it could not get are a warning to it.
pub fn troubles(answer: &Answer) -> Vec<Trouble> {
    let mut troubles = words::read(&format!("{}\n{}", answer.stdout, answer.stderr));
    if troubles.is_empty() && answer.status != 0 {
        let (status, said) = (answer.status, answer.complaint());
        troubles.push(Trouble::Other(format!("status {status}: {said}")));
    }
    troubles
}

/// Finishes what an interrupted dpkg has left, where it has left anything.
pub fn repair(host: &dyn Host) -> Result<(), Stop> {
    let configure = ["--force-confdef", "--force-confold", "--configure", "-a"];
    let command = Command::new("dpkg", configure).within(LIMIT);
    let answer = host.ask(&command)?;
    if answer.status == 0 {
        return Ok(());
    }
    match troubles(&answer).into_iter().find(Trouble::is_of_the_machine) {
        Some(trouble) => Err(trouble.stop("finishing what an interrupted `dpkg` has left")),
        // A package that does not let itself be configured may be mended by another version: apt-get says more.
        None => Ok(()),
    }
}

/// What dpkg says is half done; none where everything is in order.
pub fn half_done(host: &dyn Look) -> Result<Option<String>, Error> {
    let audit = host.ask(&Command::new("dpkg", ["--audit"]))?;
    let names: Vec<&str> = audit
        .stdout
        .lines()
        .filter(|line| line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    Ok(if !names.is_empty() {
        Some(format!("half installed: {}", names.join(", ")))
    } else if host.list("/var/lib/dpkg/updates")?.is_empty() {
        None
    } else {
        Some("dpkg was interrupted".to_owned())
    })
}

/// The architecture of the programs, which a 64-bit kernel does not tell (`kubernetes-on-pi.md` §0.4).
pub fn architecture(host: &dyn Look) -> Result<String, Error> {
    let command = Command::new("dpkg", ["--print-architecture"]);
    Ok(host.ask(&command)?.ok(&command)?.stdout.trim().to_owned())
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// As in `1.36.4-1.1`.
    pub version: String,
    /// Whether upgrades pass it over.
    pub held: bool,
}

/// Those of these packages that are installed, whole.
pub fn installed(host: &dyn Look, names: &[&str]) -> Result<BTreeMap<String, Installed>, Error> {
    let format = "${Package} ${Version} ${db:Status-Abbrev}\\n";
    let mut args = vec!["-W", "-f", format];
    args.extend(names);
    // The status is 1 where one is not known; the others are told nevertheless.
    let answer = host.ask(&Command::new("dpkg-query", args))?;
    let mut found = BTreeMap::new();
    for line in answer.stdout.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version), Some(state)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if state.get(1..2) == Some("i") {
            let installed = Installed { version: version.to_owned(), held: state.starts_with('h') };
            found.insert(name.to_owned(), installed);
        }
    }
    Ok(found)
}

/// The version that apt would install (apt-cache(8), `policy`).
pub fn candidate(host: &dyn Look, name: &str) -> Result<Option<String>, Error> {
    let answer = host.ask(&Command::new("apt-cache", ["policy", name]))?;
    let line = answer.stdout.lines().find_map(|line| line.trim().strip_prefix("Candidate:"));
    Ok(line.map(str::trim).filter(|version| *version != "(none)").map(str::to_owned))
}

/// The versions that apt knows, newest first (apt-cache(8), `madison`).
pub fn versions(host: &dyn Look, name: &str) -> Result<Vec<String>, Error> {
    let answer = host.ask(&Command::new("apt-cache", ["madison", name]))?;
    let mut versions: Vec<String> = Vec::new();
    for line in answer.stdout.lines() {
        if let Some(version) = line.split('|').nth(1).map(str::trim)
            && !versions.iter().any(|known| known == version)
        {
            versions.push(version.to_owned());
        }
    }
    Ok(versions)
}
