//! The network between pods: flannel from a template of our own, Calico as it is published.

use std::time::Duration;

use pikube_config::{PodNetwork, Role};

use super::{address, kubectl, member};
use crate::host::{Host, Look};
use crate::plan::Context;
use crate::render::flannel;
use crate::step::{Check, Class, Notes, Step, Stop};
use crate::steps::download::{self, Failure};

/// The step.
pub const STEP: Step = Step {
    id: "pod-network",
    title: "network between pods",
    class: Class::Essential,
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
    let said = answer.complaint();
    Err(Stop::Again(format!("waiting for the API server: {said}")))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let (kubernetes, _) = member::tables(context)?;
    let manifest = match kubernetes.pod_network {
        PodNetwork::Flannel => {
            let own = address::own(context, host, None)?;
            flannel::manifest(kubernetes, address::first_of_network(&own))
        }
        _ => published(context, host)?,
    };
    let command = kubectl::apply(&manifest).within(Duration::from_secs(300));
    let answer = host.ask(&command)?;
    if answer.status == 0 {
        return Ok(Notes::new());
    }
    let said = answer.complaint();
    // Half of it may be there: the same again completes it.
    Err(Stop::Again(format!("applying the network's manifest: {said}")))
}

/// The manifest as it is published.
fn published(context: &Context, host: &dyn Host) -> Result<String, Stop> {
    let (kubernetes, _) = member::tables(context)?;
    let address = kubernetes.pod_network_manifest.as_deref().unwrap_or_default();
    let sum = kubernetes.pod_network_manifest_sha256.as_deref();
    match download::fetch(host, &context.plan, address, DOWNLOADED, sum) {
        Ok(()) => {}
        Err(Failure::Absent(what) | Failure::Passing(what)) => return Err(Stop::Again(what)),
        Err(Failure::Stop(stop)) => return Err(stop),
    }
    let text = host.text(DOWNLOADED)?.unwrap_or_default();
    if text.contains("kind: DaemonSet") {
        return Ok(text);
    }
    Err(Stop::Again(format!("downloading `{address}`: it is no manifest")))
}
