//! The name of the API server in `/etc/hosts`: kubeadm, kubectl and kube-proxy are static Go programs, which resolve
//! nothing in `.local` (`kubernetes-on-pi.md` D12, §0.9).

use std::net::{IpAddr, Ipv4Addr};

use pikube_config::{Cluster, Role};

use super::super::edit;
use super::address;
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::{HOSTS, block, kubeadm};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "endpoint",
    title: "address of the control plane",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some((cluster, name)) = cluster(context) else { return Ok(Check::Satisfied) };
    if name.parse::<Ipv4Addr>().is_ok() {
        return Ok(Check::Satisfied);
    }
    let now = written(host, name)?;
    let reason = match (now, fixed(cluster), context.plan.node.role) {
        (None, ..) => Some(format!("`{HOSTS}` has no address for `{name}`")),
        (Some(now), Some(fixed), _) => {
            (now != fixed).then(|| format!("`{HOSTS}` has `{name}` at {now}, not at {fixed}"))
        }
        (Some(now), None, Role::Master) if host.live() => {
            let own = address::own(context, host, None)?.address;
            (now != own).then(|| format!("`{HOSTS}` has `{name}` at {now}, not at {own}"))
        }
        _ => None,
    };
    Ok(Check::of(reason.into_iter().collect(), !host.live()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    refresh(context, host).map(|_| Notes::new())
}

/// Finds the control plane and writes its address down.
///
/// # Errors
/// Nobody knows the master's name: it is waited for.
pub fn refresh(context: &Context, host: &dyn Host) -> Result<Option<Ipv4Addr>, Stop> {
    let Some((cluster, name)) = cluster(context) else { return Ok(None) };
    if let Ok(address) = name.parse() {
        return Ok(Some(address));
    }
    let address = match (fixed(cluster), context.plan.node.role) {
        (Some(fixed), _) => fixed,
        (None, Role::Master) => address::own(context, host, None)?.address,
        (None, _) => search(cluster, host)?,
    };
    let line = format!("{address}\t{name}");
    edit(host, HOSTS, &block::merge(&host.text(HOSTS)?.unwrap_or_default(), &[line]))?;
    Ok(Some(address))
}

/// The address that `/etc/hosts` has for the API server.
pub fn current(context: &Context, host: &dyn Look) -> Result<Option<Ipv4Addr>, Error> {
    let Some((_, name)) = cluster(context) else { return Ok(None) };
    name.parse().map_or_else(|_| written(host, name), |address| Ok(Some(address)))
}

fn cluster(context: &Context) -> Option<(&Cluster, &str)> {
    let cluster = context.plan.cluster.as_ref()?;
    Some((cluster, kubeadm::host(cluster.endpoint.as_deref()?)))
}

/// The port of the API server.
pub fn port(cluster: &Cluster) -> u16 {
    let endpoint = cluster.endpoint.as_deref().unwrap_or_default();
    endpoint.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(6443)
}

/// The address that the card carries.
fn fixed(cluster: &Cluster) -> Option<Ipv4Addr> {
    match cluster.address.as_deref()?.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    }
}

fn search(cluster: &Cluster, host: &dyn Look) -> Result<Ipv4Addr, Stop> {
    let Some(master) = &cluster.master else {
        return Err(Stop::person(
            "looking for the control plane: the card names neither its address nor its master",
            "write the master's card, then this one again: `piflash` knows the master then",
        ));
    };
    for name in [format!("{master}.local"), master.clone()] {
        if let Some(address) = address::resolve(host, &name)? {
            return Ok(address);
        }
    }
    Err(Stop::Again(format!(
        "nobody answers to the name `{master}.local`: waiting for the master to be switched on"
    )))
}

fn written(host: &dyn Look, name: &str) -> Result<Option<Ipv4Addr>, Error> {
    let text = host.text(HOSTS)?.unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or(line));
    Ok(lines.find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word == name).then_some(address)
    }))
}
