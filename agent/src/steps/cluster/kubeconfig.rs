//! kubectl for the login user of a control plane: kubeadm's kubeconfig, where kubectl looks for it.

use pikube_config::{FirstbootPlan, Role};

use super::kubectl;
use crate::host::{Access, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};
use crate::steps::user::accounts;

/// The step.
pub const STEP: Step = Step {
    id: "kubeconfig",
    title: "kubectl for the login user",
    class: Class::Comfort,
    wanted: |plan| {
        plan.kubernetes.is_some() && plan.node.role != Role::Worker && plan.user.is_some()
    },
    check,
    apply,
    ahead: None,
};

/// Where it belongs, and to whom.
struct Place {
    folder: String,
    path: String,
    owner: (u32, u32),
}

fn place(plan: &FirstbootPlan, host: &dyn Look) -> Result<Option<Place>, Stop> {
    let Some(user) = &plan.user else { return Ok(None) };
    let account = accounts::account(host, &user.name)?;
    let Some(account) = account.filter(|account| account.refusal().is_none()) else {
        return Ok(None);
    };
    let folder = format!("{}/.kube", account.home);
    Ok(Some(Place { path: format!("{folder}/config"), folder, owner: account.owner }))
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(place) = place(&context.plan, host)? else { return Ok(Check::Satisfied) };
    // One that the user has made is the user's.
    Ok(if host.exists(&place.path)? {
        Check::Satisfied
    } else {
        Check::Needed(format!("`{}` is not there", place.path))
    })
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(place) = place(&context.plan, host)? else { return Ok(Notes::new()) };
    let Some(content) = host.read(kubectl::ADMIN)?.map(zeroize::Zeroizing::new) else {
        return Err(Stop::person(
            format!("`{}` is not there", kubectl::ADMIN),
            crate::step::LOOK_AT_THE_JOURNAL,
        ));
    };
    host.folder(&place.folder, Access { mode: 0o700, owner: place.owner })?;
    host.write(&place.path, &content, Access { mode: 0o600, owner: place.owner })?;
    Ok(Notes::new())
}

/// Gives the user the administrator's kubeconfig as it is now, where theirs is still the one `before`.
///
/// # Errors
/// Any I/O error.
pub fn follow(plan: &FirstbootPlan, before: &[u8], host: &dyn Host) -> Result<(), Stop> {
    let Some(place) = place(plan, host)? else { return Ok(()) };
    let read = |path: &str| host.read(path).map(|found| found.map(zeroize::Zeroizing::new));
    if read(&place.path)?.is_some_and(|theirs| *theirs == before)
        && let Some(now) = read(kubectl::ADMIN)?
    {
        host.write(&place.path, &now, Access { mode: 0o600, owner: place.owner })?;
    }
    Ok(())
}

/// Removes it, if it is still the one of this cluster.
///
/// # Errors
/// Any I/O error.
pub fn take_back(plan: Option<&FirstbootPlan>, host: &dyn Host) -> Result<(), Stop> {
    let Some(place) = plan.map(|plan| place(plan, host)).transpose()?.flatten() else {
        return Ok(());
    };
    let read = |path: &str| host.read(path).map(|found| found.map(zeroize::Zeroizing::new));
    if let Some(found) = read(&place.path)?
        && read(kubectl::ADMIN)? == Some(found)
    {
        host.remove(&place.path)?;
    }
    Ok(())
}
