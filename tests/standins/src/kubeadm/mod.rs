//! kubeadm's commands, as far as nodes are made with them.

mod init;
mod join;
mod manifests;
mod patches;
mod phases;
mod reset;
mod upload;

use anyhow::{Context as _, Result, bail};

use crate::config::{Config, Purpose, text};
use crate::cri::Runtime;
use crate::{processes, say, version};

/// Flags that commands take here.
struct Flags {
    words: Vec<String>,
    config: Option<String>,
    socket: Option<String>,
    version: Option<String>,
    repository: Option<String>,
    short: bool,
    force: bool,
}

/// Runs a command.
///
/// # Errors
/// What the real one would fail for, in its words; and flags that nothing here needs.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let flags = parse(arguments)?;
    let words: Vec<&str> = flags.words.iter().map(String::as_str).collect();
    let config = |purpose: Purpose| {
        let path = flags.config.as_deref().context("the --config flag is mandatory")?;
        Config::load(path, purpose)
    };
    match words[..] {
        ["version"] if flags.short => say::out(&version::own()),
        ["version"] => say::out(&format!(
            "kubeadm version: &version.Info{{GitVersion:\"{}\", Platform:\"linux/amd64\"}}",
            version::own()
        )),
        ["config", "validate"] => {
            config(Purpose::Validate)?;
            say::out("ok");
        }
        ["config", "images", "list"] => {
            let config = match flags.config {
                Some(_) => config(Purpose::Init)?,
                None => Config::of_flags(flags.version.as_deref(), flags.repository.as_deref())?,
            };
            for image in images(&config) {
                say::out(&image);
            }
        }
        ["config", "images", "pull"] => pull(&config(Purpose::Validate)?)?,
        ["init"] => init::run(&config(Purpose::Init)?)?,
        ["join"] => join::run(&config(Purpose::Join)?)?,
        ["reset"] => {
            if !flags.force {
                bail!("aborted reset operation: -f is needed where nobody can answer");
            }
            reset::run(flags.socket.as_deref())?;
        }
        ["token", "create"] => {
            let path = "/etc/kubernetes/admin.conf";
            upload::create_token(&crate::kubeconfig::client(path)?)?;
        }
        _ => bail!("unknown command {:?} for \"kubeadm\"", words.join(" ")),
    }
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Flags> {
    let (mut words, mut config, mut socket) = (Vec::new(), None, None);
    let (mut version, mut repository) = (None, None);
    let (mut short, mut force) = (false, false);
    let mut arguments = arguments.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument, None),
        };
        let mut value = || {
            let next = || arguments.next().map(str::to_owned);
            value.clone().or_else(next).with_context(|| format!("flag needs an argument: {name}"))
        };
        match name {
            "--config" => config = Some(value()?),
            "--kubernetes-version" => version = Some(value()?),
            "--image-repository" => repository = Some(value()?),
            "--cri-socket" => socket = Some(value()?),
            "-o" | "--output" => short = value()? == "short",
            "-oshort" => short = true,
            "-f" | "--force" => force = true,
            "--v" | "-v" => say::talk(&value()?),
            _ if name.starts_with("-v") && name[2..].parse::<u8>().is_ok() => say::talk(&name[2..]),
            _ if name.starts_with('-') => bail!("unknown flag: {name}"),
            word => words.push(word.to_owned()),
        }
    }
    Ok(Flags { words, config, socket, version, repository, short, force })
}

/// The images of a control plane (`kubeadm config images list`).
pub(crate) fn images(config: &Config) -> Vec<String> {
    let repository = text(&config.cluster, "/imageRepository");
    let version = text(&config.cluster, "/kubernetesVersion");
    let minor = version::parts(version).map_or(36, |(_, minor, _)| minor);
    let mut images: Vec<String> = ["apiserver", "controller-manager", "scheduler", "proxy"]
        .iter()
        .map(|name| format!("{repository}/kube-{name}:{version}"))
        .collect();
    let (dns, pause, etcd) = match minor {
        ..=23 => ("v1.8.6", "3.6", "3.5.1-0"),
        24..=26 => ("v1.9.3", "3.9", "3.5.6-0"),
        27..=34 => ("v1.12.1", "3.10.1", "3.6.4-0"),
        35 => ("v1.13.1", "3.10.1", "3.6.6-0"),
        _ => ("v1.14.2", "3.10.2", "3.6.8-0"),
    };
    // a registry of one's own has it without the middle name (kubeadm, `GetDNSImage`)
    let is_default = matches!(repository, "registry.k8s.io" | "k8s.gcr.io");
    let name = if is_default { "coredns/coredns" } else { "coredns" };
    images.push(format!("{repository}/{name}:{dns}"));
    images.push(format!("{repository}/pause:{pause}"));
    images.push(format!("{repository}/etcd:{etcd}"));
    images
}

fn pull(config: &Config) -> Result<()> {
    let socket = text(&config.init, "/nodeRegistration/criSocket");
    for image in images(config) {
        if socket.contains("dockershim") {
            processes::run("docker", &["pull", "-q", &image])
                .with_context(|| format!("failed to pull image \"{image}\""))?;
        } else {
            Runtime::at(socket).pull(&image)?;
        }
        say::out(&format!("[config/images] Pulled {image}"));
    }
    Ok(())
}
