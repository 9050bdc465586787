//! `kubeadm.k8s.io/v1beta3`, for Kubernetes 1.22 to 1.26: the legacy line.

use pikube_config::Swap;
use zeroize::Zeroizing;

use super::super::runtime::Cri;
use super::Member;

/// Its kubelet takes no patches yet, and no rule for swap: it only starts with it.
fn registration(member: &Member<'_>) -> String {
    let swap = match member.plan.system.swap {
        Swap::Keep => "    fail-swap-on: \"false\"\n",
        Swap::Off => "",
    };
    format!(
        "\
nodeRegistration:
  name: \"{name}\"
  criSocket: \"{socket}\"
  ignorePreflightErrors: {ignored}
  kubeletExtraArgs:
    node-ip: \"{address}\"
{swap}",
        name = member.name(),
        socket = Cri::of(member.kubernetes).socket(),
        ignored = member.ignored(),
        address = member.address,
    )
}

/// InitConfiguration and ClusterConfiguration.
pub fn init(member: &Member<'_>) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
{beginnings}{registration}---
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
{identity}{networking}apiServer:
  timeoutForControlPlane: 15m0s
{programs}",
        beginnings = member.beginnings(),
        registration = registration(member),
        identity = member.identity(),
        networking = member.networking(),
        programs = member.programs(settings),
    ))
}

/// Arguments of a control plane's program: a map.
fn settings(arguments: &[(&str, String)]) -> String {
    let lines = arguments.iter().map(|(name, value)| format!("    {name}: \"{value}\"\n"));
    format!("  extraArgs:\n{}", lines.collect::<String>())
}

/// JoinConfiguration.
pub fn join(member: &Member<'_>) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta3
kind: JoinConfiguration
discovery:
  timeout: 5m0s
{bootstrap_token}{control_plane}{registration}",
        bootstrap_token = member.bootstrap_token(),
        control_plane = member.control_plane(),
        registration = registration(member),
    ))
}
