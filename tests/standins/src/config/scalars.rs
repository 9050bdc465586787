//! Single values: what each must look like, and what the real ones say when it does not.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;

/// Go's `time.ParseDuration`: `1h30m`, `15m0s`, `0`.
///
/// # Errors
/// It is none, in Go's words.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        bail!("time: invalid duration \"{text}\"");
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let Some(digits) = digits else {
            bail!("time: missing unit in duration \"{text}\"");
        };
        let Ok(number) = rest[..digits].parse::<f64>() else {
            bail!("time: invalid duration \"{text}\"");
        };
        let unit = rest[digits..].find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let unit = &rest[digits..unit.map_or(rest.len(), |length| digits + length)];
        seconds += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                other => bail!("time: unknown unit \"{other}\" in duration \"{text}\""),
            };
        rest = &rest[digits + unit.len()..];
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// A moment (RFC 3339).
///
/// # Errors
/// It is none, in Go's words.
pub(crate) fn time(text: &str) -> Result<Timestamp> {
    match text.parse::<Timestamp>() {
        Ok(moment) if text.contains('T') => Ok(moment),
        _ => bail!(
            "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\""
        ),
    }
}

/// Id and secret of a bootstrap token.
///
/// # Errors
/// It is not of the form.
pub(crate) fn token(text: &str) -> Result<(&str, &str)> {
    let is = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match text.split_once('.') {
        Some((id, secret)) if is(id, 6) && is(secret, 16) => Ok((id, secret)),
        _ => bail!(
            "the bootstrap token \"{text}\" was not of the form \"\\\\A([a-z0-9]{{6}})\\\\.([a-z0-9]{{16}})\\\\z\""
        ),
    }
}

/// A quantity such as `100Mi`, `500m`, `10%` being none.
///
/// # Errors
/// It is none, in apimachinery's words.
pub(crate) fn quantity(text: &str) -> Result<()> {
    let end =
        text.trim_start_matches(|letter: char| letter.is_ascii_digit() || ".+-".contains(letter));
    let suffixes =
        ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if end.len() < text.len() && suffixes.contains(&end) {
        return Ok(());
    }
    bail!(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )
}

/// What is wrong with a name of DNS (RFC 1123, subdomain), if something is.
pub(crate) fn subdomain(text: &str) -> Option<&'static str> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_good = text.len() <= 253 && text.split('.').all(label);
    (!is_good).then_some(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

/// Network and length of a CIDR.
pub(crate) fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits =
        bits.parse().ok().filter(|bits| *bits <= if address.is_ipv4() { 32 } else { 128 })?;
    Some((address, bits))
}

/// The n-th address of an IPv4 network, as `10.96.0.10` of `10.96.0.0/12` and 10.
pub(crate) fn address_of(network: &str, index: u32) -> Option<std::net::Ipv4Addr> {
    let (IpAddr::V4(address), bits) = cidr(network)? else { return None };
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    Some(((u32::from(address) & mask).checked_add(index)?).into())
}

/// Host and port of `host:port`.
///
/// # Errors
/// It has no port, in Go's words.
pub(crate) fn host_port(text: &str) -> Result<(String, u16)> {
    let Some((host, port)) = text.rsplit_once(':') else {
        bail!("address {text}: missing port in address");
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    match port.parse() {
        Ok(port) if port != 0 => Ok((host, port)),
        _ => bail!(
            "hostport {text}: port {port} must be a valid number between 1 and 65535, inclusive"
        ),
    }
}
