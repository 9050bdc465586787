//! The nodes of a cluster: every card that was written is one.

use std::net::IpAddr;

use jiff::Timestamp;
use pikube_config::values::host;
use pikube_config::{FirstbootPlan, Role};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::image::Sha256Sum;
use crate::plan::static_addresses;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name in the network and in the cluster.
    pub hostname: String,
    /// What it does.
    pub role: Role,
    /// Static addresses, that of the cluster network first; empty: DHCP gives one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Login user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Image as it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// SHA-256 of the image as it is distributed, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_sha256: Option<String>,
    /// Serial number of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_serial: Option<String>,
    /// When the card was done; absent while it is written, and where that was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
}

impl Node {
    /// What a plan says of its node.
    pub(super) fn of(plan: &FirstbootPlan) -> Self {
        Self {
            hostname: plan.node.hostname.clone(),
            role: plan.node.role,
            addresses: static_addresses(plan),
            user: plan.user.as_ref().map(|user| user.name.clone()),
            image: None,
            image_sha256: None,
            card_serial: None,
            written_at: None,
        }
    }

    /// Whether it is what a card can be written with: a file of the state may have been changed by hand, or come in
    /// somebody's backup, and what it says goes into command lines, inventories and onto terminals.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        host::hostname(&self.hostname)?;
        self.addresses.iter().try_for_each(|address| host::reachable(*address))?;
        let in_names = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_name = |user: &String| !user.starts_with('-') && user.chars().all(in_names);
        if !self.user.as_ref().is_none_or(is_name) {
            return Err(format!("the user of `{}` is no user name", self.hostname));
        }
        let is_sum = |sum: &String| sum.parse::<Sha256Sum>().is_ok();
        if !self.image_sha256.as_ref().is_none_or(is_sum) {
            return Err(format!("`{}` has an image_sha256 that is no SHA-256 sum", self.hostname));
        }
        for (what, text) in [("image", &self.image), ("card_serial", &self.card_serial)] {
            if text.iter().any(|text| text.chars().any(char::is_control)) {
                let name = &self.hostname;
                return Err(format!("the {what} of `{name}` has control characters"));
            }
        }
        Ok(())
    }

    /// Its address in the cluster network, where it is static.
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }
}

/// The role of each name, with the one that was asked for. Where none was: a name that is known keeps its role, the first
/// card of a cluster is the master unless another is named so, later ones are workers.
pub(super) fn roles(nodes: &[Node], names: &[(String, Option<Role>)]) -> Vec<Role> {
    let master = |role: &Option<Role>| *role == Some(Role::Master);
    let mut has_master = nodes.iter().any(|node| node.role == Role::Master)
        || names.iter().any(|(_, asked)| master(asked));
    let role = |(name, asked): &(String, Option<Role>)| {
        let known = nodes.iter().find(|node| node.hostname == *name).map(|node| node.role);
        let role = asked.or(known).unwrap_or(match has_master {
            true => Role::Worker,
            false => Role::Master,
        });
        has_master |= role == Role::Master;
        role
    };
    names.iter().map(role).collect()
}

/// Whether `new` may join `nodes`; what happens to an entry of the same name.
///
/// # Errors
/// Another role than before, a second master, an address that is taken.
pub(super) fn admit(cluster: &str, nodes: &[Node], new: &Node) -> Result<Option<String>, Error> {
    let name = &new.hostname;
    let refuse = |message: String, help: String| Err(Error::Refused { message, help });
    let known = nodes.iter().find(|node| node.hostname == *name);
    if let Some(known) = known.filter(|known| known.role != new.role) {
        return refuse(
            format!(
                "`{name}` is `{}` in cluster `{cluster}`, not `{}`",
                known.role.name(),
                new.role.name()
            ),
            format!(
                "use another name; or `piflash inventory --cluster {cluster} remove {name}`, if that node is gone"
            ),
        );
    }
    let master = nodes.iter().find(|node| node.role == Role::Master && node.hostname != *name);
    if let (Role::Master, Some(master)) = (new.role, master) {
        return refuse(
            format!("cluster `{cluster}` has a master already: `{}`", master.hostname),
            format!(
                "`--role control-plane` extends it, `--hostname {}` writes its card again, `--new-cluster` starts over",
                master.hostname
            ),
        );
    }
    for address in &new.addresses {
        clash(cluster, nodes, name, *address)?;
    }
    Ok(known.map(|known| {
        let keeps = match known.role {
            Role::Worker => "",
            _ => "; the cluster keeps its keys",
        };
        format!(
            "`{name}` was a node of cluster `{cluster}` already, this card takes its place{keeps}"
        )
    }))
}

