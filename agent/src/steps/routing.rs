//! Addresses and routes of the node, as ip-address(8) and ip-route(8) print them. Text, not JSON: iproute2 of Debian 9
//! has none.

use std::net::{IpAddr, Ipv4Addr};

use crate::host::{Command, Error, Look};

/// An IPv4 address that reaches further than the node itself (`scope global`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Interface.
    pub interface: String,
    /// The address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, in bits.
    pub prefix: u8,
}

/// The addresses of an interface, or of all, in the kernel's order; none where there is no such interface.
pub fn addresses(host: &dyn Look, interface: Option<&str>) -> Result<Vec<Address>, Error> {
    let mut words = vec!["-o", "-4", "address", "show"];
    words.extend(interface.into_iter().flat_map(|interface| ["dev", interface]));
    words.extend(["scope", "global"]);
    let answer = host.ask(&Command::new("ip", words))?;
    Ok(answer.stdout.lines().filter_map(address).collect())
}

/// `2: eth0    inet 192.168.1.21/24 brd 192.168.1.255 scope global eth0`.
fn address(line: &str) -> Option<Address> {
    let mut words = line.split_whitespace().skip(1);
    let interface = words.next()?.to_owned();
    let mut words = words.skip_while(|word| *word != "inet").skip(1);
    let (address, prefix) =
        words.next().map(|word| word.split_once('/').unwrap_or((word, "32")))?;
    Some(Address { interface, address: address.parse().ok()?, prefix: prefix.parse().ok()? })
}

/// The interface of the default route; of several, the one of the least metric.
pub fn default(host: &dyn Look) -> Result<Option<String>, Error> {
    let answer = host.ask(&Command::new("ip", ["-4", "route", "show", "default"]))?;
    let metric = |line: &&str| after(line, "metric").and_then(|word| word.parse::<u32>().ok());
    let first = answer.stdout.lines().min_by_key(|line| metric(line).unwrap_or_default());
    Ok(first.and_then(|line| after(line, "dev")).map(str::to_owned))
}

/// The interface through which the way to an address leads.
pub fn towards(host: &dyn Look, address: IpAddr) -> Result<Option<String>, Error> {
    let answer = host.ask(&Command::new("ip", ["-4", "route", "get", &address.to_string()]))?;
    Ok(answer.stdout.lines().find_map(|line| after(line, "dev")).map(str::to_owned))
}

/// The value of a word in a route, as in `dev eth0`.
fn after<'a>(route: &'a str, word: &str) -> Option<&'a str> {
    route.split_whitespace().skip_while(|found| *found != word).nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::Node;

    /// As iproute2 4.9 and 6.1 print it, over a cable, through a tunnel, and beside a bridge of docker's.
    const ADDRESSES: &str = "2: eth0    inet 192.168.1.21/24 brd 192.168.1.255 scope global dynamic noprefixroute eth0\\       valid_lft 85933sec preferred_lft 85933sec\n\
        4: ppp0    inet 10.0.0.1 peer 10.0.0.2/32 scope global ppp0\n\
        5: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0\\       valid_lft forever preferred_lft forever\n";

    #[test]
    fn addresses_of_one_interface_and_of_all() {
        let node = Node::pi();
        node.put("/run/ip-address", ADDRESSES);
        let found = addresses(&node, None).unwrap();
        let told: Vec<_> = found
            .iter()
            .map(|found| format!("{} {}/{}", found.interface, found.address, found.prefix))
            .collect();
        assert_eq!(told, ["eth0 192.168.1.21/24", "ppp0 10.0.0.1/32", "docker0 172.17.0.1/16"]);
        assert_eq!(addresses(&node, Some("docker0")).unwrap(), found[2..]);
        assert_eq!(addresses(&node, Some("eth1")).unwrap(), []);
    }

    #[test]
    fn the_way_out_and_the_way_to_an_address() {
        let node = Node::pi();
        assert_eq!(default(&node).unwrap().as_deref(), Some("eth0"));
        let target = "10.55.0.20".parse().unwrap();
        assert_eq!(towards(&node, target).unwrap().as_deref(), Some("eth0"));
        node.put(
            "/run/ip-route",
            "default via 192.168.1.1 dev wlan0 proto dhcp src 192.168.1.30 metric 600\n\
             default via 192.168.1.1 dev eth1 proto dhcp src 192.168.1.22 metric 101\n",
        );
        assert_eq!(default(&node).unwrap().as_deref(), Some("eth1"));
        // The kernel's own, without a metric, goes before all.
        node.put(
            "/run/ip-route",
            "default via 10.0.0.9 dev wlan0 metric 600\ndefault dev ppp0 scope link\n",
        );
        assert_eq!(default(&node).unwrap().as_deref(), Some("ppp0"));
        node.put("/run/ip-route", "");
        assert_eq!((default(&node).unwrap(), towards(&node, target).unwrap()), (None, None));
    }
}
