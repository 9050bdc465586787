//! netplan's YAML (netplan(5)), beside the image's own files; of files that speak of one interface the later name
//! counts. netplan cannot prefer one wireless network to another.

use std::fmt::Write as _;

use pikube_config::values::wifi::is_cut;
use pikube_config::{Address, Security, WifiNetwork, wpa_key};
use zeroize::Zeroizing;

use super::{OURS, Wanted, is_v6};
use crate::render::draft::{Draft, Line};

/// After cloud-init's `50-cloud-init.yaml`.
pub const PATH: &str = "/etc/netplan/60-pikube.yaml";

/// `None` where the plan asks for nothing. `regulatory`: whether this netplan knows `regulatory-domain` (0.105 and
/// later; an older one refuses all of its files for a key that it does not know).
pub fn draft(wanted: &Wanted, regulatory: bool) -> Option<Draft> {
    if wanted.is_nothing() {
        return None;
    }
    let mut draft = Draft::new(PATH, 0o600);
    draft.push([OURS, "network:", "  version: 2"]);
    if wanted.wired().next().is_some() {
        draft.push(["  ethernets:"]);
        for address in wanted.wired() {
            interface(&mut draft, &address.interface, Some(address));
        }
    }
    if let Some(wifi) = wanted.wifi {
        draft.push(["  wifis:"]);
        interface(&mut draft, wanted.wireless, wanted.wireless_address());
        if regulatory {
            draft.push([format!("      regulatory-domain: {}", quoted(&wifi.country))]);
        }
        draft.push(["      access-points:"]);
        for network in &wifi.networks {
            access_point(&mut draft, network, wanted);
        }
    }
    Some(draft)
}

fn interface(draft: &mut Draft, name: &str, address: Option<&Address>) {
    let v4 = address.is_some_and(|address| !is_v6(address));
    draft.push([
        format!("    {}:", quoted(name)),
        "      renderer: networkd".to_owned(),
        // A cable that is not plugged in must not hold up the boot.
        "      optional: true".to_owned(),
        format!("      dhcp4: {}", !v4),
    ]);
    let Some(address) = address else { return };
    draft.push([format!("      addresses: [{}]", quoted(&address.address))]);
    if let Some(router) = &address.router {
        // `default` is not known before 0.103.
        let to = if v4 { "0.0.0.0/0" } else { "::/0" };
        draft.push([
            "      routes:".to_owned(),
            format!("        - to: {}", quoted(to)),
            format!("          via: {}", quoted(router)),
        ]);
    }
    if !address.dns.is_empty() {
        let servers: Vec<String> = address.dns.iter().map(|server| quoted(server)).collect();
        draft.push([
            "      nameservers:".to_owned(),
            format!("        addresses: [{}]", servers.join(", ")),
        ]);
    }
}

fn access_point(draft: &mut Draft, network: &WifiNetwork, wanted: &Wanted) {
    // Its quote makes the key differ from what lies deeper.
    let name = quoted(&network.ssid);
    let value = if network.security == Security::Open && !network.hidden { ": {}" } else { ":" };
    draft.lines.push(Line::Network { key: "        \"", value: format!("{}{value}", &name[1..]) });
    if network.hidden {
        draft.push(["          hidden: true"]);
    }
    let management = match network.security {
        Security::Wpa2 => "psk",
        Security::Wpa3 => "sae",
        Security::Open => return,
    };
    draft.push(["          auth:".to_owned(), format!("            key-management: {management}")]);
    draft.lines.push(Line::Password {
        key: "            password: ",
        value: wanted.password(network).map(|password| secret(&password, network)),
        ssid: network.ssid.clone(),
    });
}

/// netplan puts the pass phrase between quotes for wpa_supplicant, which must not cut it.
fn secret(password: &str, network: &WifiNetwork) -> Zeroizing<String> {
    if network.security == Security::Wpa2 && is_cut(password) {
        return Zeroizing::new(quoted(&wpa_key(&network.ssid, password)));
    }
    Zeroizing::new(quoted(password))
}

/// Why netplan cannot have the plan's wireless networks: what it would hand on to wpa_supplicant is not what the plan
/// says. `sae`: whether it knows WPA3 (0.107 and later).
pub fn refusal(wanted: &Wanted, sae: bool) -> Option<(String, &'static str)> {
    wanted.networks().iter().find_map(|network| {
        let ssid = &network.ssid;
        let wpa3 = network.security == Security::Wpa3;
        let password = || wanted.password(network).is_some_and(|password| is_cut(&password));
        if wpa3 && !sae {
            Some((
                format!("using the Wi-Fi network `{ssid}`: netplan before 0.107 has no WPA3"),
                "say that it is `wpa2` if its access point has both, or use Ubuntu 24.04 or later",
            ))
        } else if is_cut(ssid) {
            Some((
                format!("using the Wi-Fi network `{ssid}`: netplan cannot write \" and # together"),
                "give the network another name",
            ))
        } else if wpa3 && password() {
            Some((
                format!("using the Wi-Fi network `{ssid}`: netplan cannot write \" and # together"),
                "give the network a password without one of the two",
            ))
        } else {
            None
        }
    })
}

/// A double-quoted scalar (YAML 1.1 §5.7), in ASCII only: whatever YAML calls printable, this is.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        // A String takes every write.
        let _ = match letter {
            '"' | '\\' => write!(quoted, "\\{letter}"),
            ' '..='~' => write!(quoted, "{letter}"),
            letter => write!(quoted, "\\U{:08X}", u32::from(letter)),
        };
    }
    quoted.push('"');
    quoted
}
