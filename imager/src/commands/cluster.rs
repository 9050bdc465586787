//! `piflash cluster`: whole clusters, listed, backed up, brought back, deleted.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::{cards, clusters};
use crate::cli::{ClusterCommand, ClusterJobArgs};
use crate::cluster::{self, Cluster, Imported, Store};
use crate::failure::{Exit, Failure};
use crate::plan;
use crate::progress::Console;
use crate::progress::json::Message;

/// Does it.
///
/// # Errors
/// There is no such cluster; a file that cannot be read or written; a passphrase that does not fit.
pub fn run(
    args: &ClusterJobArgs,
    console: &Console,
    interrupted: &AtomicBool,
) -> Result<Exit, Failure> {
    let store = clusters::store()?;
    match &args.command {
        ClusterCommand::List => list(&store, console)?,
        ClusterCommand::Export { file, cluster: name, passphrase_file, armor } => {
            // Before a person thinks of a passphrase.
            Cluster::open(&store, name)?;
            let passphrase = passphrase(passphrase_file.as_deref(), true, console, interrupted)?;
            let now = Timestamp::now();
            let cluster = cluster::export(&store, name, file, passphrase, *armor, now)?;
            let (nodes, file) = (cluster.nodes().len(), file.display());
            console.result(&format!("{file}: cluster `{name}` with {nodes} node(s), encrypted"));
            console.note("it is as good as the cluster itself: keep the passphrase apart from it");
        }
        ClusterCommand::Import { file, passphrase_file } => {
            let passphrase = passphrase(passphrase_file.as_deref(), false, console, interrupted)?;
            let told = match cluster::import(&store, file, passphrase)? {
                Imported::New(cluster) => format!(
                    "cluster `{}` with {} node(s) is on this computer",
                    cluster.name(),
                    cluster.nodes().len()
                ),
                Imported::Same(cluster) => {
                    format!("cluster `{}` is on this computer already, just so", cluster.name())
                }
            };
            console.result(&told);
        }
        ClusterCommand::Delete { name, yes } => {
            delete(&store, name, *yes, console, interrupted)?;
        }
    }
    Ok(Exit::Done)
}

fn list(store: &Store, console: &Console) -> Result<(), Failure> {
    let (names, aside) = store.names()?;
    let mut rows = vec![["NAME", "NODES", "API SERVER", "TOKEN UNTIL", "MADE"].map(str::to_owned)];
    for name in &names {
        let cluster = match Cluster::open(store, name) {
            Ok(cluster) => cluster,
            // One that is damaged does not hide the others.
            Err(error) => {
                console.warn(&Failure::from(error).message);
                continue;
            }
        };
        let day = |at: Timestamp| at.strftime("%Y-%m-%d %H:%MZ").to_string();
        let nodes = cluster.nodes().len();
        let until = cluster.token_expires();
        let token = if until <= Timestamp::now() { "ran out".to_owned() } else { day(until) };
        let made = day(cluster.created_at());
        rows.push([name.clone(), nodes.to_string(), cluster.endpoint(), token, made]);
        console.emit(&Message::Cluster {
            cluster: name,
            created_at: cluster.created_at().to_string(),
            endpoint: cluster.endpoint(),
            nodes,
            token_expires: until.to_string(),
        });
    }
    match names.is_empty() {
        true => console.note("there are no clusters on this computer"),
        false => console.result(&table(&rows)),
    }
    if !aside.is_empty() {
        console.note(&format!(
            "set aside: {}; `piflash cluster delete NAME` removes one for good",
            aside.join(", ")
        ));
    }
    Ok(())
}

fn table(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 4] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>() + &row[4]
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn delete(
    store: &Store,
    name: &str,
    yes: bool,
    console: &Console,
    interrupted: &AtomicBool,
) -> Result<(), Failure> {
    let (clusters, aside) = store.names()?;
    let lost = if aside.iter().any(|known| known == name) {
        "a cluster that was set aside".to_owned()
    } else if clusters.iter().any(|known| known == name) {
        // One whose files are damaged is deleted as well.
        let nodes: Vec<String> = match Cluster::open(store, name) {
            Ok(cluster) => cluster.nodes().iter().map(|node| node.hostname.clone()).collect(),
            Err(error) => {
                console.warn(&Failure::from(error).message);
                Vec::new()
            }
        };
        match nodes.is_empty() {
            true => "its CA and all its keys".to_owned(),
            false => format!("its CA, all its keys, and the inventory of {}", nodes.join(", ")),
        }
    } else {
        return Err(cluster::Error::Unknown(name.to_owned()).into());
    };
    if !yes {
        let question = format!(
            "Cluster `{name}` will be lost for good: {lost}.\nNobody can extend it or make a kubeconfig for it any more.\nDelete?"
        );
        let what = format!("this would delete cluster `{name}`: {lost}");
        cards::confirm(console, &question, &what, interrupted)?;
    }
    store.delete(name)?;
    console.result(&format!("cluster `{name}` is deleted: {lost}"));
    console
        .note("its nodes go on, its cards and the kubeconfigs that were printed stay as they are");
    Ok(())
}

/// From the file, or typed; twice where nobody else would notice a slip.
fn passphrase(
    file: Option<&Path>,
    twice: bool,
    console: &Console,
    interrupted: &AtomicBool,
) -> Result<SecretString, Failure> {
    if let Some(file) = file {
        return Ok(plan::read_passphrase(file)?);
    }
    if !console.can_ask() {
        return Err(Failure::new(Exit::Usage, "there is nobody to ask for the passphrase")
            .help("put it in a file: `--passphrase-file FILE`"));
    }
    let ask = |prompt: &str| match console.secret(prompt, interrupted) {
        Ok(Some(typed)) if typed.expose_secret().is_empty() => {
            Err(Failure::new(Exit::Usage, "the passphrase is empty, nothing was done"))
        }
        Ok(Some(typed)) => Ok(typed),
        Ok(None) => Err(Failure::new(Exit::Failed, "interrupted, nothing was done")),
        Err(error) => Err(Failure::new(Exit::Failed, format!("reading the passphrase: {error}"))),
    };
    let first = ask("Passphrase: ")?;
    if twice && ask("The same again: ")?.expose_secret() != first.expose_secret() {
        return Err(Failure::new(Exit::Usage, "the passphrases differ, nothing was done"));
    }
    Ok(first)
}
