//! What kubeadm has to know when it renews certificates. It could ask the cluster, but the certificates are renewed before
//! the cluster is up: whatever is not given here it would look for in the network.

use pikube_config::{Cluster, Kubernetes};

use super::super::runtime::Cri;
use super::v1beta4;

/// An address that no network has (RFC 5737, TEST-NET-1): kubeadm wants one, and needs none for this. Names and addresses of
/// a certificate are those that it has already.
pub const NOWHERE: &str = "192.0.2.1";

/// InitConfiguration and ClusterConfiguration for `kubeadm certs renew` and `kubeadm kubeconfig user`. `version` is that of
/// kubeadm itself, `1.36.4`.
pub fn renewal(kubernetes: &Kubernetes, cluster: &Cluster, version: &str) -> String {
    let (api, own) = match kubernetes.legacy {
        true => ("v1beta3", String::new()),
        false => (
            "v1beta4",
            format!(
                "encryptionAlgorithm: ECDSA-P256\ncertificateValidityPeriod: {}\n",
                v1beta4::VALIDITY
            ),
        ),
    };
    format!(
        "apiVersion: kubeadm.k8s.io/{api}
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: \"{NOWHERE}\"
  bindPort: 6443
nodeRegistration:
  criSocket: \"{socket}\"
---
apiVersion: kubeadm.k8s.io/{api}
kind: ClusterConfiguration
clusterName: \"{name}\"
kubernetesVersion: \"v{version}\"
controlPlaneEndpoint: \"{endpoint}\"
{own}",
        socket = Cri::of(kubernetes).socket(),
        name = cluster.name,
        endpoint = cluster.endpoint.as_deref().unwrap_or_default(),
    )
}
