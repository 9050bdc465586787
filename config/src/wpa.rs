//! The key of a WPA2 network.

use std::fmt::Write as _;

use sha1::Sha1;
use zeroize::Zeroizing;

/// Rounds of PBKDF2 (IEEE 802.11i H.4).
const ROUNDS: u32 = 4096;
/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// The key that is made from a pass phrase, 64 hexadecimal digits: PBKDF2 with HMAC-SHA-1, the network's name as salt
/// (IEEE 802.11i H.4.1; `wpa_passphrase`).
pub fn wpa_key(ssid: &str, pass_phrase: &str) -> Zeroizing<String> {
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    pbkdf2::pbkdf2_hmac::<Sha1>(pass_phrase.as_bytes(), ssid.as_bytes(), ROUNDS, &mut *key);
    let mut digits = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
    for byte in &*key {
        // A String takes every write.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
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
            assert_eq!(*wpa_key(ssid, pass_phrase), wanted);
        }
    }
}
