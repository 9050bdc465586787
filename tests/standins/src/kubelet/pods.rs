//! Pods of this node: those with the host's network just run, the others get a real sandbox in the pod network, which is
//! what tells whether that works. No container is started in either.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Told, node};
use crate::client::Client;
use crate::config::text;
use crate::cri::{Pod, Runtime};
use crate::{say, time};

/// One round. `flannel` is why flannel's pod cannot run.
///
/// # Errors
/// The API server refuses.
pub(super) fn round(told: &Told, client: &Client, flannel: Option<String>) -> Result<()> {
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", told.name);
    let pods = client.get(&path)?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let mirror = pod["metadata"]["annotations"].get("kubernetes.io/config.mirror");
        if mirror.is_some() {
            continue;
        }
        let (name, namespace) = (text(pod, "/metadata/name"), text(pod, "/metadata/namespace"));
        let is_host = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
        let ran = match (&flannel, is_host) {
            (Some(why), _) if namespace == "kube-flannel" => Err(("CrashLoopBackOff", why.clone())),
            (_, true) => Ok(String::new()),
            _ => sandbox(told, pod).map_err(|error| ("ContainerCreating", format!("{error:#}"))),
        };
        let status = status(pod, &ran);
        if is_news(pod, &status) {
            if let Err((reason, why)) = &ran {
                say::log('E', &format!("pod {namespace}/{name}: {reason}: {why}"));
            }
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
            client.ask("PATCH", &path, Some(&json!({"status": status})))?;
        }
    }
    Ok(())
}

fn sandbox(told: &Told, pod: &Value) -> Result<String> {
    let socket = node::socket(told);
    if socket.contains("dockershim") {
        return Ok(String::new());
    }
    let runtime = Runtime::at(&socket);
    let id = runtime.sandbox(&Pod {
        name: text(pod, "/metadata/name"),
        namespace: text(pod, "/metadata/namespace"),
        uid: text(pod, "/metadata/uid"),
        systemd: text(&told.config, "/cgroupDriver") == "systemd",
    })?;
    runtime.address(&id)
}

fn status(pod: &Value, ran: &Result<String, (&str, String)>) -> Value {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let containers: Vec<Value> = containers
        .into_iter()
        .flatten()
        .map(|container| {
            let state = match ran {
                Ok(_) => json!({"running": {"startedAt": time::stamp()}}),
                Err((reason, why)) => json!({"waiting": {"reason": reason, "message": why}}),
            };
            json!({"name": container["name"], "image": container["image"], "ready": ran.is_ok(),
                "restartCount": 0, "state": state})
        })
        .collect();
    let ready = if ran.is_ok() { "True" } else { "False" };
    let mut status = json!({
        "phase": if ran.is_ok() { "Running" } else { "Pending" },
        "conditions": [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": ready}],
        "containerStatuses": containers,
    });
    if let Ok(address) = ran
        && !address.is_empty()
    {
        status["podIP"] = address.as_str().into();
    }
    status
}

fn is_news(pod: &Value, status: &Value) -> bool {
    let message = "/containerStatuses/0/state/waiting/message";
    let old = pod.get("status").cloned().unwrap_or_default();
    old["phase"] != status["phase"] || text(&old, message) != text(status, message)
}
