//! What apt-get and dpkg say, understood. Pure. The lines are those of apt 1.8 to 3.0 with `LC_ALL=C.UTF-8`, seen with a
//! server that misbehaves; the tests hold them.

use crate::step::Stop;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Another program holds apt's or dpkg's lock.
    Lock(String),
    /// dpkg was interrupted.
    Interrupted,
    /// The disk is full.
    Full(String),
    /// Lists of this address are of the future: the clock is wrong.
    Clock(String, String),
    /// Lists of this address have expired: the mirror is old, or the clock is wrong.
    Stale(String, String),
    /// The signature of this address's lists cannot be verified, and why.
    Key(String, String),
    /// This address has no lists.
    NoRelease(String),
    /// A page for people came in place of this address's lists.
    Page(String),
    /// This address does not answer, or not well: it may later.
    Passing(String, String),
    /// A package of the lists is not on the server any more: the lists are old.
    Gone(String),
    /// No such version of this package.
    NoVersion(String, String),
    /// No such package.
    NoPackage(String),
    /// Packages that do not go together.
    Conflict(String),
    /// A package does not let itself be installed.
    Script(String),
    /// Something else.
    Other(String),
}

impl Trouble {
    /// The address that it is about; empty where it is about none.
    pub fn address(&self) -> &str {
        match self {
            Self::Clock(url, _)
            | Self::Stale(url, _)
            | Self::Key(url, _)
            | Self::NoRelease(url)
            | Self::Page(url)
            | Self::Passing(url, _)
            | Self::Gone(url) => url,
            _ => "",
        }
    }

    /// Whether it is about the machine, not about a server or a package.
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Lock(_) | Self::Full(_))
    }

    /// How the step ends of which nothing better is known.
    pub fn stop(&self, doing: &str) -> Stop {
        match self {
            Self::Lock(who) => Stop::Again(format!("{doing}: {who}")),
            Self::Interrupted => Stop::Again(format!("{doing}: `dpkg` was interrupted")),
            Self::Full(what) => Stop::person(
                format!("{doing}: {what}"),
                "make room on the card, or use a larger one",
            ),
            Self::Clock(url, what) => Stop::Again(format!(
                "{doing}: by the clock of this node, the lists of `{url}` are {what}"
            )),
            Self::Stale(url, what) => Stop::Again(format!(
                "{doing}: the lists of `{url}` are {what}: the mirror is old, or the clock of this node is wrong"
            )),
            Self::Page(url) => Stop::Again(format!(
                "{doing}: a web page comes in place of `{url}` (a captive portal?); log in with another \
                 device, or use another network"
            )),
            Self::Passing(url, what) => Stop::Again(format!("{doing}: `{url}`: {what}")),
            Self::Gone(url) => Stop::Again(format!("{doing}: `{url}` is not there (any more)")),
            Self::Key(url, why) => Stop::person(
                format!("{doing}: apt does not trust `{url}`: {why}"),
                "look whether the repository has a new key, and write the card again with it",
            ),
            Self::NoRelease(url) => Stop::person(
                format!("{doing}: `{url}` has no package lists"),
                "correct the repository in the plan",
            ),
            Self::NoVersion(package, version) => Stop::person(
                format!("{doing}: there is no version {version} of `{package}`"),
                "correct `kubernetes.version` in the plan",
            ),
            Self::NoPackage(package) => Stop::person(
                format!("{doing}: apt knows no package `{package}`"),
                "look at the sources in `/etc/apt`",
            ),
            Self::Conflict(what) => Stop::person(
                format!("{doing}: packages do not go together: {what}"),
                "`apt-get -f install` tells more; remove or unhold what is in the way, or use a fresh image",
            ),
            Self::Script(what) => Stop::person(
                format!("{doing}: {what}"),
                "`dpkg --configure -a` tells more; mend it, then reboot",
            ),
            Self::Other(what) => {
                Stop::person(format!("{doing}: {what}"), crate::step::LOOK_AT_THE_JOURNAL)
            }
        }
    }
}

/// Everything that apt-get or dpkg complains of; several lines about one address make one trouble, the plainest.
pub fn read(said: &str) -> Vec<Trouble> {
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    let mut found: Vec<Trouble> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(trouble) = understand(line, &lines, index) else { continue };
        let same = |other: &Trouble| {
            !trouble.address().is_empty() && same_source(other.address(), trouble.address())
        };
        let is_vague = |other: &Trouble| matches!(other, Trouble::Key(_, why) if why == UNSIGNED);
        match found.iter().position(same) {
            // What only says that there was something else before.
            Some(_) if is_vague(&trouble) => {}
            Some(at) if is_vague(&found[at]) => found[at] = trouble,
            _ if found.contains(&trouble) => {}
            _ => found.push(trouble),
        }
    }
    // A package whose script fails makes dpkg fail as a whole.
    if found.iter().any(|trouble| !matches!(trouble, Trouble::Other(_))) {
        found.retain(|trouble| !matches!(trouble, Trouble::Other(_)));
    }
    found
}

const UNSIGNED: &str = "its lists are not signed";

/// Whether one address is of the other's lists.
fn same_source(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('/'), other.trim_end_matches('/'));
    one == other || one.starts_with(&format!("{other}/")) || other.starts_with(&format!("{one}/"))
}

