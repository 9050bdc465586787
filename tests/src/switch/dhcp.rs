//! The DHCP and DNS server of a switch: dnsmasq, with nothing of this computer's own configuration.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{DOMAIN, LAPTOP, Switch};

/// dnsmasq's list of leases, in the switch's directory.
pub(super) const LEASES: &str = "leases";
/// What dnsmasq says, in the switch's directory.
pub(super) const LOG: &str = "dnsmasq.log";

/// Names beyond the domain with their addresses, as in /etc/hosts, in the switch's directory.
pub(super) const NAMES: &str = "names";

const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// An address that the server has given away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// When it ends, seconds since 1970.
    pub until_s: u64,
    /// Hardware address, as `ip` writes it.
    pub mac: String,
    /// The address.
    pub address: String,
    /// The host name that the client has told, if it has.
    pub hostname: Option<String>,
}

/// Starts it in the namespace of the switch. It dies with this thread.
pub(super) fn start(switch: &Switch) -> Result<Child> {
    let directory = switch.directory.path();
    let log = std::fs::File::create(directory.join(LOG))?;
    std::fs::write(directory.join(NAMES), "")?;
    let mut command = switch.command("setpriv");
    command
        .args(["--pdeathsig", "KILL", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"])
        // changing its user would undo --pdeathsig
        .args(["--user=root", "--group=root", "--pid-file="])
        .args(["--no-resolv", "--no-hosts", "--log-dhcp", "--log-queries", "--log-facility=-"])
        .args(["--interface=br0", "--bind-interfaces", "--dhcp-authoritative", "--no-ping"])
        .arg("--dhcp-range=192.168.77.100,192.168.77.199,255.255.255.0,1h")
        .arg(format!("--dhcp-option=option:router,{LAPTOP}"))
        .arg(format!("--domain={DOMAIN}"))
        .arg(format!("--local=/{DOMAIN}/"))
        .arg(format!("--host-record=laptop.{DOMAIN},{LAPTOP}"))
        .arg(format!("--addn-hosts={}", directory.join(NAMES).display()))
        .arg(format!("--dhcp-leasefile={}", directory.join(LEASES).display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().context("starting dnsmasq")
}

/// Makes it read its list of names again: SIGHUP, dnsmasq(8). Before it has started, that would end it.
pub(super) fn read_again(server: &Child, log: &Path) -> Result<()> {
    let end = Instant::now() + STARTS_WITHIN;
    while !std::fs::read_to_string(log)?.contains("started, version") {
        ensure!(Instant::now() < end, "dnsmasq has not started: {}", log.display());
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw).context("no process")?;
    kill_process(pid, Signal::HUP).context("waking dnsmasq")
}

/// The leases in a file of dnsmasq: end of the lease, hardware address, address, name or `*`, client id.
pub(super) fn leases(file: &Path) -> Result<Vec<Lease>> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("reading {}", file.display()))?,
    };
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<Lease> {
    let lease = |line: &str| {
        let mut words = line.split_whitespace();
        let until_s = words.next()?.parse().ok()?;
        let (mac, address, name) = (words.next()?, words.next()?, words.next()?);
        Some(Lease {
            until_s,
            mac: mac.to_owned(),
            address: address.to_owned(),
            hostname: (name != "*").then(|| name.to_owned()),
        })
    };
    text.lines().filter_map(lease).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_has_a_name_or_none() {
        let leases = parse(
            "1795262400 52:54:00:70:6b:00 192.168.77.100 laperouse ff:00:01\n\
             1795262400 52:54:00:70:6b:01 192.168.77.101 * *\n",
        );
        assert_eq!(leases[0].hostname.as_deref(), Some("laperouse"));
        assert_eq!((leases[1].address.as_str(), &leases[1].hostname), ("192.168.77.101", &None));
        assert_eq!(parse(""), []);
    }
}
