//! What is said while the agent runs: lines for journald, a status for systemd.

use std::io::Write as _;

use sd_notify::NotifyState;

/// How much a line matters, as in syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A person must act.
    Error = 3,
    /// Something is waited for, or did not work and does not matter enough to stop.
    Warning = 4,
    /// Something was done.
    Notice = 5,
    /// Something begins.
    Info = 6,
    /// Nothing to do.
    Debug = 7,
}

/// Where lines go.
pub trait Voice {
    /// One line of the log.
    fn line(&self, level: Level, line: &str);
    /// The `Status:` of `systemctl status`.
    fn status(&self, text: &str);
    /// The service is up.
    fn ready(&self);
}

/// Standard output, with journald's priority prefixes (sd-daemon(3)) where journald reads it, and sd_notify(3).
#[derive(Debug)]
pub struct Systemd {
    prefixed: bool,
}

impl Systemd {
    /// `prefixed`: journald reads standard output (`JOURNAL_STREAM` is set, systemd.exec(5)).
    pub fn new(prefixed: bool) -> Self {
        Self { prefixed }
    }
}

impl Voice for Systemd {
    fn line(&self, level: Level, line: &str) {
        // A log that cannot be written (journald restarts) is no reason to stop, and nobody could be told.
        let mut out = std::io::stdout().lock();
        let _ = if self.prefixed {
            writeln!(out, "<{}>{line}", level as u8)
        } else if level == Level::Debug {
            Ok(())
        } else {
            writeln!(out, "{line}")
        };
    }

    fn status(&self, text: &str) {
        // Without systemd there is nobody to tell, and a status that gets lost changes nothing.
        let _ = sd_notify::notify(&[NotifyState::Status(text)]);
    }

    fn ready(&self) {
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }
}
