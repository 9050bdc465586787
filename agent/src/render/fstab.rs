//! `/etc/fstab` (fstab(5)) without swap.

/// The lines that are swap.
pub fn swap_lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| is_swap(line)).collect()
}

/// `text` with its swap lines made comments.
pub fn without_swap(text: &str) -> String {
    text.lines()
        .map(|line| if is_swap(line) { format!("# pikube: {line}\n") } else { format!("{line}\n") })
        .collect()
}

/// The third field says so; `none` or `swap` in the second is custom only.
fn is_swap(line: &str) -> bool {
    !line.trim_start().starts_with('#')
        && line.split_whitespace().nth(2).is_some_and(|kind| kind == "swap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_lines_become_comments_and_the_rest_stays() {
        let text = "proc /proc proc defaults 0 0\n/var/swap none swap sw 0 0\n #/x none swap sw 0 0\nPARTUUID=a-02 / ext4 defaults,noatime 0 1\n";
        assert_eq!(swap_lines(text), ["/var/swap none swap sw 0 0"]);
        let without = without_swap(text);
        assert!(without.contains("# pikube: /var/swap none swap sw 0 0\n"));
        assert!(swap_lines(&without).is_empty() && without.lines().count() == 4);
        assert_eq!(without_swap(&without), without);
    }
}
