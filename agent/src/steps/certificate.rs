//! Until when a certificate is good (RFC 5280 §4.1): the one thing that the agent has to know of one, for which a whole
//! X.509 is more than a small program should carry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// DER's tags (X.690 §8).
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `version [0] EXPLICIT`, which is left out of a certificate of version 1.
const VERSION: u8 = 0xa0;

/// `notAfter` of the first certificate of a PEM (RFC 7468); `None` where there is none that can be read.
pub fn not_after(pem: &str) -> Option<Timestamp> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (base64, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let base64: String = base64.split_ascii_whitespace().collect();
    let der = STANDARD.decode(base64).ok()?;
    let (certificate, _) = element(&der, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = any(fields)?.2;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, _, rest) = any(validity)?;
    let (tag, time, _) = any(rest)?;
    let text = std::str::from_utf8(time).ok()?;
    let text = match tag {
        // Two digits of a year are of 1950 to 2049 (RFC 5280 §4.1.2.5.1).
        UTC_TIME if text.get(..1)? < "5" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The content of an element with this tag, and what follows it.
fn element(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = any(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it (X.690 §8.1).
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // That many bytes of length follow; a certificate of more than 64 KiB is none of ours.
        let count = usize::from(first & 0x7f);
        let bytes = rest.get(..count).filter(|bytes| (1..=2).contains(&bytes.len()))?;
        let length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (length, &rest[count..])
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// As `openssl req -x509 -days 3650` made it.
#[cfg(test)]
pub(crate) const UNTIL_2036: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUEFKG52IQ03+qeK0NN5P12ZJY2awwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLcGlrdWJlIHRlc3QwHhcNMjYxMTI4MTQ1MTA3WhcNMzYxMTI1
MTQ1MTA3WjAWMRQwEgYDVQQDDAtwaWt1YmUgdGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABGSBTDyhDpnFR3JBOBoDBaJOK47Urp9KwM+5Wb1LA5fFItyaN2Yx
/LWykOtNFxYPSqyxJ0OhGuZSsgCnRsb3q6ajUzBRMB0GA1UdDgQWBBRcBM4YYFLF
DtGnmINPgitlTYbYYjAfBgNVHSMEGDAWgBRcBM4YYFLFDtGnmINPgitlTYbYYjAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIDfBdvmHXuRmmsq9TuKr
jzAV8tIqu4OMsIbWCe9chkuGAiAI4/++YONC8KHDelJ4Pz0hc1NUjRqiZg2Ygakt
YsWFyQ==
-----END CERTIFICATE-----
";

#[cfg(test)]
mod tests {
    use super::*;

    /// Its end is after 2049, and so of another type.
    const UNTIL_2126: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgzCCASmgAwIBAgIUQhyT97530i7SMqB3h8y5t7W60JMwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLcGlrdWJlIHRlc3QwIBcNMjYxMTI4MTQ1MTA3WhgPMjEyNjEx
MDQxNDUxMDdaMBYxFDASBgNVBAMMC3Bpa3ViZSB0ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE66Tf/XByLHsO83ExkDbmr3Xz9Gybx//Un+SS8E31PsAXr8T8
A9y44BnxEymb1hkdXY4OQY5Y7KyNamxSuBQoA6NTMFEwHQYDVR0OBBYEFMJ+G7GY
8AUSKZs6faJIhtTmaspjMB8GA1UdIwQYMBaAFMJ+G7GY8AUSKZs6faJIhtTmaspj
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhANMV13liUS7H2r2r
GrNE11QZfJkKm0+plWiSGv5O/D+SAiAKigTUYn4hgJjEgJplK3wn9UBmCZfiuImP
IFz8fg0mTQ==
-----END CERTIFICATE-----
";

    #[test]
    fn the_end_is_the_one_that_openssl_prints() {
        let end = |pem: &str| not_after(pem).map(|end| end.to_string());
        assert_eq!(end(UNTIL_2036).as_deref(), Some("2036-11-25T14:51:07Z"));
        assert_eq!(end(UNTIL_2126).as_deref(), Some("2126-11-04T14:51:07Z"));
        let chain = format!("{UNTIL_2036}{UNTIL_2126}");
        assert_eq!(end(&chain), end(UNTIL_2036));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let lines: Vec<&str> = UNTIL_2036.lines().collect();
        let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut der = STANDARD.decode(lines[1..lines.len() - 1].concat()).unwrap();
            change(&mut der);
            let base64 = STANDARD.encode(der);
            not_after(&format!("{}\n{base64}\n{}", lines[0], lines[lines.len() - 1]))
        };
        assert!(damaged(&|_| ()).is_some());
        for length in 0..90 {
            assert_eq!(damaged(&|der| der.truncate(length)), None, "{length}");
        }
        for byte in [0x80, 0x84, 0xff] {
            assert_eq!(damaged(&|der| der[1] = byte), None, "{byte}");
        }
        for pem in ["", "-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(not_after(pem), None);
        }
    }
}