/// Whether another node than `name` has this address.
///
/// # Errors
/// It has.
pub(super) fn clash(
    cluster: &str,
    nodes: &[Node],
    name: &str,
    address: IpAddr,
) -> Result<(), Error> {
    let other = |node: &&Node| node.hostname != name && node.addresses.contains(&address);
    match nodes.iter().find(other) {
        None => Ok(()),
        Some(other) => Err(Error::Refused {
            message: format!(
                "{address} is the address of `{}` in cluster `{cluster}`",
                other.hostname
            ),
            help: format!(
                "use another address; or `piflash inventory --cluster {cluster} remove {}`, if that node is gone",
                other.hostname
            ),
        }),
    }
}

/// Puts a node into the place of that of the same name, or behind all others.
pub(super) fn put(nodes: &mut Vec<Node>, node: Node) {
    match nodes.iter_mut().find(|other| other.hostname == node.hostname) {
        Some(place) => *place = node,
        None => nodes.push(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(hostname: &str, role: Role, address: Option<&str>) -> Node {
        Node {
            hostname: hostname.into(),
            role,
            addresses: address.iter().map(|text| text.parse().unwrap()).collect(),
            user: None,
            image: None,
            image_sha256: None,
            card_serial: None,
            written_at: None,
        }
    }

    #[test]
    fn the_first_card_is_the_master_and_names_keep_their_role() {
        let asked = |text: &str, role: Option<Role>| -> Vec<(String, Option<Role>)> {
            text.split(' ').map(|name| (name.to_owned(), role)).collect()
        };
        let (master, worker, more) = (Role::Master, Role::Worker, Role::ControlPlane);
        assert_eq!(roles(&[], &asked("a b c", None)), [master, worker, worker]);
        assert_eq!(roles(&[], &asked("a b", Some(worker))), [worker, worker]);
        let known = [node("m", master, None), node("c", more, None)];
        assert_eq!(roles(&known, &asked("m c w", None)), [master, more, worker]);
        assert_eq!(roles(&known[1..], &asked("x c y", None)), [master, more, worker]);
        let named = [asked("a", None), asked("b", Some(master)), asked("c", None)].concat();
        assert_eq!(roles(&[], &named), [worker, master, worker]);
    }

    #[test]
    fn what_clashes_is_told_with_the_ways_out() {
        let known =
            [node("m", Role::Master, Some("10.0.0.2")), node("w", Role::Worker, Some("10.0.0.3"))];
        let told = |new: Node| {
            let error = admit("pikube", &known, &new).unwrap_err();
            assert!(error.is_refusal());
            format!("{error}; {}", error.help().unwrap())
        };
        let second = told(node("n", Role::Master, None));
        for part in ["has a master already: `m`", "--role control-plane", "--new-cluster"] {
            assert!(second.contains(part), "{second}");
        }
        assert!(told(node("w", Role::Master, None)).contains("is `worker`"));
        assert!(told(node("x", Role::Worker, Some("10.0.0.3"))).contains("address of `w`"));
        assert_eq!(admit("pikube", &known, &node("x", Role::Worker, None)).unwrap(), None);
        let again = admit("pikube", &known, &node("m", Role::Master, Some("10.0.0.2"))).unwrap();
        assert!(again.unwrap().contains("keeps its keys"));
    }
}
