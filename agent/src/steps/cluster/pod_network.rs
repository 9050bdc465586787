//! The network between pods: flannel from a template of our own, Calico as it is published.

use std::time::Duration;

use pikube_config::{PodNetwork, Role};

use super::{address, kubectl, member};
use crate::host::{Command, Host, Look};
use crate::plan::Context;
use crate::render::flannel;
use crate::step::{Check, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "pod-network",
    title: "network between pods",
    wanted: |plan| {
        plan.node.role == Role::Master
            && plan
                .kubernetes
                .as_ref()
                .is_some_and(|kubernetes| kubernetes.pod_network != PodNetwork::None)
    },
    check,
    apply,
    ahead: None,
};

/// Where Calico's manifest is put.
const DOWNLOADED: &str = "/var/lib/pikube/calico.yaml";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    let (kubernetes, _) = member::tables(context)?;
    let (namespace, name) = match kubernetes.pod_network {
        PodNetwork::Flannel => (flannel::NAMESPACE, flannel::DAEMONSET),
        PodNetwork::Calico => ("kube-system", "calico-node"),
        PodNetwork::None => return Ok(Check::Satisfied),
    };
    let words = ["--namespace", namespace, "get", "daemonset", name, "--output=name"];
    let answer = kubectl::ask(host, kubectl::ADMIN, &words)?;
    if answer.status == 0 {
        return Ok(Check::Satisfied);
    }
    if answer.stderr.contains("NotFound") || answer.stderr.contains("not found") {
        return Ok(Check::Needed(format!("the cluster has no `{name}`")));
    }
    let said = answer.stderr.trim().lines().last().unwrap_or("nothing said").to_owned();
    Err(Stop::Again(format!("waiting for the API server: {said}")))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let (kubernetes, _) = member::tables(context)?;
    let manifest = match kubernetes.pod_network {
        PodNetwork::Flannel => {
            let own = address::own(context, host, None)?;
            flannel::manifest(kubernetes, own.network())
        }
        _ => download(kubernetes.pod_network_manifest.as_deref().unwrap_or_default(), host)?,
    };
    let command = kubectl::apply(&manifest).within(Duration::from_secs(300));
    let answer = host.ask(&command)?;
    if answer.status == 0 {
        return Ok(Notes::new());
    }
    let said = answer.stderr.trim().lines().last().unwrap_or("nothing said").to_owned();
    // Half of it may be there: the same again completes it.
    Err(Stop::Again(format!("applying the network's manifest: {said}")))
}

fn download(address: &str, host: &dyn Host) -> Result<String, Stop> {
    let fetch = Command::new("/usr/lib/apt/apt-helper", ["download-file", address, DOWNLOADED]);
    let answer = host.ask(&fetch)?;
    let text = host.text(DOWNLOADED)?.unwrap_or_default();
    if answer.status == 0 && text.contains("kind: DaemonSet") {
        return Ok(text);
    }
    let said = answer.stderr.trim().lines().last().unwrap_or("it is no manifest").to_owned();
    Err(Stop::Again(format!("downloading `{address}`: {said}")))
}
