//! apt's sources (sources.list(5)), both styles: the address of the distribution's own archive.
//!
//! The rule, for [`FILES`] only: an entry is the distribution's own where the path of its address is one word,
//! `debian`, `raspbian`, `ubuntu` or `ubuntu-ports`, and the host is not the one of Raspberry Pi's additional packages
//! (which calls its path `debian` too); or where an earlier run of ours put the address there. Of those, suites with
//! security updates stay: a mirror may be days behind. Everything else stays: other archives have longer paths
//! (`linux/debian`) and files of their own.

/// The files that hold the distribution's own entries: Debian, Raspberry Pi OS, HypriotOS, Ubuntu.
pub const FILES: [&str; 4] = [
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/debian.sources",
    "/etc/apt/sources.list.d/raspbian.sources",
    "/etc/apt/sources.list.d/ubuntu.sources",
];

/// The original, beside the file; apt passes over names that end like this without a word.
pub const ORIGINAL: &str = ".pikube.orig";

const PATHS: [&str; 4] = ["debian", "raspbian", "ubuntu", "ubuntu-ports"];

/// Addresses of the distribution's own archive in a file, in its order.
pub fn own<'a>(path: &str, text: &'a str, earlier: &[String]) -> Vec<&'a str> {
    let mut found = Vec::new();
    walk(path, text, |address| {
        if is_own(address, earlier) {
            found.push(address);
        }
        None
    });
    found
}

/// The file with those addresses replaced; one that is there already stays as it is spelled.
pub fn replace(path: &str, text: &str, mirror: &str, earlier: &[String]) -> String {
    walk(path, text, |address| {
        let differs = address.trim_end_matches('/') != mirror.trim_end_matches('/');
        (differs && is_own(address, earlier)).then(|| mirror.to_owned())
    })
}

fn is_own(address: &str, earlier: &[String]) -> bool {
    let bare = address.trim_end_matches('/');
    if earlier.iter().any(|known| known.trim_end_matches('/') == bare) {
        return true;
    }
    let rest = bare.strip_prefix("http://").or_else(|| bare.strip_prefix("https://"));
    let Some((host, path)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    // Raspbian's own archive has this in its host name as well, but another path.
    let additional = path == "debian" && host.contains("raspberrypi");
    PATHS.contains(&path) && !additional
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security") || suite.contains("/updates")
}

/// Goes through the addresses of entries without security suites; the answer takes the address's place.
fn walk<'a>(path: &str, text: &'a str, change: impl FnMut(&'a str) -> Option<String>) -> String {
    if path.ends_with(".sources") { deb822(text, change) } else { one_line(text, change) }
}

/// `deb [OPTIONS] ADDRESS SUITE COMPONENT…`
fn one_line<'a>(text: &'a str, mut change: impl FnMut(&'a str) -> Option<String>) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let changed = entry(line)
            .filter(|(.., suite)| !is_security(suite))
            .and_then(|(at, address, _)| Some((at..at + address.len(), change(address)?)));
        let mut line = line.to_owned();
        if let Some((place, new)) = changed {
            line.replace_range(place, &new);
        }
        out.push_str(&line);
    }
    out
}

/// Where the address is in a line that is an entry, the address, and the suite.
fn entry(line: &str) -> Option<(usize, &str, &str)> {
    let (kind, rest) = line.trim_start().split_once(char::is_whitespace)?;
    if !["deb", "deb-src"].contains(&kind) {
        return None;
    }
    let rest = rest.trim_start();
    let rest = if rest.starts_with('[') { rest.split_once(']')?.1.trim_start() } else { rest };
    let mut words = rest.split_whitespace();
    Some((line.len() - rest.len(), words.next()?, words.next()?))
}

/// Paragraphs of `Field: value`; a paragraph whose suites are security updates, all of them, stays.
fn deb822<'a>(text: &'a str, mut change: impl FnMut(&'a str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut lines = text.split_inclusive('\n').peekable();
    while lines.peek().is_some() {
        let mut paragraph = Vec::new();
        for line in lines.by_ref() {
            paragraph.push(line);
            if line.trim().is_empty() {
                break;
            }
        }
        let suites = values(&paragraph, "suites");
        let security = !suites.is_empty() && suites.iter().all(|suite| is_security(suite));
        let addresses = if security { Vec::new() } else { values(&paragraph, "uris") };
        let changes: Vec<(&str, String)> =
            addresses.into_iter().filter_map(|address| Some((address, change(address)?))).collect();
        for line in paragraph {
            let is_comment = line.starts_with('#');
            let words = line.split_inclusive(char::is_whitespace).map(|word| {
                let bare = word.trim_end();
                match changes.iter().find(|(old, _)| *old == bare && !is_comment) {
                    Some((_, new)) => format!("{new}{}", &word[bare.len()..]),
                    None => word.to_owned(),
                }
            });
            out.extend(words);
        }
    }
    out
}

