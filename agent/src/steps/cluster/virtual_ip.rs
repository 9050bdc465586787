//! The address that the control planes of a cluster share, so that one of them may be lost: kube-vip on each.

use pikube_config::Role;

use super::{address, endpoint, member};
use crate::host::{Access, Host, Look};
use crate::plan::Context;
use crate::render::kube_vip;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step. On the master kube-vip is there before, for `kubeadm init` itself calls the endpoint; here it changes over
/// to the kubeconfig that stays.
pub const STEP: Step = Step {
    id: "virtual-ip",
    title: "virtual address of the control planes",
    class: Class::Essential,
    wanted: |plan| {
        plan.kubernetes.is_some()
            && plan.node.role != Role::Worker
            && plan.cluster.as_ref().is_some_and(|cluster| cluster.virtual_ip == Some(true))
    },
    check,
    apply,
    ahead: None,
};

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    let found = host.text(kube_vip::PATH)?;
    Ok(if found == manifest(context, host, false)? {
        Check::Satisfied
    } else {
        Check::Needed(format!("`{}` is not as it should be", kube_vip::PATH))
    })
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    place(context, host, false)?;
    Ok(Notes::new())
}

/// Puts kube-vip's manifest where the kubelet finds it; `first` before `kubeadm init`. Without a virtual address nothing
/// happens.
///
/// # Errors
/// The node has no address yet; any I/O error.
pub fn place(context: &Context, host: &dyn Host, first: bool) -> Result<(), Stop> {
    if let Some(manifest) = manifest(context, host, first)? {
        host.folder("/etc/kubernetes/manifests", Access::root(0o700))?;
        host.write(kube_vip::PATH, manifest.as_bytes(), Access::root(0o600))?;
    }
    Ok(())
}

fn manifest(context: &Context, host: &dyn Look, first: bool) -> Result<Option<String>, Stop> {
    let (kubernetes, cluster) = member::tables(context)?;
    let Some(address) = cluster.address.as_ref().filter(|_| cluster.virtual_ip == Some(true))
    else {
        return Ok(None);
    };
    let own = address::own(context, host, None)?;
    let port = endpoint::port(cluster);
    Ok(Some(kube_vip::manifest(kubernetes, address, port, &own.interface, first)))
}
