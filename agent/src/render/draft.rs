//! A file that may hold Wi-Fi passwords. They come with the secrets, which are gone once they are used: from then on
//! the file itself is the only place that has them, and a draft compares, or is filled in, without them.

use std::fmt;

use zeroize::Zeroizing;

/// One file, line by line.
#[derive(Debug)]
pub struct Draft {
    /// Path on the node.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its lines, without their ends.
    pub lines: Vec<Line>,
}

/// One line.
#[derive(PartialEq, Eq)]
pub enum Line {
    /// Nothing special.
    Plain(String),
    /// Says which network the password below belongs to.
    Network {
        /// What every such line of the format begins with.
        key: &'static str,
        /// The rest.
        value: String,
    },
    /// A password, as the format writes it.
    Password {
        /// What comes before it.
        key: &'static str,
        /// `None` where the secrets have none (any more).
        value: Option<Zeroizing<String>>,
        /// The network's name, for messages.
        ssid: String,
    },
}

/// What stands for a password that is shown to people.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Line {
    fn shown(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Network { key, value } => format!("{key}{value}"),
            Self::Password { key, .. } => format!("{key}{HIDDEN}"),
        }
    }

    /// Whether `found` is this line; a password that is not known may be any.
    fn is(&self, found: &str) -> bool {
        match self {
            Self::Plain(text) => text == found,
            Self::Network { key, value } => found.strip_prefix(key) == Some(value),
            Self::Password { key, value, .. } => {
                found.strip_prefix(key).is_some_and(|rest| match value {
                    Some(value) => rest == value.as_str(),
                    None => !rest.is_empty(),
                })
            }
        }
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::Plain(text.to_owned())
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::Plain(text)
    }
}

impl Draft {
    /// Without lines yet.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, lines: Vec::new() }
    }

    /// Adds lines.
    pub fn push<L: Into<Line>>(&mut self, lines: impl IntoIterator<Item = L>) {
        self.lines.extend(lines.into_iter().map(Into::into));
    }

    /// Whether `found` is this file.
    pub fn is(&self, found: &str) -> bool {
        let mut lines = found.lines();
        found.ends_with('\n')
            && self.lines.iter().all(|line| lines.next().is_some_and(|found| line.is(found)))
            && lines.next().is_none()
    }

    /// The text. Passwords that are not known are taken from `old`, the text of earlier files of ours.
    ///
    /// # Errors
    /// The name of a network whose password is nowhere.
    pub fn text(&self, old: &str) -> Result<Zeroizing<String>, String> {
        let mut text = Zeroizing::new(String::new());
        let mut network = None;
        for line in &self.lines {
            match line {
                Line::Plain(plain) => text.push_str(plain),
                Line::Network { key, value } => {
                    network = Some((*key, value.as_str()));
                    text.push_str(key);
                    text.push_str(value);
                }
                Line::Password { key, value, ssid } => {
                    let kept = || network.and_then(|network| kept(old, network, key));
                    let value = value.as_ref().map(|value| value.as_str());
                    text.push_str(key);
                    text.push_str(value.or_else(kept).ok_or_else(|| ssid.clone())?);
                }
            }
            text.push('\n');
        }
        Ok(text)
    }

    /// The text as it may be shown.
    pub fn shown(&self) -> String {
        self.lines.iter().map(|line| line.shown() + "\n").collect()
    }
}

/// The password that follows the network's line in `old`, before the line of the next network.
fn kept<'a>(old: &'a str, network: (&str, &str), key: &str) -> Option<&'a str> {
    old.lines()
        .skip_while(|line| line.strip_prefix(network.0) != Some(network.1))
        .skip(1)
        .take_while(|line| !line.starts_with(network.0))
        .find_map(|line| line.strip_prefix(key))
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(passwords: [Option<&str>; 2]) -> Draft {
        let mut draft = Draft::new("/x", 0o600);
        draft.push(["head"]);
        for (ssid, password) in ["a", "b"].into_iter().zip(passwords) {
            draft.lines.push(Line::Network { key: "ssid=", value: ssid.to_owned() });
            draft.push(["mode=x"]);
            draft.lines.push(Line::Password {
                key: "psk=",
                value: password.map(|text| Zeroizing::new(text.to_owned())),
                ssid: ssid.to_owned(),
            });
        }
        draft
    }

    #[test]
    fn a_file_is_right_with_its_passwords_and_without_them() {
        let whole = draft([Some("one"), Some("two")]);
        let text = whole.text("").unwrap();
        assert_eq!(*text, "head\nssid=a\nmode=x\npsk=one\nssid=b\nmode=x\npsk=two\n");
        assert!(whole.is(&text) && draft([None, None]).is(&text));
        assert!(!draft([Some("other"), None]).is(&text));
        for other in ["", "head\n", &text[..text.len() - 1], &format!("{}x\n", *text)] {
            assert!(!draft([None, None]).is(other), "{other}");
        }
        assert!(!draft([None, None]).is(&text.replace("two", "")));
    }

    #[test]
    fn a_password_that_is_gone_is_taken_from_the_file_of_its_own_network() {
        let old = "ssid=b\nmode=y\npsk=two\nssid=c\nssid=a\npsk=one\n";
        assert_eq!(
            *draft([None, None]).text(old).unwrap(),
            *draft([Some("one"), Some("two")]).text("").unwrap()
        );
        assert_eq!(draft([Some("one"), None]).text("ssid=b\nssid=c\npsk=x\n"), Err("b".to_owned()));
    }

    #[test]
    fn passwords_are_not_shown() {
        let draft = draft([Some("swordfish"), None]);
        assert!(draft.shown().contains("ssid=a\nmode=x\npsk=(hidden)\n"));
        assert!(!format!("{draft:?}").contains("swordfish"));
    }
}
