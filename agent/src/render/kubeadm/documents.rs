//! The documents that do not depend on kubeadm's own version.

/// kubelet.config.k8s.io/v1beta1 for all nodes of the cluster: kubeadm keeps it there, and `join` takes it from there.
/// What a node has of its own is not in it.
pub const KUBELET: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
failSwapOn: true
serializeImagePulls: true
systemReserved:
  memory: 150Mi
evictionHard:
  memory.available: 100Mi
  nodefs.available: \"10%\"
  imagefs.available: \"15%\"
containerLogMaxSize: 5Mi
containerLogMaxFiles: 2
";

/// What is another for the kubelet of a node that keeps its swap: pods may use it in proportion to the memory that they ask
/// for, and no more.
pub const WITH_SWAP: &str = "failSwapOn: false\nmemorySwap:\n  swapBehavior: LimitedSwap\n";

/// kube-proxy's mode is written down: what it is without that changes with its version (`kubernetes-on-pi.md` D14).
pub const KUBE_PROXY: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
";
