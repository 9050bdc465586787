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
