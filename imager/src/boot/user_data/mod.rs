//! cloud-init's `user-data`: a person's own file, the one that piflash writes, and the one that an image ships.
//!
//! Where cloud-init starts the agent, a person's own file is wrapped and never edited: it becomes the first part of a
//! `#cloud-config-archive`, the second starts the launcher (`os-families` of the design's reference, §3).

mod archive;
mod generated;
mod shipped;
mod yaml;

use pikube_config::Problem;

pub use archive::{unwrap, wrap};
pub use generated::{Login, generate};
pub use shipped::is_shipped;

/// First words of the files that piflash writes, by which it knows them again.
const GENERATED: &str = "#cloud-config\n# Written by piflash: ";
const ARCHIVE: &str = "#cloud-config-archive\n# Written by piflash: ";

/// Larger than any useful file, bytes; cloud-init's data sources elsewhere allow 16 KiB.
const MAX_BYTES: usize = 256 << 10;

/// A person's own `user-data`, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserData {
    text: String,
    kind: Kind,
    hostname: Option<String>,
}

/// What cloud-init makes of it, told by its first line (cloud-init's `handlers/__init__.py`, `INCLUSION_TYPES_MAP`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CloudConfig,
    ShellScript,
    Boothook,
    PartHandler,
}

impl Kind {
    fn content_type(self) -> &'static str {
        match self {
            Kind::CloudConfig => "text/cloud-config",
            Kind::ShellScript => "text/x-shellscript",
            Kind::Boothook => "text/cloud-boothook",
            Kind::PartHandler => "text/part-handler",
        }
    }
}

/// Whose file it is that lies on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// Written by piflash from the plan.
    Generated,
    /// Written by piflash around a person's own.
    Wrapped,
    /// Neither: the image's makers, or a person.
    Other,
}

/// Whose file it is.
pub fn author(content: &[u8]) -> Author {
    if content.starts_with(GENERATED.as_bytes()) {
        Author::Generated
    } else if content.starts_with(ARCHIVE.as_bytes()) {
        Author::Wrapped
    } else {
        Author::Other
    }
}

/// Whether nothing is in it but comments and blank lines, as in what Raspberry Pi OS ships.
pub fn is_empty(content: &[u8]) -> bool {
    effective_lines(content).next().is_none()
}

/// Lines that are neither blank nor comments.
fn effective_lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

impl UserData {
    /// Looks at the file.
    ///
    /// # Errors
    /// Why cloud-init could not use it, or why it cannot be one part of two.
    pub fn new(content: &[u8]) -> Result<Self, Problem> {
        let problem = |message: String, help: &str| Problem::new("user-data", message).help(help);
        if content.starts_with(b"\xef\xbb\xbf") {
            return Err(problem(
                "begins with a byte order mark, and cloud-init ignores such a file".into(),
                "save it as UTF-8 without BOM",
            ));
        }
        let size = content.len();
        if size > MAX_BYTES {
            return Err(problem(
                format!("has {size} bytes, the most is {MAX_BYTES}"),
                "shorten it",
            ));
        }
        let text = std::str::from_utf8(content)
            .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()))
            .and_then(|text| {
                match text.chars().find(|c| c.is_control() && !"\t\r\n".contains(*c)) {
                    Some(c) => Err(format!("holds the control character U+{:04X}", c as u32)),
                    None => Ok(text),
                }
            })
            .map_err(|message| problem(message, "give a text file, not a packed one"))?;
        let kind = kind(text)?;
        let hostname = match kind {
            Kind::CloudConfig => yaml::check(text)?,
            _ => None,
        };
        Ok(Self { text: text.to_owned(), kind, hostname })
    }

    /// The host name that it sets, if it is a cloud-config and does.
    pub fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The file as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a login whose password everybody knows is in it: HypriotOS' and Ubuntu's own.
    pub fn has_known_password(&self) -> bool {
        let known = ["plain_text_passwd: hypriot", "ubuntu:ubuntu", "password: ubuntu"];
        effective_lines(self.text.as_bytes())
            .filter_map(|line| std::str::from_utf8(line).ok())
            .any(|line| known.iter().any(|known| line.ends_with(known)))
    }
}

