//! Names and addresses.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// Names that every computer has for itself (hosts(5) of Debian, RFC 6761 §6.3).
const EVERYBODYS: [&str; 6] =
    ["localhost", "localdomain", "ip6-localhost", "ip6-loopback", "ip6-allnodes", "ip6-allrouters"];

/// One label of RFC 1123 §2.1, as Kubernetes wants node names: 1 to 63 of `a-z0-9-`, no hyphen at either end.
///
/// # Errors
/// What is wrong with it.
pub fn hostname(value: &str) -> Result<(), String> {
    let problem = if value.is_empty() {
        "is empty".to_owned()
    } else if value.contains('.') {
        "is one name, without a domain".to_owned()
    } else if let Some(bad) = value.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        if bad.is_ascii_uppercase() {
            format!("has the upper-case letter {bad:?}; Kubernetes node names are lower case")
        } else {
            format!("has the character {bad:?}; letters a to z, digits and hyphens are allowed")
        }
    } else if value.starts_with('-') || value.ends_with('-') {
        "starts or ends with a hyphen".to_owned()
    } else if value.len() > 63 {
        format!("has {} characters; 63 are allowed", value.len())
    } else if value.bytes().all(|b| b.is_ascii_digit()) {
        "is a number; a name needs a letter".to_owned()
    } else if EVERYBODYS.contains(&value) {
        "is what every computer calls itself".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("host name `{value}` {problem}"))
}

/// A DNS name (labels of [`hostname`], 253 characters) or an IP address.
///
/// # Errors
/// What is wrong with it.
pub fn server(value: &str) -> Result<(), String> {
    if value.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let digits_only = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if value.len() <= 253 && value.split('.').all(label) && !digits_only {
        return Ok(());
    }
    Err(format!("`{value}` is neither a host name nor an IP address"))
}

/// `host:port`.
///
/// # Errors
/// What is wrong with it.
pub fn endpoint(value: &str) -> Result<(), String> {
    let wrong = || format!("`{value}` is not `host:port`, as in `cp.pikube.internal:6443`");
    let (host, port) = host_and_port(value).ok_or_else(wrong)?;
    if port.parse::<u16>().map_or(true, |port| port == 0) {
        return Err(wrong());
    }
    server(host).map_err(|_| wrong())
}

/// The parts of `host:port`, the host without the brackets of an IPv6 address.
fn host_and_port(value: &str) -> Option<(&str, &str)> {
    let (host, port) = value.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port))
}

/// An [`endpoint`] that means the same on every node of a cluster.
///
/// # Errors
/// What is wrong with it.
pub fn shared_endpoint(value: &str) -> Result<(), String> {
    endpoint(value)?;
    let (host, _) = host_and_port(value).unwrap_or((value, ""));
    match host.parse::<IpAddr>() {
        Ok(ip) => reachable(ip),
        Err(_) if EVERYBODYS.contains(&host) || host.ends_with(".localhost") => {
            Err(format!("`{host}` is what every computer calls itself"))
        }
        Err(_) => Ok(()),
    }
}

/// An address that one computer has and others reach.
///
/// # Errors
/// It is everybody's own, of many, or nobody's.
pub fn reachable(ip: IpAddr) -> Result<(), String> {
    let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    if ip.is_loopback() || ip.is_multicast() || ip.is_unspecified() || is_broadcast {
        return Err(format!("`{ip}` is not an address that a node can have"));
    }
    Ok(())
}

/// A network interface's name (`IFNAMSIZ` of linux/if.h: at most 15 bytes).
///
/// # Errors
/// What is wrong with it.
pub fn interface(value: &str) -> Result<(), String> {
    let ok = (1..=15).contains(&value.len())
        && value != "."
        && value != ".."
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if ok {
        Ok(())
    } else {
        Err(format!("`{value}` is not the name of a network interface, as in `eth0`"))
    }
}

/// An IP address.
///
/// # Errors
/// What is wrong with it.
pub fn ip(value: &str) -> Result<(), String> {
    value.parse::<IpAddr>().map(|_| ()).map_err(|_| format!("`{value}` is not an IP address"))
}

