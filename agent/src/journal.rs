//! What has been done, over all boots: one JSON object per line, each on the medium before the next step begins.
//!
//! Nothing is decided from the journal that the machine itself can tell; it remembers what cannot be seen any more
//! (seconds spent, that a step was applied, that the secrets have been used).

use jiff::Timestamp;
use pikube_config::names;
use serde::{Deserialize, Serialize};

use crate::host::{Error, Host, Look};

/// The file, in the state folder.
pub const PATH: &str = "/var/lib/pikube/journal.jsonl";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The Pi's time; before NTP only good for differences.
    pub at: Timestamp,
    /// Id of the step.
    pub step: String,
    /// What happened.
    pub event: Event,
    /// Seconds since the step's previous line of this boot.
    #[serde(default)]
    pub seconds: f64,
    /// Why, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What happened to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Its apply begins; without a later line of the step the power went.
    Started,
    /// Applied, and found satisfied afterwards.
    Applied,
    /// Found satisfied, nothing done.
    Satisfied,
    /// Waits and tries again.
    Waiting,
    /// A person must act.
    Failed,
    /// The plan says something else of it than before: what was settled is so no more.
    Changed,
}

/// The lines so far.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<Entry>,
    torn: bool,
}

impl Journal {
    /// Reads the journal. A line that cannot be read (cut off by a power cut, or of another version) is left out.
    ///
    /// # Errors
    /// Any I/O error but "not found".
    pub fn open(host: &dyn Look) -> Result<Self, Error> {
        debug_assert!(PATH.starts_with(names::STATE_DIR));
        let text = host.text(PATH)?.unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { entries, torn: !text.is_empty() && !text.ends_with('\n') })
    }

    /// Adds a line and waits until it is on the medium.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn note(
        &mut self,
        host: &dyn Host,
        step: &str,
        event: Event,
        seconds: f64,
        message: Option<&str>,
    ) -> Result<(), Error> {
        let entry = Entry {
            at: host.now(),
            step: step.to_owned(),
            event,
            seconds: (seconds * 1000.0).round() / 1000.0,
            message: message.map(str::to_owned),
        };
        let mut line = serde_json::to_string(&entry).unwrap_or_default();
        if self.torn {
            // The rest of a line that a power cut left must not swallow this one.
            line.insert(0, '\n');
        }
        line.push('\n');
        host.append(PATH, line.as_bytes())?;
        self.torn = false;
        self.entries.push(entry);
        Ok(())
    }

    /// Seconds spent in a step, all boots together.
    pub fn seconds(&self, step: &str) -> f64 {
        // Not `sum`, which begins with -0.0.
        self.of(step).fold(0.0, |total, entry| total + entry.seconds)
    }

    /// Whether a step was applied by this or an earlier boot, since its part of the plan is what it is.
    pub fn was_applied(&self, step: &str) -> bool {
        self.since_change(step).any(|entry| entry.event == Event::Applied)
    }

    /// Whether a step has been found satisfied, applied or not, by this or an earlier boot, since its part of the plan is
    /// what it is.
    pub fn was_settled(&self, step: &str) -> bool {
        self.since_change(step)
            .any(|entry| matches!(entry.event, Event::Applied | Event::Satisfied))
    }

    /// The last line of a step.
    pub fn last(&self, step: &str) -> Option<&Entry> {
        self.of(step).last()
    }

    fn since_change<'a>(&'a self, step: &'a str) -> impl Iterator<Item = &'a Entry> {
        let changed = |entry: &Entry| entry.step == step && entry.event == Event::Changed;
        let from = self.entries.iter().rposition(changed).unwrap_or(0);
        self.entries[from..].iter().filter(move |entry| entry.step == step)
    }

    fn of<'a>(&'a self, step: &str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.step == step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::Node;

    fn two_lines(node: &Node) {
        let mut journal = Journal::open(node).unwrap();
        journal.note(node, "swap", Event::Started, 0.0, Some("zram0 é")).unwrap();
        journal.note(node, "swap", Event::Applied, 1.25, None).unwrap();
    }

    #[test]
    fn seconds_add_up_over_boots() {
        let node = Node::bare();
        two_lines(&node);
        two_lines(&node);
        let journal = Journal::open(&node).unwrap();
        assert!((journal.seconds("swap") - 2.5).abs() < 1e-9);
        assert!(journal.was_applied("swap") && !journal.was_applied("user"));
        assert_eq!(journal.last("swap").map(|entry| entry.event), Some(Event::Applied));
    }

    #[test]
    fn a_line_torn_at_any_byte_costs_that_line_alone() {
        let node = Node::bare();
        two_lines(&node);
        let whole = node.read(PATH).unwrap().unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            let node = Node::bare();
            node.put(PATH, &whole[..cut]);
            let mut journal = Journal::open(&node).unwrap();
            // Without its end the second line is whole only when nothing but the newline is missing.
            assert_eq!(journal.was_applied("swap"), cut == whole.len() - 1, "cut at {cut}");
            journal.note(&node, "user", Event::Satisfied, 0.5, None).unwrap();
            let journal = Journal::open(&node).unwrap();
            assert!(journal.was_settled("user") && journal.last("swap").is_some(), "cut at {cut}");
        }
    }
}
