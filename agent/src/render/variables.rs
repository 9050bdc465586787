//! Files of `KEY=value` lines that a shell reads: `/etc/default/locale`, `/etc/default/keyboard`,
//! `/etc/dphys-swapfile`.

/// The value of a key, without quotes; the last line counts, as in a shell.
pub fn get(text: &str, key: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let (name, value) = line.trim_start().split_once('=')?;
        (name == key).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

/// `text` with these values: the first line of a key is changed in place, further ones are dropped, keys without a line
/// come at the end. Lines whose value is right already stay as they are, whatever their quotes.
pub fn merge(text: &str, wanted: &[(&str, &str)]) -> String {
    let mut seen = vec![false; wanted.len()];
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let key = line.trim_start().split_once('=').map(|(name, _)| name);
        let Some(at) = wanted.iter().position(|(name, _)| Some(*name) == key) else {
            lines.push(line.to_owned());
            continue;
        };
        if !seen[at] {
            let right = get(line, wanted[at].0).as_deref() == Some(wanted[at].1);
            lines.push(if right { line.to_owned() } else { assignment(wanted[at]) });
            seen[at] = true;
        }
    }
    let absent = wanted.iter().zip(seen).filter(|(_, seen)| !seen);
    lines.extend(absent.map(|(pair, _)| assignment(*pair)));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Quoted where the files' own tools quote: words of the X keyboard. Values hold nothing that a shell expands: the
/// contract allows letters, digits and `-_.@:` only.
fn assignment((key, value): (&str, &str)) -> String {
    if key.starts_with("XKB") { format!("{key}=\"{value}\"") } else { format!("{key}={value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_change_in_place_and_the_rest_stays() {
        let text =
            "# a\n#CONF_SWAPSIZE=100\nCONF_SWAPSIZE=512\nCONF_SWAPFILE=/var/swap\nCONF_SWAPSIZE=1";
        let merged = merge(text, &[("CONF_SWAPSIZE", "0")]);
        assert_eq!(merged, "# a\n#CONF_SWAPSIZE=100\nCONF_SWAPSIZE=0\nCONF_SWAPFILE=/var/swap\n");
        assert_eq!(merge(&merged, &[("CONF_SWAPSIZE", "0")]), merged);
    }

    #[test]
    fn quotes_are_not_a_difference() {
        assert_eq!(merge("LANG=\"C.UTF-8\"\n", &[("LANG", "C.UTF-8")]), "LANG=\"C.UTF-8\"\n");
        assert_eq!(get("LANG='x'\n  LANG=y", "LANG").as_deref(), Some("y"));
        assert_eq!(get("#LANG=x", "LANG"), None);
    }
}
