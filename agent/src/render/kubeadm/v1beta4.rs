//! `kubeadm.k8s.io/v1beta4`, Kubernetes 1.31 and later.

use pikube_config::Role;
use zeroize::Zeroizing;

use super::super::runtime::Cri;
use super::{Member, list};

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

/// InitConfiguration and ClusterConfiguration. Certificates last three years instead of one: nobody may look at the
/// cluster before its next upgrade, which renews them.
pub fn init(member: &Member<'_>) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: \"{token}\"
  description: \"written to the cards by piflash\"
  ttl: {ttl}s
  usages:
  - signing
  - authentication
  groups:
  - system:bootstrappers:kubeadm:default-node-token
localAPIEndpoint:
  advertiseAddress: \"{address}\"
  bindPort: 6443
{registration}{TIMEOUTS}---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: \"{cluster}\"
kubernetesVersion: \"v{version}\"
controlPlaneEndpoint: \"{endpoint}\"
encryptionAlgorithm: ECDSA-P256
certificateValidityPeriod: 26280h0m0s
{images}networking:
  podSubnet: \"{pods}\"
  serviceSubnet: \"{services}\"
  dnsDomain: cluster.local
apiServer:
  certSANs:
{names}",
        token = member.token,
        ttl = member.token_ttl_s,
        address = member.address,
        registration = registration(member),
        cluster = member.cluster.name,
        version = member.version,
        endpoint = member.endpoint(),
        images = member.images(),
        pods = member.kubernetes.pod_cidr,
        services = member.kubernetes.service_cidr,
        names = list(&member.names(), "  "),
    ))
}

/// JoinConfiguration. Discovery is short: the agent itself waits for the control plane, and says so meanwhile.
pub fn join(member: &Member<'_>) -> Zeroizing<String> {
    let control_plane = match member.plan.node.role {
        Role::ControlPlane => format!(
            "controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: \"{}\"\n    bindPort: 6443\n",
            member.address
        ),
        _ => String::new(),
    };
    Zeroizing::new(format!(
        "\
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: \"{endpoint}\"
    token: \"{token}\"
    caCertHashes:
    - \"{hash}\"
{control_plane}{registration}{TIMEOUTS}  discovery: 5m0s
  tlsBootstrap: 10m0s
",
        endpoint = member.endpoint(),
        token = member.token,
        hash = member.ca_hash(),
        registration = registration(member),
    ))
}
