//! flannel's manifest for this cluster (`kubernetes-on-pi.md` §6, D13), from a template of our own.

use std::net::Ipv4Addr;

use pikube_config::Kubernetes;

/// Its namespace.
pub const NAMESPACE: &str = "kube-flannel";
/// Its DaemonSet.
pub const DAEMONSET: &str = "kube-flannel-ds";

const TEMPLATE: &str = include_str!("flannel.yaml");
/// Where its images are published.
const REGISTRY: &str = "ghcr.io/flannel-io";
const IMAGE: &str = "flannel:v0.28.9";
const PLUGIN_IMAGE: &str = "flannel-cni-plugin:v1.9.1-flannel3";

/// The images that it runs, the larger one first.
pub fn images(kubernetes: &Kubernetes) -> [String; 2] {
    let registry = kubernetes.images().unwrap_or(REGISTRY);
    [IMAGE, PLUGIN_IMAGE].map(|image| format!("{registry}/{image}"))
}

/// The manifest. `network` is an address of the nodes' network that no node has: the way to it leads through the
/// interface that flannel shall take. With the control plane's own address, as one often reads, flannel would take `lo`
/// on the control plane itself (`GetInterfaceBySpecificIPRouting`: ip-route(8) says so of a local address).
pub fn manifest(kubernetes: &Kubernetes, network: Ipv4Addr) -> String {
    let [image, plugin] = images(kubernetes);
    // amd64 is the tests'.
    let architectures = if kubernetes.legacy { "arm, amd64" } else { "arm64, amd64" };
    TEMPLATE
        .replace("@PODS@", &kubernetes.pod_cidr)
        .replace("@ARCHITECTURES@", architectures)
        .replace("@PLUGIN_IMAGE@", &plugin)
        .replace("@IMAGE@", &image)
        .replace("@NETWORK@", &network.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_this_cluster_s() {
        let kubernetes = Kubernetes {
            pod_cidr: "10.32.0.0/16".into(),
            image_repository: Some("http://203.0.113.1:5000/k8s".into()),
            ..Kubernetes::new("1.36.4")
        };
        let text = manifest(&kubernetes, Ipv4Addr::new(192, 168, 77, 0));
        assert!(!text.contains('@'), "a place in the template was not filled");
        for part in [
            "\"Network\": \"10.32.0.0/16\"",
            "image: 203.0.113.1:5000/k8s/flannel:v0.28.9\n",
            "image: 203.0.113.1:5000/k8s/flannel-cni-plugin:v1.9.1-flannel3\n",
            "\"--iface-can-reach=192.168.77.0\"",
            "values: [arm64, amd64]",
        ] {
            assert!(text.contains(part), "{part}");
        }
        let plain = manifest(&Kubernetes::new("1.36.4"), Ipv4Addr::LOCALHOST);
        assert!(plain.contains("image: ghcr.io/flannel-io/flannel:v0.28.9\n"));
    }
}
