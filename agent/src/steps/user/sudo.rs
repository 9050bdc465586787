//! sudo without a password for a user who has none; a user who has one is asked for it.

use super::accounts::{is_usable, password};
use crate::host::{Error, Host, Look};
use crate::render::sudoers;
use crate::step::{Notes, Stop};
use crate::steps::{in_place, put};

const FOLDER: &str = "/etc/sudoers.d";

fn is_wanted(host: &dyn Look, name: &str) -> Result<bool, Error> {
    let field = password(host, name)?;
    Ok(host.exists(FOLDER)? && !field.is_some_and(|field| is_usable(&field)))
}

/// Why it is needed.
pub fn reasons(host: &dyn Look, name: &str) -> Result<Vec<String>, Error> {
    let file = sudoers(name);
    Ok(match (is_wanted(host, name)?, host.exists(&file.path)?) {
        (true, _) if !in_place(host, &file)? => {
            vec![format!("`{name}` has no password and could not use sudo")]
        }
        (false, true) => vec![format!("`{}` lets `{name}` in without asking", file.path)],
        _ => Vec::new(),
    })
}

/// Writes or removes the drop-in.
pub fn apply(host: &dyn Host, name: &str) -> Result<Notes, Stop> {
    let file = sudoers(name);
    if is_wanted(host, name)? {
        put(host, &file)?;
    } else {
        host.remove(&file.path)?;
    }
    Ok(if host.exists(FOLDER)? { Notes::new() } else { vec!["sudo is not installed".to_owned()] })
}
