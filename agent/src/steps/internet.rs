//! The way to the packages: waits for the network, and names the first thing that is missing on the way from the plug to
//! the package server, with what a person can look at meanwhile.

use std::net::SocketAddr;

use pikube_config::FirstbootPlan;

use super::routing;
use super::web::{self, Url};
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "internet",
    title: "way to the packages",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

const INTERFACES: &str = "/sys/class/net";

/// Interfaces that lead to pods and containers, not out: an earlier run, or docker of the image, has made them.
const INNER: [&str; 11] =
    ["lo", "docker", "br-", "veth", "cni", "flannel", "cali", "tunl", "vxlan", "kube", "dummy"];

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    Ok(missing(context, host)?.map_or(Check::Satisfied, Check::Needed))
}

/// Nothing can be done but to wait: the engine does, and asks again.
fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    match missing(context, host)? {
        Some(what) => Err(Stop::Again(what)),
        None => Ok(Notes::new()),
    }
}

/// Where packages come from besides the system's own archive.
fn servers(plan: &FirstbootPlan) -> Vec<Url<'_>> {
    let Some(kubernetes) = &plan.kubernetes else { return Vec::new() };
    let first = if kubernetes.legacy { &kubernetes.downloads } else { &kubernetes.repository };
    let second = if kubernetes.legacy { &None } else { &kubernetes.runtime_repository };
    [first, second].into_iter().flatten().map(|url| Url::of(url)).collect()
}

