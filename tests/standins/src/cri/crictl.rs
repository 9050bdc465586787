//! `crictl`, as far as nodes are asked with it.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Runtime;
use crate::config::{text, yaml};
use crate::{place, say};

/// Where containerd listens.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// Its settings: `runtime-endpoint: unix:///…`.
const SETTINGS: &str = "/etc/crictl.yaml";

/// Runs a command.
///
/// # Errors
/// The runtime does not answer, or the command is unknown.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let mut socket = std::env::var("CONTAINER_RUNTIME_ENDPOINT").unwrap_or_default();
    let mut words: Vec<&str> = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(word) = arguments.next() {
        match word.split_once('=').unwrap_or((word, "")) {
            ("--runtime-endpoint" | "-r", "") => {
                socket = arguments.next().unwrap_or_default().to_owned();
            }
            ("--runtime-endpoint" | "-r", value) => socket = value.to_owned(),
            ("--image-endpoint" | "-i" | "--timeout" | "-t", "") => drop(arguments.next()),
            ("--image-endpoint" | "-i" | "--timeout" | "-t", _) => {}
            // what is printed is the same with and without these
            ("--output" | "-o", _) | ("--force" | "-f" | "json", _) => {}
            _ => words.push(word),
        }
    }
    if socket.is_empty() {
        let settings = place::read(SETTINGS).unwrap_or_default();
        let settings = yaml::documents(&settings)?;
        socket = settings
            .first()
            .map(|all| text(all, "/runtime-endpoint").to_owned())
            .unwrap_or_default();
    }
    let runtime = Runtime::at(if socket.is_empty() { SOCKET } else { &socket });
    match words[..] {
        ["--version" | "-v"] => say::out("crictl version v1.36.0"),
        ["version"] => {
            let (name, version) = runtime.version()?;
            say::out(&format!(
                "Version:  0.1.0\nRuntimeName:  {name}\nRuntimeVersion:  {version}\nRuntimeApiVersion:  v1"
            ));
        }
        ["info"] => info(&runtime)?,
        ["images", ..] => runtime.images()?.iter().for_each(|image| say::out(image)),
        ["inspecti", "--quiet" | "-q", image] | ["inspecti", image] => {
            if !runtime.has(image)? {
                bail!("no such image \"{image}\" present");
            }
            say::out(&json!({"status": {"repoTags": [image]}}).to_string());
        }
        ["pull", image] => {
            runtime.version()?;
            runtime.pull(image)?;
            say::out(&format!("Image is up to date for {image}"));
        }
        ["pods", ref filters @ ..] => {
            let name = filters.iter().position(|word| *word == "--name");
            let name = name.and_then(|at| filters.get(at + 1)).copied().unwrap_or_default();
            let all = runtime.sandboxes()?.into_iter().filter(|(_, own)| own.contains(name));
            all.for_each(|(id, _)| say::out(&id));
        }
        ["runp", file] => say::out(&start(&runtime, file)?),
        ["inspectp", id] => {
            let address = runtime.address(id)?;
            say::out(&json!({"status": {"id": id, "network": {"ip": address}}}).to_string());
        }
        ["stopp", id] => {
            runtime.end(id, "StopPodSandbox")?;
            say::out(&format!("Stopped sandbox {id}"));
        }
        ["rmp", id] => {
            runtime.end(id, "RemovePodSandbox")?;
            say::out(&format!("Removed sandbox {id}"));
        }
        _ => bail!("the stand-in of crictl does not know {words:?}"),
    }
    Ok(())
}

fn info(runtime: &Runtime) -> Result<()> {
    runtime.version()?;
    let conditions: Vec<Value> = runtime
        .status()?
        .into_iter()
        .map(|one| json!({"type": one.kind, "status": one.holds, "message": one.message}))
        .collect();
    say::out(&format!("{:#}", json!({"status": {"conditions": conditions}})));
    Ok(())
}

/// Only what a probe of the network needs is taken from the file.
fn start(runtime: &Runtime, file: &str) -> Result<String> {
    let config =
        std::fs::read_to_string(file).with_context(|| format!("load podSandboxConfig: {file}"))?;
    let config: Value = serde_json::from_str(&config).context("load podSandboxConfig")?;
    let metadata =
        ["name", "uid", "namespace"].map(|key| text(&config, &format!("/metadata/{key}")));
    if metadata.contains(&"") {
        bail!(
            "load podSandboxConfig: metadata.name, metadata.namespace and metadata.uid must be set"
        );
    }
    let parent = text(&config, "/linux/cgroup_parent");
    runtime
        .run_described(metadata, text(&config, "/log_directory"), parent)
        .context("run pod sandbox")
}
