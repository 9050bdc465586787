//! sshd: host keys, enabled, running; only where somebody could log in.

use super::units;
use super::user::accounts;
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "ssh",
    title: "ssh",
    class: Class::Access,
    wanted: |plan| plan.user.is_some(),
    check,
    apply,
    ahead: None,
};

const UNIT: &str = "ssh.service";
/// Ubuntu 22.10 and later start sshd from it; either is fine.
const SOCKET: &str = "ssh.socket";
const FOLDER: &str = "/etc/ssh";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !can_log_in(context, host)? {
        return Ok(Check::Satisfied);
    }
    let mut reasons = Vec::new();
    if !has_host_keys(host)? {
        reasons.push(format!("host keys are missing or empty in `{FOLDER}`"));
    }
    if !units::is_enabled(host, UNIT)? && !units::is_enabled(host, SOCKET)? {
        reasons.push(format!("`{UNIT}` is not enabled"));
    }
    let states = (units::state(host, UNIT)?, units::state(host, SOCKET)?);
    if let (Some(service), Some(socket)) = &states
        && service != "active"
        && socket != "active"
    {
        reasons.push(format!("`{UNIT}` is {service}"));
    }
    Ok(Check::of(reasons, states.0.is_none()))
}

fn apply(_: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    if !units::is_installed(host, UNIT)? {
        return Err(Stop::person(
            format!("starting ssh: `{UNIT}` is not installed"),
            "use an image that has the package `openssh-server`, or leave `[user]` out of the plan",
        ));
    }
    if !has_host_keys(host)? {
        // Makes those kinds that are missing or empty (ssh-keygen(1), -A).
        host.run(&Command::new("ssh-keygen", ["-A"]))?;
    }
    if units::is_enabled(host, SOCKET)? {
        units::systemctl(host, "start", SOCKET)?;
        return Ok(Notes::new());
    }
    if !units::is_enabled(host, UNIT)? {
        if units::is_masked(host, UNIT)? {
            units::systemctl(host, "unmask", UNIT)?;
        }
        units::systemctl(host, "enable", UNIT)?;
    }
    if units::state(host, UNIT)?.as_deref() != Some("active") {
        // It may be trying in vain without host keys at this very moment (Debian makes them on a first boot only, and
        // the launcher's boot was that): what it has used up of its start limit would stop the start below.
        units::systemctl(host, "reset-failed", UNIT)?;
    }
    units::systemctl(host, "start", UNIT)?;
    Ok(Notes::new())
}

fn can_log_in(context: &Context, host: &dyn Look) -> Result<bool, Error> {
    let Some(user) = &context.plan.user else { return Ok(false) };
    if !user.ssh_keys.is_empty()
        || context.secrets.as_ref().is_some_and(|s| s.password_hash.is_some())
    {
        return Ok(true);
    }
    Ok(accounts::password(host, &user.name)?.is_some_and(|field| accounts::is_usable(&field)))
}

/// Every kind that ssh-keygen(1) makes with `-A`. A power cut can leave some of them, or empty ones.
fn has_host_keys(host: &dyn Look) -> Result<bool, Error> {
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let stat = host.stat(&format!("{FOLDER}/ssh_host_{kind}_key"))?;
        if stat.is_none_or(|stat| stat.size_bytes == 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
