//! systemd-networkd's files (systemd.network(5)); wireless networks are wpa_supplicant's.

use pikube_config::Address;

use super::{OURS, Wanted, is_v6, wpa_supplicant};
use crate::render::draft::Draft;

/// Where they are.
pub const FOLDER: &str = "/etc/systemd/network";
/// Ours begin with this; of several files for one interface the first name counts.
pub const PREFIX: &str = "10-pikube-";

/// All files.
pub fn drafts(wanted: &Wanted) -> Vec<Draft> {
    let mut drafts: Vec<Draft> =
        wanted.wired().map(|address| network(&address.interface, Some(address))).collect();
    if wanted.wifi.is_some() {
        let mut draft = network(wanted.wireless, wanted.wireless_address());
        // Behind a cable, as NetworkManager and dhcpcd have it.
        draft.push(["[DHCPv4]", "RouteMetric=600"]);
        drafts.push(draft);
        drafts.extend(wpa_supplicant::draft(wanted, &wpa_supplicant::path_of(wanted.wireless)));
    }
    drafts
}

/// The file of an interface.
pub fn path(interface: &str) -> String {
    format!("{FOLDER}/{PREFIX}{interface}.network")
}

fn network(interface: &str, address: Option<&Address>) -> Draft {
    let mut draft = Draft::new(path(interface), 0o644);
    draft.push([OURS.to_owned(), "[Match]".to_owned(), format!("Name={interface}")]);
    draft.push(["[Network]"]);
    let Some(address) = address else {
        draft.push(["DHCP=yes"]);
        return draft;
    };
    draft.push([
        if is_v6(address) { "DHCP=ipv4".to_owned() } else { "DHCP=no".to_owned() },
        format!("Address={}", address.address),
    ]);
    draft.push(address.router.iter().map(|ip| format!("Gateway={ip}")));
    draft.push(address.dns.iter().map(|ip| format!("DNS={ip}")));
    draft
}
