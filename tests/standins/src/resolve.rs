//! Names, as a static Go program resolves them: `/etc/hosts`, then the DNS servers of `/etc/resolv.conf`; no NSS, so no
//! mDNS (`.local` is asked of DNS like any other name).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::place;

/// The address of a name or of an address.
///
/// # Errors
/// Nobody knows it, in Go's words.
pub(crate) fn address(name: &str) -> Result<IpAddr> {
    if let Ok(address) = name.parse() {
        return Ok(address);
    }
    let hosts = place::read("/etc/hosts").unwrap_or_default();
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        if let Some(address) = address
            && words.any(|word| word.eq_ignore_ascii_case(name))
        {
            return Ok(address);
        }
    }
    let settings = place::read("/etc/resolv.conf").unwrap_or_default();
    let servers = settings.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let servers: Vec<IpAddr> = servers.filter_map(|server| server.trim().parse().ok()).collect();
    let first = servers.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
    for server in servers {
        if let Ok(Some(address)) = ask(server, name) {
            return Ok(address.into());
        }
    }
    bail!("lookup {name} on {}: no such host", SocketAddr::new(first, 53))
}

/// One question for an A record.
fn ask(server: IpAddr, name: &str) -> Result<Option<Ipv4Addr>> {
    let local: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((local, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect((server, 53))?;
    let mut question = vec![0x50, 0x69, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        question.push(u8::try_from(label.len()).context("a label too long")?);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    socket.send(&question)?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(first_address(&answer[..length], question.len()))
}

/// The first A record of an answer that repeats a question of this length (RFC 1035 §4.1).
fn first_address(answer: &[u8], question: usize) -> Option<Ipv4Addr> {
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut at = question;
    for _ in 0..count {
        loop {
            match *answer.get(at)? {
                0 => {
                    at += 1;
                    break;
                }
                length if length >= 0xc0 => {
                    at += 2;
                    break;
                }
                length => at += 1 + usize::from(length),
            }
        }
        let head = answer.get(at..at + 10)?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        at += 10;
        if head[..2] == [0, 1] && length == 4 {
            let bytes: [u8; 4] = answer.get(at..at + 4)?.try_into().ok()?;
            return Some(bytes.into());
        }
        at += length;
    }
    None
}
