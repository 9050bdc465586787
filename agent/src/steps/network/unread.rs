//! Files that have changed since their manager read them. Kept on the medium, unlike what is owed to other programs: a
//! manager that refuses its file would do so at the next boot as well, and nobody would hear of it again.

use pikube_config::names;

use crate::host::{Access, Error, Host, Look};

fn path() -> String {
    format!("{}/network-unread", names::STATE_DIR)
}

/// Whether there are any.
pub fn is(host: &dyn Look) -> Result<bool, Error> {
    host.exists(&path())
}

/// Their paths.
pub fn list(host: &dyn Look) -> Result<Vec<String>, Error> {
    Ok(host.text(&path())?.unwrap_or_default().lines().map(str::to_owned).collect())
}

/// Notes these besides what is noted; call it before they are changed.
pub fn note(host: &dyn Host, changed: &[String]) -> Result<(), Error> {
    let mut all = list(host)?;
    all.extend_from_slice(changed);
    all.sort();
    all.dedup();
    host.write(&path(), (all.join("\n") + "\n").as_bytes(), Access::root(0o600))
}

/// The manager has read them.
pub fn settle(host: &dyn Host) -> Result<(), Error> {
    host.remove(&path())
}
