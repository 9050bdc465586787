//! ssh keys (sshd(8), "FILES"): sshd refuses a file that others can write.

use super::accounts::Account;
use crate::host::{Access, Error, Host, Kind, Look};
use crate::render::authorized_keys::{merge, missing};
use crate::step::Stop;

fn paths(account: &Account) -> (String, String) {
    let folder = format!("{}/.ssh", account.home);
    let file = format!("{folder}/authorized_keys");
    (folder, file)
}

/// Why it is needed; nothing without keys.
pub fn reasons(host: &dyn Look, account: &Account, keys: &[String]) -> Result<Vec<String>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let (folder, file) = paths(account);
    let mut reasons = Vec::new();
    let missing = missing(&host.text(&file)?.unwrap_or_default(), keys).len();
    if missing > 0 {
        reasons.push(format!("`{file}` lacks {missing} of {} keys", keys.len()));
    }
    for (path, mode) in [(folder, 0o700), (file, 0o600)] {
        let right = |stat: &crate::host::Stat| stat.mode == mode && stat.owner == account.owner;
        if !host.stat(&path)?.as_ref().is_some_and(right) {
            reasons.push(format!("`{path}` is not `{}`'s own alone", account.name));
        }
    }
    Ok(reasons)
}

/// Adds what is missing; keys of others stay.
pub fn apply(host: &dyn Host, account: &Account, keys: &[String]) -> Result<(), Stop> {
    if keys.is_empty() {
        return Ok(());
    }
    let (folder, file) = paths(account);
    if host.stat(&folder)?.is_some_and(|stat| stat.kind != Kind::Folder) {
        return Err(Stop::person(
            format!("writing `{file}`: `{folder}` is not a folder"),
            format!("remove `{folder}`"),
        ));
    }
    host.folder(&folder, Access { mode: 0o700, owner: account.owner })?;
    let now = host.text(&file)?.unwrap_or_default();
    let access = Access { mode: 0o600, owner: account.owner };
    host.write(&file, merge(&now, keys).as_bytes(), access)?;
    Ok(())
}
