//! Host names for several cards: lists and ranges.

use pikube_config::values::host;

use super::{PlanError, ranges};

/// `fregate,pi[08-10]` → `fregate`, `pi08`, `pi09`, `pi10`.
///
/// # Errors
/// A malformed range, a name that is no host name, or the same name twice.
pub fn expand(expression: &str) -> Result<Vec<String>, PlanError> {
    let names =
        ranges::expand(expression, "host names", "pi[01-04]").map_err(PlanError::Hostname)?;
    for (index, name) in names.iter().enumerate() {
        host::hostname(name).map_err(PlanError::Hostname)?;
        if names[..index].contains(name) {
            return Err(PlanError::Hostname(format!("host name `{name}` is given twice")));
        }
    }
    Ok(names)
}

/// Several such expressions.
///
/// # Errors
/// As of one.
pub fn expand_all(expressions: &[String]) -> Result<Vec<String>, PlanError> {
    let names = expressions.iter().map(|expression| expand(expression));
    Ok(names.collect::<Result<Vec<_>, _>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_one_by_one() {
        assert_eq!(expand("a[1-2]-x,b").unwrap(), ["a1-x", "a2-x", "b"]);
        for bad in ["", "a,", "a,a", "La", "pi[1-2"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
