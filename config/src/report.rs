//! What the agent writes back to the card and prints as its status.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::Role;

/// `pikube-report.json`. Times are the Pi's own; before NTP they are only good for differences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`crate::SCHEMA`].
    pub schema: i64,
    /// Host name from the plan.
    pub node: String,
    /// Role from the plan; absent where the plan cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Version of the agent that wrote this.
    pub agent: String,
    /// Where the node stands.
    pub state: RunState,
    /// One line: what is being done, waited for, or wrong.
    pub message: String,
    /// What a person should do; only with [`RunState::Failed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What did not work, or was done otherwise, and does not matter enough to stop; one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When this report was written.
    pub updated_at: Timestamp,
    /// Every step of the plan, in order.
    pub steps: Vec<StepReport>,
}

/// Where the node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// A step is being applied.
    Running,
    /// A step waits for something outside the node and tries again by itself.
    Waiting,
    /// A person must act.
    Failed,
    /// Every step is satisfied.
    Done,
}

/// One step of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Short name, stable: `hostname`, `swap`.
    pub id: String,
    /// For people: "host name and hosts file".
    pub title: String,
    /// Where the step stands.
    pub state: StepState,
    /// Seconds spent in it, all boots together.
    pub seconds: f64,
    /// Why it was needed, or what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Not looked at yet.
    Pending,
    /// Being applied.
    Running,
    /// Waits and tries again.
    Waiting,
    /// Was applied and then found satisfied.
    Applied,
    /// Was satisfied without doing anything.
    Satisfied,
    /// It cannot be done: a person must act, or the node does without.
    Failed,
}

impl Report {
    /// `pikube-report.txt`: the same, for people, at most 80 columns where the messages allow it.
    pub fn to_text(&self) -> String {
        let state = match self.state {
            RunState::Running => "working",
            RunState::Waiting => "waiting",
            RunState::Failed => "FAILED",
            RunState::Done => "done",
        };
        let mut text = String::new();
        let role = self.role.map_or_else(String::new, |role| format!(" ({})", role.name()));
        let _ = writeln!(text, "{}{role}: {state}", self.node);
        let _ = writeln!(text, "{}", self.message);
        if let Some(help) = &self.help {
            let _ = writeln!(text, "help: {help}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let _ = writeln!(text, "\nagent {}, {:.0}\n", self.agent, self.updated_at);
        for step in &self.steps {
            let mark = match step.state {
                StepState::Pending => "    ",
                StepState::Running => "... ",
                StepState::Waiting => "wait",
                StepState::Applied | StepState::Satisfied => "ok  ",
                StepState::Failed => "FAIL",
            };
            let _ = write!(text, "{mark} {:<36} {:>7.1} s", step.title, step.seconds);
            // Why a step was needed is history once it is done; programs find it in the JSON.
            let settled = matches!(step.state, StepState::Applied | StepState::Satisfied);
            match step.message.as_ref().filter(|_| !settled) {
                Some(message) => {
                    let _ = writeln!(text, "  {message}");
                }
                None => text.push('\n'),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_what_is_wrong_and_no_history() {
        let step = |id: &str, state| StepReport {
            id: id.into(),
            title: id.into(),
            state,
            seconds: 1.25,
            message: Some(format!("{id} message")),
        };
        let report = Report {
            schema: crate::SCHEMA,
            node: "laperouse".into(),
            role: Some(Role::Master),
            agent: "0.1.0".into(),
            state: RunState::Failed,
            message: "what went wrong".into(),
            help: Some("what to do".into()),
            notes: vec!["what is otherwise".into()],
            updated_at: Timestamp::UNIX_EPOCH,
            steps: vec![step("one", StepState::Applied), step("two", StepState::Failed)],
        };
        let text = report.to_text();
        assert!(
            text.starts_with(
                "laperouse (master): FAILED\nwhat went wrong\nhelp: what to do\nnote: what is otherwise\n"
            )
        );
        assert!(text.contains("1970-01-01T00:00:00Z"), "{text}");
        assert!(!text.contains("one message") && text.contains("two message"), "{text}");
    }
}
