//! How a command ends when it does not end well: one message, one fix, one exit code.

use std::fmt;

use crate::agents::AgentsError;
use crate::boot::{BootError, EditError};
use crate::card;
use crate::image;
use crate::plan::{self, PlanError};

/// Exit codes of `piflash` (design, "Wording, exit codes, formats"); the larger is the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// Wrong options or settings.
    Usage = 2,
    /// Refused because something else could be destroyed.
    Refused = 3,
    /// The card does not hold what was written.
    Mismatch = 4,
}

impl Exit {
    /// Its name in `--json`.
    pub fn word(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Refused => "refused",
            Exit::Mismatch => "mismatch",
        }
    }
}

/// A message with its fix and exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was attempted on which object, and why it did not work; lower case, no full stop.
    pub message: String,
    /// The fix, where there is one.
    pub help: Option<String>,
    /// The code.
    pub exit: Exit,
}

impl Failure {
    /// A failure without a fix.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, exit }
    }

    /// Adds the fix.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl fmt::Display for Failure {
    /// `error: …` and, on a line of its own, `help: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// The error and its causes on one line, as `{:#}` of anyhow: each says only its own part.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Failure::new(Exit::Usage, chain(&error)).maybe_help(error.help())
    }
}

impl From<AgentsError> for Failure {
    fn from(error: AgentsError) -> Self {
        // Only those of a folder that an option names can be wrong.
        Failure::new(Exit::Usage, chain(&error))
            .help("`make agents` builds the agents and says where they are")
    }
}

impl From<BootError> for Failure {
    fn from(error: BootError) -> Self {
        match error {
            BootError::Edit(EditError::Plan(problems)) => {
                PlanError::Settings(plan::in_options(problems)).into()
            }
            error => {
                let wrong = matches!(&error, BootError::Edit(edit) if edit.is_usage());
                let exit = if wrong { Exit::Usage } else { Exit::Failed };
                Failure::new(exit, chain(&error)).maybe_help(error.help())
            }
        }
    }
}

impl From<image::Error> for Failure {
    fn from(error: image::Error) -> Self {
        let exit = match &error {
            error if error.is_mismatch() => Exit::Mismatch,
            image::Error::Location(_) => Exit::Usage,
            _ => Exit::Failed,
        };
        Failure::new(exit, chain(&error)).maybe_help(error.help())
    }
}

impl From<card::Error> for Failure {
    fn from(error: card::Error) -> Self {
        let help = if error.is_denied() { Some(as_root()) } else { error.help() };
        Failure::new(exit(error.exit_class()), chain(&error)).maybe_help(help)
    }
}

/// The command that was typed, for root to type.
fn as_root() -> String {
    let quoted = |word: std::ffi::OsString| {
        let word = word.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        match !word.is_empty() && word.chars().all(plain) {
            true => word,
            // In a shell's single quotes, everything is itself but the single quote.
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    };
    let words: Vec<String> = std::env::args_os().map(quoted).collect();
    format!("only root may: `sudo {}`", words.join(" "))
}

impl From<card::Failure> for Failure {
    fn from(failure: card::Failure) -> Self {
        Failure::new(exit(failure.exit_class()), chain(&failure)).maybe_help(failure.help())
    }
}

fn exit(class: card::ExitClass) -> Exit {
    match class {
        card::ExitClass::Failed => Exit::Failed,
        card::ExitClass::Refused => Exit::Refused,
        card::ExitClass::Mismatch => Exit::Mismatch,
    }
}
