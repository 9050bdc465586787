//! Host names for several cards: lists and ranges.

use pikube_config::values::host;

use super::PlanError;

/// Most names that one expression may stand for: nobody has a reader with more slots.
const MAX_NAMES: usize = 256;

/// `fregate,pi[08-10]` → `fregate`, `pi08`, `pi09`, `pi10`; digits keep the width of the first number.
///
/// # Errors
/// A malformed range, a name that is no host name, or the same name twice.
pub fn expand(expression: &str) -> Result<Vec<String>, PlanError> {
    let mut names = Vec::new();
    for item in expression.split(',') {
        expand_item(item.trim(), &mut names)?;
        if names.len() > MAX_NAMES {
            return Err(PlanError::Hostname(format!(
                "`{expression}` stands for more than {MAX_NAMES} names"
            )));
        }
    }
    for (index, name) in names.iter().enumerate() {
        host::hostname(name).map_err(PlanError::Hostname)?;
        if names[..index].contains(name) {
            return Err(PlanError::Hostname(format!("host name `{name}` is given twice")));
        }
    }
    Ok(names)
}

fn expand_item(item: &str, names: &mut Vec<String>) -> Result<(), PlanError> {
    let Some((before, rest)) = item.split_once('[') else {
        names.push(item.to_owned());
        return Ok(());
    };
    let wrong =
        || PlanError::Hostname(format!("`{item}` is not a range of host names, as in `pi[01-04]`"));
    let (range, after) = rest.split_once(']').ok_or_else(wrong)?;
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    let digits =
        |text: &str| (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) || after.contains(['[', ']']) {
        return Err(wrong());
    }
    let (from, to): (usize, usize) =
        (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if from > to || to - from >= MAX_NAMES {
        return Err(wrong());
    }
    let width = first.len();
    names.extend((from..=to).map(|number| format!("{before}{number:0width$}{after}")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_in_order() {
        assert_eq!(expand("laperouse").unwrap(), ["laperouse"]);
        assert_eq!(expand("fregate, black-pearl").unwrap(), ["fregate", "black-pearl"]);
        assert_eq!(expand("pi[08-10]").unwrap(), ["pi08", "pi09", "pi10"]);
        assert_eq!(expand("a[1-2]-x,b").unwrap(), ["a1-x", "a2-x", "b"]);
    }

    #[test]
    fn what_is_no_name_is_told() {
        for bad in [
            "",
            "a,",
            "pi[1-",
            "pi[2-1]",
            "pi[a-b]",
            "pi[1-9999]",
            "pi[1]",
            "a,a",
            "pi[1-2][3-4]",
            "La",
        ] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
