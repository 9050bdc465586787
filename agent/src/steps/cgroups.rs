//! The memory cgroup: kubelet does not start without it, and only a flag on the kernel command line brings it.
//! `/sys/fs/cgroup/cgroup.controllers` counts, not `/proc/cgroups`, which lacks `memory` on kernels from 6.12
//! (`os-families.md` §2.8).

use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "cgroups",
    title: "memory cgroup",
    class: Class::Essential,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";
const FLAG: &str = "cgroup_enable=memory";
const UNIFIED: &str = "systemd.unified_cgroup_hierarchy=1";

/// What is wrong.
enum Lack {
    /// cgroup v2 is not mounted.
    Version2,
    /// v2 without the memory controller.
    Memory,
}

fn lack(host: &dyn Look) -> Result<Option<Lack>, Error> {
    Ok(match host.text(CONTROLLERS)? {
        None => Some(Lack::Version2),
        Some(text) if text.split_whitespace().any(|name| name == "memory") => None,
        Some(_) => Some(Lack::Memory),
    })
}

fn check(_: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    Ok(match lack(host)? {
        None => Check::Satisfied,
        Some(Lack::Version2) => Check::Needed("cgroup v2 is not mounted".to_owned()),
        Some(Lack::Memory) => Check::Needed(format!("`{CONTROLLERS}` does not list `memory`")),
    })
}

/// There is nothing that the agent could do without a reboot on a command line that is not its own.
fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let (what, flag) = match lack(host)? {
        None => return Ok(Notes::new()),
        Some(Lack::Version2) => ("using cgroup v2: it is not mounted", UNIFIED),
        Some(Lack::Memory) => ("using the memory cgroup: the kernel has it switched off", FLAG),
    };
    let running = host.text("/proc/cmdline")?.unwrap_or_default();
    let release = host.text("/proc/sys/kernel/osrelease")?.unwrap_or_default();
    let help = if running.split_whitespace().any(|token| token == flag) {
        format!("kernel {} ignores `{flag}`; use the kernel of the image", release.trim())
    } else {
        let boot = context.facts.boot.as_deref().unwrap_or("/boot/firmware");
        let debian = if host.exists("/etc/default/raspi-firmware")? {
            ", and to `/etc/default/raspi-extra-cmdline`, which Debian writes it from,"
        } else {
            ""
        };
        format!("add `{flag}` to the one line of `{boot}/cmdline.txt`{debian} and reboot")
    };
    Err(Stop::person(what, help))
}
