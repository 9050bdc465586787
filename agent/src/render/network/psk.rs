//! The key of a WPA2 network, made from its pass phrase: PBKDF2 with HMAC-SHA-1, 4096 rounds, the network's name as
//! salt (IEEE 802.11i H.4.1). For those pass phrases only that a reader would cut.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

const ROUNDS: usize = 4096;
/// Bytes of a key; SHA-1 gives 20 at a time.
const LENGTH: usize = 32;

/// 64 hexadecimal digits.
pub fn key(ssid: &str, pass_phrase: &str) -> Zeroizing<String> {
    let mut key = Zeroizing::new([0_u8; 40]);
    for (index, part) in key.chunks_mut(20).enumerate() {
        let mut salt = ssid.as_bytes().to_vec();
        salt.extend([0, 0, 0, if index == 0 { 1 } else { 2 }]);
        let mut round = hmac(pass_phrase.as_bytes(), &salt);
        part.copy_from_slice(&round);
        for _ in 1..ROUNDS {
            round = hmac(pass_phrase.as_bytes(), &round);
            part.iter_mut().zip(round).for_each(|(sum, byte)| *sum ^= byte);
        }
    }
    let mut digits = Zeroizing::new(String::with_capacity(2 * LENGTH));
    for byte in &key[..LENGTH] {
        // A String takes every write.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// RFC 2104; a pass phrase is shorter than SHA-1's block of 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 20] {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(pad, byte)| *pad ^= byte);
        block
    };
    let inner = Sha1::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha1::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IEEE 802.11i H.4.3.
    #[test]
    fn the_standard_s_own_examples() {
        for (pass_phrase, ssid, wanted) in [
            (
                "password",
                "IEEE",
                "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e",
            ),
            (
                "ThisIsAPassword",
                "ThisIsASSID",
                "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af",
            ),
        ] {
            assert_eq!(*key(ssid, pass_phrase), wanted);
        }
    }
}
