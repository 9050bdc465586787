//! Wireless networks.

use super::one_of;
use crate::plan::Security;

/// ISO 3166-1 alpha-2, the 249 codes that are assigned (November 2026).
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ \
    EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW \
    GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY \
    KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV \
    MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY \
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG \
    TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM \
    ZW";

/// A name of 1 to 32 bytes (IEEE 802.11 §9.4.2.2) without control characters, which no reader of ours could quote.
///
/// # Errors
/// What is wrong with it.
pub fn ssid(value: &str) -> Result<(), String> {
    if value.is_empty() {
        Err("the name of a Wi-Fi network (SSID) is empty".to_owned())
    } else if value.len() > 32 {
        Err(format!("Wi-Fi network `{value}` has {} bytes; 32 are allowed", value.len()))
    } else if value.chars().any(char::is_control) {
        Err(format!("Wi-Fi network `{}` has a control character", value.escape_debug()))
    } else {
        Ok(())
    }
}

/// Whether wpa_supplicant (seen with 2.10) cuts this text although it stands between quotes: it takes a `#` for a
/// comment where the quotes before it, those of the text among them, come in pairs.
pub fn is_cut(text: &str) -> bool {
    text.contains('"') && text.contains('#')
}

/// A country by its two letters, upper case.
///
/// # Errors
/// What is wrong with it.
pub fn country(value: &str) -> Result<(), String> {
    let known = |code: &str| COUNTRIES.split(' ').any(|known| known == code);
    if known(value) {
        return Ok(());
    }
    let upper = value.to_ascii_uppercase();
    let hint = match upper.as_str() {
        "UK" => ", did you mean `GB`?".to_owned(),
        code if known(code) => format!(", did you mean `{code}`?"),
        _ => ", as in `FR` (ISO 3166-1 alpha-2)".to_owned(),
    };
    Err(format!("`{value}` is not a country code{hint}"))
}

/// How a network is protected.
///
/// # Errors
/// What is wrong with it.
pub fn security(value: &str) -> Result<(), String> {
    one_of(value, "a kind of Wi-Fi protection", &Security::NAMES)
}

/// A WPA pass phrase of 8 to 63 printable ASCII characters, or a key of 64 hexadecimal digits (IEEE 802.11i H.4.1).
///
/// # Errors
/// What is wrong with it; the value is not quoted.
pub fn password(value: &str) -> Result<(), String> {
    let printable = value.bytes().all(|b| (32..=126).contains(&b));
    match value.len() {
        8..=63 if printable => Ok(()),
        64 if value.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(()),
        8..=63 => Err("has characters outside printable ASCII".to_owned()),
        length => Err(format!(
            "has {length} characters; a Wi-Fi password has 8 to 63, or is a key of 64 hexadecimal digits"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bytes_not_characters() {
        for good in ["harbour", "Café du Port", " ", &"é".repeat(16)] {
            assert_eq!(ssid(good), Ok(()), "{good}");
        }
        for bad in ["", &"é".repeat(17), "a\nb", &"a".repeat(33)] {
            assert!(ssid(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn countries_are_two_letters_that_exist() {
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        assert_eq!(country("FR"), Ok(()));
        for (bad, hint) in
            [("fr", "`FR`?"), ("UK", "`GB`?"), ("XX", "as in"), ("", "as in"), ("FR DE", "as in")]
        {
            assert!(country(bad).unwrap_err().contains(hint), "{bad}");
        }
    }

    #[test]
    fn pass_phrases_are_not_quoted() {
        for good in ["12345678", &"a".repeat(63), &"a".repeat(64)] {
            assert_eq!(password(good), Ok(()), "{good}");
        }
        for bad in ["1234567", &"z".repeat(64), "pässword"] {
            assert!(!password(bad).unwrap_err().contains(bad));
        }
    }
}
