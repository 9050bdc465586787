//! `kubeadm reset -f`.

use anyhow::Result;

use crate::cri::Runtime;
use crate::{link, place, processes, say};

/// Gives the node back. CNI configuration and iptables rules stay, as with the real one.
///
/// # Errors
/// Something cannot be removed.
pub(super) fn run(socket: Option<&str>) -> Result<()> {
    say::out("[reset] Stopping the kubelet service");
    if place::is_node()
        && let Err(error) = processes::run("systemctl", &["stop", "kubelet"])
    {
        say::log(
            'W',
            &format!("[reset] The kubelet service could not be stopped by kubeadm: [{error:#}]"),
        );
    }
    say::out("[reset] Unmounting mounted directories in \"/var/lib/kubelet\"");
    let runtime = Runtime::at(socket.unwrap_or("/run/containerd/containerd.sock"));
    if !socket.is_some_and(|socket| socket.contains("dockershim"))
        && let Err(error) = runtime.remove_sandboxes()
    {
        say::log('W', &format!("[reset] Failed to remove containers: {error:#}"));
    }
    if place::exists("/etc/kubernetes/manifests/etcd.yaml") || place::exists("/var/lib/etcd") {
        place::empty("/var/lib/etcd")?;
        say::out("[reset] Deleted contents of the etcd data directory: /var/lib/etcd");
    }
    let folders = ["/etc/kubernetes/manifests", "/var/lib/kubelet", "/etc/kubernetes/pki"];
    say::out(&format!("[reset] Deleting contents of directories: [{}]", folders.join(" ")));
    for folder in folders {
        place::empty(folder)?;
    }
    let files = [
        "admin.conf",
        "super-admin.conf",
        "kubelet.conf",
        "bootstrap-kubelet.conf",
        "controller-manager.conf",
        "scheduler.conf",
    ]
    .map(|name| format!("/etc/kubernetes/{name}"));
    say::out(&format!("[reset] Deleting files: [{}]", files.join(" ")));
    for file in files {
        place::remove(&file)?;
    }
    // The real kube-proxy's rules stay; an interface with the cluster's DNS address would answer for another cluster.
    link::forget();
    say::out(
        "\nThe reset process does not perform cleanup of CNI plugin configuration,\nnetwork filtering rules and kubeconfig files.\n\nFor information on how to perform this cleanup manually, please see:\n    https://k8s.io/docs/reference/setup-tools/kubeadm/kubeadm-reset/\n",
    );
    Ok(())
}
