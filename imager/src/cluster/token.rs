//! The bootstrap token: what lets a node ask to join.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// How long a token lets nodes join: cards that are written on Monday are booted on Friday.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Characters of an id and of a secret (kubeadm, `bootstraptoken/v1`).
const ID: usize = 6;
const SECRET: usize = 16;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A token and its end, an absolute time: the Pi's clock is not asked.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: SecretString,
    pub(super) expires: Timestamp,
}

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn generate(now: Timestamp) -> Result<Self, getrandom::Error> {
        let mut text = Zeroizing::new(String::with_capacity(ID + 1 + SECRET));
        while text.len() < ID + 1 + SECRET {
            if text.len() == ID {
                text.push('.');
            }
            let mut byte = Zeroizing::new([0_u8]);
            getrandom::fill(&mut *byte)?;
            // Only as many of the 256 values as are a multiple of 36: else the first letters would be likelier.
            if usize::from(byte[0]) < 256 / ALPHABET.len() * ALPHABET.len() {
                text.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
            }
        }
        let expires = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
        // People read it.
        let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
        Ok(Self { text: SecretString::from(text.as_str()), expires })
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

#[cfg(test)]
mod tests {
    use pikube_config::values::cluster;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_are_what_kubeadm_takes_and_never_the_same() {
        let make = || Token::generate(Timestamp::UNIX_EPOCH).unwrap();
        let tokens: std::collections::BTreeSet<String> =
            (0..200).map(|_| make().text.expose_secret().to_owned()).collect();
        assert_eq!(tokens.len(), 200);
        assert!(tokens.iter().all(|token| cluster::token(token).is_ok()));
        // Every letter comes up in 4400 draws; one would be missing once in 10^52 times.
        let letters: std::collections::BTreeSet<char> =
            tokens.iter().flat_map(|token| token.chars()).filter(|c| *c != '.').collect();
        assert_eq!(letters.len(), ALPHABET.len());
        assert_eq!(make().expires.to_string(), "1970-01-08T00:00:00Z");
        assert!(make().is_over(make().expires) && !make().is_over(Timestamp::UNIX_EPOCH));
    }
}
