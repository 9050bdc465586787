//! Programs that a system may have or not.

use crate::host::{Error, Look};

/// Where Debian puts them.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Whether the system has one of this name.
pub fn has(host: &dyn Look, name: &str) -> Result<bool, Error> {
    for folder in FOLDERS {
        if host.exists(&format!("{folder}/{name}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}
