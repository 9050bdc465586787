//! NetworkManager's keyfiles (nm-settings-keyfile(5)): one per interface with a static address, one per wireless
//! network.

use std::fmt::Write as _;

use pikube_config::{Address, Security, WifiNetwork};
use zeroize::Zeroizing;

use super::{OURS, Wanted, is_v6, servers};
use crate::render::draft::{Draft, Line};

/// Where they are.
pub const FOLDER: &str = "/etc/NetworkManager/system-connections";
/// Ours begin with this.
pub const PREFIX: &str = "pikube-";
const ENDING: &str = ".nmconnection";

/// Above the 0 of profiles that others made, so that ours are used first.
const PRIORITY: usize = 200;

/// All of them. No `uuid`: NetworkManager makes one from the path.
pub fn drafts(wanted: &Wanted) -> Vec<Draft> {
    let wired = wanted.wired().map(|address| {
        let interface = &address.interface;
        let mut draft = begin(interface, "ethernet", PRIORITY);
        draft.push([format!("interface-name={interface}")]);
        ip(&mut draft, Some(address));
        draft
    });
    let networks = wanted.networks().iter().enumerate().map(|(index, network)| {
        let mut draft = begin(&format!("wifi-{}", index + 1), "wifi", PRIORITY - index.min(99));
        if let Some(address) = wanted.wireless_address() {
            draft.push([format!("interface-name={}", address.interface)]);
        }
        wifi(&mut draft, network, wanted);
        ip(&mut draft, wanted.wireless_address());
        draft
    });
    wired.chain(networks).collect()
}

/// The name under which NetworkManager shows the profile of a path.
pub fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(ENDING).unwrap_or(file)
}

fn begin(name: &str, kind: &str, priority: usize) -> Draft {
    let id = format!("{PREFIX}{name}");
    let mut draft = Draft::new(format!("{FOLDER}/{id}{ENDING}"), 0o600);
    draft.push([
        OURS.to_owned(),
        "[connection]".to_owned(),
        format!("id={id}"),
        format!("type={kind}"),
        format!("autoconnect-priority={priority}"),
    ]);
    draft
}

fn wifi(draft: &mut Draft, network: &WifiNetwork, wanted: &Wanted) {
    draft.push(["[wifi]", "mode=infrastructure"]);
    if network.hidden {
        draft.push(["hidden=true"]);
    }
    draft.lines.push(Line::Network { key: "ssid=", value: bytes(&network.ssid) });
    let management = match network.security {
        Security::Wpa2 => "wpa-psk",
        Security::Wpa3 => "sae",
        Security::Open => return,
    };
    draft.push(["[wifi-security]".to_owned(), format!("key-mgmt={management}")]);
    draft.lines.push(Line::Password {
        key: "psk=",
        value: wanted.password(network).map(|password| string(&password)),
        ssid: network.ssid.clone(),
    });
}

/// A name as the list of its bytes, which every version reads, whatever is in it; as a string `1;2;` would be taken for
/// such a list.
fn bytes(name: &str) -> String {
    name.bytes().fold(String::new(), |mut list, byte| {
        // A String takes every write.
        let _ = write!(list, "{byte};");
        list
    })
}

/// A string (GLib's key file format): blanks at either end would be cut off, so every one is escaped.
fn string(value: &str) -> Zeroizing<String> {
    Zeroizing::new(value.replace('\\', "\\\\").replace(' ', "\\s"))
}

fn ip(draft: &mut Draft, address: Option<&Address>) {
    for (section, v6) in [("[ipv4]", false), ("[ipv6]", true)] {
        draft.push([section]);
        match address.filter(|address| is_v6(address) == v6) {
            Some(address) => {
                let router = address.router.as_ref().map_or(String::new(), |ip| format!(",{ip}"));
                draft.push([format!("address1={}{router}", address.address)]);
                draft.push(["method=manual"]);
            }
            None => draft.push(["method=auto"]),
        }
        let servers = servers(address, v6);
        if !servers.is_empty() {
            draft.push([format!("dns={};", servers.join(";"))]);
        }
    }
}
