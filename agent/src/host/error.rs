//! What can go wrong with the machine, and who can mend it.

use std::io;

/// An operation that did not work: what was attempted, on which object, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation.
    #[error("{doing} `{path}`: {}", said(source))]
    File {
        /// "reading", "writing".
        doing: &'static str,
        /// Path on the node.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command that ended with a status other than 0.
    #[error("running `{line}`: status {status}: {said}")]
    Command {
        /// The command as one would type it.
        line: String,
        /// Its exit status.
        status: i32,
        /// The end of what it said.
        said: String,
    },
    /// A command that could not be started.
    #[error("starting `{line}`: {}", said(source))]
    Start {
        /// The command as one would type it.
        line: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command that did not end.
    #[error("running `{line}`: no end after {after_s} s")]
    Timeout {
        /// The command as one would type it.
        line: String,
        /// How long it was waited for, in seconds.
        after_s: u64,
    },
    /// A command that said more than could be meant.
    #[error("running `{line}`: it said more than {most_bytes} bytes, and was ended")]
    Flood {
        /// The command as one would type it.
        line: String,
        /// The most that is heard, in bytes.
        most_bytes: u64,
    },
    /// Nobody answers over TCP.
    #[error("connecting to {to}: {}", said(source))]
    Reach {
        /// Address and port.
        to: std::net::SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The clock.
    #[error("setting the clock to {to}: {}", said(source))]
    Clock {
        /// The time it should show.
        to: jiff::Timestamp,
        /// The system's answer.
        source: io::Error,
    },
    /// A command was asked for under a test root.
    #[error("running `{line}`: this is a test root, not the running system")]
    NotLive {
        /// The command as one would type it.
        line: String,
    },
}

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It may pass by itself.
    Passing,
    /// A person must act; with the line that says how, where that is known.
    Lasting(Option<&'static str>),
}

impl Error {
    /// Whether it is worth trying again (locks, a busy service manager) or not (disk full, read-only, not there).
    pub fn fault(&self) -> Fault {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } | Self::Clock { source, .. } => {
                of_io(source)
            }
            Self::Timeout { .. } | Self::Reach { .. } => Fault::Passing,
            Self::NotLive { .. } | Self::Flood { .. } => Fault::Lasting(None),
            Self::Command { said, .. } if is_passing(said) => Fault::Passing,
            Self::Command { said, .. } if said.contains("No space left on device") => {
                Fault::Lasting(Some(DISK_FULL))
            }
            Self::Command { .. } => Fault::Lasting(None),
        }
    }
}

const DISK_FULL: &str = "make room on the card, or use a larger one";
const READ_ONLY: &str = "the card is write protected or damaged; use another one";
const DAMAGED: &str = "the card or its reader is damaged; use another one";

fn of_io(error: &io::Error) -> Fault {
    use io::ErrorKind as Kind;
    const EIO: i32 = 5;
    if error.raw_os_error() == Some(EIO) {
        return Fault::Lasting(Some(DAMAGED));
    }
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => Fault::Lasting(Some(DISK_FULL)),
        Kind::ReadOnlyFilesystem => Fault::Lasting(Some(READ_ONLY)),
        Kind::PermissionDenied => Fault::Lasting(Some("run it as root")),
        Kind::WouldBlock
        | Kind::Interrupted
        | Kind::ResourceBusy
        | Kind::ExecutableFileBusy
        | Kind::OutOfMemory
        | Kind::TimedOut => Fault::Passing,
        _ => Fault::Lasting(None),
    }
}

/// What programs say of a lock that is taken (shadow-utils, apt) or a manager that does not answer (systemctl).
fn is_passing(said: &str) -> bool {
    const PASSING: [&str; 8] = [
        "cannot lock",
        "try again later",
        "could not get lock",
        "resource temporarily unavailable",
        "failed to connect to bus",
        "connection timed out",
        "transport endpoint is not connected",
        "transaction is destructive",
    ];
    let said = said.to_lowercase();
    PASSING.iter().any(|part| said.contains(part))
}

/// The system's words without Rust's "(os error 2)", in lower case.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_was_attempted_and_on_what() {
        let source = io::Error::from_raw_os_error(28);
        let error = Error::File { doing: "writing", path: "/etc/hosts".to_owned(), source };
        assert_eq!(error.to_string(), "writing `/etc/hosts`: no space left on device");
        assert_eq!(error.fault(), Fault::Lasting(Some(DISK_FULL)));
    }

    #[test]
    fn a_lock_passes_and_a_wrong_option_does_not() {
        let command = |said: &str| Error::Command {
            line: "useradd x".to_owned(),
            status: 1,
            said: said.to_owned(),
        };
        assert_eq!(
            command("useradd: cannot lock /etc/passwd; try again later.").fault(),
            Fault::Passing
        );
        assert_eq!(command("useradd: invalid option").fault(), Fault::Lasting(None));
    }
}
