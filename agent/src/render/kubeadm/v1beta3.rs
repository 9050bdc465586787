//! `kubeadm.k8s.io/v1beta3`, for Kubernetes 1.22 to 1.26: the legacy line.

use pikube_config::Role;
use zeroize::Zeroizing;

use super::super::runtime::Cri;
use super::{Member, list};

fn registration(member: &Member<'_>) -> String {
    format!(
        "\
nodeRegistration:
  name: \"{name}\"
  criSocket: \"{socket}\"
  ignorePreflightErrors: {ignored}
  kubeletExtraArgs:
    node-ip: \"{address}\"
",
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
{registration}---
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
clusterName: \"{cluster}\"
kubernetesVersion: \"v{version}\"
controlPlaneEndpoint: \"{endpoint}\"
{images}networking:
  podSubnet: \"{pods}\"
  serviceSubnet: \"{services}\"
  dnsDomain: cluster.local
apiServer:
  timeoutForControlPlane: 15m0s
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

/// JoinConfiguration.
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
apiVersion: kubeadm.k8s.io/v1beta3
kind: JoinConfiguration
discovery:
  timeout: 5m0s
  bootstrapToken:
    apiServerEndpoint: \"{endpoint}\"
    token: \"{token}\"
    caCertHashes:
    - \"{hash}\"
{control_plane}{registration}",
        endpoint = member.endpoint(),
        token = member.token,
        hash = member.ca_hash(),
        registration = registration(member),
    ))
}
