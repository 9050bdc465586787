//! The documents that do not depend on kubeadm's own version.

/// kubelet.config.k8s.io/v1beta1 for all nodes of the cluster: kubeadm keeps it there, and `join` takes it from there.
/// What a node has of its own is not in it.
///
/// * `serverTLSBootstrap`: the kubelet asks the cluster's CA for the certificate it serves with, which the agent of a
///   control plane approves; so the API server and metrics-server can tell a kubelet from somebody at its address.
/// * `shutdownGracePeriod`: a reboot or shutdown of the node gives pods 40 s to end, and 20 s more to those that the node
///   itself needs (kubelet, "Graceful node shutdown"): a database on an SD card is closed, not cut off.
/// * `podPidsLimit`: a pod that forks without end takes itself down and not the node.
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
serverTLSBootstrap: true
shutdownGracePeriod: 60s
shutdownGracePeriodCriticalPods: 20s
podPidsLimit: 4096
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
