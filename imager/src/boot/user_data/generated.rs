//! The `user-data` that piflash writes where cloud-init starts the agent and nobody gave one.
//!
//! It replaces the image's own, and with it the logins that everybody knows (`pirate` and `hypriot`, `ubuntu` and
//! `ubuntu`): the list of users has the plan's user and no `default`. The agent completes that user; it is here already
//! so that somebody can log in where the agent cannot start. No `packages:`, which would wait for a network that the
//! agent has yet to set up, and no `manage_etc_hosts`, which would undo the agent's `/etc/hosts` at every boot.

use std::fmt::Write as _;

use pikube_config::FirstbootPlan;
use pikube_config::values::person::KeyLine;

use super::super::os::{Family, Os};
use super::{GENERATED, starter};

/// How the login user stands, beyond the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// Whether a password for it is on its way.
    pub password: bool,
    /// Whether the launcher has run before on this card: the user is there then, with a password that stays, and the
    /// machine has host keys that others know.
    pub exists: bool,
}

/// The whole file; ASCII, because cloud-init 0.7.6 (HypriotOS 1.7) reads it with Python 2.
pub fn generate(os: &Os, plan: &FirstbootPlan, login: Login, launcher: &str) -> String {
    let mut text =
        format!("{GENERATED}cloud-init starts the launcher, the agent does everything else.\n");
    // Said here as well, because cloud-init sets its own host name at every boot.
    let _ = writeln!(text, "hostname: {}", quoted(&plan.node.hostname));
    text.push_str("preserve_hostname: false\nmanage_etc_hosts: false\n");
    if let Some(user) = &plan.user {
        let _ = writeln!(text, "users:\n  - name: {}\n    shell: /bin/bash", quoted(&user.name));
        // cloud-init locks the password even of a user that is there already.
        let _ = writeln!(text, "    lock_passwd: {}", !login.exists);
        if !user.ssh_keys.is_empty() {
            text.push_str("    ssh_authorized_keys:\n");
        }
        for key in &user.ssh_keys {
            let _ = writeln!(text, "      - {}", quoted(ascii_key(key)));
        }
    }
    if login.password || !login.exists {
        let _ = writeln!(text, "ssh_pwauth: {}", login.password);
    }
    if login.exists {
        text.push_str("ssh_deletekeys: false\n");
    }
    // The image's package sources stay: cloud-init's own templates name a mirror that has no packages for these boards.
    text.push_str(match os.family {
        Family::Hypriot => "apt_preserve_sources_list: true\n",
        _ => "apt:\n  preserve_sources_list: true\n",
    });
    let _ = writeln!(text, "bootcmd:\n  - {}", quoted(&starter(launcher)));
    text
}

/// Type and key without the comment where that is not ASCII.
fn ascii_key(key: &str) -> &str {
    if key.is_ascii() {
        return key;
    }
    let data = KeyLine::split(key).data;
    key.find(data).map_or(key, |at| &key[..at + data.len()])
}

/// Names such as `no` and `1e3` are not strings for YAML without quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