/// The address of one host with its prefix length.
///
/// # Errors
/// What is wrong with it.
pub fn address(value: &str) -> Result<(), String> {
    if value.parse::<IpAddr>().is_ok() {
        return Err(format!("`{value}` lacks the length of its prefix, as in `{value}/24`"));
    }
    let (ip, prefix) = parse_cidr(value)?;
    // Of an IPv4 network with more than two addresses, the first and the last are nobody's (RFC 1122 §3.2.1.3).
    if let IpAddr::V4(ip) = ip
        && prefix < 31
    {
        let host = ip.to_bits() & (u32::MAX >> prefix);
        if host == 0 || host == u32::MAX >> prefix {
            return Err(format!("`{value}` is the first or last of its network, not a host's"));
        }
    }
    reachable(ip)
}

/// A default gateway that a host with this address (see [`address`]) can reach: in its network, and another.
///
/// # Errors
/// What is wrong with it.
pub fn router_of(address: &str, router: &str) -> Result<(), String> {
    if !contains(address, router) {
        Err(format!("{router} is outside the network of {address}"))
    } else if address.split('/').next() == Some(router) {
        Err(format!("{router} is the node's own address"))
    } else {
        Ok(())
    }
}

/// A network in CIDR notation.
///
/// # Errors
/// What is wrong with it.
pub fn cidr(value: &str) -> Result<(), String> {
    parse_cidr(value).map(|_| ())
}

/// The name of a kernel module, as modprobe(8) takes it.
///
/// # Errors
/// What is wrong with it.
pub fn kernel_module(value: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if (1..=55).contains(&value.len()) && value.bytes().all(fits) && !value.starts_with('-') {
        Ok(())
    } else {
        Err(format!("`{value}` is not the name of a kernel module, as in `dm_thin_pool`"))
    }
}

/// Whether `ip` lies in the network of `cidr`; `false` where either cannot be read.
pub fn contains(cidr: &str, ip: &str) -> bool {
    let (Ok((network, prefix)), Ok(ip)) = (parse_cidr(cidr), ip.parse::<IpAddr>()) else {
        return false;
    };
    let same = |a: u128, b: u128, bits: u32| {
        let shift = bits - u32::from(prefix);
        shift >= bits || a >> shift == b >> shift
    };
    match (network, ip) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

/// Whether two networks have an address in common; `false` where either cannot be read.
pub fn overlap(a: &str, b: &str) -> bool {
    let start = |cidr: &str| cidr.split('/').next().unwrap_or_default().to_owned();
    contains(a, &start(b)) || contains(b, &start(a))
}

/// An IPv4 network, `10.244.0.0/16`: no bit set behind the prefix, whose length is within `prefixes`.
///
/// # Errors
/// What is wrong with it.
pub fn ipv4_network(value: &str, prefixes: RangeInclusive<u8>) -> Result<(), String> {
    let (ip, prefix) = parse_cidr(value)?;
    let IpAddr::V4(ip) = ip else { return Err(format!("`{value}` is not an IPv4 network")) };
    if !prefixes.contains(&prefix) {
        let (least, most) = prefixes.into_inner();
        return Err(format!("`{value}`: its prefix is not one of /{least} to /{most}"));
    }
    let network = Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - u32::from(prefix))));
    if network == ip {
        Ok(())
    } else {
        Err(format!("`{value}` is one address of the network `{network}/{prefix}`"))
    }
}

fn parse_cidr(value: &str) -> Result<(IpAddr, u8), String> {
    let wrong =
        || format!("`{value}` is not an address with a prefix length, as in `192.168.1.21/24`");
    let (ip, prefix) = value.split_once('/').ok_or_else(wrong)?;
    let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    if prefix > bits { Err(wrong()) } else { Ok((ip, prefix)) }
}

