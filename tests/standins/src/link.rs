//! Interfaces and routes of the node, through `ip`. Nothing happens where this is no node.

use anyhow::Result;

use crate::{place, processes};

/// The interface that has the cluster's DNS address, as kube-proxy's in ipvs mode has the services'.
const SERVICES: &str = "pikube-svc0";

/// Gives this node an address of the service network.
///
/// # Errors
/// `ip` refuses.
pub(crate) fn serve_at(address: &str) -> Result<()> {
    if !place::is_node() {
        return Ok(());
    }
    if processes::run("ip", &["link", "show", SERVICES]).is_err() {
        processes::run("ip", &["link", "add", SERVICES, "type", "dummy"])?;
    }
    processes::run("ip", &["address", "replace", &format!("{address}/32"), "dev", SERVICES])?;
    processes::run("ip", &["link", "set", SERVICES, "up"]).map(drop)
}

/// Takes the interface away.
pub(crate) fn forget() {
    if place::is_node() {
        // absent on a node that never was ready
        let _ = processes::run("ip", &["link", "delete", SERVICES]);
        let _ = processes::run("ip", &["link", "delete", "cni0"]);
    }
}

/// Pods of another node are behind that node (flannel's `host-gw`).
///
/// # Errors
/// `ip` refuses.
pub(crate) fn route(network: &str, through: &str) -> Result<()> {
    if !place::is_node() {
        return Ok(());
    }
    processes::run("ip", &["route", "replace", network, "via", through]).map(drop)
}

/// The address from which packets to anywhere leave.
pub(crate) fn default_address() -> Option<std::net::IpAddr> {
    let routes = std::fs::read_to_string("/proc/net/route").ok()?;
    let is_default = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some("00000000")
    };
    routes.lines().find(is_default)?;
    // no packet is sent: connecting only chooses the address
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}
