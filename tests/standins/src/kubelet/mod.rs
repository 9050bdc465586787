//! `kubelet`: stays up, registers its node, runs the API server where there are manifests for it, and acts for what
//! would run in containers: flannel, kube-proxy, CoreDNS.

mod bootstrap;
mod dns;
mod flags;
mod flannel;
mod node;
mod pods;
mod statics;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::config::{self, text};
use crate::{kubeconfig, place, say, time, version};
use flags::Flags;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// How long a new member of etcd needs to be in sync.
pub(crate) const SYNC: Duration = Duration::from_secs(3);

/// What the kubelet was told.
struct Told {
    flags: Flags,
    config: Value,
    name: String,
}

/// The host's name, as nodes are called by it.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_lowercase()
}

/// Runs until it is stopped.
///
/// # Errors
/// Whatever the real one gives up for, in its words.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let flags = flags::parse(arguments)?;
    if flags.is_version {
        say::out(&format!("Kubernetes {}", version::own()));
        return Ok(());
    }
    let config = config::kubelet(&flags.config)?;
    hold(&config)?;
    let name = flags.name.clone().unwrap_or_else(host_name);
    let told = Told { flags, config, name };
    serve(&told.config)?;
    let mut statics = statics::Statics::default();
    let mut dns = dns::Dns::default();
    let mut last = String::new();
    let mut sync = node::Sync::default();
    // A control plane's kubelet needs its API server, and that one needs the kubelet: first the manifests.
    loop {
        statics.keep(&told.config)?;
        if let Err(error) = round(&told, &mut sync, &mut dns) {
            let error = format!("{error:#}");
            if error.contains("failed to run Kubelet") {
                bail!("{error}");
            }
            if error != last {
                say::log('E', &error);
            }
            last = error;
        } else {
            last.clear();
        }
        time::sleep(ROUND);
    }
}

fn round(told: &Told, sync: &mut node::Sync, dns: &mut dns::Dns) -> Result<()> {
    if !place::exists(&told.flags.kubeconfig) {
        bootstrap::run(told)?;
    }
    let client = kubeconfig::client(&told.flags.kubeconfig)?;
    let is_ready = sync.round(told, &client)?;
    statics::mirror(told, &client)?;
    let flannel = flannel::round(told, &client);
    if let Err(error) = &flannel {
        say::log('E', &format!("pod kube-flannel-ds: {error:#}"));
    }
    pods::round(told, &client, flannel.as_ref().err().map(|error| format!("{error:#}")))?;
    dns.round(told, &client, is_ready)
}

/// Conditions without which it does not start.
fn hold(config: &Value) -> Result<()> {
    if config.get("failSwapOn").and_then(Value::as_bool) != Some(false) {
        let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
        if swaps.lines().count() > 1 {
            bail!(
                "failed to run Kubelet: running with swap on is not supported, please disable swap or set --fail-swap-on flag to false. /proc/swaps contained: [{}]",
                swaps.trim().replace('\n', " ")
            );
        }
    }
    let fails_v1 = config.get("failCgroupV1").and_then(Value::as_bool);
    let is_v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if place::is_node() && !is_v2 && fails_v1.unwrap_or(version::own_minor() >= 35) {
        bail!(
            "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release"
        );
    }
    let behaviour = text(config, "/memorySwap/swapBehavior");
    if !["", "NoSwap", "LimitedSwap"].contains(&behaviour) {
        bail!(
            "failed to validate kubelet configuration, error: invalid configuration: memorySwap.swapBehavior \"{behaviour}\" must be one of: \"\", \"LimitedSwap\" or \"NoSwap\""
        );
    }
    let ca = text(config, "/authentication/x509/clientCAFile");
    if !ca.is_empty() && !place::exists(ca) {
        bail!(
            "failed to construct kubelet dependencies: unable to load client CA file {ca}: open {ca}: no such file or directory"
        );
    }
    Ok(())
}

/// The kubelet's own ports: its health, and the one that logs and commands come by, of which it is only there.
fn serve(config: &Value) -> Result<()> {
    let number = |key: &str, default: u16| {
        let number = config.get(key).and_then(Value::as_u64);
        number.and_then(|number| u16::try_from(number).ok()).unwrap_or(default)
    };
    let number = |key, default| place::port(number(key, default));
    let health = number("healthzPort", 10248);
    let port = number("port", 10250);
    for (port, is_health) in [(health, true), (port, false)] {
        let host = if is_health || !place::is_node() {
            Ipv4Addr::LOCALHOST
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        let listener = TcpListener::bind((host, port)).with_context(|| {
            format!("failed to run Kubelet: listen tcp {host}:{port}: bind: address already in use")
        })?;
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if is_health {
                    // who asked and went away does not want it
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                    );
                }
            }
        });
    }
    Ok(())
}
