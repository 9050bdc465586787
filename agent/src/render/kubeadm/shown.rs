//! The configuration as `render` shows it: without the secrets of the card, and without what only the node itself knows.

use pikube_config::FirstbootPlan;

use super::{Member, PATH};
use crate::render::{Content, File};

/// In place of the bootstrap token. It has the form of one, so that `kubeadm config validate` takes it.
pub const PLACEHOLDER_TOKEN: &str = "abcdef.0123456789abcdef";
/// In place of an address that a DHCP server will give the node: one that no network has (RFC 5737, TEST-NET-1).
const ADDRESS: &str = super::NOWHERE;
/// In place of what is left of the token's time: a week, as `piflash` gives it.
const TOKEN_TTL_S: i64 = 7 * 24 * 3600;

/// kubeadm's configuration with placeholders; `None` where the plan has no Kubernetes.
pub fn shown(plan: &FirstbootPlan) -> Option<File> {
    let (kubernetes, cluster) = (plan.kubernetes.as_ref()?, plan.cluster.as_ref()?);
    let version = match kubernetes.is_exact() {
        true => kubernetes.version.clone(),
        // The node asks the kubeadm that it has installed.
        false => format!("{}.0", kubernetes.version),
    };
    let member = Member {
        plan,
        kubernetes,
        cluster,
        version: &version,
        address: address(plan).unwrap_or(ADDRESS),
        token: PLACEHOLDER_TOKEN,
        token_ttl_s: TOKEN_TTL_S,
    };
    Some(File {
        path: PATH.to_owned(),
        mode: 0o600,
        content: Content::Text(member.configuration().to_string()),
        when: Some(
            "during `kubeadm init` or `join`; token and what only the node knows are placeholders",
        ),
    })
}

/// The static address of the cluster's interface, without its prefix length; the node itself takes IPv4 only.
fn address(plan: &FirstbootPlan) -> Option<&str> {
    let network = &plan.network;
    let found = match &network.interface {
        Some(interface) => network.address_of(interface),
        None => network.addresses.first(),
    };
    let address = found?.address.split('/').next()?;
    address.parse::<std::net::Ipv4Addr>().is_ok().then_some(address)
}
