//! A control plane looks after the cluster's certificates as long as it runs: its own ones are renewed, and those that
//! kubelets ask for are approved. The step sets up what does it.

mod approval;
mod renewal;

use pikube_config::Role;

pub use approval::approve;
pub use renewal::renew;

use crate::host::{Host, Look};
use crate::plan::Context;
use crate::render::UNITS;
use crate::render::certificate_units::{APPROVE_TIMER, ENABLED, RENEW_TIMER, files, path};
use crate::step::{Check, Class, Notes, Step, Stop};
use crate::steps::{in_place, put, units};

/// The step.
pub const STEP: Step = Step {
    id: "certificates",
    title: "certificates looked after",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some() && plan.node.role != Role::Worker,
    check,
    apply,
    ahead: None,
};

const TIMERS: [&str; 2] = [RENEW_TIMER, APPROVE_TIMER];

fn check(_: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let mut reasons = Vec::new();
    for file in files() {
        if !in_place(host, &file)? {
            reasons.push(format!("`{}` is not as it should be", file.path));
        }
    }
    for (unit, _) in ENABLED {
        if !units::is_enabled(host, unit)? {
            reasons.push(format!("`{unit}` is not enabled"));
        }
    }
    for timer in TIMERS {
        if units::state(host, timer)?.is_some_and(|state| state != "active") {
            reasons.push(format!("`{timer}` is not running"));
        }
    }
    Ok(Check::of(reasons, !host.live()))
}

fn apply(_: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    for file in files() {
        put(host, &file)?;
    }
    for (unit, wants) in ENABLED {
        host.link(&format!("../{unit}"), &format!("{UNITS}/{wants}/{unit}"))?;
    }
    units::reload(host)?;
    for timer in TIMERS {
        units::systemctl(host, "start", timer)?;
    }
    Ok(Notes::new())
}

/// Undoes the step.
///
/// # Errors
/// Any I/O error.
pub fn remove(host: &dyn Host) -> Result<(), Stop> {
    if !host.exists(&path(APPROVE_TIMER))? {
        return Ok(());
    }
    for timer in TIMERS {
        units::systemctl(host, "stop", timer)?;
    }
    for (unit, wants) in ENABLED {
        host.remove(&format!("{UNITS}/{wants}/{unit}"))?;
    }
    for file in files() {
        host.remove(&file.path)?;
    }
    units::reload(host).map_err(Stop::from)
}

#[cfg(test)]
mod tests;
