//! dhcpcd's settings (dhcpcd.conf(5)): a part of ours at the end, where it outweighs what is said of the same interface
//! before. Wireless networks are left to wpa_supplicant, which dhcpcd's own hook starts.

use super::{Wanted, is_v6};

/// Where they are.
pub const PATH: &str = "/etc/dhcpcd.conf";

/// The lines of our part. dhcpcd takes IPv6 routers from router advertisements alone.
pub fn block(wanted: &Wanted) -> Vec<String> {
    let mut lines = Vec::new();
    for address in wanted.addresses {
        lines.push(format!("interface {}", address.interface));
        if is_v6(address) {
            lines.push(format!("static ip6_address={}", address.address));
        } else {
            lines.push(format!("static ip_address={}", address.address));
            lines.extend(address.router.as_ref().map(|ip| format!("static routers={ip}")));
        }
        if !address.dns.is_empty() {
            lines.push(format!("static domain_name_servers={}", address.dns.join(" ")));
        }
    }
    lines
}
