//! A node's own part of the kubelet's configuration (`cmd/kubeadm/app/util/patches/patches.go`): merge and strategic
//! patches; what is for other targets is none of ours.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::api::patch;
use crate::config::{Config, text, yaml};
use crate::{place, say};

const TARGET: &str = "kubeletconfiguration";

/// Changes the kubelet's configuration by the files of `patches.directory`, in the order of their names.
///
/// # Errors
/// The folder cannot be read, or a file is no patch.
pub(super) fn apply(config: &Config, kubelet: &mut Value) -> Result<()> {
    let file = config.join.as_ref().unwrap_or(&config.init);
    let folder = text(file, "/patches/directory");
    if folder.is_empty() {
        return Ok(());
    }
    say::out(&format!("[patches] Reading patches from path \"{folder}\""));
    let list = std::fs::read_dir(place::at(folder))
        .with_context(|| format!("could not list patch files for path \"{folder}\""))?;
    let mut names = Vec::new();
    for entry in list {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for name in names {
        let Some(rest) = name
            .strip_prefix(TARGET)
            .filter(|_| [".json", ".yaml"].iter().any(|extension| name.ends_with(extension)))
        else {
            say::out(&format!("[patches] Ignoring file \"{name}\""));
            continue;
        };
        let kind = match rest.split_once('+') {
            None => "strategic",
            Some((_, kind)) => ["json", "merge", "strategic"]
                .into_iter()
                .find(|known| kind.starts_with(known))
                .context("unknown or missing patch type after '+', must be one of [json merge strategic]")?,
        };
        if kind == "json" {
            bail!("the stand-in takes no JSON patches: {name}");
        }
        for change in yaml::documents(&place::read(&format!("{folder}/{name}"))?)? {
            patch::merge(kubelet, &change);
        }
        say::out(&format!(
            "[patches] Applied patch of type \"application/{kind}-patch+json\" to target \"{TARGET}\""
        ));
    }
    Ok(())
}
