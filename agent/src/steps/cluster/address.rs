//! Which of its addresses a node has in the cluster's network (ip-route(8), ip-address(8), their JSON).

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use crate::host::{Command, Error, Look};
use crate::plan::Context;
use crate::step::Stop;

/// The node's place in the cluster's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Interface.
    pub interface: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, in bits.
    pub prefix: u8,
}

impl Own {
    /// The network's first address, which no node has: the way to it leads through the cluster's interface on every node
    /// of the network. (The way to a node's address leads on that node itself through `lo`.)
    pub fn network(&self) -> Ipv4Addr {
        let bits = u32::from(self.prefix.min(32));
        Ipv4Addr::from_bits(self.address.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0))
    }
}

/// The address that the plan gives the node, or of the interface that the plan names, or of the one through which the
/// way `towards` an address leads, or of the one with the default route.
///
/// # Errors
/// There is none (yet): it is waited for.
pub fn own(context: &Context, host: &dyn Look, towards: Option<IpAddr>) -> Result<Own, Stop> {
    let network = &context.plan.network;
    let named = network.interface.as_ref().or(network.addresses.first().map(|a| &a.interface));
    let interface = match named {
        Some(interface) => interface.clone(),
        None => through(host, towards)?,
    };
    let found = ask(host, &["-j", "-4", "address", "show", "dev", &interface])?;
    let addresses = found.as_array().into_iter().flatten().filter_map(|link| link.get("addr_info"));
    let global =
        addresses.flat_map(|info| info.as_array().into_iter().flatten()).find_map(|info| {
            let is_global = info.get("scope")?.as_str()? == "global";
            let address: Ipv4Addr = info.get("local")?.as_str()?.parse().ok()?;
            let prefix = u8::try_from(info.get("prefixlen")?.as_u64()?).ok()?;
            is_global.then_some((address, prefix))
        });
    let (address, prefix) = global.ok_or_else(|| {
        Stop::Again(format!("`{interface}` has no address: waiting for a DHCP server or a cable"))
    })?;
    Ok(Own { interface, address, prefix })
}

fn through(host: &dyn Look, towards: Option<IpAddr>) -> Result<String, Stop> {
    let target = towards.map(|address| address.to_string());
    let words = match &target {
        Some(target) => vec!["-j", "-4", "route", "get", target],
        None => vec!["-j", "-4", "route", "show", "default"],
    };
    let found = ask(host, &words)?;
    let routes = found.as_array().into_iter().flatten();
    let metric = |route: &&Value| route.get("metric").and_then(Value::as_u64).unwrap_or_default();
    let device = routes.min_by_key(metric).and_then(|route| route.get("dev")?.as_str());
    device.map(str::to_owned).ok_or_else(|| {
        let whither =
            target.map_or("default route".to_owned(), |target| format!("route to {target}"));
        Stop::Again(format!("no {whither}: waiting for a router or a cable"))
    })
}

/// What `ip` says; nothing where it knows no such route or interface.
fn ask(host: &dyn Look, words: &[&str]) -> Result<Value, Error> {
    let answer = host.ask(&Command::new("ip", words.iter().copied()))?;
    Ok(serde_json::from_str(&answer.stdout).unwrap_or_default())
}

/// The addresses that a name has, as the system resolves it: hosts file, mDNS, DNS (getent(1)).
pub fn resolve(host: &dyn Look, name: &str) -> Result<Option<Ipv4Addr>, Error> {
    let answer = host.ask(&Command::new("getent", ["ahostsv4", name]))?;
    let addresses = answer.stdout.lines().filter_map(|line| line.split_whitespace().next());
    Ok(addresses.filter_map(|address| address.parse().ok()).find(|ip: &Ipv4Addr| !ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_s_first_address() {
        let own = |address: &str, prefix| Own {
            interface: "eth0".into(),
            address: address.parse().unwrap(),
            prefix,
        };
        assert_eq!(own("192.168.77.21", 24).network().to_string(), "192.168.77.0");
        assert_eq!(own("10.55.3.7", 22).network().to_string(), "10.55.0.0");
        assert_eq!(own("10.55.3.7", 32).network().to_string(), "10.55.3.7");
        assert_eq!(own("10.55.3.7", 0).network().to_string(), "0.0.0.0");
    }
}
