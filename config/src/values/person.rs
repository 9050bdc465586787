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

/// Ends of the types that sshd does not take as a key, and what to do instead.
const REFUSED_KEYS: [(&str, &str); 5] = [
    (
        "-cert-v01@openssh.com",
        "a certificate does not go into authorized_keys; give the public key that it certifies",
    ),
    ("ssh-dss", "sshd has refused DSA since OpenSSH 7.0; make a key with `ssh-keygen -t ed25519`"),
    ("ssh-ed448", "OpenSSH does not know Ed448; make a key with `ssh-keygen -t ed25519`"),
    (
        "rsa-sha2-256",
        "this is a kind of signature, not of key; the line of an RSA key starts with ssh-rsa",
    ),
    (
        "rsa-sha2-512",
        "this is a kind of signature, not of key; the line of an RSA key starts with ssh-rsa",
    ),
];

/// Options of a line of authorized_keys (sshd(8)); upper and lower case are alike.
const KEY_OPTIONS: [&str; 24] = [
    "agent-forwarding",
    "cert-authority",
    "command",
    "environment",
    "expiry-time",
    "from",
    "no-agent-forwarding",
    "no-port-forwarding",
    "no-pty",
    "no-touch-required",
    "no-user-rc",
    "no-X11-forwarding",
    "permitlisten",
    "permitopen",
    "port-forwarding",
    "principals",
    "pty",
    "restrict",
    "touch-required",
    "tunnel",
    "user-rc",
    "verify-required",
    "no-verify-required",
    "X11-forwarding",
];

/// What separates the parts of a line.
const BLANKS: [char; 2] = [' ', '\t'];

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

/// A line of `authorized_keys` in its parts (sshd(8), "AUTHORIZED_KEYS FILE FORMAT").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLine<'a> {
    /// Options before the type, as they were written; mostly empty.
    pub options: &'a str,
    /// Type of the key, `ssh-ed25519`.
    pub kind: &'a str,
    /// The key in base64.
    pub data: &'a str,
    /// The rest, which may have blanks.
    pub comment: &'a str,
}

impl<'a> KeyLine<'a> {
    /// Splits a line; what is not there is empty.
    pub fn split(line: &'a str) -> Self {
        let line = line.trim();
        let (first, _) = word(line);
        let (options, rest) = if is_kind(first) { ("", line) } else { options(line) };
        let (kind, rest) = word(rest);
        let (data, comment) = word(rest);
        Self { options, kind, data, comment }
    }

    /// The line with one blank between its parts.
    pub fn line(&self) -> String {
        let parts = [self.options, self.kind, self.data, self.comment];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }
}

/// The first word, and what follows the blanks behind it.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(BLANKS).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches(BLANKS))
}

/// Options, which may have blanks within double quotes, and what follows them.
fn options(line: &str) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    let end = line.find(|c: char| {
        let is_end = !quoted && BLANKS.contains(&c);
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_end
    });
    let end = end.unwrap_or(line.len());
    (&line[..end], line[end..].trim_start_matches(BLANKS))
}

/// Whether a word is the type of a key, of those that OpenSSH accepts or of any other.
fn is_kind(word: &str) -> bool {
    SSH_KEY_TYPES.contains(&word)
        || ["ssh-", "ecdsa-", "sk-", "rsa-"].iter().any(|start| word.starts_with(start))
        || word.ends_with("@openssh.com")
}

/// One line of `authorized_keys`, as it is in `~/.ssh/id_ed25519.pub`: options if any, type, base64, comment.
///
/// # Errors
/// What is wrong with it; a private key is named as such and never quoted.
pub fn ssh_key(value: &str) -> Result<(), String> {
    if value.contains("PRIVATE KEY") {
        return Err("is a private key; give the public one, which ends in .pub".to_owned());
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(
            "holds more than one line, or control characters; give one public key per entry"
                .to_owned(),
        );
    }
    if value.contains("BEGIN ") {
        return Err(
            "is a public key of another format; `ssh-keygen -i -f FILE` prints it in OpenSSH's (`-m PKCS8` for PEM)"
                .to_owned(),
        );
    }
    let KeyLine { options, kind, data, .. } = KeyLine::split(value);
    if let Some((_, why)) = REFUSED_KEYS.iter().find(|(end, _)| kind.ends_with(end)) {
        return Err(format!("is a key of type {kind}: {why}"));
    }
    if !SSH_KEY_TYPES.contains(&kind) {
        return Err(format!(
            "is not an OpenSSH public key; it starts with `{}`, not with a type such as ssh-ed25519",
            word(value.trim()).0.chars().take(24).collect::<String>()
        ));
    }
    key_options(options)?;
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

/// sshd ignores a line with an option that it does not know.
fn key_options(options: &str) -> Result<(), String> {
    let (mut quoted, mut escaped) = (false, false);
    let separate = |c: char| {
        let is_comma = c == ',' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        is_comma
    };
    for option in options.split(separate).filter(|_| !options.is_empty()) {
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        if !KEY_OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let name: String = name.chars().take(24).collect();
            return Err(format!(
                "has the option `{name}` before its type, which sshd does not know"
            ));
        }
    }
    if quoted {
        return Err("has a double quote among its options that is never closed".to_owned());
    }
    Ok(())
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
        for (line, part) in [
            ("ssh-dss AAAAB3NzaC1kc3MAAACB me", "DSA"),
            ("ssh-ed448 AAAACXNzaC1lZDQ0OAAA me", "Ed448"),
            ("ssh-ed25519-cert-v01@openssh.com AAAAIHNza me", "certificate"),
            ("rsa-sha2-512 AAAAB3NzaC1yc2EA me", "kind of signature"),
            ("---- BEGIN SSH2 PUBLIC KEY ----", "ssh-keygen -i"),
            ("-----BEGIN PUBLIC KEY-----", "ssh-keygen -i"),
            (&format!("no-sense {KEY}"), "`no-sense`"),
            (&format!("from=\"10.0.0.* {KEY}"), "not an OpenSSH public key"),
        ] {
            let error = ssh_key(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn blanks_and_options_are_as_sshd_reads_them() {
        let (kind, rest) = KEY.split_once(' ').unwrap();
        let (data, comment) = rest.split_once(' ').unwrap();
        for line in [
            KEY.to_owned(),
            format!("{kind}  {data}   {comment}"),
            format!(" {kind}\t{data}\t{comment} "),
        ] {
            assert_eq!(ssh_key(&line), Ok(()), "{line:?}");
            assert_eq!(KeyLine::split(&line).line(), KEY);
        }
        for options in [
            "restrict,pty",
            r#"from="10.0.0.*,192.168.1.7",No-Pty"#,
            r#"command="echo \"a, b\" c",no-port-forwarding"#,
        ] {
            let line = format!("{options}  {kind} {data} {comment} with blanks");
            assert_eq!(ssh_key(&line), Ok(()), "{line}");
            let parts = KeyLine::split(&line);
            assert_eq!((parts.options, parts.kind, parts.data), (options, kind, data));
            assert_eq!(parts.comment, format!("{comment} with blanks"));
        }
    }

    #[test]
    fn hashes_are_not_quoted() {
        assert_eq!(password_hash("$6$saltsalt$0123456789abcdef"), Ok(()));
        assert!(!password_hash("hunter2hunter2").unwrap_err().contains("hunter2"));
        assert!(password_hash("$6$salt:x$0123456789abcdef").is_err());
    }
}
