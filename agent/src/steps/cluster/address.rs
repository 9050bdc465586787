//! Which of its addresses a node has in the cluster's network.

use std::net::{IpAddr, Ipv4Addr};

use crate::host::{Error, Look};
use crate::plan::Context;
use crate::step::Stop;
use crate::steps::routing::{self, Address};
use crate::steps::web;

/// The address that the plan gives the node, or of the interface that the plan names, or of the one through which the
/// way `towards` an address leads, or of the one with the default route.
///
/// # Errors
/// There is none (yet): it is waited for.
pub fn own(context: &Context, host: &dyn Look, towards: Option<IpAddr>) -> Result<Address, Stop> {
    let network = &context.plan.network;
    let named = network.interface.as_ref().or(network.addresses.first().map(|a| &a.interface));
    let interface = match (named, towards) {
        (Some(interface), _) => interface.clone(),
        (None, Some(target)) => routing::towards(host, target)?.ok_or_else(|| {
            Stop::Again(format!("no route to {target}: waiting for a router or a cable"))
        })?,
        (None, None) => routing::default(host)?.ok_or_else(|| {
            Stop::Again("no default route: waiting for a router or a cable".to_owned())
        })?,
    };
    let found = routing::addresses(host, Some(&interface))?;
    found.into_iter().next().ok_or_else(|| {
        Stop::Again(format!("`{interface}` has no address: waiting for a DHCP server or a cable"))
    })
}

/// The network's first address, which no node has: the way to it leads through the cluster's interface on every node of
/// the network. (The way to a node's address leads on that node itself through `lo`.)
pub fn first_of_network(own: &Address) -> Ipv4Addr {
    let bits = u32::from(own.prefix.min(32));
    Ipv4Addr::from_bits(own.address.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0))
}

/// The address that a name has, as the system resolves it: hosts file, mDNS, DNS. Not one of the node for itself, as
/// Debian's 127.0.1.1.
pub fn resolve(host: &dyn Look, name: &str) -> Result<Option<Ipv4Addr>, Error> {
    let found = web::addresses(host, name)?;
    Ok(found.into_iter().find_map(|address| match address {
        IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_s_first_address() {
        let first = |address: &str, prefix| {
            let interface = "eth0".into();
            let address = address.parse().unwrap();
            first_of_network(&Address { interface, address, prefix }).to_string()
        };
        assert_eq!(first("192.168.77.21", 24), "192.168.77.0");
        assert_eq!(first("10.55.3.7", 22), "10.55.0.0");
        assert_eq!(first("10.55.3.7", 32), "10.55.3.7");
        assert_eq!(first("10.55.3.7", 0), "0.0.0.0");
    }
}
