//! A person's own `user-data` and our hook, side by side in one `#cloud-config-archive`.
//!
//! Not a second `bootcmd`: cloud-init's default mergers let a later list replace an earlier one
//! (`handlers/cloud_config.py`). A boothook is a part of its own and runs at every boot, as `bootcmd` does.

use std::fmt::Write as _;

use pikube_config::Problem;
use saphyr::Yaml;

use super::{ARCHIVE, UserData, starter};
use crate::yaml;

/// Keeps a machine's host keys: for a new instance cloud-init would make new ones, which nobody knows.
const KEEP_HOST_KEYS: &str = "- type: text/cloud-config\n  filename: pikube-again\n  content: |\n    #cloud-config\n    ssh_deletekeys: false\n";

/// The archive; `again` says that the card was booted with an earlier plan. ASCII whatever the given file holds.
pub fn wrap(own: &UserData, launcher: &str, again: bool) -> String {
    let (kind, content) = (own.kind.content_type(), scalar(&own.text));
    let keep = if again { KEEP_HOST_KEYS } else { "" };
    format!(
        "{ARCHIVE}the first part as it was given, the last starts the agent.\n\
         - type: {kind}\n  filename: user-data\n  content: {content}{keep}\
         - type: text/cloud-boothook\n  filename: pikube-launch\n  content: |\n    #!/bin/sh\n    {}\n",
        starter(launcher)
    )
}

/// The person's own part of an archive that [`wrap`] made.
///
/// # Errors
/// It is not what [`wrap`] made any more.
pub fn unwrap(archive: &[u8]) -> Result<UserData, Problem> {
    let changed = || Problem::new("user-data", "is an archive of piflash that was changed by hand");
    let text = std::str::from_utf8(archive).map_err(|_| changed())?;
    let documents = yaml::load(text).map_err(|_| changed())?;
    let part = documents.first().and_then(Yaml::as_sequence).and_then(|parts| parts.first());
    let content = part.and_then(Yaml::as_mapping).and_then(|keys| {
        keys.iter()
            .find(|(key, _)| key.as_str() == Some("content"))
            .and_then(|(_, text)| text.as_str())
    });
    UserData::new(content.ok_or_else(changed)?.as_bytes())
}

/// The text as a YAML scalar that ends with a line break: as it is where a literal block can hold it, escaped where
/// not (carriage returns, tabs, and letters beyond ASCII, of which YAML and Python disagree what ends a line).
fn scalar(text: &str) -> String {
    let literal = text.bytes().all(|byte| byte == b'\n' || (32..127).contains(&byte));
    // The last line of a block must not be blanks only: they would be taken for indentation.
    let plain_end =
        text.trim_end_matches('\n').lines().last().is_some_and(|l| !l.trim().is_empty());
    if !literal || !plain_end {
        return quoted(text) + "\n";
    }
    let (chomping, body) = match text.strip_suffix('\n') {
        Some(body) => ("+", body),
        None => ("-", text),
    };
    let mut block = format!("|2{chomping}\n");
    for line in body.split('\n') {
        let indent = if line.is_empty() { "" } else { "    " };
        let _ = writeln!(block, "{indent}{line}");
    }
    block
}

/// YAML's double-quoted style, in ASCII (YAML 1.2 §5.7, which YAML 1.1 readers share).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            '\n' => write!(quoted, "\\n"),
            '\r' => write!(quoted, "\\r"),
            '\t' => write!(quoted, "\\t"),
            ' '..='~' => write!(quoted, "{c}"),
            c if (c as u32) < 0x1_0000 => write!(quoted, "\\u{:04x}", c as u32),
            c => write!(quoted, "\\U{:08x}", c as u32),
        };
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::super::UserData;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_parts_the_first_as_it_was_given() {
        let given = "#cloud-config\nusers:\n  - name: a\n\n\n";
        let archive =
            wrap(&UserData::new(given.as_bytes()).unwrap(), "/boot/pikube-launch.sh", false);
        assert_eq!(
            archive,
            "#cloud-config-archive\n# Written by piflash: the first part as it was given, the last starts the agent.\n\
             - type: text/cloud-config\n  filename: user-data\n  content: |2+\n    #cloud-config\n    users:\n      - name: a\n\n\n\
             - type: text/cloud-boothook\n  filename: pikube-launch\n  content: |\n    #!/bin/sh\n    \
             [ -f /boot/pikube-launch.sh ] || mount /boot; /bin/sh /boot/pikube-launch.sh cloud\n"
        );
        assert_eq!(unwrap(archive.as_bytes()).unwrap().text(), given);
        assert!(unwrap(b"#cloud-config-archive\n- text\n").is_err());
    }

    proptest! {
        #[test]
        fn any_script_comes_out_as_it_went_in(again: bool, body in "[ -~\t\r\n\u{85}\u{a0}é\u{2028}😀]{0,200}") {
            let given = format!("#!/bin/sh{body}");
            if let Ok(data) = UserData::new(given.as_bytes()) {
                let archive = wrap(&data, "/boot/pikube-launch.sh", again);
                prop_assert!(archive.is_ascii());
                prop_assert_eq!(unwrap(archive.as_bytes()), Ok(data));
            }
        }
    }
}
