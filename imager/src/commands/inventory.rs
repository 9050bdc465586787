//! `piflash inventory`: the nodes of a cluster.

use std::net::IpAddr;

use super::clusters;
use crate::cli::{InventoryArgs, InventoryCommand, InventoryFormat};
use crate::cluster::{Cluster, Error, Node};
use crate::failure::{Exit, Failure};
use crate::progress::Console;
use crate::progress::json::{self, Message};

/// Lists the nodes, or changes one.
///
/// # Errors
/// There is no such cluster or node; an address that is none or another node's.
pub fn run(args: &InventoryArgs, console: &Console) -> Result<Exit, Failure> {
    let (store, name) = (clusters::store()?, &args.cluster);
    let cluster = match &args.command {
        None => {
            let cluster = Cluster::open(&store, name)?;
            list(&cluster, args.format, console);
            return Ok(Exit::Done);
        }
        Some(InventoryCommand::Set { node, address }) => {
            let address = parse(address)?;
            let cluster = Cluster::set_address(&store, name, node, address)?;
            let told = address.map_or("gets its address by DHCP".into(), |ip| format!("has {ip}"));
            console.result(&format!("`{node}` of cluster `{name}` {told}"));
            cluster
        }
        Some(InventoryCommand::Remove { node }) => {
            let cluster = Cluster::remove(&store, name, node)?;
            let until = cluster.token_expires();
            console.result(&format!("`{node}` is off the inventory of cluster `{name}`"));
            console.note(&format!("its card stays as it is: until {until} it can join with it"));
            cluster
        }
    };
    emit(&cluster, console);
    Ok(Exit::Done)
}

fn parse(address: &str) -> Result<Option<IpAddr>, Error> {
    if address == "dhcp" {
        return Ok(None);
    }
    let message = || format!("`{address}` is neither an IP address nor `dhcp`");
    let ip = address.parse();
    ip.map(Some).map_err(|_| Error::Value { option: "`--address`", message: message() })
}

fn list(cluster: &Cluster, format: InventoryFormat, console: &Console) {
    emit(cluster, console);
    match format {
        InventoryFormat::Table if cluster.nodes().is_empty() => {
            console.note(&format!("cluster `{}` has no nodes", cluster.name()));
        }
        InventoryFormat::Table => console.result(&table(cluster.nodes())),
        _ if console.is_json() => {}
        InventoryFormat::Toml => console.text(cluster.toml().as_bytes()),
        InventoryFormat::Ansible => console.text(cluster.ansible().as_bytes()),
    }
}

fn emit(cluster: &Cluster, console: &Console) {
    for node in cluster.nodes() {
        console.emit(&Message::Node(json::Node {
            cluster: cluster.name(),
            node: &node.hostname,
            role: node.role,
            addresses: &node.addresses,
            user: node.user.as_deref(),
            image: node.image.as_deref(),
            image_sha256: node.image_sha256.as_deref(),
            card_serial: node.card_serial.as_deref(),
            written_at: node.written_at.map(|at| at.to_string()),
        }));
    }
}

/// One line each, in columns.
fn table(nodes: &[Node]) -> String {
    let heading = ["NAME", "ROLE", "ADDRESS", "WRITTEN", "CARD", "IMAGE"].map(str::to_owned);
    let rows: Vec<[String; 6]> = [heading].into_iter().chain(nodes.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 5] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>() + &row[5]
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(node: &Node) -> [String; 6] {
    let or = |fact: Option<String>, other: &str| fact.unwrap_or_else(|| other.into());
    [
        node.hostname.clone(),
        node.role.name().into(),
        or(node.address().map(|address| address.to_string()), "dhcp"),
        or(node.written_at.map(|at| at.strftime("%Y-%m-%d %H:%MZ").to_string()), "not finished"),
        or(node.card_serial.clone(), "-"),
        or(node.image.clone(), "-"),
    ]
}
