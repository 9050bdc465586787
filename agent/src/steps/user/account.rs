//! Account, groups and home folder.

use super::accounts::{Account, Group, account, groups, password};
use crate::host::{Access, Command, Error, Host, Kind, Look};
use crate::step::Stop;

/// Groups that a login user of Raspberry Pi OS is in (pi-gen, stage2), as far as they exist.
const GROUPS: [&str; 15] = [
    "adm", "dialout", "cdrom", "sudo", "audio", "video", "plugdev", "games", "users", "input",
    "render", "netdev", "gpio", "i2c", "spi",
];
const SKELETON: &str = "/etc/skel";

/// What is wrong with an account that exists.
pub fn reasons(host: &dyn Look, account: &Account) -> Result<Vec<String>, Error> {
    let name = &account.name;
    let groups = groups(host)?;
    let mut reasons = Vec::new();
    if password(host, name)?.is_none() {
        reasons.push(format!("`{name}` has no line in `/etc/shadow`"));
    }
    if !has_own_group(account, &groups) {
        reasons.push(format!("`{name}` has no group of its own"));
    }
    let missing = missing_groups(name, &groups);
    if !missing.is_empty() {
        reasons.push(format!("`{name}` is not in {}", missing.join(", ")));
    }
    if !has_home(host, account)? {
        reasons.push(format!("`{}` is not the home of `{name}`", account.home));
    }
    Ok(reasons)
}

/// Makes it, or what is missing of it.
pub fn apply(host: &dyn Host, name: &str) -> Result<Account, Stop> {
    if account(host, name)?.is_none() {
        add(host, name)?;
    }
    let Some(account) = account(host, name)? else {
        return Err(Stop::person(
            format!("adding the user `{name}`: `useradd` says it worked, `/etc/passwd` says no"),
            "see whether `/etc/passwd` can be written",
        ));
    };
    // What `useradd` was told to do by the system's own settings (useradd(8), `-D`) is not taken on trust either.
    if let Some(why) = account.refusal() {
        return Err(Stop::person(
            format!("adding the user `{name}`: {why}"),
            "correct `/etc/login.defs` and `/etc/default/useradd`, remove the account, and reboot",
        ));
    }
    if !has_own_group(&account, &groups(host)?) {
        let number = account.owner.1.to_string();
        host.run(&Command::new("groupadd", ["-g", &number, name]))?;
    }
    if password(host, name)?.is_none() {
        host.run(&Command::new("pwconv", [""; 0]))?;
    }
    let missing = missing_groups(name, &groups(host)?);
    if !missing.is_empty() {
        host.run(&Command::new("usermod", ["-aG", &missing.join(","), name]))?;
    }
    if !has_home(host, &account)? {
        make_home(host, &account)?;
    }
    Ok(account)
}

/// Without a home, which comes afterwards, and with `*` for a password: no password fits, ssh keys work (`!` would shut
/// the keys out as well where sshd does not use PAM).
fn add(host: &dyn Host, name: &str) -> Result<(), Error> {
    let mut args = vec!["-M", "-s", "/bin/bash", "-p", "*"];
    if groups(host)?.iter().any(|group| group.name == name) {
        args.extend(["-g", name]);
    } else {
        args.push("-U");
    }
    args.push(name);
    host.run(&Command::new("useradd", args)).map(|_| ())
}

fn has_own_group(account: &Account, groups: &[Group]) -> bool {
    groups.iter().any(|group| group.number == account.owner.1)
}

fn missing_groups(name: &str, groups: &[Group]) -> Vec<&'static str> {
    GROUPS
        .into_iter()
        .filter(|wanted| {
            groups
                .iter()
                .any(|group| group.name == *wanted && !group.members.iter().any(|m| m == name))
        })
        .collect()
}

/// It is there and the user's own: the owner is set last, so a home that is only half filled is not.
fn has_home(host: &dyn Look, account: &Account) -> Result<bool, Error> {
    let stat = host.stat(&account.home)?;
    Ok(stat.is_some_and(|stat| stat.kind != Kind::File && stat.owner == account.owner))
}

fn make_home(host: &dyn Host, account: &Account) -> Result<(), Error> {
    host.folder(&account.home, Access::root(0o700))?;
    copy(host, SKELETON, &account.home, account)?;
    host.folder(&account.home, Access { mode: 0o700, owner: account.owner })
}

/// Copies what `to` has not yet.
fn copy(host: &dyn Host, from: &str, to: &str, account: &Account) -> Result<(), Error> {
    for name in host.list(from)? {
        let (source, target) = (format!("{from}/{name}"), format!("{to}/{name}"));
        let Some(stat) = host.stat(&source)? else { continue };
        let access = Access { mode: stat.mode, owner: account.owner };
        match stat.kind {
            Kind::Folder => {
                host.folder(&target, access)?;
                copy(host, &source, &target, account)?;
            }
            Kind::File if !host.exists(&target)? => {
                host.write(&target, &host.read(&source)?.unwrap_or_default(), access)?;
            }
            _ => {}
        }
    }
    Ok(())
}
