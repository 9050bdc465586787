//! `renew` and `approve`: one look at the certificates of a control plane, started by timers.

use pikube_config::{FirstbootPlan, names};

use super::Ending;
use crate::host::{Host, Look as _, Real};
use crate::plan::{Context, Facts};
use crate::step::Stop;

/// One of the two acts.
pub type Act = fn(&Context, &dyn Host) -> Result<Vec<String>, Stop>;

/// The command, on the running system only.
pub fn act(host: &Real, act: Act) -> Ending {
    if !host.live() || !rustix::process::geteuid().is_root() {
        return Ending::failed(
            "looking after certificates as an ordinary user",
            "run it as root: `sudo` before it",
        );
    }
    match act_on(host, act) {
        Ok(lines) => Ending::said(lines.iter().map(|line| format!("{line}\n")).collect()),
        Err(Stop::Person { what, help }) => Ending::failed(&what, &help),
        Err(Stop::Again(what)) => Ending::failed(&what, "run it again"),
    }
}

/// The act itself, on any host.
pub(crate) fn act_on(host: &dyn Host, act: Act) -> Result<Vec<String>, Stop> {
    let path = format!("{}/{}", names::CONFIG_DIR, names::PLAN);
    let plan = FirstbootPlan::from_toml(&host.text(&path)?.unwrap_or_default());
    let plan = plan.map_err(|problems| {
        Stop::person(
            format!("reading `{path}`: {}", problems.to_string().replace('\n', "; ")),
            "correct it, or write a new plan to the card with `piflash configure`",
        )
    })?;
    act(&Context::new(plan, None, Facts::default()), host)
}
