//! The login user's values.

/// Key types that OpenSSH 8 and later accept (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
const SSH_KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A Debian user name (adduser(8) `NAME_REGEX`, and what userconf-pi takes): a letter, then `a-z0-9-`, 32 at most. Which
/// of them belong to the system is another question: `config/accounts.toml` on the laptop, `/etc/passwd` on the node.
///
/// # Errors
/// What is wrong with it.
pub fn user_name(value: &str) -> Result<(), String> {
    let ok = (1..=32).contains(&value.len())
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if ok {
        Ok(())
    } else {
        Err(format!(
            "`{value}` is not a user name; use a letter, then letters a to z, digits and hyphens, at most 32"
        ))
    }
}

/// One public key as in `~/.ssh/id_ed25519.pub`: type, base64, comment; options are refused.
///
/// # Errors
/// What is wrong with it; a private key is named as such and never quoted.
pub fn ssh_key(value: &str) -> Result<(), String> {
    if value.contains("PRIVATE KEY") {
        return Err("is a private key; give the public one, which ends in .pub".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err(
            "holds more than one line, or control characters; give one public key per entry"
                .to_owned(),
        );
    }
    let mut words = value.split(' ');
    let (kind, data) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    if !SSH_KEY_TYPES.contains(&kind) {
        return Err(format!(
            "is not an OpenSSH public key; it starts with `{}`, not with a type such as ssh-ed25519",
            kind.chars().take(24).collect::<String>()
        ));
    }
    // The blob repeats the type, with its length in front (RFC 4253 §6.6): a cut or pasted-over key shows here.
    let base64 = !data.is_empty()
        && data
            .trim_end_matches('=')
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
        && data.len().is_multiple_of(4);
    if base64 && data.len() >= 68 && data.starts_with("AAAA") {
        Ok(())
    } else {
        Err(format!("is not a whole {kind} public key"))
    }
}

/// A crypt(5) hash of a kind that Debian 11 and later verify: sha512crypt, sha256crypt or yescrypt.
///
/// # Errors
/// That it is not; the value is not quoted.
pub fn password_hash(value: &str) -> Result<(), String> {
    let known = ["$6$", "$5$", "$y$"].iter().any(|prefix| value.starts_with(prefix));
    let clean = value.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if known && clean && value.len() >= 20 {
        Ok(())
    } else {
        Err("is not a password hash of crypt(5), as `openssl passwd -6` prints it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me@laptop";

    #[test]
    fn user_names() {
        for good in ["pi", "captain", "jean-francois", "u2"] {
            assert_eq!(user_name(good), Ok(()), "{good}");
        }
        for bad in ["", "Pi", "2u", "a b", "a:b", "../x", &"a".repeat(33)] {
            assert!(user_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_keys_only_and_whole() {
        assert_eq!(ssh_key(KEY), Ok(()));
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n";
        assert!(ssh_key(private).unwrap_err().contains("private key"));
        assert!(!ssh_key(private).unwrap_err().contains("b3Blbn"));
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "hello world",
            &format!("{KEY}\n{KEY}"),
            "ssh-dss AAAAB3",
        ] {
            assert!(ssh_key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_not_quoted() {
        assert_eq!(password_hash("$6$saltsalt$0123456789abcdef"), Ok(()));
        assert!(!password_hash("hunter2hunter2").unwrap_err().contains("hunter2"));
        assert!(password_hash("$6$salt:x$0123456789abcdef").is_err());
    }
}
