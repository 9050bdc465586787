//! Host name: the file, the running name, 127.0.1.1 in the hosts file; cloud-init told to leave them alone.

use super::{edit, in_place, owed, put, units};
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::{CLOUD, HOSTNAME, HOSTS, hosts};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "hostname",
    title: "host name and hosts file",
    class: Class::Access,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

/// The running name (proc(5)).
const RUNNING: &str = "/proc/sys/kernel/hostname";
/// Announces the name as `NAME.local`; it reads the name when it starts only.
const AVAHI: &str = "avahi-daemon.service";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let name = &context.plan.node.hostname;
    let mut reasons = Vec::new();
    if !is_written(context, host, HOSTNAME)? {
        reasons.push(format!("`{HOSTNAME}` does not say `{name}`"));
    }
    if !hosts::is_right(&host.text(HOSTS)?.unwrap_or_default(), name) {
        reasons.push(format!("`{HOSTS}` does not have `{name}` at 127.0.1.1"));
    }
    if has_cloud_init(host)? && !is_written(context, host, CLOUD)? {
        reasons.push("cloud-init would put its own host name back".to_owned());
    }
    if owed::is(host, AVAHI)? {
        reasons.push(format!("`{AVAHI}` announces the old name"));
    }
    if host.live() && running(host)? != *name {
        reasons.push(format!("the running host name is `{}`", running(host)?));
    }
    Ok(Check::of(reasons, !host.live()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let name = &context.plan.node.hostname;
    let cloud = if has_cloud_init(host)? { context.file(CLOUD) } else { None };
    for file in [context.file(HOSTNAME), cloud].into_iter().flatten() {
        put(host, file)?;
    }
    edit(host, HOSTS, &hosts::merge(&host.text(HOSTS)?.unwrap_or_default(), name))?;
    if running(host)? != *name {
        if units::is_installed(host, AVAHI)? {
            owed::note(host, AVAHI)?;
        }
        host.tune(RUNNING, name)?;
    }
    let mut notes = Notes::new();
    if owed::is(host, AVAHI)? {
        // The name is right without it; a Pi that cannot announce itself still works.
        if let Err(error) = units::systemctl(host, "try-restart", AVAHI) {
            notes.push(error.to_string());
        }
        owed::settle(host, AVAHI)?;
    }
    Ok(notes)
}

fn running(host: &dyn Look) -> Result<String, Error> {
    Ok(host.text(RUNNING)?.unwrap_or_default().trim().to_owned())
}

fn is_written(context: &Context, host: &dyn Look, path: &str) -> Result<bool, Error> {
    context.file(path).map_or(Ok(true), |file| in_place(host, file))
}

fn has_cloud_init(host: &dyn Look) -> Result<bool, Error> {
    host.exists("/etc/cloud/cloud.cfg")
}
