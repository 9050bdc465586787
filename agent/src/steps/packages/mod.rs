//! Container runtime, kubelet, kubeadm and kubectl, in the version of the plan: as packages, or as plain binaries where
//! there are no packages (the legacy line) or apt will not have them.

mod binaries;
mod choice;
mod install;

use super::origin::Origin;
use super::package_manager;
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Ahead, Check, Class, Notes, Step, Stop};
use choice::Wanted;
pub use choice::{containerd_help, containerd_problem};

/// The step.
pub const STEP: Step = Step {
    id: "packages",
    title: "container runtime, kubelet, kubeadm, kubectl",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: Some(Ahead { after: "sources", command: download }),
};

/// Made by `kubeadm init` and `join`: from then on the version is the cluster's affair, not the plan's.
const INITIALISED: &str = "/etc/kubernetes/kubelet.conf";

/// Packages that are wanted and not right.
fn absent(context: &Context, host: &dyn Look) -> Result<Vec<Wanted>, Error> {
    let Some(origin) = Origin::of(context, host)? else { return Ok(Vec::new()) };
    if !origin.needs_apt() {
        return Ok(Vec::new());
    }
    let wanted = choice::wanted(&origin);
    let names: Vec<&str> = wanted.iter().map(|package| package.name).collect();
    let installed = package_manager::installed(host, &names)?;
    let any_version = host.exists(INITIALISED)?;
    Ok(wanted
        .into_iter()
        .filter(|package| !package.is_right(installed.get(package.name), any_version))
        .collect())
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(origin) = Origin::of(context, host)? else { return Ok(Check::Satisfied) };
    if !host.live() {
        return Ok(Check::Unknown);
    }
    let mut reasons = Vec::new();
    let absent = absent(context, host)?;
    if !absent.is_empty() {
        let names: Vec<String> = absent.iter().map(Wanted::shown).collect();
        reasons.push(format!("not installed, or not as they should be: {}", names.join(", ")));
    }
    reasons.extend(package_manager::half_done(host)?);
    if origin.repository.is_none() {
        reasons.extend(binaries::missing(&origin, host)?);
    }
    Ok(Check::of(reasons, false))
}

/// The download, while other steps are taken.
fn download(context: &Context, host: &dyn Look) -> Result<Option<Command>, Stop> {
    let absent = absent(context, host)?;
    Ok((!absent.is_empty()).then(|| install::command(&absent, &["--download-only"])))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(origin) = Origin::of(context, host)? else { return Ok(Notes::new()) };
    let mut notes = Notes::new();
    if origin.needs_apt() || package_manager::half_done(host)?.is_some() {
        package_manager::repair(host)?;
    }
    let absent = absent(context, host)?;
    if !absent.is_empty() {
        notes.extend(install::install(&origin, &absent, host)?);
        install::hold(&absent, host)?;
    }
    if origin.repository.is_none() {
        binaries::install(context, &origin, host)?;
    }
    Ok(notes)
}

#[cfg(test)]
mod tests;
