//! Rules for single values, shared by the plan, the command line and the agent.
//!
//! Each function returns `Ok(())` or one line that quotes the value and says what it should be.

pub mod cluster;
pub mod host;
pub mod locale;
pub mod person;
pub mod wifi;

/// `value` is one of `names`, or the message that lists them.
fn one_of(value: &str, what: &str, names: &[&str]) -> Result<(), String> {
    if names.contains(&value) {
        return Ok(());
    }
    let hint = crate::nearest(value, names.iter().copied())
        .map_or_else(String::new, |name| format!(", did you mean `{name}`?"));
    Err(format!("`{value}` is not {what}; use {}{hint}", names.join(", ")))
}
