//! Breaking off half way, at a place that a test has asked for.
//!
//! `/etc/pikube-standin/faults` holds a fault per line, `COMMAND-dies-after=PHASE` or `COMMAND-hangs-after=PHASE`, as in
//! `init-dies-after=certs`. A line strikes once: it is removed, and the removal is on the disk, before it does. Phases
//! of `init`: `preflight certs kubeconfig kubelet-start control-plane wait upload bootstrap-token addon`; of `join`:
//! `preflight discovery bootstrap kubelet-start wait`, and `control-plane-prepare etcd-join` on a control plane.

use anyhow::Result;

use crate::place;

const FILE: &str = "/etc/pikube-standin/faults";

/// A phase is over: dies or hangs here if a test wants it.
///
/// # Errors
/// The list of faults cannot be written.
pub(crate) fn after(command: &str, phase: &str) -> Result<()> {
    if take(&format!("{command}-dies-after={phase}"))? {
        std::process::abort();
    }
    if take(&format!("{command}-hangs-after={phase}"))? {
        loop {
            crate::time::sleep(std::time::Duration::from_secs(3600));
        }
    }
    Ok(())
}

fn take(fault: &str) -> Result<bool> {
    let Ok(text) = place::read(FILE) else { return Ok(false) };
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.trim() == fault) else { return Ok(false) };
    lines.remove(at);
    let rest = lines.iter().fold(String::new(), |text, line| text + line + "\n");
    place::write(FILE, &rest, 0o644)?;
    Ok(true)
}
