//! Public keys, decoded: what sshd would not take shows here, and not when somebody stands outside.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pikube_config::values::person::{self, KeyLine};
use ssh_key::public::KeyData;
use ssh_key::{Fingerprint, HashAlg, PublicKey};

use super::Laptop;

/// The shortest RSA key that sshd takes (sshd_config(5), `RequiredRSASize`), bits.
const MIN_RSA_BITS: usize = 1024;

/// A public key, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// The line for `authorized_keys`, with one blank between its parts.
    pub line: String,
    /// As `ssh-keygen -l` shows it: `SHA256:...`.
    pub fingerprint: String,
    kind: String,
    comment: String,
}

impl fmt::Display for SshKey {
    /// `SHA256:... jean@laptop (ssh-ed25519)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.comment.is_empty() { "" } else { " " };
        write!(f, "{}{gap}{} ({})", self.fingerprint, self.comment, self.kind)
    }
}

impl SshKey {
    /// Decodes a line.
    ///
    /// # Errors
    /// What is wrong with it; a private key is never quoted.
    pub fn decode(line: &str) -> Result<Self, String> {
        person::ssh_key(line)?;
        let parts = KeyLine::split(line);
        let kind = parts.kind;
        let cut = || {
            format!("is not a whole {kind} public key: it was cut, or changed, when it was copied")
        };
        let blob = STANDARD.decode(parts.data).map_err(|_| cut())?;
        // The key repeats its type, with its length before it (RFC 4253, 6.6).
        let inner = inner_kind(&blob).ok_or_else(cut)?;
        if inner != kind {
            let inner: String = inner.chars().filter(|c| c.is_ascii_graphic()).take(48).collect();
            return Err(format!("says {kind}, and the key that follows is of type {inner}"));
        }
        let key = PublicKey::from_bytes(&blob).map_err(|_| cut())?;
        if let KeyData::Rsa(rsa) = key.key_data() {
            let bits = rsa.n.as_positive_bytes().map_or(0, bits);
            if bits < MIN_RSA_BITS {
                return Err(format!(
                    "is an RSA key of {bits} bits, and sshd takes {MIN_RSA_BITS} or more; make a key with `ssh-keygen -t ed25519`"
                ));
            }
        }
        Ok(Self {
            line: parts.line(),
            fingerprint: Fingerprint::new(HashAlg::Sha256, key.key_data()).to_string(),
            kind: kind.to_owned(),
            comment: parts.comment.to_owned(),
        })
    }
}

/// The keys of a plan that can be decoded, for people: which key opens the node.
pub fn shown(lines: &[String]) -> Vec<String> {
    lines.iter().filter_map(|line| Some(SshKey::decode(line).ok()?.to_string())).collect()
}

impl Laptop {
    /// Without the keys that sshd would not take; why each was left out.
    #[must_use]
    pub fn with_usable_keys(mut self) -> (Self, Vec<String>) {
        let mut left_out = Vec::new();
        let decoded = self.ssh_keys.iter().filter_map(|line| match SshKey::decode(line) {
            Ok(key) => Some(key.line),
            Err(why) => {
                let comment = KeyLine::split(line).comment;
                left_out.push(format!("the key `{comment}` of ~/.ssh {why}: it is left out"));
                None
            }
        });
        self.ssh_keys = decoded.collect();
        (self, left_out)
    }
}

/// The type within a key.
fn inner_kind(blob: &[u8]) -> Option<&str> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let kind = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    std::str::from_utf8(kind).ok()
}

/// Bits of a number, the most significant byte first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me";

    /// A key of this type with these fields.
    fn key(kind: &str, inner: &str, fields: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for field in std::iter::once(&inner.as_bytes()).chain(fields) {
            blob.extend((field.len() as u32).to_be_bytes());
            blob.extend(*field);
        }
        format!("{kind} {} me", STANDARD.encode(blob))
    }

    fn why(line: &str) -> String {
        SshKey::decode(line).unwrap_err()
    }

    #[test]
    fn a_key_is_known_by_its_fingerprint() {
        let data = KEY.split(' ').nth(1).unwrap();
        let digest = <sha2::Sha256 as sha2::Digest>::digest(STANDARD.decode(data).unwrap());
        let expected = format!("SHA256:{}", STANDARD.encode(digest).trim_end_matches('='));
        let key = SshKey::decode(&KEY.replacen(' ', "\t ", 1)).unwrap();
        assert_eq!((key.line.as_str(), &key.fingerprint), (KEY, &expected));
        assert_eq!(key.to_string(), format!("{expected} me (ssh-ed25519)"));
        let restricted = SshKey::decode(&format!("restrict,from=\"10.0.0.*\" {KEY}")).unwrap();
        assert_eq!(restricted.fingerprint, expected);
        assert!(restricted.line.starts_with("restrict,"));
        assert_eq!(shown(&[KEY.to_owned(), "nonsense".into()]), [key.to_string()]);
    }

    #[test]
    fn every_type_that_sshd_takes_is_decoded() {
        let point = |len| [&[4][..], &vec![7; len]].concat();
        let modulus = [&[0, 0x80][..], &[1; 127]].concat();
        for line in [
            key("ssh-ed25519", "ssh-ed25519", &[&[1; 32]]),
            key("ssh-rsa", "ssh-rsa", &[&[1, 0, 1], &modulus]),
            key("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", &[b"nistp256", &point(64)]),
            key("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", &[b"nistp384", &point(96)]),
            key("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", &[b"nistp521", &point(132)]),
            key("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", &[&[1; 32], b"ssh:"]),
            key(
                "sk-ecdsa-sha2-nistp256@openssh.com",
                "sk-ecdsa-sha2-nistp256@openssh.com",
                &[b"nistp256", &point(64), b"ssh:"],
            ),
        ] {
            assert!(SshKey::decode(&line).is_ok(), "{line}: {:?}", SshKey::decode(&line));
        }
    }

    #[test]
    fn a_key_that_does_not_open_is_told() {
        // Cut in the middle, at a place that leaves valid base64.
        let rsa = key("ssh-rsa", "ssh-rsa", &[&[1, 0, 1], &[0x7f; 256]]);
        let data = rsa.split(' ').nth(1).unwrap();
        for len in (72..data.len() - 4).step_by(4) {
            assert!(why(&format!("ssh-rsa {} me", &data[..len])).contains("cut"), "{len}");
        }
        let long = key("ssh-ed25519", "ssh-ed25519", &[&[1; 32], &[2; 2]]);
        assert!(why(&long).contains("not a whole"), "{}", why(&long));
        let short = key("ssh-ed25519", "ssh-ed25519", &[&[1; 33]]);
        assert!(why(&short).contains("not a whole"), "{}", why(&short));
        let other = key("ssh-rsa", "ssh-ed25519", &[&[1; 32]]);
        assert!(why(&other).contains("of type ssh-ed25519"), "{}", why(&other));
        let small = key("ssh-rsa", "ssh-rsa", &[&[1, 0, 1], &[0x7f; 64]]);
        assert!(why(&small).contains("511 bits"), "{}", why(&small));
    }

    #[test]
    fn keys_of_this_computer_that_do_not_open_are_left_out_and_told() {
        let bad = key("ssh-rsa", "ssh-ed25519", &[&[1; 32]]);
        let laptop = Laptop { ssh_keys: vec![KEY.into(), bad], ..Laptop::default() };
        let (laptop, left_out) = laptop.with_usable_keys();
        assert_eq!(laptop.ssh_keys, [KEY]);
        assert!(matches!(&left_out[..], [one] if one.contains("`me`")), "{left_out:?}");
    }
}
