//! The container runtime runs as the kubelet needs it, and answers; the kubelet is enabled.

mod containerd;

use std::time::Duration;

use super::{in_place, owed, programs, put, units};
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::File;
use crate::render::runtime::{self as files, Cri};
use crate::step::{Check, Class, Notes, Step, Stop};
use pikube_config::{Kubernetes, Runtime};

/// The step.
pub const STEP: Step = Step {
    id: "runtime",
    title: "container runtime answers",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

const CONTAINERD: &str = "containerd.service";
const DOCKER: &str = "docker.service";
const KUBELET: &str = "kubelet.service";
const NETWORK_MANAGER: &str = "NetworkManager.service";
/// How long the runtime may take to answer before the step is tried again, and between two questions.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_secs(1);

/// The files that this node is to have.
fn wanted(context: &Context, host: &dyn Look) -> Result<Vec<File>, Stop> {
    let Some(kubernetes) = &context.plan.kubernetes else { return Ok(Vec::new()) };
    let mut wanted = Vec::new();
    for file in files::files(&context.plan) {
        // Only the managers that are there get a word.
        if file.path != files::NETWORK_MANAGER || programs::has(host, "NetworkManager")? {
            wanted.push(file);
        }
    }
    if Cri::of(kubernetes) == Cri::Containerd && programs::has(host, "containerd")? {
        wanted.push(containerd::configuration(context, kubernetes, host)?);
    }
    Ok(wanted)
}

/// Who has to hear of a changed file.
fn reader(path: &str) -> Option<&'static str> {
    match path {
        files::CRICTL => None,
        files::NETWORK_MANAGER => Some(NETWORK_MANAGER),
        files::DOCKER => Some(DOCKER),
        _ if path.starts_with("/etc/containerd/certs.d/") => None,
        _ => Some(CONTAINERD),
    }
}

/// Units that have to run, in the order in which they start.
fn daemons(kubernetes: &Kubernetes) -> Vec<&'static str> {
    let mut daemons = Vec::new();
    if Cri::of(kubernetes) == Cri::Containerd {
        daemons.push(CONTAINERD);
    }
    if kubernetes.runtime == Runtime::Docker {
        daemons.push(DOCKER);
    }
    daemons
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(kubernetes) = &context.plan.kubernetes else { return Ok(Check::Satisfied) };
    if !host.live() {
        return Ok(Check::Unknown);
    }
    let mut reasons = Vec::new();
    for file in wanted(context, host)? {
        if !in_place(host, &file)? {
            reasons.push(format!("`{}` is not as it should be", file.path));
        }
    }
    if docker_settings(kubernetes, host)?.is_some() {
        reasons.push(format!("`{}` is not as it should be", files::DOCKER));
    }
    for unit in [NETWORK_MANAGER, CONTAINERD, DOCKER] {
        if owed::is(host, unit)? {
            reasons.push(format!("`{unit}` has not read its new settings"));
        }
    }
    for unit in daemons(kubernetes) {
        if !units::is_enabled(host, unit)? {
            reasons.push(format!("`{unit}` is not enabled"));
        }
        if units::state(host, unit)?.as_deref() != Some("active") {
            reasons.push(format!("`{unit}` is not running"));
        }
    }
    if !units::is_enabled(host, KUBELET)? {
        reasons.push("the kubelet is not enabled".to_owned());
    }
    // It costs a second: asked only where everything else is right.
    if reasons.is_empty()
        && let Some(why) = silence(kubernetes, host)?
    {
        reasons.push(why);
    }
    Ok(Check::of(reasons, false))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(kubernetes) = &context.plan.kubernetes else { return Ok(Notes::new()) };
    for file in wanted(context, host)? {
        if in_place(host, &file)? {
            continue;
        }
        if let Some(unit) = reader(&file.path) {
            owed::note(host, unit)?;
        }
        put(host, &file)?;
    }
    let mut notes = Notes::new();
    match docker_settings(kubernetes, host)? {
        Some(Ok(settings)) => {
            owed::note(host, DOCKER)?;
            super::edit(host, files::DOCKER, &settings)?;
        }
        Some(Err(why)) => {
            return Err(Stop::person(
                format!(
                    "setting what docker has to know: `{}` cannot be read: {why}",
                    files::DOCKER
                ),
                "correct the file, or remove it",
            ));
        }
        None => {}
    }
    units::reload(host)?;
    if owed::is(host, NETWORK_MANAGER)? {
        // It takes its new settings at its next start in any case.
        if let Err(error) = units::systemctl(host, "reload", NETWORK_MANAGER) {
            notes.push(error.to_string());
        }
        owed::settle(host, NETWORK_MANAGER)?;
    }
    for unit in daemons(kubernetes) {
        if !units::is_enabled(host, unit)? {
            if units::is_masked(host, unit)? {
                units::systemctl(host, "unmask", unit)?;
            }
            units::systemctl(host, "enable", unit)?;
        }
        if owed::is(host, unit)? {
            units::systemctl(host, "restart", unit)?;
        } else if units::state(host, unit)?.as_deref() != Some("active") {
            // After a boot it may be on its way up: this waits for it, and a restart would begin anew.
            units::systemctl(host, "start", unit)?;
        }
        owed::settle(host, unit)?;
    }
    if !units::is_enabled(host, KUBELET)? {
        units::systemctl(host, "enable", KUBELET)?;
    }
    await_answer(kubernetes, host)?;
    Ok(notes)
}

/// Docker's settings that are to be written, where the kubelet speaks to docker and they lack something.
fn docker_settings(
    kubernetes: &Kubernetes,
    host: &dyn Look,
) -> Result<Option<Result<String, String>>, Error> {
    if Cri::of(kubernetes) != Cri::Dockershim {
        return Ok(None);
    }
    let now = host.text(files::DOCKER)?.unwrap_or_default();
    Ok(files::docker_settings(&now, kubernetes).transpose())
}

fn await_answer(kubernetes: &Kubernetes, host: &dyn Host) -> Result<(), Stop> {
    let began = host.elapsed();
    loop {
        let Some(why) = silence(kubernetes, host)? else { return Ok(()) };
        if host.elapsed() - began >= PATIENCE {
            return Err(Stop::Again(format!("the container runtime: {why}")));
        }
        host.sleep(PAUSE);
    }
}

/// Why the runtime cannot be used yet; `None` where it answers.
fn silence(kubernetes: &Kubernetes, host: &dyn Look) -> Result<Option<String>, Error> {
    match Cri::of(kubernetes) {
        Cri::Containerd => containerd::silence(host),
        // Its unit is up once its socket answers, and the kubelet brings the adapter.
        Cri::Dockershim => {
            let socket = host.exists("/var/run/docker.sock")? || host.exists("/run/docker.sock")?;
            Ok((!socket).then(|| "`/run/docker.sock` is not there".to_owned()))
        }
    }
}

/// Whether a command that asks ends well; the end of what it said where it does not.
fn complaint(host: &dyn Look, command: &Command) -> Result<Option<String>, Error> {
    let answer = match host.ask(command) {
        Ok(answer) => answer,
        Err(error @ (Error::Timeout { .. } | Error::Start { .. })) => {
            return Ok(Some(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    Ok((answer.status != 0).then(|| answer.complaint().to_owned()))
}

#[cfg(test)]
mod tests;
