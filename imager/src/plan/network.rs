//! `--address`, `--router` and `--dns` → the network of each card's plan.

use std::net::IpAddr;

use pikube_config::values::host;
use pikube_config::{Address, FirstbootPlan, Network, Problem, Problems};

use super::ranges;

/// Interface of an address that does not name one: the wired one of every Raspberry Pi.
const WIRED: &str = "eth0";

/// What stands for an address that a DHCP server gives, which is what every interface without another does.
const DHCP: &str = "dhcp";

/// What a person asked for, still unchecked.
#[derive(Debug, Clone, Default)]
pub struct NetworkSettings {
    /// Interface of the cluster network, and of an address that does not name one.
    pub interface: Option<String>,
    /// `[INTERFACE=]ADDRESS/PREFIX`, lists and ranges for several cards; or `[INTERFACE=]dhcp`.
    pub addresses: Vec<String>,
    /// Default gateway; it goes to the address whose network it is in.
    pub router: Option<String>,
    /// Name servers of the address that has the router, or of the first.
    pub dns: Vec<String>,
}

/// One network per card.
pub(super) fn networks(
    settings: &NetworkSettings,
    cards: usize,
    problems: &mut Problems,
) -> Vec<Network> {
    let mut note = |option: &str, checked: Result<(), String>| {
        checked.map_err(|message| problems.push(Problem::new(option, message))).is_ok()
    };
    if let Some(interface) = &settings.interface {
        note("--interface", host::interface(interface));
    }
    if let Some(router) = &settings.router {
        note("--router", host::ip(router));
    }
    for server in &settings.dns {
        note("--dns", host::ip(server));
    }
    if settings.addresses.iter().all(|address| address.ends_with(DHCP)) {
        for (option, given) in
            [("--router", settings.router.is_some()), ("--dns", !settings.dns.is_empty())]
        {
            if given {
                note(option, Err("is for a static address; DHCP brings its own".into()));
            }
        }
    }
    let mut networks =
        vec![Network { interface: settings.interface.clone(), addresses: Vec::new() }; cards];
    for expression in &settings.addresses {
        let (interface, range) = match expression.split_once('=') {
            Some((interface, range)) => (interface, range),
            None => (settings.interface.as_deref().unwrap_or(WIRED), expression.as_str()),
        };
        if !note("--address", host::interface(interface)) {
            continue;
        }
        if range == DHCP {
            continue;
        }
        let addresses = match ranges::expand(range, "addresses", "192.168.1.[21-24]/24") {
            Ok(addresses) => addresses,
            Err(message) => {
                note("--address", Err(message));
                continue;
            }
        };
        if addresses.len() != cards {
            let message =
                format!("`{expression}` has {} address(es) for {cards} card(s)", addresses.len());
            note("--address", Err(message));
            continue;
        }
        for (index, address) in addresses.iter().enumerate() {
            if addresses[..index].contains(address) {
                note("--address", Err(format!("`{address}` is given to two nodes")));
            }
            if note("--address", host::address(address)) {
                add(&mut networks[index], interface, address, settings);
            }
        }
    }
    finish(&mut networks, settings, problems);
    networks
}

/// `--address` for several nodes, as each of them alone would have it.
///
/// # Errors
/// What is wrong with an expression.
pub fn split_addresses(addresses: &[String], nodes: usize) -> Result<Vec<Vec<String>>, String> {
    let mut split = vec![Vec::new(); nodes];
    for expression in addresses {
        let (interface, range) = match expression.split_once('=') {
            Some((interface, range)) => (format!("{interface}="), range),
            None => (String::new(), expression.as_str()),
        };
        let each = match range {
            DHCP => vec![DHCP.to_owned(); nodes],
            range => ranges::expand(range, "addresses", "192.168.1.[21-24]/24")?,
        };
        if each.len() != nodes {
            return Err(format!(
                "`{expression}` has {} address(es) for {nodes} node(s)",
                each.len()
            ));
        }
        for (node, address) in split.iter_mut().zip(each) {
            node.push(format!("{interface}{address}"));
        }
    }
    Ok(split)
}

