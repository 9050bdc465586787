//! What the controller-manager and the scheduler do that nodes notice: signatures of `cluster-info`, tokens that are
//! over, certificates of nodes, networks of nodes, pods of DaemonSets and Deployments, nodes that are silent.

use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Server;
use super::store::{self, Store};
use crate::config::{scalars, text};
use crate::pki::Authority;
use crate::token::{self, Token};
use crate::{say, time};

/// Seconds of silence after which a node is not ready any more (`--node-monitor-grace-period`).
const SILENCE_S: i64 = 50;

/// Works for ever.
pub(super) fn run(server: &Server) {
    loop {
        if !server.members.is_following()
            && let Err(error) = round(server)
        {
            say::log('E', &format!("controllers: {error:#}"));
        }
        server.wait(Duration::from_secs(1));
    }
}

fn round(server: &Server) -> Result<()> {
    let before = server.store().revision;
    tokens(&mut server.store())?;
    signatures(&mut server.store())?;
    certificates(server)?;
    networks(server)?;
    silence(&mut server.store())?;
    pods(&mut server.store())?;
    if server.store().revision != before {
        server.announce();
    }
    Ok(())
}

/// The token cleaner.
fn tokens(store: &mut Store) -> Result<()> {
    let over: Vec<String> = store
        .list("v1", "secrets", "kube-system")
        .into_iter()
        .filter(|secret| token::is_over(secret, time::now()))
        .map(|secret| text(secret, "/metadata/name").to_owned())
        .collect();
    for name in over {
        store.remove(&store::key("v1", "secrets", "kube-system", &name))?;
    }
    Ok(())
}

/// The bootstrap signer.
fn signatures(store: &mut Store) -> Result<()> {
    let key = store::key("v1", "configmaps", "kube-public", "cluster-info");
    let Some(mut info) = store.get(&key).cloned() else { return Ok(()) };
    let content = text(&info, "/data/kubeconfig").to_owned();
    let secrets = store.list("v1", "secrets", "kube-system");
    let tokens = secrets.into_iter().filter_map(|secret| Token::of(secret, time::now()));
    let signed = tokens.filter(|token| token.signs).map(|token| {
        let name = format!("{}{}", token::SIGNATURE, token.id);
        (name, Value::from(token::signature(&content, &token.id, &token.secret)))
    });
    let mut data: Map<String, Value> = signed.collect();
    data.insert("kubeconfig".into(), content.into());
    info["data"] = Value::Object(data);
    store.put(&key, info).map(drop)
}

/// The signer of nodes' client certificates, and who approves them.
fn certificates(server: &Server) -> Result<()> {
    let api = "certificates.k8s.io/v1";
    let open: Vec<Value> = {
        let store = server.store();
        let all = store.list(api, "certificatesigningrequests", "").into_iter();
        all.filter(|request| request.pointer("/status/certificate").is_none()).cloned().collect()
    };
    for mut request in open {
        let signer = text(&request, "/spec/signerName");
        let groups = request["spec"]["groups"].as_array().cloned().unwrap_or_default();
        let is_node = groups.contains(&"system:bootstrappers".into())
            || groups.contains(&"system:nodes".into());
        if signer != "kubernetes.io/kube-apiserver-client-kubelet" || !is_node {
            continue;
        }
        let asked = STANDARD.decode(text(&request, "/spec/request")).context("a request")?;
        let ca = Authority::load(&server.flags.certificates, "ca")?;
        let name = text(&request, "/metadata/name").to_owned();
        let condition = |kind: &str, why: &str| json!([{"type": kind, "status": "True", "reason": "AutoApproved", "message": why}]);
        request["status"] = match ca.sign_node(&String::from_utf8_lossy(&asked)) {
            Ok(pem) => json!({
                "certificate": STANDARD.encode(pem),
                "conditions": condition("Approved", "Auto approving kubelet client certificate"),
            }),
            Err(error) => json!({
                "certificate": Value::Null, "conditions": condition("Failed", &error.to_string()),
            }),
        };
        server.store().put(&store::key(api, "certificatesigningrequests", "", &name), request)?;
    }
    Ok(())
}

