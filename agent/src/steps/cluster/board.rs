//! What Kubernetes needs and no step can give. Asked before half an hour of downloads, and as soon as a person can log in
//! and read it.

use pikube_config::Role;

use crate::host::{Command, Error, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step; it looks, and does nothing.
pub const STEP: Step = Step {
    id: "board",
    title: "memory, card and user land",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply: |_, _| Ok(Notes::new()),
    ahead: None,
};

/// What kubeadm asks of a control plane, in MiB as it counts them (kubeadm, `constants.ControlPlaneMem`, preflight `Mem`).
const CONTROL_PLANE_MIB: u64 = 1700;
/// What packages and images of a node take up, with some room (`kubernetes-on-pi.md` §11: 2.4 GB on a control plane,
/// 1.4 GB on a worker).
const ROOT_BYTES: u64 = 3_000_000_000;

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(kubernetes) = &context.plan.kubernetes else { return Ok(Check::Satisfied) };
    let role = context.plan.node.role;
    let mib = memory_mib(host)?;
    if role != Role::Worker && !kubernetes.force_low_memory && mib < CONTROL_PLANE_MIB {
        return Err(Stop::person(
            format!(
                "a control plane needs {CONTROL_PLANE_MIB} MiB of memory, this board has {mib}"
            ),
            "use a board with 2 GB or more, or write the card with `--force-low-memory`",
        ));
    }
    if !host.live() {
        return Ok(Check::Unknown);
    }
    let architecture = host.ask(&Command::new("dpkg", ["--print-architecture"]))?.stdout;
    let architecture = architecture.trim();
    if matches!(architecture, "armhf" | "armel") && !kubernetes.legacy {
        return Err(Stop::person(
            format!(
                "the programs of this system are 32-bit ({architecture}), whatever its kernel is: Kubernetes has none since 1.27"
            ),
            "write the card with a 64-bit system, or with `--legacy`",
        ));
    }
    if let Some(bytes) = root_bytes(host)?
        && bytes < ROOT_BYTES
    {
        return Err(Stop::person(
            format!(
                "the root file system has {} MB, and Kubernetes needs {}",
                bytes / 1_000_000,
                ROOT_BYTES / 1_000_000
            ),
            "use a larger card",
        ));
    }
    Ok(Check::Satisfied)
}

/// `MemTotal` (proc_meminfo(5)), in MiB.
fn memory_mib(host: &dyn Look) -> Result<u64, Error> {
    let text = host.text("/proc/meminfo")?.unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(kib.map_or(u64::MAX, |kib| kib / 1024))
}

fn root_bytes(host: &dyn Look) -> Result<Option<u64>, Error> {
    let answer = host.ask(&Command::new("df", ["-B1", "--output=size", "/"]))?;
    Ok(answer.stdout.lines().nth(1).and_then(|line| line.trim().parse().ok()))
}
