//! `/etc/hosts` (hosts(5)): the node's own name at 127.0.1.1, as Debian's installer does it.

/// `text` with this node's line; everything else stays.
pub fn merge(text: &str, name: &str) -> String {
    if is_right(text, name) {
        return text.to_owned();
    }
    let own = format!("127.0.1.1\t{name}");
    let mut lines: Vec<String> = Vec::new();
    let mut placed = false;
    for line in text.lines() {
        if address(line) != Some("127.0.1.1") {
            lines.push(line.to_owned());
        } else if !placed {
            lines.push(own.clone());
            placed = true;
        }
    }
    if !lines.iter().any(|line| address(line) == Some("127.0.0.1")) {
        lines.insert(0, "127.0.0.1\tlocalhost".to_owned());
    }
    if !placed {
        let local = lines.iter().position(|line| address(line) == Some("127.0.0.1"));
        lines.insert(local.map_or(lines.len(), |at| at + 1), own);
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Whether 127.0.1.1 is this name's alone, and localhost is there.
pub fn is_right(text: &str, name: &str) -> bool {
    let own: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| address(line) == Some("127.0.1.1"))
        .map(|line| words(line).skip(1).collect())
        .collect();
    own == [[name]] && text.lines().any(|line| address(line) == Some("127.0.0.1"))
}

fn address(line: &str) -> Option<&str> {
    words(line).next()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or("").split_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_name_goes_and_the_rest_stays() {
        let text = "# static\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n\n127.0.1.1 raspberrypi pi.lan # own\n10.0.0.9 nas";
        let merged = merge(text, "laperouse");
        assert_eq!(
            merged,
            "# static\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n\n127.0.1.1\tlaperouse\n10.0.0.9 nas\n"
        );
        assert!(is_right(&merged, "laperouse") && !is_right(text, "raspberrypi"));
        assert_eq!(merge(&merged, "laperouse"), merged);
    }

    #[test]
    fn an_empty_file_gets_both_lines() {
        assert_eq!(merge("", "a"), "127.0.0.1\tlocalhost\n127.0.1.1\ta\n");
        assert_eq!(merge("127.0.0.1 localhost\n", "a"), "127.0.0.1 localhost\n127.0.1.1\ta\n");
    }
}
