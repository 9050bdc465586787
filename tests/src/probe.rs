//! The questions that a running node answers about itself. The test images start `pikube-test-probe.sh` from the boot
//! partition at every boot, if it is there; the answers come back in `pikube-test-facts.txt`, a section for each.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::card::Card;

/// The kernel message that says that the facts are on the card.
pub const ANSWERED: &str = "pikube-test-probe: answered";

const SCRIPT: &str = include_str!("probe.sh");

/// What a node said about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

/// Puts the questions on a card; the node powers itself off after it has answered.
///
/// # Errors
/// When the card cannot be written.
pub fn ask(card: &Card) -> Result<()> {
    ask_and_stay(card)?;
    card.put_boot_file("pikube-test-poweroff", b"after the answers\n")
}

/// Puts the questions on a card; the node goes on after it has answered.
///
/// # Errors
/// When the card cannot be written.
pub fn ask_and_stay(card: &Card) -> Result<()> {
    card.put_boot_file("pikube-test-probe.sh", SCRIPT.as_bytes())
}

/// Takes the answers off a card.
///
/// # Errors
/// When the node has not answered, or not to the end.
pub fn facts(card: &Card) -> Result<Facts> {
    parse(&card.boot_text("pikube-test-facts.txt").context("the node has not answered")?)
}

fn parse(text: &str) -> Result<Facts> {
    let mut sections = BTreeMap::<String, String>::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("=== ") {
            name.clone_into(&mut current);
            sections.entry(current.clone()).or_default();
        } else if let Some(section) = sections.get_mut(&current) {
            section.push_str(line);
            section.push('\n');
        }
    }
    ensure!(sections.remove("end").is_some(), "the answers are cut off:\n{text}");
    Ok(Facts(sections))
}

impl Facts {
    /// One section, without the line break at its end.
    ///
    /// # Panics
    /// When the probe has no such question: a mistake in the test.
    #[must_use]
    pub fn get(&self, section: &str) -> &str {
        let found = self.0.get(section);
        found.unwrap_or_else(|| panic!("the probe has no section {section}")).trim_end()
    }

    /// The lines of a section.
    pub fn lines(&self, section: &str) -> impl Iterator<Item = &str> {
        self.get(section).lines()
    }

    /// The fields of the first line of a section whose first `:`-separated field is `key`, as in passwd and shadow.
    #[must_use]
    pub fn entry(&self, section: &str, key: &str) -> Option<Vec<&str>> {
        self.lines(section)
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == key)
    }

    /// Lines of a section that only one of the two has, marked `-` (this one) and `+` (`later`).
    #[must_use]
    pub fn difference(&self, later: &Self, section: &str) -> Vec<String> {
        let before: Vec<_> = self.lines(section).collect();
        let after: Vec<_> = later.lines(section).collect();
        let gone =
            before.iter().filter(|line| !after.contains(line)).map(|line| format!("-{line}"));
        let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+{line}"));
        gone.chain(new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_apart_and_a_cut_answer_is_none() {
        let facts = parse("=== hostname\nlaperouse\n=== swaps\nFilename\n\n=== end\n").unwrap();
        assert_eq!(facts.get("hostname"), "laperouse");
        assert_eq!(facts.lines("swaps").count(), 1);
        assert!(parse("=== hostname\nlaper").is_err());
    }
}
