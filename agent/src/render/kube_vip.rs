//! kube-vip's static pod for this cluster (`kubernetes-on-pi.md` §6), from a template of our own.

use pikube_config::Kubernetes;

/// Where the kubelet finds it.
pub const PATH: &str = "/etc/kubernetes/manifests/kube-vip.yaml";

const TEMPLATE: &str = include_str!("kube_vip.yaml");
const REGISTRY: &str = "ghcr.io/kube-vip";
const IMAGE: &str = "kube-vip:v1.2.3";
/// What it gets in with. Until `kubeadm init` has bound the administrator of `admin.conf`, only this one may anything
/// (Kubernetes 1.29 and later).
const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";
const ADMIN: &str = "/etc/kubernetes/admin.conf";

/// Its image.
pub fn image(kubernetes: &Kubernetes) -> String {
    format!("{}/{IMAGE}", kubernetes.images().unwrap_or(REGISTRY))
}

/// The manifest; `first` while `kubeadm init` runs.
pub fn manifest(
    kubernetes: &Kubernetes,
    address: &str,
    port: u16,
    interface: &str,
    first: bool,
) -> String {
    let kubeconfig = if first && !kubernetes.legacy { SUPER_ADMIN } else { ADMIN };
    TEMPLATE
        .replace("@IMAGE@", &image(kubernetes))
        .replace("@ADDRESS@", address)
        .replace("@PORT@", &port.to_string())
        .replace("@INTERFACE@", interface)
        .replace("@KUBECONFIG@", kubeconfig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_this_cluster_s() {
        let kubernetes = Kubernetes::new("1.36.4");
        let text = manifest(&kubernetes, "192.168.1.250", 6443, "eth0", true);
        assert!(!text.contains('@'), "a place in the template was not filled");
        for part in
            ["\"192.168.1.250\"", "\"6443\"", "\"eth0\"", "super-admin.conf", "kube-vip:v1.2.3"]
        {
            assert!(text.contains(part), "{part}");
        }
        let later = manifest(&kubernetes, "192.168.1.250", 6443, "eth0", false);
        assert!(!later.contains("super-admin.conf"));
    }
}