fn kind(text: &str) -> Result<Kind, Problem> {
    let problem = |message: String, help: &str| Problem::new("user-data", message).help(help);
    let first = text.trim_start().lines().next().unwrap_or("").trim_end();
    if first.is_empty() {
        return Err(problem("is empty".into(), "leave it out"));
    }
    let lower = first.to_lowercase();
    let starts = |prefix: &str| lower.starts_with(prefix);
    // Longer words first: `#cloud-config` begins several of them.
    if starts("#cloud-config-archive")
        || starts("content-type: multipart")
        || starts("mime-version:")
    {
        return Err(problem(
            "consists of several parts, which piflash does not put into its own archive".into(),
            "give one part: a #cloud-config or a script",
        ));
    }
    if starts("#include") {
        return Err(problem(
            "names files that the Pi would have to fetch before the agent has set up its network"
                .into(),
            "give the file that it names",
        ));
    }
    if starts("## template:") {
        return Err(problem(
            "is a template, which the older cloud-init of some systems does not fill in".into(),
            "give the finished #cloud-config",
        ));
    }
    if starts("#cloud-config-jsonp") {
        return Err(problem(
            "is a JSON patch, and there is nothing here that it could patch".into(),
            "give a #cloud-config",
        ));
    }
    if starts("#cloud-config") {
        Ok(Kind::CloudConfig)
    } else if starts("#!") {
        Ok(Kind::ShellScript)
    } else if starts("#cloud-boothook") {
        Ok(Kind::Boothook)
    } else if starts("#part-handler") {
        Ok(Kind::PartHandler)
    } else {
        let shown: String = first.chars().take(40).collect();
        Err(problem(
            format!("begins with `{shown}`, which cloud-init does not know"),
            "its first line must be `#cloud-config`, or `#!` and a shell",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_what_it_is() {
        let kind = |text: &str| UserData::new(text.as_bytes()).map(|data| data.kind);
        assert_eq!(kind("#cloud-config\nhostname: x\n"), Ok(Kind::CloudConfig));
        assert_eq!(kind("\n#Cloud-Config\r\n"), Ok(Kind::CloudConfig));
        assert_eq!(kind("#!/bin/sh\necho\n"), Ok(Kind::ShellScript));
        assert_eq!(kind("#cloud-boothook\n"), Ok(Kind::Boothook));
        assert_eq!(kind("#part-handler\n"), Ok(Kind::PartHandler));
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        for (text, part) in [
            (&b"\xef\xbb\xbf#cloud-config\n"[..], "byte order mark"),
            (b"#cloud-config\nx: \xff\n", "byte 17 is not UTF-8"),
            (b"\x1f\x8b\x08", "byte 1 is not UTF-8"),
            (b"#!/bin/sh\n\x00", "U+0000"),
            (b" \n", "is empty"),
            (b"hostname: x\n", "begins with `hostname: x`"),
            (b"#cloud-config-archive\n- x\n", "several parts"),
            (b"MIME-Version: 1.0\n", "several parts"),
            (b"Content-Type: multipart/mixed\n", "several parts"),
            (b"#include\nhttp://x\n", "fetch"),
            (b"#include-once\nhttp://x\n", "fetch"),
            (b"## template: jinja\n#cloud-config\n", "template"),
            (b"#cloud-config-jsonp\n[]\n", "JSON patch"),
            (b"#cloud-config\nusers:\n  - name: a\n   shell: b\n", "line 4"),
            (b"#cloud-config\n- a list\n", "not `key: value`"),
            (&[b'#'; MAX_BYTES + 1], "bytes, the most"),
        ] {
            let message = UserData::new(text).unwrap_err().to_string();
            assert!(message.contains(part), "{part} not in {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn known_passwords_are_noticed() {
        for text in [
            "chpasswd:\n  list:\n  - ubuntu:ubuntu\n",
            "chpasswd:\n  users:\n  - name: ubuntu\n    password: ubuntu\n",
            "users:\n  - name: pirate\n    plain_text_passwd: hypriot\n",
        ] {
            let data = UserData::new(format!("#cloud-config\n{text}").as_bytes()).unwrap();
            assert!(data.has_known_password(), "{text}");
        }
        let comment = UserData::new(b"#cloud-config\n# - ubuntu:ubuntu\n").unwrap();
        assert!(!comment.has_known_password());
    }
}