fn understand(line: &str, lines: &[&str], index: usize) -> Option<Trouble> {
    let has = |part: &str| line.contains(part);
    let text = line.trim_start_matches(['E', 'W']).trim_start_matches(": ").trim();
    let is_complaint = line.starts_with("E: ") || line.starts_with("W: ");
    if line.starts_with("dpkg: error: ") && (has("lock was locked") || has("lock is locked")) {
        let who = line.trim_start_matches("dpkg: error: ");
        return Some(Trouble::Lock(who.to_owned()));
    }
    if has("No space left on device") || has("You don't have enough free space") {
        return Some(Trouble::Full("no space left on the device".to_owned()));
    }
    if line.starts_with("Errors were encountered while processing:") {
        let names = lines[index + 1..].iter().take_while(|line| line.starts_with(' '));
        let names: Vec<&str> = names.map(|line| line.trim()).collect();
        let why = lines.iter().find(|line| {
            line.contains("subprocess returned error")
                || line.contains("returned error exit status")
        });
        let why = why.map_or_else(String::new, |why| format!(": {}", why.trim()));
        return Some(Trouble::Script(format!("`{}` cannot be installed{why}", names.join("`, `"))));
    }
    if !is_complaint {
        return None;
    }
    if has("Could not get lock")
        || has("Unable to acquire the dpkg frontend lock")
        || has("Unable to lock")
    {
        return Some(Trouble::Lock(text.to_owned()));
    }
    if has("dpkg was interrupted") {
        return Some(Trouble::Interrupted);
    }
    if has("is not valid yet") {
        return Some(Trouble::Clock(address(line), bracketed(line, "not valid yet")));
    }
    if has("is expired (invalid since") {
        return Some(Trouble::Stale(address(line), bracketed(line, "expired")));
    }
    if has("does the network require authentication") {
        return Some(Trouble::Page(address(line)));
    }
    if has("does not have a Release file") || has("no longer has a Release file") {
        return Some(Trouble::NoRelease(address(line)));
    }
    if has("BADSIG") || has("Bad signature") {
        let what = "signature and lists are not of the same moment";
        return Some(Trouble::Passing(address(line), what.to_owned()));
    }
    if let Some(why) = signature(line) {
        return Some(Trouble::Key(address(line), why));
    }
    if has("is not signed") {
        return Some(Trouble::Key(address(line), UNSIGNED.to_owned()));
    }
    if has("Failed to fetch") || has("Unable to connect to") {
        let url = address(line);
        let what = line.split_once(&url).and_then(|(_, rest)| rest.split_once(' '));
        let what = what.map_or(text, |(_, what)| what.trim());
        if what.starts_with("404") && url.ends_with(".deb") {
            return Some(Trouble::Gone(url));
        }
        return Some(Trouble::Passing(url, what.to_owned()));
    }
    if has("' was not found") && has("Version '") {
        let mut words = line.split('\'').skip(1).step_by(2);
        let (version, package) = (words.next()?, words.next()?);
        return Some(Trouble::NoVersion(package.to_owned(), version.to_owned()));
    }
    if let Some(name) = text.strip_prefix("Unable to locate package ") {
        return Some(Trouble::NoPackage(name.trim().to_owned()));
    }
    if has("has no installation candidate") {
        let name = line.split('\'').nth(1).or_else(|| line.split('`').nth(1)).unwrap_or(text);
        return Some(Trouble::NoPackage(name.to_owned()));
    }
    if has("Unable to correct problems") || has("Unmet dependencies") || has("unmet dependencies") {
        let unmet = lines.iter().skip_while(|line| !line.contains("unmet dependencies:")).skip(1);
        let unmet: Vec<&str> = unmet
            .take_while(|line| line.starts_with(' '))
            .map(|line| line.trim())
            .take(3)
            .collect();
        let what = if unmet.is_empty() { text.to_owned() } else { unmet.join("; ") };
        return Some(Trouble::Conflict(what));
    }
    let follows = has("Some index files failed")
        || has("Unable to fetch some archives")
        || has("returned an error code")
        || has("Can not write log");
    (line.starts_with("E: ") && !follows).then(|| Trouble::Other(text.to_owned()))
}

/// The first address in a line.
fn address(line: &str) -> String {
    let from = line.find("http://").or_else(|| line.find("https://"));
    let rest = from.map_or("", |from| &line[from..]);
    let end = rest.find([' ', '\'', ',']).unwrap_or(rest.len());
    let url = rest[..end].trim_end_matches(':');
    for list in ["/InRelease", "/Release", "/Release.gpg"] {
        if let Some(source) = url.strip_suffix(list) {
            return source.to_owned();
        }
    }
    url.to_owned()
}

fn bracketed(line: &str, what: &str) -> String {
    let inside = line.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    inside.map_or(what.to_owned(), |(inside, _)| format!("{what} ({inside})"))
}

/// Why a signature is not taken; `None` where the line is not about one.
fn signature(line: &str) -> Option<String> {
    const ABOUT: [&str; 4] = [
        "GPG error",
        "signature verification failed",
        "The following signatures",
        "Sub-process /usr/bin/sqv",
    ];
    if !ABOUT.iter().any(|about| line.contains(about)) {
        return None;
    }
    let has = |part: &str| line.contains(part);
    Some(if has("Policy rejected") || has("not considered secure") {
        let because = line.rsplit("because: ").next().unwrap_or("its policy rejects the signature");
        format!("the policy of its verifier rejects the signature: {}", because.trim())
    } else if has("EXPKEYSIG") || has("key is expired") || has("not alive") || has("KEYEXPIRED") {
        "its key has expired".to_owned()
    } else if has("NO_PUBKEY") || has("Missing key") {
        "it is signed with another key".to_owned()
    } else {
        "its signature is not valid".to_owned()
    })
}

#[cfg(test)]
mod tests;
