//! NTP servers for systemd-timesyncd (timesyncd.conf(5)). Does not wait until the clock is right: that needs a network.

use super::{in_place, owed, put, units};
use crate::host::{Host, Look};
use crate::plan::Context;
use crate::render::TIMESYNCD;
use crate::step::{Check, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "ntp",
    title: "NTP servers",
    wanted: |plan| !plan.time.ntp.is_empty(),
    check,
    apply,
    ahead: None,
};

const UNIT: &str = "systemd-timesyncd.service";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(file) = context.file(TIMESYNCD) else { return Ok(Check::Satisfied) };
    let mut reasons = Vec::new();
    if !in_place(host, file)? {
        reasons.push(format!("`{TIMESYNCD}` does not name the servers of the plan"));
    }
    if !units::is_enabled(host, UNIT)? {
        reasons.push(format!("`{UNIT}` is not enabled"));
    }
    let state = units::state(host, UNIT)?;
    if state.as_ref().is_some_and(|state| state != "active") {
        reasons.push(format!("`{UNIT}` is not running"));
    }
    if owed::is(host, UNIT)? {
        reasons.push(format!("`{UNIT}` has not read its new settings"));
    }
    Ok(Check::of(reasons, state.is_none()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(file) = context.file(TIMESYNCD) else { return Ok(Notes::new()) };
    if !units::is_installed(host, UNIT)? {
        return Err(Stop::person(
            format!("setting the NTP servers: `{UNIT}` is not installed"),
            "use an image that has the package `systemd-timesyncd`, or leave `time.ntp` empty",
        ));
    }
    if !in_place(host, file)? {
        owed::note(host, UNIT)?;
        put(host, file)?;
    }
    if !units::is_enabled(host, UNIT)? {
        if units::is_masked(host, UNIT)? {
            units::systemctl(host, "unmask", UNIT)?;
        }
        units::systemctl(host, "enable", UNIT)?;
    }
    // Starts it too where it is not running.
    units::systemctl(host, "restart", UNIT)?;
    owed::settle(host, UNIT)?;
    Ok(Notes::new())
}
