//! What a kubeadm that was cut off leaves behind, and how it goes.

use std::time::Duration;

use pikube_config::{Kubernetes, Role};

use super::{kubectl, member};
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::runtime::Cri;
use crate::render::{HOSTS, block, kubeadm};
use crate::step::Stop;

/// What the four static pods of a control plane are started from.
pub const MANIFESTS: [&str; 4] = [
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
];
/// What a join has until the kubelet has a certificate of its own.
const BOOTSTRAP: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// What the kubelet's certificate is reached by (kubelet's certificate store).
const CERTIFICATE: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// What pods' networks leave that kubeadm does not clean (`kubeadm reset` says so itself).
const POD_NETWORKS: [&str; 3] = [
    "/etc/cni/net.d/10-flannel.conflist",
    "/etc/cni/net.d/10-calico.conflist",
    "/etc/cni/net.d/calico-kubeconfig",
];

/// The first trace of a kubeadm, if there is any.
pub fn trace(host: &dyn Look) -> Result<Option<&'static str>, Error> {
    const OTHERS: [&str; 3] = [kubectl::ADMIN, kubectl::KUBELET, BOOTSTRAP];
    for path in OTHERS.into_iter().chain(MANIFESTS) {
        if host.exists(path)? {
            return Ok(Some(path));
        }
    }
    Ok((!host.list("/var/lib/etcd")?.is_empty()).then_some("/var/lib/etcd"))
}

/// Whether an `init` that left no marker came to its end nevertheless: the power went between the two. Its last phases
/// are CoreDNS and kube-proxy; a control plane that is still starting after a boot is waited for.
///
/// # Errors
/// kubectl cannot be started.
pub fn init_is_complete(host: &dyn Host) -> Result<bool, Error> {
    for path in MANIFESTS.into_iter().chain([kubectl::ADMIN, kubectl::KUBELET]) {
        if !host.exists(path)? {
            return Ok(false);
        }
    }
    if !answers(host, Duration::from_secs(600))? {
        return Ok(false);
    }
    let parts = ["deployment/coredns", "daemonset/kube-proxy", "configmap/kubelet-config"];
    let mut words = vec!["--namespace", "kube-system", "get", "--output=name"];
    words.extend(parts);
    Ok(kubectl::ask(host, kubectl::ADMIN, &words)?.status == 0)
}

/// Whether the API server says, within `limit`, that it is well.
fn answers(host: &dyn Host, limit: Duration) -> Result<bool, Error> {
    let began = host.elapsed();
    loop {
        if kubectl::ask(host, kubectl::ADMIN, &["get", "--raw", "/readyz"])?.status == 0 {
            return Ok(true);
        }
        if host.elapsed() - began > limit {
            return Ok(false);
        }
        host.sleep(Duration::from_secs(5));
    }
}

/// Whether the kubelet of a worker has its own certificate: from there on the node is a node, whatever became of
/// kubeadm, whose only further act is to remove the file it began with.
pub fn join_is_complete(context: &Context, host: &dyn Look) -> Result<bool, Error> {
    Ok(context.plan.node.role == Role::Worker
        && host.exists(kubectl::KUBELET)?
        && host.exists(CERTIFICATE)?
        && host.exists("/etc/kubernetes/pki/ca.crt")?
        && host.exists("/var/lib/kubelet/config.yaml")?)
}

/// Takes what is there for the node's own.
pub fn adopt(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    host.remove(BOOTSTRAP)?;
    member::keep_words(context, host, "what kubeadm said was lost with the power\n")?;
    member::settle(context, host)
}

/// Undoes what a kubeadm has begun on a node that this agent has configured. Of anything else it keeps its hands.
///
/// # Errors
/// A node that somebody else has made; `kubeadm reset` fails.
pub fn clear(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    let Some(trace) = trace(host)? else { return Ok(()) };
    if !host.exists(kubeadm::PATH)? {
        return Err(Stop::person(
            format!("this system is a node of some cluster already: `{trace}` is there"),
            "`sudo pikube-agent reset` takes it out of that; or write its card anew",
        ));
    }
    let (kubernetes, _) = member::tables(context)?;
    undo(kubernetes, host)
}

/// `kubeadm reset`, and what it leaves. Certificates and keys of the cluster come from the card again.
///
/// # Errors
/// It fails.
pub fn undo(kubernetes: &Kubernetes, host: &dyn Host) -> Result<(), Stop> {
    host.remove(member::MARKER)?;
    let socket = format!("--cri-socket={}", Cri::of(kubernetes).socket());
    let reset = Command::new("kubeadm", ["reset", "--force", socket.as_str()]);
    host.run(&reset.within(Duration::from_secs(900)))?;
    for path in POD_NETWORKS {
        host.remove(path)?;
    }
    host.scrub(kubeadm::control_plane::ENCRYPTION)?;
    for file in kubeadm::control_plane::files(kubernetes) {
        host.remove(&file.path)?;
    }
    for link in ["cni0", "flannel.1"] {
        if host.exists(&format!("/sys/class/net/{link}"))? {
            host.ask(&Command::new("ip", ["link", "delete", link]))?;
        }
    }
    Ok(())
}

/// Takes the control plane's name out of the hosts file.
pub fn forget_endpoint(host: &dyn Host) -> Result<(), Error> {
    if let Some(text) = host.text(HOSTS)? {
        super::super::edit(host, HOSTS, &block::merge(&text, &[]))?;
    }
    Ok(())
}