/// An `http` or `https` URL without user, query or fragment.
///
/// # Errors
/// What is wrong with it.
pub fn url(value: &str) -> Result<(), String> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split('/').next().unwrap_or(""));
    match authority {
        Some(authority)
            if !value.contains(['?', '#', '@', ' ', '"', '\''])
                && !value.chars().any(char::is_control)
                && is_authority(authority) =>
        {
            Ok(())
        }
        _ => Err(format!("`{value}` is not a URL, as in `https://mirror.example.org/debian`")),
    }
}

/// `host`, `host:port`, or an IPv6 address in brackets in place of the host (RFC 3986 §3.2).
fn is_authority(value: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    if let Some(rest) = value.strip_prefix('[') {
        let Some((ip, port)) = rest.split_once(']') else { return false };
        return ip.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    match value.split_once(':') {
        None => server(value).is_ok(),
        Some((host, port)) => server(host).is_ok() && is_port(port),
    }
}

/// As [`url`], or empty.
///
/// # Errors
/// What is wrong with it.
pub fn url_or_empty(value: &str) -> Result<(), String> {
    if value.is_empty() { Ok(()) } else { url(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_rfc_1123() {
        for good in ["laperouse", "black-pearl", "pi01", "1a", &"a".repeat(63)] {
            assert_eq!(hostname(good), Ok(()), "{good}");
        }
        for bad in
            ["", "La", "a_b", "-a", "a-", "a.b", "é", "a b", "42", &"a".repeat(64), "localhost"]
        {
            assert!(hostname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_need_a_prefix_that_fits() {
        for good in ["192.168.1.21/24", "10.0.0.1/32", "10.0.0.0/31", "fd00::1/64"] {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in [
            "192.168.1.21",
            "192.168.1.300/24",
            "192.168.1.1/33",
            "auto",
            "/24",
            "fd00::1/129",
            "192.168.1.0/24",
            "192.168.1.255/24",
            "127.0.0.1/8",
            "0.0.0.0/0",
            "224.0.0.1/24",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_router_is_found_inside_or_outside() {
        assert!(contains("192.168.1.21/24", "192.168.1.1"));
        assert!(!contains("192.168.1.21/24", "192.168.2.1"));
        assert!(contains("10.1.2.3/0", "192.168.2.1"));
        assert!(contains("fd00::1/64", "fd00::ff"));
        assert!(!contains("fd00::1/64", "192.168.1.1"));
        assert_eq!(router_of("192.168.1.21/24", "192.168.1.1"), Ok(()));
        assert!(router_of("192.168.1.21/24", "192.168.2.1").is_err());
        assert!(router_of("192.168.1.21/24", "192.168.1.21").is_err());
    }

    #[test]
    fn urls_and_endpoints() {
        assert_eq!(url("https://pkgs.example.org/core:/stable:/v1.36/deb/"), Ok(()));
        for good in
            ["http://10.0.0.1:3142/debian", "http://[fd00::1]:3142", "http://[fd00::1]/debian"]
        {
            assert_eq!(url(good), Ok(()), "{good}");
        }
        for bad in [
            "ftp://x.org",
            "x.org/debian",
            "https://",
            "https://a b/",
            "https://u@x.org/",
            "http://x.org:70000/",
            "http://x.org:0",
            "http://x.org:/",
            "http://x.org:port",
            "http://fd00::1:3142",
            "http://[fd00::1",
            "http://[fd00::1]3142",
            "http://[x.org]:80",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
        assert_eq!(endpoint("cp.pikube.internal:6443"), Ok(()));
        for bad in ["cp", "cp:", "cp:0", "cp:70000", ":6443"] {
            assert!(endpoint(bad).is_err() && shared_endpoint(bad).is_err(), "{bad}");
        }
        assert_eq!(shared_endpoint("[fd00::1]:6443"), Ok(()));
        for own in
            ["localhost:6443", "a.localhost:6443", "127.0.0.1:6443", "[::1]:6443", "0.0.0.0:6443"]
        {
            assert!(endpoint(own).is_ok() && shared_endpoint(own).is_err(), "{own}");
        }
    }
}
