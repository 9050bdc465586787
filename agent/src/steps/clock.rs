//! Clock floor: a Pi has no clock of its own and wakes up in the past; it is never earlier than when its card was
//! written (`os-families.md` §5.8). NTP does the rest, when there is a network. No file of the node's own is a floor: one
//! that was written while the clock was ahead would keep it there.

use crate::host::{Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "clock",
    title: "clock floor",
    class: Class::Comfort,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let now = host.now();
    Ok(match context.plan.flashed_at {
        Some(floor) if now < floor => Check::Needed(format!(
            "the clock shows {now:.0}, which is before the card was written, {floor:.0}"
        )),
        _ => Check::Satisfied,
    })
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if let Some(floor) = context.plan.flashed_at {
        host.set_clock(floor)?;
    }
    Ok(Notes::new())
}
