//! When certificates end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// How long before its end a certificate of a control plane is renewed, in seconds: half a year, of three (or, on the legacy
/// line, of one).
pub const AHEAD_S: i64 = 180 * DAY_S;
/// How long before its end a kubelet's own certificate is replaced for it, in seconds: a kubelet that runs renews it long
/// before, when a tenth or more of its time is left.
pub const KUBELET_AHEAD_S: i64 = 7 * DAY_S;
const DAY_S: i64 = 24 * 3600;

/// The first block of a PEM text (RFC 7468), decoded.
pub fn der(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN "))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END "))
        .map(str::trim)
        .collect();
    STANDARD.decode(body).ok().filter(|der| !der.is_empty())
}

/// When the first certificate of a PEM text ends; `None` where there is none that can be read.
pub fn end(pem: &str) -> Option<Timestamp> {
    // A kubelet's file may hold its key too.
    let start = pem.find("-----BEGIN CERTIFICATE-----")?;
    let der = der(&pem[start..])?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// A value that a kubeconfig holds in base64, decoded: `client-certificate-data`, `client-key-data`.
pub fn embedded(kubeconfig: &str, key: &str) -> Option<zeroize::Zeroizing<String>> {
    let line =
        kubeconfig.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'))?;
    let text = String::from_utf8(STANDARD.decode(line.trim().trim_matches('"')).ok()?).ok()?;
    Some(zeroize::Zeroizing::new(text))
}

/// Whether something that ends `end` is to be renewed `ahead_s` seconds before.
pub fn is_due(end: Timestamp, now: Timestamp, ahead_s: i64) -> bool {
    end.as_second() - now.as_second() < ahead_s
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
        let end = |pem: &str| super::end(pem).map(|end| end.to_string());
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
            end(&format!("{}\n{base64}\n{}", lines[0], lines[lines.len() - 1]))
        };
        assert!(damaged(&|_| ()).is_some());
        for length in 0..90 {
            assert_eq!(damaged(&|der| der.truncate(length)), None, "{length}");
        }
        for byte in [0x80, 0x84, 0xff] {
            assert_eq!(damaged(&|der| der[1] = byte), None, "{byte}");
        }
        for pem in ["", "-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(end(pem), None);
        }
    }
}
