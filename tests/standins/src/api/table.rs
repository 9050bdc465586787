//! Tables, as `kubectl get` shows them: of nodes and pods. Of everything else kubectl makes its own, name and age.

use serde_json::{Value, json};

use super::http::Request;
use crate::config::{scalars, text};
use crate::time;

/// The table of these objects, if one is asked for and there is one of their kind.
pub(super) fn of(request: &Request, plural: &str, objects: &[&Value]) -> Option<Value> {
    let columns: &[&str] = match plural {
        "nodes" => &["Name", "Status", "Roles", "Age", "Version"],
        "pods" => &["Name", "Ready", "Status", "Restarts", "Age"],
        _ => return None,
    };
    if !request.header("accept").contains("as=Table") {
        return None;
    }
    let definitions: Vec<Value> = columns
        .iter()
        .map(|name| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = if plural == "nodes" { node(object) } else { pod(object) };
            let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"]});
            json!({"cells": cells, "object": partial})
        })
        .collect();
    Some(json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {},
        "columnDefinitions": definitions, "rows": rows}))
}

fn node(node: &Value) -> Value {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|one| one["type"] == "Ready");
    let status = match ready.map(|one| text(one, "/status")) {
        Some("True") => "Ready",
        Some("False") => "NotReady",
        _ => "Unknown",
    };
    let labels = node["metadata"]["labels"].as_object();
    let roles = labels.into_iter().flat_map(|labels| labels.keys());
    let roles: Vec<&str> =
        roles.filter_map(|label| label.strip_prefix("node-role.kubernetes.io/")).collect();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    let version = text(node, "/status/nodeInfo/kubeletVersion");
    json!([text(node, "/metadata/name"), status, roles, age(node), version])
}

fn pod(pod: &Value) -> Value {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let all = containers.map_or(1, Vec::len);
    let phase = text(pod, "/status/phase");
    let ready = if phase == "Running" { all } else { 0 };
    let why = text(pod, "/status/containerStatuses/0/state/waiting/reason");
    let status = if why.is_empty() { phase } else { why };
    json!([text(pod, "/metadata/name"), format!("{ready}/{all}"), status, "0", age(pod)])
}

fn age(object: &Value) -> String {
    let Ok(created) = scalars::time(text(object, "/metadata/creationTimestamp")) else {
        return "<unknown>".to_owned();
    };
    match time::now().as_second() - created.as_second() {
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7200 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
