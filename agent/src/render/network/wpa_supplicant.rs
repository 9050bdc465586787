//! wpa_supplicant's settings (wpa_supplicant.conf(5)), for those managers that leave wireless networks to it.

use std::fmt::Write as _;

use pikube_config::values::wifi::is_cut;
use pikube_config::{Security, WifiNetwork, wpa_key};
use zeroize::Zeroizing;

use super::{OURS, Wanted, is_key};
use crate::render::draft::{Draft, Line};

/// Of dhcpcd's hook and of our `wpa-conf` for ifupdown.
pub const PATH: &str = "/etc/wpa_supplicant/wpa_supplicant.conf";

/// Of the unit `wpa_supplicant@INTERFACE`.
pub fn path_of(interface: &str) -> String {
    format!("/etc/wpa_supplicant/wpa_supplicant-{interface}.conf")
}

/// `None` where the plan has no Wi-Fi. The whole file is ours.
pub fn draft(wanted: &Wanted, path: &str) -> Option<Draft> {
    let wifi = wanted.wifi?;
    let mut draft = Draft::new(path, 0o600);
    draft.push([
        OURS.to_owned(),
        // No GROUP=: one that does not exist keeps wpa_supplicant from starting.
        "ctrl_interface=DIR=/run/wpa_supplicant".to_owned(),
        format!("country={}", wifi.country),
    ]);
    for (index, network) in wifi.networks.iter().enumerate() {
        push(&mut draft, network, wifi.networks.len() - index, wanted);
    }
    Some(draft)
}

fn push(draft: &mut Draft, network: &WifiNetwork, priority: usize, wanted: &Wanted) {
    draft.push(["network={"]);
    draft.lines.push(Line::Network { key: "\tssid=", value: name(&network.ssid) });
    if network.hidden {
        draft.push(["\tscan_ssid=1"]);
    }
    draft.push([format!("\tpriority={priority}")]);
    let key = match network.security {
        Security::Open => {
            draft.push(["\tkey_mgmt=NONE", "}"]);
            return;
        }
        Security::Wpa2 => {
            draft.push(["\tkey_mgmt=WPA-PSK"]);
            "\tpsk="
        }
        Security::Wpa3 => {
            draft.push(["\tkey_mgmt=SAE", "\tieee80211w=2"]);
            // `psk` takes 63 characters at most, and nothing but quotes.
            "\tsae_password="
        }
    };
    draft.lines.push(Line::Password {
        key,
        value: wanted.password(network).map(|password| secret(&password, network)),
        ssid: network.ssid.clone(),
    });
    draft.push(["}"]);
}

/// In quotes where every reader and every person reads the same; else as hexadecimal digits.
fn name(ssid: &str) -> String {
    if ssid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_.".contains(&byte)) {
        return format!("\"{ssid}\"");
    }
    digits(ssid).to_string()
}

/// A key stands alone; a pass phrase goes between quotes as it is, for the last quote of the line ends it.
fn secret(password: &str, network: &WifiNetwork) -> Zeroizing<String> {
    match network.security {
        security if is_key(password, security) => Zeroizing::new(password.to_owned()),
        Security::Wpa2 if is_cut(password) => wpa_key(&network.ssid, password),
        Security::Wpa3 if is_cut(password) => digits(password),
        _ => Zeroizing::new(format!("\"{password}\"")),
    }
}

fn digits(text: &str) -> Zeroizing<String> {
    let mut digits = Zeroizing::new(String::with_capacity(2 * text.len()));
    for byte in text.bytes() {
        // A String takes every write.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
