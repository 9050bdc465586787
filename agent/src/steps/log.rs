//! The system's log stays small: on an SD card it is what is written most of the time.

use super::{in_place, owed, put, units};
use crate::host::{Host, Look};
use crate::plan::Context;
use crate::render::JOURNALD;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "log",
    title: "system's log bounded",
    class: Class::Comfort,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

const UNIT: &str = "systemd-journald.service";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let mut reasons = Vec::new();
    if let Some(file) = context.file(JOURNALD)
        && !in_place(host, file)?
    {
        reasons.push(format!("`{JOURNALD}` is not as it should be"));
    }
    if owed::is(host, UNIT)? {
        reasons.push(format!("`{UNIT}` has not read its new settings"));
    }
    Ok(Check::of(reasons, false))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if let Some(file) = context.file(JOURNALD) {
        owed::note(host, UNIT)?;
        put(host, file)?;
    }
    // systemd keeps what its services write into meanwhile (its file descriptor store).
    units::systemctl(host, "restart", UNIT)?;
    owed::settle(host, UNIT)?;
    Ok(Notes::new())
}
