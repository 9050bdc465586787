//! The end: the node is Ready *and* pods have a network on it.

use pikube_config::PodNetwork;
use serde_json::Value;

use super::{kubectl, member, probe};
use crate::host::{Access, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "ready",
    title: "node ready, pods connected",
    class: Class::Essential,
    wanted: |plan| {
        plan.kubernetes
            .as_ref()
            .is_some_and(|kubernetes| kubernetes.pod_network != PodNetwork::None)
    },
    check,
    apply,
    ahead: None,
};

/// Says that a pod was tried since the node has booted; trying is no part of a check.
const TRIED: &str = "/run/pikube/pods-connected";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    Ok(if host.exists(TRIED)? {
        Check::Satisfied
    } else {
        Check::Needed(format!(
            "whether pods have a network on `{}` was not tried",
            context.plan.node.hostname
        ))
    })
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let (kubernetes, _) = member::tables(context)?;
    let name = &context.plan.node.hostname;
    is_ready(name, host)?;
    // The legacy line has no crictl.
    if !kubernetes.legacy {
        probe::sandbox(name, host)?;
    }
    probe::dns(kubernetes, host)?;
    host.write(TRIED, b"", Access::root(0o644))?;
    Ok(Notes::new())
}

/// What the cluster says of the node.
fn is_ready(name: &str, host: &dyn Look) -> Result<(), Stop> {
    let answer = kubectl::ask(host, kubectl::KUBELET, &["get", "node", name, "--output=json"])?;
    if answer.status != 0 {
        let said = answer.complaint();
        return Err(Stop::Again(format!("asking the cluster for node `{name}`: {said}")));
    }
    let node: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = |condition: &&Value| condition.get("type").is_some_and(|kind| kind == "Ready");
    let Some(ready) = conditions.and_then(|all| all.iter().find(is_ready)) else {
        return Err(Stop::Again(format!("node `{name}` has not told the cluster yet how it is")));
    };
    if ready.get("status").is_some_and(|status| status == "True") {
        return Ok(());
    }
    let message = ready.get("message").and_then(Value::as_str).unwrap_or("no reason given");
    let line = message.lines().next().unwrap_or(message);
    Err(Stop::Again(format!("node `{name}` is not Ready yet: {line}")))
}
