//! containerd: its configuration for the version that is there, and whether its CRI answers.

use std::time::Duration;

use pikube_config::Kubernetes;

use super::complaint;
use crate::host::{Command, Error, Look};
use crate::plan::Context;
use crate::render::{File, runtime as files};
use crate::step::Stop;
use crate::steps::origin::Origin;
use crate::steps::packages::{containerd_help, containerd_problem};
use crate::steps::programs;

/// How long one question may take. Programs of 40 MB come from a slow card, while everything else starts as well: seen to
/// take more than 20 s.
const LIMIT: Duration = Duration::from_secs(60);

/// The configuration for the version that is installed.
pub fn configuration(
    context: &Context,
    kubernetes: &Kubernetes,
    host: &dyn Look,
) -> Result<File, Stop> {
    let command = Command::new("containerd", ["--version"]).within(LIMIT);
    let said = host.ask(&command)?.ok(&command)?.stdout;
    let Some(version) = files::version_in(&said) else {
        return Err(Stop::person(
            format!("asking containerd for its version: it says `{}`", said.trim()),
            "use docker's repository (`kubernetes.runtime_repository`) or the system's own packages",
        ));
    };
    if let Some(problem) = containerd_problem(version, kubernetes.minor()) {
        let origin = Origin::of(context, host)?;
        let help = origin.map_or("use a newer image", |origin| containerd_help(&origin));
        return Err(Stop::person(format!("configuring containerd: {problem}"), help));
    }
    let images = images(kubernetes, host)?;
    let sandbox = files::sandbox(kubernetes, images.as_deref());
    Ok(files::containerd(version, &sandbox))
}

/// What kubeadm wants pulled, without asking the internet for a version.
fn images(kubernetes: &Kubernetes, host: &dyn Look) -> Result<Option<String>, Error> {
    let version = if kubernetes.is_exact() {
        format!("v{}", kubernetes.version)
    } else {
        let ask = Command::new("kubeadm", ["version", "-o", "short"]).within(LIMIT);
        match host.ask(&ask) {
            Ok(answer) if answer.status == 0 => answer.stdout.trim().to_owned(),
            _ => return Ok(None),
        }
    };
    let mut args = vec!["config", "images", "list", "--kubernetes-version", &version];
    args.extend(kubernetes.images().iter().flat_map(|images| ["--image-repository", *images]));
    let answer = host.ask(&Command::new("kubeadm", args).within(LIMIT));
    Ok(answer.ok().filter(|answer| answer.status == 0).map(|answer| answer.stdout))
}

/// Why its CRI does not answer; `None` where it does. Plain binaries come without crictl.
pub fn silence(host: &dyn Look) -> Result<Option<String>, Error> {
    if programs::has(host, "crictl")? {
        let args = ["--runtime-endpoint", files::CONTAINERD_SOCKET, "info"];
        let said = complaint(host, &Command::new("crictl", args).within(LIMIT))?;
        return Ok(said.map(|said| format!("containerd's CRI does not answer: {said}")));
    }
    let command = Command::new("ctr", ["plugins", "ls"]).within(LIMIT);
    if let Some(said) = complaint(host, &command)? {
        return Ok(Some(format!("containerd does not answer: {said}")));
    }
    let plugins = host.ask(&command)?.stdout;
    let is_there = plugins.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() >= 3
            && words[0].starts_with("io.containerd.grpc")
            && words[1] == "cri"
            && words.last() == Some(&"ok")
    });
    Ok((!is_there).then(|| "containerd's plugin `cri` is not loaded".to_owned()))
}
