//! The nodes as an inventory of Ansible, INI format.

use std::fmt::Write as _;

use pikube_config::Role;

use super::{Cluster, Node};

/// The text. A node without a static address is found by its name in the local network.
pub(super) fn inventory(cluster: &Cluster) -> String {
    // Ansible's groups are names of variables.
    let digit = cluster.name.starts_with(|first: char| first.is_ascii_digit());
    let group = format!("{}{}", if digit { "_" } else { "" }, cluster.name.replace('-', "_"));
    let mut text = String::new();
    let groups = [
        ("masters", Role::Master),
        ("control_planes", Role::ControlPlane),
        ("workers", Role::Worker),
    ];
    for (suffix, role) in groups {
        let _ = writeln!(text, "[{group}_{suffix}]");
        for node in cluster.nodes.iter().filter(|node| node.role == role) {
            let _ = writeln!(text, "{}", line(node));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "[{group}:children]");
    for (suffix, _) in groups {
        let _ = writeln!(text, "{group}_{suffix}");
    }
    text
}

fn line(node: &Node) -> String {
    let host = match node.address() {
        Some(address) => address.to_string(),
        None => format!("{}.local", node.hostname),
    };
    let user = node.user.as_ref().map(|user| format!(" ansible_user={user}"));
    format!("{} ansible_host={host}{}", node.hostname, user.unwrap_or_default())
}
