//! `kubeadm join` on every other node (`kubernetes-on-pi.md` §3.4). The order in which nodes are switched on does not
//! matter: who comes before the control plane waits.

use std::net::SocketAddr;
use std::time::Duration;

use pikube_config::Role;

use super::{endpoint, init, kubectl, leftovers, member};
use crate::host::{Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "join",
    title: "place in the cluster",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some() && plan.node.role != Role::Master,
    check,
    apply,
    ahead: None,
};

/// Longer than kubeadm's own limits together.
const LIMIT: Duration = Duration::from_secs(3600);

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    member::check(context, host, "kubeadm join", kubectl::KUBELET)
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if member::is_marked(context, host)? {
        // The power went when all but the configuration's removal was done.
        member::settle(context, host)?;
        return Ok(Notes::new());
    }
    if host.exists(crate::render::kubeadm::PATH)? && leftovers::join_is_complete(context, host)? {
        leftovers::adopt(context, host)?;
        return Ok(vec!["an earlier run had joined the cluster already".into()]);
    }
    leftovers::clear(context, host)?;
    // The token is looked at first: nobody should wait for a master in vain.
    member::configure(context, host)?;
    wait_for_control_plane(context, host)?;
    if context.plan.node.role == Role::ControlPlane {
        init::identity(context, host)?;
    }
    init::run(context, host, "join", LIMIT)
}

/// Whether somebody takes connections at the endpoint. Its address is looked up anew each time: the master may have got
/// another one meanwhile.
fn wait_for_control_plane(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    let (_, cluster) = member::tables(context)?;
    let Some(address) = endpoint::refresh(context, host)? else { return Ok(()) };
    host.reach(SocketAddr::from((address, endpoint::port(cluster)))).map_err(|error| {
        let master = cluster.master.as_deref().unwrap_or("the master");
        Stop::Again(format!("the control plane, `{master}`, is not there yet: {error}"))
    })
}
