//! A part of ours in a file that belongs to somebody else, between two comments.

const BEGIN: &str = "# pikube: begin, written by pikube-agent";
const END: &str = "# pikube: end";

/// `text` with `lines` at its end, in the place of an earlier part of ours; without lines the part is gone. A part whose
/// end is missing (edited by hand) reaches to the end of the file.
pub fn merge(text: &str, lines: &[String]) -> String {
    let mut merged = String::new();
    let mut ours = false;
    for line in text.lines() {
        match line.trim_end() {
            BEGIN => ours = true,
            END if ours => ours = false,
            _ if ours => {}
            _ => merged.extend([line, "\n"]),
        }
    }
    if !lines.is_empty() {
        merged.extend([BEGIN, "\n"]);
        merged.extend(lines.iter().flat_map(|line| [line.as_str(), "\n"]));
        merged.extend([END, "\n"]);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_comes_is_replaced_and_goes_and_the_rest_stays() {
        let text = "hostname\n\n# static\noption rapid_commit\n";
        let one = merge(text, &["interface eth0".to_owned()]);
        assert_eq!(one, format!("{text}{BEGIN}\ninterface eth0\n{END}\n"));
        assert_eq!(merge(&one, &["interface eth0".to_owned()]), one);
        let two = merge(&format!("{one}duid\n"), &["interface eth1".to_owned()]);
        assert!(!two.contains("eth0") && two.contains("duid\n") && two.contains("eth1"));
        assert_eq!(merge(&one, &[]), text);
        assert_eq!(merge(one.trim_end().trim_end_matches(END), &[]), text);
    }
}
