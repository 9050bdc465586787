//! `renew` and `approve`: one look at the certificates of a control plane, started by timers.

use pikube_config::{FirstbootPlan, names};

use super::Ending;
use crate::host::{Host, Real};
use crate::plan::{Context, Facts};
use crate::step::Stop;

/// One of the two acts.
pub type Act = fn(&Context, &dyn Host) -> Result<Vec<String>, Stop>;

/// The command, on the running system only.
pub fn act(host: &Real, act: Act) -> Ending {
    if let Err(ending) = Ending::unless_root(host, "looking after certificates") {
        return ending;
    }
    let told = act_on(host, act);
    Ending::of(told.map(|lines| lines.iter().map(|line| format!("{line}\n")).collect()))
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
