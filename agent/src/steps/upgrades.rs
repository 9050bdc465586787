//! The system's own upgrades: apt-daily and unattended-upgrades start minutes after the first boot and hold apt's lock
//! for as long as it takes. They are stopped while the node is made, not disabled: this step, nearly the last, starts
//! them again, and a reboot does in any case.

use super::{owed, units};
use crate::host::{Command, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "upgrades",
    title: "the system's own upgrades",
    class: Class::Comfort,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

/// What starts them. What they have started already is not broken off: a package half way in is worse than to wait.
const UNITS: [&str; 3] =
    ["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"];

/// Stops them; what runs is noted, to be started again.
pub fn pause(host: &dyn Host) -> Result<(), Stop> {
    for unit in UNITS {
        if !units::is_installed(host, unit)?
            || units::state(host, unit)?.as_deref() != Some("active")
        {
            continue;
        }
        owed::note(host, unit)?;
        // Not waited for: unattended-upgrades takes up to half an hour to stop.
        host.run(&Command::new("systemctl", ["--no-block", "stop", unit]))?;
    }
    Ok(())
}

fn check(_: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let mut reasons = Vec::new();
    for unit in UNITS {
        if owed::is(host, unit)? {
            reasons.push(format!("`{unit}` was stopped for the time being"));
        }
    }
    Ok(Check::of(reasons, false))
}

fn apply(_: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    for unit in UNITS {
        if owed::is(host, unit)? {
            host.run(&Command::new("systemctl", ["--no-block", "start", unit]))?;
            owed::settle(host, unit)?;
        }
    }
    Ok(Notes::new())
}

#[cfg(test)]
mod tests {
    use pikube_config::FirstbootPlan;

    use super::*;
    use crate::host::scripted::Node;
    use crate::plan::Facts;

    #[test]
    fn what_runs_is_stopped_and_started_again_and_the_rest_stays() {
        let node = Node::pi();
        let plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
        let context = Context::new(plan, None, Facts::default());
        node.active.borrow_mut().remove("apt-daily-upgrade.timer");
        let active = node.active.borrow().clone();
        assert!(active.contains("apt-daily.timer"));
        assert_eq!(check(&context, &node).unwrap(), Check::Satisfied);
        pause(&node).unwrap();
        assert!(!node.active.borrow().contains("apt-daily.timer"));
        assert!(matches!(check(&context, &node), Ok(Check::Needed(_))));
        apply(&context, &node).unwrap();
        assert_eq!(check(&context, &node).unwrap(), Check::Satisfied);
        assert_eq!(*node.active.borrow(), active);
    }
}
