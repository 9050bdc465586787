//! Clock floor: a Pi has no clock of its own and wakes up in the past; it is never earlier than when its card was
//! written (`os-families.md` §5.8). NTP does the rest, when there is a network.

use jiff::Timestamp;

use crate::host::{Host, Look};
use crate::plan::Context;
use crate::step::{Check, Notes, Step, Stop};

/// The step.
pub const STEP: Step =
    Step { id: "clock", title: "clock floor", wanted: |_| true, check, apply, ahead: None };

/// The latest moment that is known to have passed.
fn floor(context: &Context) -> Option<Timestamp> {
    context.plan.flashed_at.max(context.facts.agent_modified)
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let now = host.now();
    Ok(match floor(context) {
        Some(floor) if now < floor => Check::Needed(format!(
            "the clock shows {now:.0}, which is before the card was written, {floor:.0}"
        )),
        _ => Check::Satisfied,
    })
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if let Some(floor) = floor(context) {
        host.set_clock(floor)?;
    }
    Ok(Notes::new())
}
