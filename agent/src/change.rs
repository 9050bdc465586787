//! A plan that is not the one of the earlier run: what has changed, and what cannot be changed any more. Every step looks
//! at the machine itself and so applies the difference; here is what no step can see.

use pikube_config::{FirstbootPlan, Swap, names};

use crate::host::{Access, Error, Host, Look};

/// The plan that was last begun, in the state folder.
fn path() -> String {
    format!("{}/{}", names::STATE_DIR, names::PLAN)
}

/// What is different.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Tables of the plan, in its order.
    pub tables: Vec<&'static str>,
    /// What stays although the plan says otherwise, one line each.
    pub stays: Vec<String>,
    /// Whether the login user is another one, about whom the journal knows nothing.
    pub user: bool,
}

/// The change since the earlier run; `None` where there was no run, or the plan is the same.
///
/// # Errors
/// Any I/O error but "not found".
pub fn since(host: &dyn Look, plan: &FirstbootPlan) -> Result<Option<Change>, Error> {
    let text = host.text(&path())?;
    // A plan that this version cannot read is of another one: nothing can be said.
    let earlier = text.and_then(|text| FirstbootPlan::from_toml(&text).ok());
    Ok(earlier.and_then(|earlier| between(&earlier, plan)))
}

/// Keeps the plan for the next time.
///
/// # Errors
/// Any I/O error.
pub fn remember(host: &dyn Host, text: &str) -> Result<(), Error> {
    host.write(&path(), text.as_bytes(), Access::root(0o600))
}

fn between(old: &FirstbootPlan, new: &FirstbootPlan) -> Option<Change> {
    let tables: Vec<&'static str> = [
        ("node", old.node != new.node),
        ("cluster", old.cluster != new.cluster),
        ("time", old.time != new.time),
        ("system", old.system != new.system),
        ("user", old.user != new.user),
        ("network", old.network != new.network),
        ("wifi", old.wifi != new.wifi),
        ("kubernetes", old.kubernetes != new.kubernetes),
    ]
    .into_iter()
    .filter_map(|(table, differs)| differs.then_some(table))
    .collect();
    if tables.is_empty() {
        return None;
    }
    let mut stays = Vec::new();
    stays.extend(membership(old, new));
    stays.extend(login(old, new));
    for (key, gone) in [
        ("time.timezone", old.time.timezone.is_some() && new.time.timezone.is_none()),
        ("time.ntp", !old.time.ntp.is_empty() && new.time.ntp.is_empty()),
        ("system.locale", old.system.locale.is_some() && new.system.locale.is_none()),
        ("system.keyboard", old.system.keyboard.is_some() && new.system.keyboard.is_none()),
        ("system.swap", old.system.swap == Swap::Off && new.system.swap == Swap::Keep),
    ] {
        if gone {
            stays.push(format!("the plan no longer sets `{key}`: it stays as it is now"));
        }
    }
    let user = name(old) != name(new);
    Some(Change { tables, stays, user })
}

fn name(plan: &FirstbootPlan) -> Option<&str> {
    plan.user.as_ref().map(|user| user.name.as_str())
}

/// A node's place in its cluster is taken once.
fn membership(old: &FirstbootPlan, new: &FirstbootPlan) -> Vec<String> {
    const ANEW: &str = "write its card anew to change that";
    let mut stays = Vec::new();
    let (was, is) = (old.node.role, new.node.role);
    if was != is {
        stays.push(format!(
            "the role was `{}` and is `{}`: a node that has its place in the cluster keeps it; {ANEW}",
            was.name(),
            is.name()
        ));
    }
    if old.cluster.is_some() && old.cluster != new.cluster {
        stays.push(format!("the cluster is another one: a node that has joined stays; {ANEW}"));
    }
    if old.kubernetes.is_some() && old.node.hostname != new.node.hostname {
        stays.push(format!(
            "the host name was `{}`: a cluster that knows the node by it goes on doing so; {ANEW}",
            old.node.hostname
        ));
    }
    stays
}

/// Accounts and keys are never taken away: a mistake would lock everybody out.
fn login(old: &FirstbootPlan, new: &FirstbootPlan) -> Option<String> {
    let was = old.user.as_ref()?;
    match &new.user {
        Some(user) if user.name == was.name => {
            let gone = was.ssh_keys.iter().filter(|key| !user.ssh_keys.contains(key)).count();
            (gone > 0).then(|| {
                format!("ssh keys that the plan no longer has ({gone}) still let `{}` in", was.name)
            })
        }
        _ => Some(format!(
            "the login user `{0}` stays with password and keys; `sudo deluser {0}` removes it",
            was.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::PLAN;

    fn change(from: &str, to: &str) -> Option<Change> {
        let plan = |text: &str| FirstbootPlan::from_toml(text).unwrap();
        between(&plan(PLAN), &plan(&PLAN.replace(from, to)))
    }

    #[test]
    fn the_same_plan_of_another_day_is_no_change() {
        assert_eq!(change("2026-11-21T06", "2026-12-24T06"), None);
    }

    #[test]
    fn what_every_step_can_apply_is_only_named() {
        let found = change("192.168.1.21/24", "192.168.1.22/24").unwrap();
        assert_eq!(found, Change { tables: vec!["network"], ..Change::default() });
        assert_eq!(change("FR", "GB").unwrap().tables, ["wifi"]);
    }

    #[test]
    fn what_stays_is_told() {
        for (from, to, part) in [
            ("captain", "admiral", "`captain` stays"),
            ("\"master\"", "\"worker\"", "was `master` and is `worker`"),
            ("timezone = \"Europe/Paris\"\n", "", "`time.timezone`"),
            ("keyboard = \"gb\"\n", "", "`system.keyboard`"),
            ("swap = \"off\"", "swap = \"keep\"", "`system.swap`"),
            ("me@laptop", "you@laptop", "keys that the plan no longer has (1)"),
        ] {
            let found = change(from, to).unwrap();
            assert_eq!(found.stays.len(), 1, "{found:?}");
            assert!(found.stays[0].contains(part), "{found:?}");
            assert_eq!(found.user, from == "captain");
        }
    }
}
