//! Swap off, now and for good: kubelet refuses to start with it. `/proc/swaps` is what counts; besides it, everything
//! that would bring swap back at the next boot is found and switched off (`os-families.md` §2.7).

mod sources;

use pikube_config::Swap;

use super::units;
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};
use sources::Source;

/// The step.
pub const STEP: Step = Step {
    id: "swap",
    title: "swap off",
    class: Class::Essential,
    wanted: |plan| plan.system.swap == Swap::Off,
    check,
    apply,
    ahead: None,
};

/// What is swapped to at this moment (proc(5)): a heading, then one line each.
const ACTIVE: &str = "/proc/swaps";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let mut reasons: Vec<String> =
        sources::all(context, host)?.iter().map(ToString::to_string).collect();
    if host.live() {
        reasons.extend(active(host)?.iter().map(|device| format!("`{device}` is swapped to")));
    }
    Ok(Check::of(reasons, !host.live()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let mut notes = Notes::new();
    let found = sources::all(context, host)?;
    let is_later = |source: &Source| matches!(source, Source::File(_) | Source::SwapUnit(_));
    for source in found.iter().filter(|source| !is_later(source)) {
        source.switch_off(context, host)?;
    }
    if !found.is_empty() {
        // Generators run: units that only the old settings made are gone afterwards, what is left is masked.
        units::reload(host)?;
        for source in sources::all(context, host)? {
            if let Source::SwapUnit(_) = source {
                source.switch_off(context, host)?;
            }
        }
    }
    if !active(host)?.is_empty() {
        host.run(&Command::new("swapoff", ["-a"]))?;
    }
    for unit in ["rpi-zram-writeback.timer", "systemd-zram-setup@zram0.service"] {
        // Without swap they only hold memory; at the next boot they are not there.
        if units::is_masked(host, unit)?
            && units::state(host, unit)?.as_deref() == Some("active")
            && let Err(error) = units::systemctl(host, "stop", unit)
        {
            notes.push(error.to_string());
        }
    }
    // Last: a file that is still swapped to would keep its blocks.
    for source in sources::all(context, host)? {
        if let Source::File(_) = source {
            source.switch_off(context, host)?;
        }
    }
    Ok(notes)
}

fn active(host: &dyn Look) -> Result<Vec<String>, Error> {
    let text = host.text(ACTIVE)?.unwrap_or_default();
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    Ok(text.lines().skip(1).filter_map(first).collect())
}

#[cfg(test)]
mod tests;
