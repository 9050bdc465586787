//! `~/.ssh/authorized_keys` (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").

/// The keys that the file lacks.
pub fn missing<'a>(text: &str, keys: &'a [String]) -> Vec<&'a String> {
    keys.iter().filter(|key| !text.lines().any(|line| line.trim() == key.trim())).collect()
}

/// `text` with the keys that it lacks at its end; lines of others stay as they are.
pub fn merge(text: &str, keys: &[String]) -> String {
    let mut merged = text.to_owned();
    for key in missing(text, keys) {
        if !merged.is_empty() && !merged.ends_with('\n') {
            merged.push('\n');
        }
        merged.push_str(key.trim());
        merged.push('\n');
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_others_stay_and_ours_come_once() {
        let keys = ["ssh-ed25519 AAAA me".to_owned(), "ssh-rsa BBBB you".to_owned()];
        let merged = merge("ssh-rsa CCCC other\nssh-rsa BBBB you", &keys);
        assert_eq!(merged, "ssh-rsa CCCC other\nssh-rsa BBBB you\nssh-ed25519 AAAA me\n");
        assert_eq!(merge(&merged, &keys), merged);
        assert!(missing(&merged, &keys).is_empty());
    }
}
