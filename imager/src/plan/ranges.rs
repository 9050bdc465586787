//! Lists and ranges: one expression for the cards of a run.

/// Most values that one expression may stand for: nobody has a reader with more slots.
const MAX_VALUES: usize = 256;

/// `fregate,pi[08-10]` → `fregate`, `pi08`, `pi09`, `pi10`; digits keep the width of the first number.
///
/// # Errors
/// What is wrong with the expression; the values themselves are the caller's to judge. `what` names them, `example`
/// is a range of them.
pub fn expand(expression: &str, what: &str, example: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    for item in expression.split(',') {
        expand_item(item.trim(), &mut values).ok_or_else(|| {
            format!("`{}` is not a range of {what}, as in `{example}`", item.trim())
        })?;
        if values.len() > MAX_VALUES {
            return Err(format!("`{expression}` stands for more than {MAX_VALUES} {what}"));
        }
    }
    Ok(values)
}

fn expand_item(item: &str, values: &mut Vec<String>) -> Option<()> {
    let Some((before, rest)) = item.split_once('[') else {
        values.push(item.to_owned());
        return Some(());
    };
    let (range, after) = rest.split_once(']')?;
    let (first, last) = range.split_once('-')?;
    let digits =
        |text: &str| (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !digits(last) || after.contains(['[', ']']) {
        return None;
    }
    let (from, to): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    if from > to || to - from >= MAX_VALUES {
        return None;
    }
    let width = first.len();
    values.extend((from..=to).map(|number| format!("{before}{number:0width$}{after}")));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(expression: &str) -> Result<Vec<String>, String> {
        expand(expression, "values", "a[1-2]")
    }

    #[test]
    fn lists_and_ranges_in_order() {
        assert_eq!(values("laperouse").unwrap(), ["laperouse"]);
        assert_eq!(values("fregate, black-pearl").unwrap(), ["fregate", "black-pearl"]);
        assert_eq!(values("pi[08-10]").unwrap(), ["pi08", "pi09", "pi10"]);
        assert_eq!(values("a[1-2]-x,b").unwrap(), ["a1-x", "a2-x", "b"]);
        assert_eq!(values("10.0.0.[9-10]/24").unwrap(), ["10.0.0.9/24", "10.0.0.10/24"]);
    }

    #[test]
    fn what_is_no_range_is_told() {
        for bad in [
            "pi[1-",
            "pi[2-1]",
            "pi[a-b]",
            "pi[1-9999]",
            "pi[1]",
            "pi[1-2][3-4]",
            "[1-200],[1-200]",
        ] {
            assert!(values(bad).is_err(), "{bad}");
        }
    }
}
