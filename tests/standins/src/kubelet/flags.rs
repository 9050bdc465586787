//! The kubelet's command line.

use anyhow::{Context as _, Result, bail};

use crate::version;

/// What of it matters here.
#[derive(Default)]
pub(super) struct Flags {
    pub(super) config: String,
    pub(super) kubeconfig: String,
    pub(super) bootstrap: String,
    pub(super) address: Option<String>,
    pub(super) name: Option<String>,
    pub(super) taints: Vec<(String, String, String)>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) socket: Option<String>,
    pub(super) is_version: bool,
}

/// Flags that the real one has and nothing here needs.
const IGNORED: [&str; 24] = [
    "v",
    "root-dir",
    "cert-dir",
    "cloud-provider",
    "feature-gates",
    "max-pods",
    "resolv-conf",
    "eviction-hard",
    "system-reserved",
    "kube-reserved",
    "rotate-certificates",
    "register-node",
    "config-dir",
    "pod-manifest-path",
    "cluster-dns",
    "cluster-domain",
    "fail-swap-on",
    "cgroup-driver",
    "logging-format",
    "image-service-endpoint",
    "runtime-cgroups",
    "kubelet-cgroups",
    "node-status-update-frequency",
    "serialize-image-pulls",
];

/// Reads it.
///
/// # Errors
/// A flag that this version has not.
pub(super) fn parse(arguments: &[String]) -> Result<Flags> {
    let mut flags = Flags {
        config: "/var/lib/kubelet/config.yaml".into(),
        kubeconfig: "/etc/kubernetes/kubelet.conf".into(),
        bootstrap: "/etc/kubernetes/bootstrap-kubelet.conf".into(),
        ..Flags::default()
    };
    let minor = version::own_minor();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--") else {
            bail!("failed to run Kubelet: unknown command [{argument}]");
        };
        if flag == "version" {
            flags.is_version = true;
            continue;
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => {
                let next = arguments.next();
                (flag, next.with_context(|| format!("flag needs an argument: --{flag}"))?.clone())
            }
        };
        let is_of_this_version = match name {
            "network-plugin" => minor < 24,
            "container-runtime" => minor < 27,
            "pod-infra-container-image" => minor < 35,
            _ => true,
        };
        match name {
            _ if !is_of_this_version => {
                bail!("failed to parse kubelet flag: unknown flag: --{name}")
            }
            "config" => flags.config = value,
            "kubeconfig" => flags.kubeconfig = value,
            "bootstrap-kubeconfig" => flags.bootstrap = value,
            "node-ip" => {
                let addresses: Result<Vec<std::net::IpAddr>, _> =
                    value.split(',').map(str::parse).collect();
                let addresses = addresses
                    .with_context(|| format!("failed to run Kubelet: bad --node-ip \"{value}\""))?;
                flags.address = addresses.first().map(ToString::to_string);
            }
            "hostname-override" => flags.name = Some(value.to_lowercase()),
            "container-runtime-endpoint" => flags.socket = Some(value),
            "register-with-taints" => flags.taints = taints(&value)?,
            "node-labels" => flags.labels = labels(&value),
            "network-plugin" | "container-runtime" | "pod-infra-container-image" => {}
            _ if IGNORED.contains(&name) => {}
            _ => bail!("failed to parse kubelet flag: unknown flag: --{name}"),
        }
    }
    Ok(flags)
}

fn taints(text: &str) -> Result<Vec<(String, String, String)>> {
    let parts = text.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (key, effect) = part.rsplit_once(':').with_context(|| {
                format!("invalid argument \"{text}\" for \"--register-with-taints\" flag: invalid taint spec: {part}")
            })?;
            let (key, value) = key.split_once('=').unwrap_or((key, ""));
            Ok((key.to_owned(), value.to_owned(), effect.to_owned()))
        })
        .collect()
}

fn labels(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
