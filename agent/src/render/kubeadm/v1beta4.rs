//! `kubeadm.k8s.io/v1beta4`, Kubernetes 1.31 and later.

use zeroize::Zeroizing;

use super::super::runtime::Cri;
use super::Member;

/// A Pi 3 takes long for what kubeadm gives four minutes. The first call of the API server comes before the wait for it
/// (`phases/init/waitcontrolplane.go`: the administrator's binding), so that it needs as long as that.
const TIMEOUTS: &str = "\
timeouts:
  controlPlaneComponentHealthCheck: 15m0s
  kubeletHealthCheck: 10m0s
  kubernetesAPICall: 15m0s
  etcdAPICall: 5m0s
";

fn registration(member: &Member<'_>) -> String {
    format!(
        "\
nodeRegistration:
  name: \"{name}\"
  criSocket: \"{socket}\"
  imagePullSerial: true
  ignorePreflightErrors: {ignored}
  kubeletExtraArgs:
  - name: node-ip
    value: \"{address}\"
",
        name = member.name(),
        socket = Cri::of(member.kubernetes).socket(),
        ignored = member.ignored(),
        address = member.address,
    )
}

/// How long the certificates last that kubeadm signs: three years instead of one. The agent renews them half a year
/// before they end.
pub const VALIDITY: &str = "26280h0m0s";

/// InitConfiguration and ClusterConfiguration.
pub fn init(member: &Member<'_>) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
{beginnings}{registration}{patches}{TIMEOUTS}---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
{identity}encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: {VALIDITY}
{networking}apiServer:
{programs}",
        beginnings = member.beginnings(),
        registration = registration(member),
        patches = member.patches(),
        identity = member.identity(),
        networking = member.networking(),
        programs = member.programs(settings),
    ))
}

/// Arguments of a control plane's program: a list.
fn settings(arguments: &[(&str, String)]) -> String {
    let lines =
        arguments.iter().map(|(name, value)| format!("  - name: {name}\n    value: \"{value}\"\n"));
    format!("  extraArgs:\n{}", lines.collect::<String>())
}

/// JoinConfiguration. Discovery is short: the agent itself waits for the control plane, and says so meanwhile.
pub fn join(member: &Member<'_>) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
{bootstrap_token}{control_plane}{registration}{patches}{TIMEOUTS}  discovery: 5m0s
  tlsBootstrap: 10m0s
",
        bootstrap_token = member.bootstrap_token(),
        control_plane = member.control_plane(),
        registration = registration(member),
        patches = member.patches(),
    ))
}
