//! Kubernetes: which, from where, with what around it.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Problems};
use crate::values::host;

/// `[kubernetes]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Patch (`1.36.4`) version, or a minor (`1.36`): the newest patch of it that the repository has. The legacy line
    /// has no repository and needs the patch version.
    pub version: String,
    /// The legacy line: Kubernetes 1.26 or older from plain binaries, out of support, for 32-bit systems.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legacy: bool,
    /// Which pod network is installed by the master.
    #[serde(default)]
    pub pod_network: PodNetwork,
    /// Addresses for pods, IPv4 CIDR; each node gets a /24 of it.
    #[serde(default = "pod_cidr")]
    pub pod_cidr: String,
    /// Addresses for services, IPv4 CIDR; the tenth is the cluster's DNS.
    #[serde(default = "service_cidr")]
    pub service_cidr: String,
    /// Container runtime.
    #[serde(default)]
    pub runtime: Runtime,
    /// Whether a control plane with less than the 1700 MB that kubeadm asks for is made nevertheless.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force_low_memory: bool,
    /// Whether a Pi 5 keeps its own kernel, whose pages of 16 KiB many programs in container images do not run on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_16k_pages: bool,
    /// apt repository (flat, `/`) of kubeadm, kubelet, kubectl, cri-tools and kubernetes-cni, with its key beside it as
    /// `Release.key`; absent on the legacy line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Its key as it was when the card was written, ASCII armour; where apt refuses it, the agent asks for a newer one,
    /// over TLS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_key: Option<String>,
    /// Docker's apt repositories, without the `/debian` or `/ubuntu` at the end, where also their key is, as `gpg`;
    /// absent: docker and containerd of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_repository: Option<String>,
    /// Its key as it was when the card was written, ASCII armour; where apt refuses it, the agent asks for a newer one,
    /// over TLS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_repository_key: Option<String>,
    /// Plain binaries, laid out as in `v1.36.4/bin/linux/arm64/kubeadm` with `.sha256` beside each: for the legacy line,
    /// and where apt refuses the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloads: Option<String>,
    /// Archive (`.tgz`, with `.sha256` beside it) of the CNI plugins that goes with plain binaries; `{arch}` in it stands
    /// for `arm64` or `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni_plugins: Option<String>,
    /// Where images come from instead of their own registries: host with optional port and path; `http://` before it for
    /// a registry without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_repository: Option<String>,
    /// Manifest of a pod network that is applied as it is published (Calico).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_network_manifest: Option<String>,
    /// SHA-256 sum of that manifest, 64 hexadecimal digits; absent: it is taken as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_network_manifest_sha256: Option<String>,
    /// Addons by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addons: Vec<String>,
}

/// Which pod network is installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodNetwork {
    /// flannel with vxlan.
    #[default]
    Flannel,
    /// Calico.
    Calico,
    /// None; nodes stay NotReady until one is installed by hand.
    None,
}

/// Container runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// docker and its containerd.
    #[default]
    Docker,
    /// containerd alone.
    Containerd,
}

/// kubeadm's usual one, and flannel's.
fn pod_cidr() -> String {
    "10.244.0.0/16".to_owned()
}

/// kubeadm's default.
fn service_cidr() -> String {
    "10.96.0.0/12".to_owned()
}

/// The first minor version whose kubeadm reads v1beta3.
pub const FIRST_LEGACY_MINOR: u32 = 22;
/// The last minor version with 32-bit ARM (kubernetes/kubernetes#115742).
pub const LAST_LEGACY_MINOR: u32 = 26;
/// The first minor version whose kubeadm reads v1beta4, the only configuration that is written beside the legacy line's.
pub const FIRST_MINOR: u32 = 31;

impl Kubernetes {
    /// A plan with nothing but a version.
    pub fn new(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            legacy: false,
            pod_network: PodNetwork::default(),
            pod_cidr: pod_cidr(),
            service_cidr: service_cidr(),
            runtime: Runtime::default(),
            force_low_memory: false,
            keep_16k_pages: false,
            repository: None,
            repository_key: None,
            runtime_repository: None,
            runtime_repository_key: None,
            downloads: None,
            cni_plugins: None,
            image_repository: None,
            pod_network_manifest: None,
            pod_network_manifest_sha256: None,
            addons: Vec::new(),
        }
    }

    /// The second number of the version; 0 for one that is none.
    pub fn minor(&self) -> u32 {
        self.version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
    }

    /// What a person has to know of the legacy line; `None` of any other.
    pub fn warning(&self) -> Option<String> {
        let version = &self.version;
        self.legacy.then(|| {
            format!(
                "Kubernetes {version} is out of support: it gets no fixes, not even for security"
            )
        })
    }

    /// Whether the version names a patch.
    pub fn is_exact(&self) -> bool {
        self.version.split('.').count() == 3
    }

    /// The image repository without its scheme.
    pub fn images(&self) -> Option<&str> {
        let images = self.image_repository.as_deref()?;
        Some(images.split_once("://").map_or(images, |(_, rest)| rest).trim_end_matches('/'))
    }

    /// What no single key can tell.
    pub(super) fn validate(&self, problems: &mut Problems) {
        let mut note = |key: &str, message: String| {
            problems.push(Problem::new(format!("kubernetes.{key}"), message));
        };
        let (version, minor) = (&self.version, self.minor());
        if !version.starts_with("1.") {
            note("version", format!("`{version}` is not a version 1"));
        } else if self.legacy && minor > LAST_LEGACY_MINOR {
            let why = format!("the legacy line ends with 1.{LAST_LEGACY_MINOR}, not `{version}`");
            note("version", why);
        } else if self.legacy && minor < FIRST_LEGACY_MINOR {
            note(
                "version",
                format!("the legacy line begins with 1.{FIRST_LEGACY_MINOR}, not `{version}`"),
            );
        } else if !self.legacy && minor < FIRST_MINOR {
            let why = format!(
                "`{version}` is older than 1.{FIRST_MINOR}; 1.{LAST_LEGACY_MINOR} and older are the legacy line"
            );
            note("version", why);
        }
        if self.legacy {
            if !self.is_exact() {
                note("version", format!("the legacy line needs a patch version, not `{version}`"));
            }
            for (key, value) in [("downloads", &self.downloads), ("cni_plugins", &self.cni_plugins)]
            {
                if value.is_none() {
                    note(key, "is missing: the legacy line has no packages".to_owned());
                }
            }
            if self.pod_network == PodNetwork::Calico {
                note("pod_network", "Calico has no 32-bit images; use flannel".to_owned());
            }
        } else if self.repository.is_none() {
            note("repository", "is missing".to_owned());
        }
        if self.pod_network == PodNetwork::Calico && self.pod_network_manifest.is_none() {
            note("pod_network_manifest", "is missing: Calico is applied from it".to_owned());
        }
        if host::overlap(&self.pod_cidr, &self.service_cidr) {
            note("service_cidr", format!("overlaps with the pods' addresses, {}", self.pod_cidr));
        }
    }
}
