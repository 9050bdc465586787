//! The clock, as the components write it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Now, as objects carry it (RFC 3339, seconds, UTC).
pub(crate) fn stamp() -> String {
    rfc3339(now())
}

/// A moment, as objects carry it.
pub(crate) fn rfc3339(moment: Timestamp) -> String {
    strtime::format("%Y-%m-%dT%H:%M:%SZ", moment).unwrap_or_default()
}

/// Now, as the head of a line of log has it (klog): month and day, time of day.
pub(crate) fn klog() -> String {
    strtime::format("%m%d %H:%M:%S.%6f", now()).unwrap_or_default()
}

/// Waits, the only way to.
pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
