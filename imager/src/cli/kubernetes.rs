//! Which Kubernetes: clap types only.

use clap::{Args, ValueEnum};
use pikube_config::{PodNetwork, Runtime};

const KUBERNETES: &str = "Kubernetes";

/// Which Kubernetes the node gets.
#[derive(Debug, Clone, Default, Args)]
pub struct KubernetesArgs {
    /// Version, as in 1.36 or 1.36.4; none only prepares the system [default: 1.36.4]
    #[arg(help_heading = KUBERNETES, long, value_name = "VERSION")]
    pub kubernetes: Option<String>,

    /// Kubernetes 1.26 or older from plain binaries, out of support: all that there is for 32-bit systems [default
    /// version: 1.23.17]
    #[arg(help_heading = KUBERNETES, long)]
    pub legacy: bool,

    /// Container runtime: docker, or containerd without docker [default: docker]
    #[arg(help_heading = KUBERNETES, long, value_enum, hide_possible_values = true)]
    pub runtime: Option<RuntimeArg>,

    /// Whose packages of it: docker, from download.docker.com, or os, the operating system's own [default: docker]
    #[arg(help_heading = KUBERNETES, long, value_enum, hide_possible_values = true, value_name = "OF")]
    pub runtime_packages: Option<RuntimePackagesArg>,

    /// Pod network: flannel, calico, or none [default: flannel]
    #[arg(help_heading = KUBERNETES, long, value_enum, hide_possible_values = true, value_name = "NETWORK")]
    pub pod_network: Option<PodNetworkArg>,

    /// Addresses for pods [default: 10.244.0.0/16]
    #[arg(help_heading = KUBERNETES, long, value_name = "CIDR")]
    pub pod_cidr: Option<String>,

    /// Addresses for services [default: 10.96.0.0/12]
    #[arg(help_heading = KUBERNETES, long, value_name = "CIDR")]
    pub service_cidr: Option<String>,

    /// Registry that has the images of Kubernetes and its pod network, as in registry.example.org:5000/kubernetes;
    /// http:// before it where it has no TLS [default: registry.k8s.io and ghcr.io]
    #[arg(help_heading = KUBERNETES, long, value_name = "REGISTRY")]
    pub image_repository: Option<String>,

    /// Make a control plane on less than the 1700 MB of memory that it needs
    #[arg(help_heading = KUBERNETES, long)]
    pub force_low_memory: bool,

    /// Let a Pi 5 start its own kernel with pages of 16 KiB, on which many container images do not run
    #[arg(help_heading = KUBERNETES, long)]
    pub keep_16k_pages: bool,
}

/// `--runtime`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuntimeArg {
    /// docker and its containerd
    Docker,
    /// containerd alone
    Containerd,
}

impl From<RuntimeArg> for Runtime {
    fn from(runtime: RuntimeArg) -> Self {
        match runtime {
            RuntimeArg::Docker => Runtime::Docker,
            RuntimeArg::Containerd => Runtime::Containerd,
        }
    }
}

/// `--runtime-packages`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuntimePackagesArg {
    /// download.docker.com
    Docker,
    /// The operating system's
    Os,
}

/// `--pod-network`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PodNetworkArg {
    /// flannel with vxlan
    Flannel,
    /// Calico
    Calico,
    /// Installed by hand
    None,
}

impl From<PodNetworkArg> for PodNetwork {
    fn from(network: PodNetworkArg) -> Self {
        match network {
            PodNetworkArg::Flannel => PodNetwork::Flannel,
            PodNetworkArg::Calico => PodNetwork::Calico,
            PodNetworkArg::None => PodNetwork::None,
        }
    }
}
