//! What a step is, and how it can end.

use std::fmt;

use pikube_config::FirstbootPlan;

use crate::host::{Command, Error, Fault, Host, Look};
use crate::plan::Context;

/// One step: data and two functions.
#[derive(Clone, Copy)]
pub struct Step {
    /// Short name, stable: it is in journals, reports and scripts.
    pub id: &'static str,
    /// For people: "host name and hosts file".
    pub title: &'static str,
    /// What becomes of the run where it cannot be done.
    pub class: Class,
    /// Whether this plan has it at all; what the plan does not set is left as the image has it.
    pub wanted: fn(&FirstbootPlan) -> bool,
    /// Looks at the real state, changes nothing.
    pub check: fn(&Context, &dyn Look) -> Result<Check, Stop>,
    /// Makes it so; may be cut at any point and called again.
    pub apply: fn(&Context, &dyn Host) -> Result<Notes, Stop>,
    /// What can run while the steps before it are taken.
    pub ahead: Option<Ahead>,
}

/// What becomes of a run where one of its steps cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A person reaches the node by it: network, user, ssh. None of these waits for another one, and the run stops only
    /// when each of them has had its turn.
    Access,
    /// The steps after it need it: the run waits for it, or stops.
    Essential,
    /// No step needs it: what does not work is noted, the run goes on, and the next boot tries again.
    Comfort,
}

/// A part of a step that takes long and needs nothing of what the steps just before it do: a download. It is started
/// when an earlier step is settled, and waited for when its own step's turn comes. That it fails is no failure of the
/// step, which then does it itself.
#[derive(Clone, Copy)]
pub struct Ahead {
    /// The step after which it can run.
    pub after: &'static str,
    /// The command; `None` where there is nothing to do.
    pub command: fn(&Context, &dyn Look) -> Result<Option<Command>, Stop>,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.id)
    }
}

/// Things that did not work and do not matter enough to stop; they are logged as warnings.
pub type Notes = Vec<String>;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Nothing to do.
    Satisfied,
    /// To be applied, and why.
    Needed(String),
    /// Only the running system could tell; happens under a test root alone.
    Unknown,
}

impl Check {
    /// Needed if there is any reason; `unknown` counts only where there is none.
    pub fn of(reasons: Vec<String>, unknown: bool) -> Self {
        match (reasons.is_empty(), unknown) {
            (false, _) => Self::Needed(reasons.join("; ")),
            (true, true) => Self::Unknown,
            (true, false) => Self::Satisfied,
        }
    }
}

/// Why a step does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It may work later; what is being waited for.
    Again(String),
    /// A person must act.
    Person {
        /// What was attempted on which object, and why it did not work.
        what: String,
        /// What to do about it.
        help: String,
    },
}

impl Stop {
    /// A person must act.
    pub fn person(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Person { what: what.into(), help: help.into() }
    }
}

/// What to do where nothing better is known.
pub const LOOK_AT_THE_JOURNAL: &str =
    "`journalctl -u pikube-agent` has the details; the step is tried again at the next boot";

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error.fault() {
            Fault::Passing => Self::Again(error.to_string()),
            Fault::Lasting(help) => {
                Self::person(error.to_string(), help.unwrap_or(LOOK_AT_THE_JOURNAL))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_outweigh_ignorance() {
        assert_eq!(Check::of(vec![], false), Check::Satisfied);
        assert_eq!(Check::of(vec![], true), Check::Unknown);
        let both = Check::of(vec!["a".to_owned(), "b".to_owned()], true);
        assert_eq!(both, Check::Needed("a; b".to_owned()));
    }
}