/// Static addresses of a node, that of the cluster's interface first.
pub(crate) fn static_addresses(plan: &FirstbootPlan) -> Vec<IpAddr> {
    let mut addresses: Vec<_> = plan.network.addresses.iter().collect();
    let main = plan.network.interface.as_deref();
    addresses.sort_by_key(|address| main.is_some_and(|main| main != address.interface));
    let ip = |address: &str| address.split('/').next().and_then(|ip| ip.parse().ok());
    addresses.iter().filter_map(|address| ip(&address.address)).collect()
}

fn add(network: &mut Network, interface: &str, address: &str, settings: &NetworkSettings) {
    let router = settings.router.clone().filter(|router| host::contains(address, router));
    network.addresses.push(Address {
        interface: interface.to_owned(),
        address: address.to_owned(),
        router,
        dns: Vec::new(),
    });
}

/// Gives the name servers to one address, and says whose router is nowhere.
fn finish(networks: &mut [Network], settings: &NetworkSettings, problems: &mut Problems) {
    for network in networks.iter_mut().filter(|network| !network.addresses.is_empty()) {
        let with_router = network.addresses.iter().position(|address| address.router.is_some());
        if let (Some(router), None) = (&settings.router, with_router)
            && host::ip(router).is_ok()
        {
            let address = &network.addresses[0].address;
            let message = format!("{router} is outside the network of {address}");
            if problems.0.iter().all(|problem| problem.message != message) {
                problems.push(Problem::new("--router", message));
            }
        }
        network.addresses[with_router.unwrap_or(0)].dns.clone_from(&settings.dns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(addresses: &[&str], router: Option<&str>) -> NetworkSettings {
        NetworkSettings {
            interface: None,
            addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
            router: router.map(str::to_owned),
            dns: vec!["9.9.9.9".to_owned()],
        }
    }

    fn problems(settings: &NetworkSettings, cards: usize) -> String {
        let mut problems = Problems::default();
        networks(settings, cards, &mut problems);
        problems.to_string()
    }

    #[test]
    fn a_range_gives_each_card_its_address() {
        let settings =
            asked(&["192.168.1.[9-10]/24", "wlan0=10.0.0.5/8,10.0.0.6/8"], Some("192.168.1.1"));
        let mut problems = Problems::default();
        let networks = networks(&settings, 2, &mut problems);
        assert!(problems.0.is_empty(), "{problems}");
        let [eth, wlan] = &networks[1].addresses[..] else { panic!("{networks:?}") };
        assert_eq!((eth.interface.as_str(), eth.address.as_str()), ("eth0", "192.168.1.10/24"));
        assert_eq!((eth.router.as_deref(), eth.dns.len()), (Some("192.168.1.1"), 1));
        assert_eq!((wlan.interface.as_str(), wlan.address.as_str()), ("wlan0", "10.0.0.6/8"));
        assert_eq!((wlan.router.as_deref(), wlan.dns.len()), (None, 0));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_option() {
        let told = |addresses: &[&str], router, cards| problems(&asked(addresses, router), cards);
        for (addresses, router, cards, expected) in [
            (&["10.0.0.1"][..], None, 1, "lacks the length of its prefix"),
            (
                &["10.0.0.2/24"],
                Some("10.0.1.1"),
                1,
                "`--router`: 10.0.1.1 is outside the network of 10.0.0.2/24",
            ),
            (&["10.0.0.[2-4]/24"], None, 2, "has 3 address(es) for 2 card(s)"),
            (&["10.0.0.2/24,10.0.0.2/24"], None, 2, "is given to two nodes"),
            (&[], None, 1, "`--dns`: is for a static address"),
            (&["10.0.0.[2-x]/24"], None, 1, "is not a range of addresses"),
            (&["eth/0=10.0.0.2/24"], None, 1, "is not the name of a network interface"),
        ] {
            let told = told(addresses, router, cards);
            assert!(told.contains(expected), "{expected}\nnot in\n{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
