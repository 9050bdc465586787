//! The node's own object: registered, kept up to date, leased.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use super::{Told, flannel};
use crate::client::Client;
use crate::config::text;
use crate::cri::Runtime;
use crate::{link, place, processes, time, version};

/// How often the lease is renewed.
const LEASE: Duration = Duration::from_secs(10);

/// What was said last.
#[derive(Default)]
pub(super) struct Sync {
    renewed: Option<Instant>,
    last: Value,
}

impl Sync {
    /// One round: whether the node is ready.
    ///
    /// # Errors
    /// The API server refuses, or the address is none of this node's.
    pub(super) fn round(&mut self, told: &Told, client: &Client) -> Result<bool> {
        let path = format!("/api/v1/nodes/{}", told.name);
        let there = client.find(&path)?;
        if there.is_none() {
            client.ask("POST", "/api/v1/nodes", Some(&object(told))).with_context(|| {
                format!("Unable to register node with API server: node \"{}\"", told.name)
            })?;
            self.last = Value::Null;
        }
        let ready = ready(told);
        let status = status(told, &ready)?;
        let told_before = there.as_ref().map(|node| text(node, "/status/conditions/0/status"));
        let is_forgotten = told_before != Some("False");
        if self.last != status || is_forgotten {
            let mut stamped = status.clone();
            let conditions = stamped["conditions"].as_array_mut().into_iter().flatten();
            for condition in conditions {
                condition["lastHeartbeatTime"] = time::stamp().into();
                condition["lastTransitionTime"] = time::stamp().into();
            }
            client
                .ask("PATCH", &format!("{path}/status"), Some(&json!({"status": stamped})))
                .context("Error updating node status")?;
            self.last = status;
        }
        if self.renewed.is_none_or(|renewed| renewed.elapsed() > LEASE) {
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": told.name, "namespace": "kube-node-lease"},
                "spec": {"holderIdentity": told.name, "leaseDurationSeconds": 40, "renewTime": time::stamp().replace('Z', ".000000Z")}});
            client.put("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", &lease)?;
            self.renewed = Some(Instant::now());
        }
        Ok(ready.is_ok())
    }
}

/// Where the runtime is, by the configuration or the command line.
pub(super) fn socket(told: &Told) -> String {
    let configured = text(&told.config, "/containerRuntimeEndpoint");
    match (&told.flags.socket, configured) {
        (Some(socket), _) => socket.clone(),
        (None, "") if version::own_minor() < 24 => "/var/run/dockershim.sock".to_owned(),
        (None, "") => "unix:///run/containerd/containerd.sock".to_owned(),
        (None, socket) => socket.to_owned(),
    }
}

/// Whether pods can run, else why not.
fn ready(told: &Told) -> Result<(), String> {
    let socket = socket(told);
    if socket.contains("dockershim") {
        processes::run("docker", &["version"])
            .map_err(|_| "container runtime is down".to_owned())?;
        return flannel::plugins("/opt/cni/bin").map_err(|why| {
            format!("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:docker: network plugin is not ready: {why:#}")
        });
    }
    let conditions = Runtime::at(&socket)
        .status()
        .map_err(|error| format!("container runtime is down: {error:#}"))?;
    for condition in conditions {
        let message = &condition.message;
        match (&condition.kind[..], condition.holds) {
            ("RuntimeReady", false) => return Err(format!("container runtime is down: {message}")),
            ("NetworkReady", false) => {
                return Err(format!(
                    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:{message}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn object(told: &Told) -> Value {
    let mut labels = Map::new();
    for (key, value) in [
        ("kubernetes.io/hostname", &told.name[..]),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", "amd64"),
    ] {
        labels.insert(key.into(), value.into());
    }
    for (key, value) in &told.flags.labels {
        labels.insert(key.clone(), value.as_str().into());
    }
    let taints: Vec<Value> = told
        .flags
        .taints
        .iter()
        .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
        .collect();
    let mut object = json!({"apiVersion": "v1", "kind": "Node", "spec": {},
        "metadata": {"name": told.name, "labels": labels}});
    if !taints.is_empty() {
        object["spec"]["taints"] = Value::Array(taints);
    }
    object
}

fn status(told: &Told, ready: &Result<(), String>) -> Result<Value> {
    let address = address(told)?;
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default();
    let memory: String = memory.chars().filter(char::is_ascii_digit).collect();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let capacity = json!({"cpu": cpus, "memory": format!("{memory}Ki"), "pods": "110"});
    let mut conditions = Vec::new();
    for (kind, what) in [
        ("MemoryPressure", "sufficient memory"),
        ("DiskPressure", "no disk pressure"),
        ("PIDPressure", "sufficient PID"),
    ] {
        let reason = format!("KubeletHas{}", what.split(' ').map(capital).collect::<String>());
        conditions.push(json!({"type": kind, "status": "False", "reason": reason, "message": format!("kubelet has {what} available")}));
    }
    conditions.push(match ready {
        Ok(()) => json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}),
        Err(why) => json!({"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": why}),
    });
    let release = place::read("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let runtime = match Runtime::at(&socket(told)).version() {
        Ok((name, version)) => format!("{name}://{version}"),
        Err(_) => "docker://".to_owned(),
    };
    Ok(json!({
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": told.name}],
        "capacity": capacity, "allocatable": capacity, "conditions": conditions,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {"kubeletVersion": version::own(), "kubeProxyVersion": version::own(),
            "containerRuntimeVersion": runtime, "kernelVersion": kernel.trim(),
            "osImage": pretty.unwrap_or_default().trim_matches('"'), "operatingSystem": "linux",
            "architecture": "amd64", "machineID": place::read("/etc/machine-id").unwrap_or_default().trim(),
            "systemUUID": "", "bootID": std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim()},
    }))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

/// The node's address: the one it was told, if it has that, else that of the default route.
fn address(told: &Told) -> Result<String> {
    let Some(wanted) = &told.flags.address else {
        let default = link::default_address();
        return default
            .map(|address| address.to_string())
            .context("can't get ip address of node: no default routes found");
    };
    let parsed: IpAddr = wanted.parse()?;
    if UdpSocket::bind((parsed, 0)).is_err() {
        bail!(
            "failed to validate nodeIP: node IP: \"{wanted}\" not found in the host's network interfaces"
        );
    }
    Ok(wanted.clone())
}
