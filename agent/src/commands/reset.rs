//! `reset`: takes the node out of its cluster. The system with its packages stays, and so does its name.

use pikube_config::{FirstbootPlan, Kubernetes, names};

use super::Ending;
use super::run::LOCK;
use crate::host::{Host, Real};
use crate::render::kubeadm;
use crate::step::Stop;
use crate::steps::cluster;

/// The command, on the running system and with its reader's consent only.
pub fn reset(host: &Real, yes: bool) -> Ending {
    if let Err(ending) = Ending::unless_root(host, "resetting") {
        return ending;
    }
    if !yes {
        let mut ending = Ending::failed(
            "this takes the node out of its cluster; on the last control plane the cluster itself is gone",
            "`--yes` does it",
        );
        ending.code = 3;
        return ending;
    }
    Ending::of(reset_on(host))
}

/// The act itself, on any host.
pub(crate) fn reset_on(host: &dyn Host) -> Result<String, Stop> {
    let Some(_lock) = host.lock(LOCK)? else {
        return Err(Stop::person(
            "resetting while `pikube-agent run` runs",
            "`sudo systemctl stop pikube-agent` before it",
        ));
    };
    let path = format!("{}/{}", names::CONFIG_DIR, names::PLAN);
    let plan = FirstbootPlan::from_toml(&host.text(&path)?.unwrap_or_default()).ok();
    // Whatever the plan has become: what is there goes.
    let kubernetes = plan
        .as_ref()
        .and_then(|plan| plan.kubernetes.clone())
        .unwrap_or_else(|| Kubernetes::new("1"));
    cluster::certificates::remove(host)?;
    cluster::take_back_kubeconfig(plan.as_ref(), host)?;
    cluster::undo(&kubernetes, host)?;
    cluster::forget_endpoint(host)?;
    host.scrub(kubeadm::PATH)?;
    let node =
        plan.map_or_else(|| "the node".to_owned(), |plan| format!("`{}`", plan.node.hostname));
    Ok(format!(
        "{node} is out of its cluster; `kubectl delete node` makes the cluster forget it. To join again, give its card \
         a new token with `piflash configure`, or write it anew.\n"
    ))
}