/// The first thing that is missing.
fn missing(context: &Context, host: &dyn Look) -> Result<Option<String>, Error> {
    if let Some(what) = local(host)? {
        return Ok(Some(what));
    }
    if let Some(proxy) = web::proxy(&context.plan) {
        let role = "the proxy of the plan (`system.apt_proxy`)";
        return far(host, proxy, role);
    }
    for server in servers(&context.plan) {
        if let Some(what) = far(host, server, "the package server")? {
            return Ok(Some(what));
        }
        if let Some(what) = portal(host, server) {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

/// Link, address, route.
fn local(host: &dyn Look) -> Result<Option<String>, Error> {
    let inner = |name: &str| INNER.iter().any(|inner| name.starts_with(inner));
    let outer: Vec<String> =
        host.list(INTERFACES)?.into_iter().filter(|name| !inner(name)).collect();
    if outer.is_empty() {
        return Ok(Some("no network interface is there (yet); look at the USB adapter".to_owned()));
    }
    let mut linked = Vec::new();
    for name in &outer {
        // Drivers that do not tell say `unknown` (kernel, Documentation/networking/operstates.rst).
        let state = host.text(&format!("{INTERFACES}/{name}/operstate"))?.unwrap_or_default();
        if !["down", "lowerlayerdown", "notpresent", "dormant"].contains(&state.trim()) {
            linked.push(name.as_str());
        }
    }
    let names = outer.join("`, `");
    if linked.is_empty() {
        return Ok(Some(format!(
            "no link at `{names}`; look at the cable, or at name and password of the Wi-Fi"
        )));
    }
    let linked = linked.join("`, `");
    let addresses = routing::addresses(host, None)?;
    let Some(found) = addresses.iter().find(|found| !inner(&found.interface)) else {
        return Ok(Some(format!(
            "`{linked}` has a link but no IPv4 address; look at the DHCP server, or set \
             `network.addresses` in the plan"
        )));
    };
    if routing::default(host)?.is_none() {
        return Ok(Some(format!(
            "`{}` has {}/{}, but there is no default route; look at the router that the DHCP server \
             names, or set `router` in `network.addresses` of the plan",
            found.interface, found.address, found.prefix
        )));
    }
    Ok(None)
}

/// Name and connection.
fn far(host: &dyn Look, server: Url<'_>, role: &str) -> Result<Option<String>, Error> {
    let name = server.host;
    let addresses = web::addresses(host, name)?;
    if addresses.is_empty() {
        return Ok(Some(format!("DNS has no address for `{name}`, {role}{}", name_servers(host)?)));
    }
    if addresses.iter().all(|address| address.is_loopback() || address.is_unspecified()) {
        return Ok(Some(format!(
            "DNS says that `{name}`, {role}, is {}: it blocks the name{}",
            addresses[0],
            name_servers(host)?
        )));
    }
    let mut why = String::new();
    for address in addresses {
        match host.reach(SocketAddr::new(address, server.port)) {
            Ok(()) => return Ok(None),
            Err(error) => why = error.to_string(),
        }
    }
    let told = if server.tls && portal(host, Url { tls: false, port: 80, ..server }).is_some() {
        "a login page answers in its place (captive portal); log in with another device, or use another network"
    } else {
        "look at the router, its firewall and the way to the internet"
    };
    Ok(Some(format!("`{name}`, {role}, does not answer: {why}; {told}")))
}

/// A page for people where a key was asked for, over plain HTTP. Nothing else counts: mirrors may send elsewhere. Of TLS
/// nobody can pretend to be another, and what is no key is found out when it is there.
fn portal(host: &dyn Look, server: Url<'_>) -> Option<String> {
    if server.tls {
        return None;
    }
    let path = format!("{}/Release.key", server.path.trim_end_matches('/'));
    let page = web::ask(host, Url { path: &path, ..server }, None).ok()?;
    let login = page.status == 511 || page.status == 200 && page.is_html();
    login.then(|| {
        format!(
            "a web page comes in place of what was asked of `{}`: a captive portal? Log in with \
             another device, or use another network",
            server.host
        )
    })
}

fn name_servers(host: &dyn Look) -> Result<String, Error> {
    let text = host.text("/etc/resolv.conf")?.unwrap_or_default();
    let servers: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("nameserver")).map(str::trim).collect();
    Ok(match servers[..] {
        [] => "; `/etc/resolv.conf` names no server: look at the DHCP server, or set `dns` in `network.addresses`".to_owned(),
        _ => format!("; asked: {}", servers.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::Node;
    use crate::plan::Facts;

    fn context(change: impl Fn(&str) -> String) -> Context {
        let plan = change(crate::host::scripted::PLAN);
        Context::new(FirstbootPlan::from_toml(&plan).unwrap(), None, Facts::default())
    }

    fn direct() -> Context {
        context(|plan| plan.replace("apt_proxy = \"http://192.168.1.2:3142\"\n", ""))
    }

    /// What is waited for.
    fn waits(context: &Context, node: &Node) -> String {
        assert!(matches!(check(context, node), Ok(Check::Needed(_))));
        match apply(context, node) {
            Err(Stop::Again(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_with_everything_does_not_wait_and_each_missing_thing_is_named() {
        let node = Node::pi();
        for context in [direct(), context(str::to_owned)] {
            assert_eq!(check(&context, &node).unwrap(), Check::Satisfied);
        }
        node.answering.borrow_mut().clear();
        let what = waits(&direct(), &node);
        assert!(
            what.contains("packages.example.org`, the package server") && what.contains("refused"),
            "{what}"
        );
        assert!(waits(&context(str::to_owned), &node).contains("`192.168.1.2`, the proxy"));
        node.put("/run/dns/packages.example.org", "0.0.0.0\n");
        assert!(waits(&direct(), &node).contains("is 0.0.0.0: it blocks the name"));
        node.drop_below("/run/dns");
        assert!(waits(&direct(), &node).contains("DNS has no address for `packages.example.org`"));
        node.put("/run/ip-route", "");
        let what = waits(&direct(), &node);
        assert!(
            what.contains("`eth0` has 192.168.1.21/24") && what.contains("no default route"),
            "{what}"
        );
        node.put("/run/ip-address", "");
        node.put("/run/ip-address", "5: docker0    inet 172.17.0.1/16 scope global docker0\n");
        assert!(waits(&direct(), &node).contains("`eth0` has a link but no IPv4 address"));
        node.put("/sys/class/net/eth0/operstate", "down\n");
        assert!(waits(&direct(), &node).contains("no link at `eth0`, `wlan0`"));
        node.drop_below("/sys/class/net");
        node.put("/sys/class/net/lo/operstate", "unknown\n");
        assert!(waits(&direct(), &node).contains("no network interface"));
    }

    #[test]
    fn a_login_page_is_told_over_http_and_where_https_is_shut() {
        let node = Node::pi();
        let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Hotel".to_vec();
        let plain = context(|plan| {
            plan.replace("apt_proxy = \"http://192.168.1.2:3142\"\n", "")
                .replace("https://packages.example.org", "http://packages.example.org")
        });
        assert_eq!(check(&plain, &node).unwrap(), Check::Satisfied);
        node.answering.borrow_mut().insert(":80".to_owned(), page);
        assert!(waits(&plain, &node).contains("captive portal"));
        assert_eq!(check(&direct(), &node).unwrap(), Check::Satisfied);
        node.answering.borrow_mut().remove(":443");
        assert!(waits(&direct(), &node).contains("(captive portal)"));
    }
}
