//! Kubernetes' values.

use super::one_of;
use crate::plan::Role;

/// A role's name.
///
/// # Errors
/// What is wrong with it.
pub fn role(value: &str) -> Result<(), String> {
    one_of(value, "a role", &Role::ALL.map(Role::name))
}

/// `off` or `keep`.
///
/// # Errors
/// What is wrong with it.
pub fn swap(value: &str) -> Result<(), String> {
    one_of(value, "a swap setting", &["off", "keep"])
}

/// A pod network's name.
///
/// # Errors
/// What is wrong with it.
pub fn pod_network(value: &str) -> Result<(), String> {
    one_of(value, "a pod network", &["flannel", "calico", "none"])
}

/// A container runtime's name.
///
/// # Errors
/// What is wrong with it.
pub fn runtime(value: &str) -> Result<(), String> {
    one_of(value, "a container runtime", &["docker", "containerd"])
}

/// A minor (`1.36`) or patch (`1.36.4`) version.
///
/// # Errors
/// What is wrong with it.
pub fn version(value: &str) -> Result<(), String> {
    let parts: Vec<&str> = value.split('.').collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if (2..=3).contains(&parts.len()) && parts.iter().all(number) {
        Ok(())
    } else {
        Err(format!("`{value}` is not a Kubernetes version, as in `1.36` or `1.36.4`"))
    }
}

/// `sha256:` and 64 lower-case hexadecimal digits (kubeadm, `pubkeypin.go`).
///
/// # Errors
/// What is wrong with it.
pub fn ca_hash(value: &str) -> Result<(), String> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    match value.strip_prefix("sha256:") {
        Some(digest) if digest.len() == 64 && digest.bytes().all(hex) => Ok(()),
        _ => Err(format!("`{value}` is not `sha256:` and 64 hexadecimal digits")),
    }
}

/// A bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}` (kubeadm, `bootstraptoken/v1`).
///
/// # Errors
/// That it is not; the value is not quoted.
pub fn token(value: &str) -> Result<(), String> {
    let word = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match value.split_once('.') {
        Some((id, secret)) if word(id, 6) && word(secret, 16) => Ok(()),
        _ => {
            Err("is not a bootstrap token: six letters or digits, a point, sixteen more".to_owned())
        }
    }
}

/// One PEM block (RFC 7468).
///
/// # Errors
/// That it is not; the value is not quoted.
pub fn pem(value: &str) -> Result<(), String> {
    let value = value.trim_end();
    if value.starts_with("-----BEGIN ") && value.ends_with("-----") && value.contains("-----END ") {
        Ok(())
    } else {
        Err("is not PEM".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_with_a_hint() {
        assert_eq!(role("control-plane"), Ok(()));
        assert!(role("maser").unwrap_err().contains("did you mean `master`?"));
        assert!(swap("on").unwrap_err().contains("off, keep"));
    }

    #[test]
    fn versions_tokens_hashes() {
        for good in ["1.36", "1.36.4"] {
            assert_eq!(version(good), Ok(()), "{good}");
        }
        for bad in ["1", "v1.36", "1.36.4.1", "1.x", "latest", ""] {
            assert!(version(bad).is_err(), "{bad}");
        }
        assert_eq!(token("abcdef.0123456789abcdef"), Ok(()));
        assert!(!token("ABCDEF.0123456789abcdef").unwrap_err().contains("ABCDEF"));
        assert_eq!(ca_hash(&format!("sha256:{}", "0a".repeat(32))), Ok(()));
        assert!(ca_hash(&"0a".repeat(32)).is_err());
    }
}