/// The IPAM of nodes: a /24 of the pod network for each.
fn networks(server: &Server) -> Result<()> {
    if server.flags.pods.is_empty() {
        return Ok(());
    }
    let mut store = server.store();
    let nodes: Vec<Value> = store.list("v1", "nodes", "").into_iter().cloned().collect();
    let mut taken: Vec<String> =
        nodes.iter().map(|node| text(node, "/spec/podCIDR").to_owned()).collect();
    for mut node in nodes {
        if !text(&node, "/spec/podCIDR").is_empty() {
            continue;
        }
        let free = (0..256).find_map(|index| {
            let address = scalars::address_of(&server.flags.pods, index * 256)?;
            let network = format!("{address}/24");
            (!taken.contains(&network)).then_some(network)
        });
        let free = free.context("no networks left for nodes")?;
        node["spec"]["podCIDR"] = Value::from(free.as_str());
        node["spec"]["podCIDRs"] = json!([free]);
        taken.push(free);
        let name = text(&node, "/metadata/name").to_owned();
        store.put(&store::key("v1", "nodes", "", &name), node)?;
    }
    Ok(())
}

/// The node lifecycle: whoever has not renewed its lease is not known to be ready.
fn silence(store: &mut Store) -> Result<()> {
    let nodes: Vec<Value> = store.list("v1", "nodes", "").into_iter().cloned().collect();
    for mut node in nodes {
        let name = text(&node, "/metadata/name").to_owned();
        let lease = store::key("coordination.k8s.io/v1", "leases", "kube-node-lease", &name);
        let last = store.get(&lease).map(|lease| text(lease, "/spec/renewTime").to_owned());
        let last = last.and_then(|last| scalars::time(&last).ok());
        let is_silent =
            last.is_some_and(|last| time::now().as_second() - last.as_second() > SILENCE_S);
        let conditions = node.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        let Some(conditions) = conditions.filter(|_| is_silent) else { continue };
        let mut is_new = false;
        for condition in conditions.iter_mut().filter(|one| one["status"] != "Unknown") {
            condition["status"] = "Unknown".into();
            condition["reason"] = "NodeStatusUnknown".into();
            condition["message"] = "Kubelet stopped posting node status.".into();
            condition["lastTransitionTime"] = time::stamp().into();
            is_new = true;
        }
        if is_new {
            store.put(&store::key("v1", "nodes", "", &name), node)?;
        }
    }
    Ok(())
}

/// DaemonSets have a pod on every node, Deployments theirs on nodes that are ready and whose taints they tolerate.
fn pods(store: &mut Store) -> Result<()> {
    let nodes: Vec<Value> = store.list("v1", "nodes", "").into_iter().cloned().collect();
    let name = |object: &Value| text(object, "/metadata/name").to_owned();
    for resource in ["daemonsets", "deployments"] {
        let owners: Vec<Value> = store.list("apps/v1", resource, "").into_iter().cloned().collect();
        for owner in owners {
            let is_daemon = resource == "daemonsets";
            let usable: Vec<String> = nodes
                .iter()
                .filter(|node| is_daemon || is_ready(node) && tolerates(&owner, node))
                .map(name)
                .collect();
            let places: Vec<String> = if is_daemon {
                usable.iter().map(|node| format!("{}-{node}", name(&owner))).collect()
            } else {
                let wanted = owner["spec"].get("replicas").and_then(Value::as_u64).unwrap_or(1);
                (0..wanted).map(|index| format!("{}-{index}", name(&owner))).collect()
            };
            settle(store, &owner, &usable, &places)?;
            count(store, resource, &owner, places.len())?;
        }
    }
    orphans(store, &nodes)
}

