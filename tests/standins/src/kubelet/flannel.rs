//! What flannel's pod does on a node: takes the node's network, writes the CNI configuration, routes to other nodes.
//!
//! As its `host-gw` backend: no VXLAN. Its `flannel` CNI plugin only hands over to `bridge`; where the plugin is not
//! there, the configuration names `bridge` itself.

use std::net::UdpSocket;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Told;
use crate::client::Client;
use crate::config::{scalars, text};
use crate::{link, place};

const FOLDER: &str = "/etc/cni/net.d";
const SETS: &str = "/apis/apps/v1/namespaces/kube-flannel/daemonsets";

/// One round; nothing where no flannel was applied.
///
/// # Errors
/// flannel's pod would crash, in its words.
pub(super) fn round(told: &Told, client: &Client) -> Result<()> {
    let sets = client.get(SETS)?;
    let Some(set) = sets["items"].as_array().and_then(|sets| sets.first().cloned()) else {
        return Ok(());
    };
    let bridged = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if place::is_node() && !place::exists(bridged) {
        bail!("Failed to check br_netfilter: stat {bridged}: no such file or directory");
    }
    let path = "/api/v1/namespaces/kube-flannel/configmaps/kube-flannel-cfg";
    let config = client.get(path).context("MountVolume.SetUp failed for volume \"flannel-cfg\"")?;
    let net: Value = serde_json::from_str(text(&config, "/data/net-conf.json"))
        .context("error parsing subnet config")?;
    let network = text(&net, "/Network");
    let nodes = client.get("/api/v1/nodes")?;
    let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
    let own = nodes.iter().find(|node| text(node, "/metadata/name") == told.name);
    let own = own.context("no node of this name")?;
    let pods = text(own, "/spec/podCIDR");
    if pods.is_empty() {
        bail!(
            "Error registering network: failed to acquire lease: node \"{}\" pod cidr not assigned",
            told.name
        );
    }
    if !contains(network, pods) {
        bail!(
            "Error registering network: failed to acquire lease: subnet \"{network}\" specified in the flannel net config doesn't contain \"{pods}\" PodCIDR of the \"{}\" node",
            told.name
        );
    }
    let public = public_address(&set)?;
    announce(told, client, own, &public)?;
    let gateway = scalars::address_of(pods, 1).context("a network")?;
    let (_, length) = scalars::cidr(pods).context("a network")?;
    let environment = format!(
        "FLANNEL_NETWORK={network}\nFLANNEL_SUBNET={gateway}/{length}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    );
    write("/run/flannel/subnet.env", &environment)?;
    let given: Value =
        serde_json::from_str(text(&config, "/data/cni-conf.json")).context("cni-conf.json")?;
    let list = if has_plugin("flannel") { given } else { bridge(&given, pods) };
    write(&format!("{FOLDER}/10-flannel.conflist"), &format!("{list:#}\n"))?;
    for node in nodes.iter().filter(|node| text(node, "/metadata/name") != told.name) {
        let annotations = &node["metadata"]["annotations"];
        let through = annotations.get("flannel.alpha.coreos.com/public-ip").and_then(Value::as_str);
        let pods = text(node, "/spec/podCIDR");
        if let Some(through) = through.filter(|_| !pods.is_empty()) {
            link::route(pods, through)?;
        }
    }
    Ok(())
}

/// The address by which other nodes reach this one: of the interface that flannel's arguments name.
fn public_address(set: &Value) -> Result<String> {
    let containers = set.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let flags: Vec<String> = containers
        .into_iter()
        .flatten()
        .flat_map(|container| container["args"].as_array().cloned().unwrap_or_default())
        .filter_map(|flag| flag.as_str().map(str::to_owned))
        .collect();
    let find = |name: &str| {
        let prefix = format!("--{name}=");
        flags.iter().find_map(|flag| flag.strip_prefix(&prefix)).map(str::to_owned)
    };
    if let Some(interface) = find("iface")
        && !place::exists(&format!("/sys/class/net/{interface}"))
    {
        bail!("Failed to find any valid interface to use: failed to find interface {interface}");
    }
    let target = find("iface-can-reach");
    if let Some(target) = &target
        && target.parse::<std::net::IpAddr>().is_err()
    {
        bail!("Failed to find interface to use: invalid --iface-can-reach IP: {target}");
    }
    let Some(target) = target else {
        let default = link::default_address().context(
            "Failed to find any valid interface to use: failed to get default interface",
        )?;
        return Ok(default.to_string());
    };
    // no packet is sent: connecting only chooses the address
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((&target[..], 9)).context("Failed to find any valid interface to use")?;
    let own = socket.local_addr()?.ip();
    // towards oneself the address is one's own
    Ok(if own.is_loopback() { target } else { own.to_string() })
}

fn announce(told: &Told, client: &Client, own: &Value, public: &str) -> Result<()> {
    let key = "flannel.alpha.coreos.com/public-ip";
    if own["metadata"]["annotations"].get(key).and_then(Value::as_str) == Some(public) {
        return Ok(());
    }
    let change = json!({"metadata": {"annotations": {
        key: public, "flannel.alpha.coreos.com/backend-type": "host-gw",
        "flannel.alpha.coreos.com/kube-subnet-manager": "true"}}});
    client.ask("PATCH", &format!("/api/v1/nodes/{}", told.name), Some(&change)).map(drop)
}

fn bridge(given: &Value, pods: &str) -> Value {
    json!({
        "name": given["name"], "cniVersion": given["cniVersion"],
        "plugins": [
            {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true,
                "hairpinMode": true, "mtu": 1450, "ipam": {"type": "host-local", "subnet": pods}},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

fn has_plugin(name: &str) -> bool {
    ["/opt/cni/bin", "/usr/lib/cni"].iter().any(|folder| place::exists(&format!("{folder}/{name}")))
}

/// Whether the CNI configuration and all its plugins are there.
///
/// # Errors
/// They are not, in the words of the kubelet's own CNI (until 1.23).
pub(super) fn plugins(folder: &str) -> Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(place::at(FOLDER))
        .map(|files| files.flatten().map(|file| file.path()).collect())
        .unwrap_or_default();
    files.sort();
    let Some(file) = files
        .into_iter()
        .find(|file| file.extension().is_some_and(|end| end == "conflist" || end == "conf"))
    else {
        bail!("cni config uninitialized");
    };
    let list: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    for plugin in list["plugins"].as_array().into_iter().flatten() {
        let kind = text(plugin, "/type");
        if !place::exists(&format!("{folder}/{kind}")) {
            bail!("cni config uninitialized: failed to find plugin \"{kind}\" in path [{folder}]");
        }
    }
    Ok(())
}

fn write(path: &str, text: &str) -> Result<()> {
    if place::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    place::write(path, text, 0o644)
}

fn contains(network: &str, inner: &str) -> bool {
    let (
        Some((std::net::IpAddr::V4(address), length)),
        Some((std::net::IpAddr::V4(inner), longer)),
    ) = (scalars::cidr(network), scalars::cidr(inner))
    else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    longer >= length && u32::from(address) & mask == u32::from(inner) & mask
}
