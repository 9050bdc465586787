//! Kubernetes' values.

use super::{host, one_of};
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

/// Addresses for pods: large enough for a /24 per node, as kubeadm's controller manager gives them out, which makes at
/// most 2^16 of them (kubeadm, `apis/kubeadm/validation`).
///
/// # Errors
/// What is wrong with it.
pub fn pod_cidr(value: &str) -> Result<(), String> {
    host::ipv4_network(value, 8..=23)
}

/// Addresses for services: at least ten, at most 2^20 (kubeadm, `apis/kubeadm/validation`).
///
/// # Errors
/// What is wrong with it.
pub fn service_cidr(value: &str) -> Result<(), String> {
    host::ipv4_network(value, 12..=28)
}

/// A registry with an optional path, `registry.example.org:5000/k8s`, and an optional scheme before it.
///
/// # Errors
/// What is wrong with it.
pub fn image_repository(value: &str) -> Result<(), String> {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let scheme = value.strip_suffix(rest).unwrap_or_default();
    let lower = rest.bytes().all(|b| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'.' | b'-' | b'_' | b'/' | b':' | b'[' | b']')
    });
    let known = matches!(scheme, "" | "http://" | "https://");
    if known && lower && !rest.ends_with('/') && host::url(&format!("http://{rest}")).is_ok() {
        Ok(())
    } else {
        Err(format!("`{value}` is not a registry, as in `registry.example.org:5000/kubernetes`"))
    }
}

/// OpenPGP public keys in ASCII armour (RFC 9580 §6.2).
///
/// # Errors
/// What is wrong with it.
pub fn public_key(value: &str) -> Result<(), String> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
    let value = value.trim();
    if value.starts_with(BEGIN) && value.ends_with(END) {
        Ok(())
    } else {
        Err("is not an OpenPGP public key in ASCII armour".to_owned())
    }
}

/// `sha256:` and 64 lower-case hexadecimal digits (kubeadm, `pubkeypin.go`).
///
/// # Errors
/// What is wrong with it.
pub fn ca_hash(value: &str) -> Result<(), String> {
    match value.strip_prefix("sha256:") {
        Some(digest) if sha256(digest).is_ok() => Ok(()),
        _ => Err(format!("`{value}` is not `sha256:` and 64 hexadecimal digits")),
    }
}

/// A SHA-256 sum, 64 lower-case hexadecimal digits, as sha256sum(1) prints it.
///
/// # Errors
/// What is wrong with it.
pub fn sha256(value: &str) -> Result<(), String> {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if value.len() == 64 && value.bytes().all(hex) {
        return Ok(());
    }
    Err(format!("`{value}` is not a SHA-256 sum of 64 hexadecimal digits, a to f in lower case"))
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
        assert_eq!(pod_cidr("10.244.0.0/16"), Ok(()));
        for bad in ["10.244.0.1/16", "10.244.0.0/24", "fd00::/48", "10.0.0.0"] {
            assert!(pod_cidr(bad).is_err(), "{bad}");
        }
        assert!(service_cidr("10.0.0.0/8").unwrap_err().contains("/12 to /28"));
        for good in [
            "registry.k8s.io",
            "http://203.0.113.1/k8s",
            "r.example.org:5000/a/b",
            "[fd00::1]:5000/k8s",
        ] {
            assert_eq!(image_repository(good), Ok(()), "{good}");
        }
        for bad in
            ["", "ftp://a/b", "a/b/", "A/b", "a b", "http://", "r.org:70000/k8s", "fd00::1/k8s"]
        {
            assert!(image_repository(bad).is_err(), "{bad}");
        }
        assert_eq!(token("abcdef.0123456789abcdef"), Ok(()));
        assert!(!token("ABCDEF.0123456789abcdef").unwrap_err().contains("ABCDEF"));
        assert_eq!(ca_hash(&format!("sha256:{}", "0a".repeat(32))), Ok(()));
        assert!(ca_hash(&"0a".repeat(32)).is_err());
        assert_eq!(sha256(&"0a".repeat(32)), Ok(()));
        for bad in ["", "0a", &"0A".repeat(32), &"0g".repeat(32), &"é".repeat(32)] {
            assert!(sha256(bad).is_err(), "{bad}");
        }
    }
}