/// The words of a field, with its continuation lines; field names have no case.
fn values<'a>(paragraph: &[&'a str], field: &str) -> Vec<&'a str> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in paragraph.iter().filter(|line| !line.starts_with('#')) {
        let value = if line.starts_with([' ', '\t']) {
            *line
        } else {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            inside = name.trim().eq_ignore_ascii_case(field);
            value
        };
        if inside {
            words.extend(value.split_whitespace());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIRROR: &str = "http://mirror.example.org/pool/debian";
    const LIST: &str = FILES[0];
    const SOURCES: &str = FILES[1];

    const ONE_LINE: &str = "# deb http://a.example.org/debian x main\n\
        deb http://a.example.org/debian bookworm main contrib\n\
        deb [ arch=arm64 ] https://a.example.org/debian/ bookworm-updates main\n\
        deb http://s.example.org/debian-security/ bookworm-security main\n\
        deb-src http://a.example.org/raspbian/ bookworm main rpi\n\
        deb http://a.example.org/ubuntu-ports noble-security main\n\
        deb http://archive.raspberrypi.example.org/debian/ bookworm main\n\
        deb [arch=arm64] https://d.example.org/linux/debian bookworm stable\n";

    #[test]
    fn only_entries_of_the_distribution_s_own_archive_change() {
        let changed = replace(LIST, ONE_LINE, MIRROR, &[]);
        assert_eq!(
            changed,
            ONE_LINE
                .replacen(
                    "deb http://a.example.org/debian bookworm",
                    &format!("deb {MIRROR} bookworm"),
                    1
                )
                .replace("https://a.example.org/debian/", MIRROR)
                .replace("http://a.example.org/raspbian/", MIRROR)
        );
        assert_eq!(replace(LIST, &changed, MIRROR, &[MIRROR.to_owned()]), changed);
        let other = "https://other.example.org/x/";
        let again = replace(LIST, &changed, other, &[MIRROR.to_owned()]);
        assert!(!again.contains(MIRROR) && again.matches(other).count() == 3);
        assert_eq!(replace(LIST, &changed, other, &[]), changed, "somebody else's address");
    }

    #[test]
    fn deb822_paragraphs() {
        let text = "# a\nTypes: deb deb-src\nURIs: http://a.example.org/debian/\nSuites: trixie trixie-updates\nSigned-By: /usr/share/keyrings/x.pgp\n\n\
            Types: deb\nuris:\n http://a.example.org/ubuntu-ports/\n http://o.example.org/linux/debian\nSuites: noble\n\n\
            Types: deb\nURIs: http://a.example.org/debian/\nSuites: trixie-security\n";
        let changed = replace(SOURCES, text, MIRROR, &[]);
        assert_eq!(changed.matches(MIRROR).count(), 2, "{changed}");
        assert!(
            changed.contains("linux/debian")
                && changed
                    .ends_with("URIs: http://a.example.org/debian/\nSuites: trixie-security\n")
        );
        assert_eq!(replace(SOURCES, &changed, MIRROR, &[]), changed);
        assert_eq!(changed.lines().count(), text.lines().count());
        assert_eq!(
            own(SOURCES, text, &[]),
            ["http://a.example.org/debian/", "http://a.example.org/ubuntu-ports/"]
        );
    }

    #[test]
    fn everything_but_the_address_stays_byte_for_byte() {
        let text = "deb [signed-by=http://a/debian] http://a/debian x main\r\n\r\r\n# no end\r\r";
        let changed = replace(LIST, text, MIRROR, &[]);
        assert_eq!(changed, text.replace("] http://a/debian", &format!("] {MIRROR}")));
        assert_eq!(replace(LIST, &changed, MIRROR, &[]), changed);
        let text = "URIs: http://a/debian\r\nSuites: x\r\n\r\n# no end\r\r";
        let changed = replace(SOURCES, text, MIRROR, &[]);
        assert_eq!(changed, text.replace("http://a/debian", MIRROR));
    }

    #[test]
    fn a_mirror_with_or_without_its_last_slash_is_the_same() {
        let text = "deb http://mirror.example.org/debian/ trixie main\n";
        assert_eq!(replace(LIST, text, "http://mirror.example.org/debian", &[]), text);
    }
}
