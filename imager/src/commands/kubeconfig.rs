//! `piflash kubeconfig`: how a person gets into the cluster.

use jiff::Timestamp;

use super::clusters;
use crate::cli::KubeconfigArgs;
use crate::cluster::{self, Cluster, Kubeconfig};
use crate::failure::{Exit, Failure};
use crate::progress::Console;
use crate::progress::json::Message;

/// Prints it, or adds it to the one that there is.
///
/// # Errors
/// There is no such cluster, or no master in it; a kubeconfig that cannot be added to.
pub fn run(args: &KubeconfigArgs, console: &Console) -> Result<Exit, Failure> {
    let store = clusters::store()?;
    let cluster = Cluster::open(&store, &args.cluster)?;
    let server = cluster::server(&cluster, args.server.as_deref())?;
    let now = Timestamp::now();
    let kubeconfig = Kubeconfig::new(&cluster, server, now)?;
    let (server, until) = (kubeconfig.server.as_str(), kubeconfig.until.to_string());
    let mut message = cluster_message(&kubeconfig, server, &until);
    if !args.merge {
        let text = kubeconfig.text();
        if console.is_json() {
            message.kubeconfig = Some(text.as_str());
            console.emit(&Message::Kubeconfig(message));
        } else {
            console.text(text.as_bytes());
        }
        return Ok(Exit::Done);
    }
    let variable = |name: &str| std::env::var(name).ok();
    let path = cluster::target(store.owner(), variable)?;
    let merged = cluster::merge_into(&path, &kubeconfig, store.owner(), now)?;
    let path = merged.path.display().to_string();
    let backup = merged.backup.as_ref().map(|backup| backup.display().to_string());
    let verb = if merged.replaced { "renewed" } else { "added" };
    let name = &kubeconfig.name;
    console.result(&format!("{path}: context `{name}` {verb} and selected, valid until {until}"));
    if let Some(backup) = &backup {
        console.note(&format!(
            "the file as it was, with the keys in it: {backup}; older copies are removed"
        ));
    }
    (message.path, message.backup) = (Some(path.as_str()), backup.as_deref());
    console.emit(&Message::Kubeconfig(message));
    Ok(Exit::Done)
}

fn cluster_message<'a>(
    kubeconfig: &'a Kubeconfig,
    server: &'a str,
    until: &'a str,
) -> crate::progress::json::Kubeconfig<'a> {
    crate::progress::json::Kubeconfig {
        context: &kubeconfig.name,
        server,
        valid_until: until,
        kubeconfig: None,
        path: None,
        backup: None,
    }
}
