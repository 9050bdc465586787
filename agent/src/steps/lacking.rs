//! What a plan asks for and a system does not have, where the node does without: told once, and remembered as told, so
//! that the step is satisfied from then on. What is remembered is the text: another lack is told anew.

use pikube_config::names;

use crate::host::{Access, Error, Host, Look};
use crate::step::{Check, Notes};

fn path(step: &str) -> String {
    format!("{}/lacking/{step}", names::STATE_DIR)
}

/// Needed until it has been told.
pub fn check(host: &dyn Look, step: &str, what: &str) -> Result<Check, Error> {
    let told = host.text(&path(step))?.is_some_and(|text| text.trim_end() == what);
    Ok(if told { Check::Satisfied } else { Check::Needed(what.to_owned()) })
}

/// Remembers it, and gives it to whoever tells it.
pub fn tell(host: &dyn Host, step: &str, what: String) -> Result<Notes, Error> {
    host.write(&path(step), format!("{what}\n").as_bytes(), Access::root(0o644))?;
    Ok(vec![what])
}