fn settle(store: &mut Store, owner: &Value, nodes: &[String], places: &[String]) -> Result<()> {
    let namespace = text(owner, "/metadata/namespace");
    for (index, pod) in places.iter().enumerate() {
        let key = store::key("v1", "pods", namespace, pod);
        let node = nodes.get(index % nodes.len().max(1)).map(String::as_str).unwrap_or_default();
        if let Some(there) = store.get(&key) {
            // A pod stays on its node; one that had none gets one when there is one.
            if text(there, "/spec/nodeName").is_empty() && !node.is_empty() {
                let mut pod = there.clone();
                pod["spec"]["nodeName"] = node.into();
                store.put(&key, pod)?;
            }
            continue;
        }
        let mut spec = owner.pointer("/spec/template/spec").cloned().unwrap_or_default();
        if !node.is_empty() {
            spec["nodeName"] = node.into();
        }
        let mut metadata = owner.pointer("/spec/template/metadata").cloned().unwrap_or_default();
        metadata["ownerReferences"] = json!([{
            "apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"], "controller": true,
        }]);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec,
            "status": {"phase": "Pending"}});
        store.put(&key, pod)?;
    }
    Ok(())
}

fn count(store: &mut Store, resource: &str, owner: &Value, wanted: usize) -> Result<()> {
    let namespace = text(owner, "/metadata/namespace");
    let uid = text(owner, "/metadata/uid");
    let pods = store.list("v1", "pods", namespace);
    let own = pods.into_iter().filter(|pod| text(pod, "/metadata/ownerReferences/0/uid") == uid);
    let ready = own.filter(|pod| text(pod, "/status/phase") == "Running").count();
    let generation = owner["metadata"].get("generation").cloned().unwrap_or_else(|| 1.into());
    let mut changed = owner.clone();
    changed["status"] = if resource == "daemonsets" {
        json!({"observedGeneration": generation, "desiredNumberScheduled": wanted,
            "currentNumberScheduled": wanted, "updatedNumberScheduled": wanted,
            "numberReady": ready, "numberAvailable": ready, "numberUnavailable": wanted - ready.min(wanted)})
    } else {
        let available = if ready >= wanted { "True" } else { "False" };
        json!({"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
            "readyReplicas": ready, "availableReplicas": ready,
            "unavailableReplicas": wanted - ready.min(wanted),
            "conditions": [{"type": "Available", "status": available, "reason": "MinimumReplicas"}]})
    };
    let key = store::key("apps/v1", resource, namespace, text(owner, "/metadata/name"));
    store.put(&key, changed).map(drop)
}

/// Pods whose owner or whose node is gone.
fn orphans(store: &mut Store, nodes: &[Value]) -> Result<()> {
    let has_node = |name: &str| nodes.iter().any(|node| text(node, "/metadata/name") == name);
    let owners: Vec<String> = ["daemonsets", "deployments"]
        .iter()
        .flat_map(|resource| store.list("apps/v1", resource, ""))
        .map(|owner| text(owner, "/metadata/uid").to_owned())
        .collect();
    let gone: Vec<(String, String)> = store
        .list("v1", "pods", "")
        .into_iter()
        .filter(|pod| {
            let (owner, node) =
                (text(pod, "/metadata/ownerReferences/0/uid"), text(pod, "/spec/nodeName"));
            !owner.is_empty() && !owners.iter().any(|own| own == owner)
                || !node.is_empty() && !has_node(node)
        })
        .map(|pod| {
            (text(pod, "/metadata/namespace").to_owned(), text(pod, "/metadata/name").to_owned())
        })
        .collect();
    for (namespace, name) in gone {
        store.remove(&store::key("v1", "pods", &namespace, &name))?;
    }
    Ok(())
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn tolerates(owner: &Value, node: &Value) -> bool {
    let tolerations = owner.pointer("/spec/template/spec/tolerations").and_then(Value::as_array);
    let tolerations: &[Value] = tolerations.map_or(&[], Vec::as_slice);
    let taints = node.pointer("/spec/taints").and_then(Value::as_array);
    taints.into_iter().flatten().all(|taint| {
        tolerations.iter().any(|one| one.get("key").is_none_or(|key| *key == taint["key"]))
    })
}
