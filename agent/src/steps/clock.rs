//! Clock floor: a Pi has no clock of its own and wakes up in the past; it is never earlier than when its card was
//! written (`os-families.md` §5.8). NTP does the rest, when there is a network. No file of the node's own is a floor: one
//! that was written while the clock was ahead would keep it there. The system has such a file (systemd-timesyncd(8)), which
//! is why a clock that is beyond all bounds is put back as well.

use super::bounds;
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
    let (now, floor) = (host.now(), bounds::earliest(context));
    let Some(floor) = floor else { return Ok(Check::Satisfied) };
    if now < floor {
        return Ok(Check::Needed(format!(
            "the clock shows {now:.0}, which is before the card was written, {floor:.0}"
        )));
    }
    let late = bounds::too_late(context, now).map(|why| format!("the clock is ahead: {why}"));
    Ok(late.map_or(Check::Satisfied, Check::Needed))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if let Some(floor) = bounds::earliest(context) {
        host.set_clock(floor)?;
    }
    Ok(Notes::new())
}
