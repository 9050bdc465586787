//! `/etc/resolv.conf` (resolv.conf(5)), where nothing on the system writes it for a static address: ifupdown without
//! resolvconf.

use super::Wanted;

/// Where it is.
pub const PATH: &str = "/etc/resolv.conf";

/// The file with the plan's name servers first; what another interface's DHCP client wrote stays behind them, but
/// servers beyond the third count for nothing. `None` where all are there or the plan has none.
pub fn merge(text: &str, wanted: &Wanted) -> Option<String> {
    let ours: Vec<String> = wanted
        .addresses
        .iter()
        .flat_map(|address| &address.dns)
        .map(|server| format!("nameserver {server}"))
        .collect();
    if ours.iter().all(|line| text.lines().any(|found| found.trim() == line)) {
        return None;
    }
    let others = text.lines().filter(|line| !ours.iter().any(|own| own == line.trim()));
    Some(ours.iter().map(String::as_str).chain(others).map(|line| format!("{line}\n")).collect())
}
