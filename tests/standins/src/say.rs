//! The one place that prints.

use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

static TALK: AtomicU8 = AtomicU8::new(0);

/// How much to say: the number of `--v`.
pub(crate) fn talk(level: &str) {
    TALK.store(level.parse().unwrap_or(0), Ordering::Relaxed);
}

/// A line of log for who asked for more (`--v=1`).
pub(crate) fn more(line: &str) {
    if TALK.load(Ordering::Relaxed) > 0 {
        log('I', line);
    }
}

/// A line on standard output.
pub(crate) fn out(line: &str) {
    // who listened may have gone, as `head` does
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
pub(crate) fn err(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line of Kubernetes' log (klog) on standard error: `severity` is `I`, `W` or `E`.
pub(crate) fn log(severity: char, line: &str) {
    err(&format!("{severity}{} standin] {line}", crate::time::klog()));
}
