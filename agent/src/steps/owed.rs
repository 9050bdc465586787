//! Acts that are owed to a running program since its file changed. The note is in `/run`: after a power cut the program
//! starts with the new file anyway, but an agent that was killed between the two must not forget.

use crate::host::{Access, Error, Host, Look};

const FOLDER: &str = "/run/pikube/owed";

/// Whether the act is owed.
pub fn is(host: &dyn Look, act: &str) -> Result<bool, Error> {
    host.exists(&path(act))
}

/// Notes it; call it before the file is changed.
pub fn note(host: &dyn Host, act: &str) -> Result<(), Error> {
    host.write(&path(act), b"", Access::root(0o600))
}

/// Done.
pub fn settle(host: &dyn Host, act: &str) -> Result<(), Error> {
    host.remove(&path(act))
}

fn path(act: &str) -> String {
    format!("{FOLDER}/{act}")
}
