//! The marker: what makes the unit stay away at the next boot. The very last act.

use pikube_config::names;

use crate::host::{Access, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "done",
    title: "first boot complete",
    class: Class::Essential,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

fn path() -> String {
    format!("{}/{}", names::STATE_DIR, names::DONE)
}

fn check(_: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let reasons =
        if host.exists(&path())? { Vec::new() } else { vec![format!("`{}` is not there", path())] };
    Ok(Check::of(reasons, false))
}

fn apply(_: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let line = format!("{:.0}\n", host.now());
    host.write(&path(), line.as_bytes(), Access::root(0o644))?;
    Ok(Notes::new())
}
