//! `wpa_supplicant.conf`: Raspberry Pi OS to bullseye takes its wireless networks from this file on the boot partition, so
//! that Wi-Fi is up at the boot in which the agent works, before the agent is. The launcher puts it into its place and wipes it
//! from the card; the agent writes it anew, with whatever else the plan says.

use std::fmt::Write as _;

use pikube_config::{FirstbootPlan, Secrets, Security, WifiNetwork, wpa_key};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::os::{Family, Os, Release};

/// Its name on the boot partition (raspberrypi-net-mods, `raspberrypi-net-mods.service`).
pub const NAME: &str = "wpa_supplicant.conf";
/// Length of a WPA2 key in hexadecimal digits, which is no pass phrase.
const KEY_DIGITS: usize = 64;

/// The file; `None` where the system does not read it, or the card has nothing for it: no Wi-Fi, or the node has taken the
/// passwords already.
pub fn file(os: &Os, plan: &FirstbootPlan, secrets: &Secrets) -> Option<Zeroizing<String>> {
    let reads = os.family == Family::RaspberryPiOs
        && matches!(os.release, Release::Buster | Release::Bullseye);
    let wifi = plan.wifi.as_ref().filter(|_| reads)?;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    // The first line is the agent's own: it takes the file for one of its own.
    let _ = write!(
        text,
        "# Written by pikube-agent from the firstboot plan.\nctrl_interface=DIR=/run/wpa_supplicant\ncountry={}\n",
        wifi.country
    );
    let mut any = false;
    for (index, network) in wifi.networks.iter().enumerate() {
        let Some(key) = key(network, secrets) else { continue };
        any = true;
        // In digits it needs no quotes, whatever is in it.
        let ssid =
            network.ssid.bytes().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let hidden = if network.hidden { "\tscan_ssid=1\n" } else { "" };
        let priority = wifi.networks.len() - index;
        let _ =
            write!(text, "network={{\n\tssid={ssid}\n{hidden}\tpriority={priority}\n{}}}\n", *key);
    }
    any.then_some(text)
}

/// The lines of its key; `None` where it is not at hand. A network with WPA3 alone is left to the agent, which knows whether
/// this system can do it.
fn key(network: &WifiNetwork, secrets: &Secrets) -> Option<Zeroizing<String>> {
    if network.security == Security::Open {
        return Some(Zeroizing::new("\tkey_mgmt=NONE\n".to_owned()));
    }
    let password = secrets.wifi_password(&network.ssid)?.expose_secret();
    let key = match network.security {
        Security::Wpa2 if password.len() == KEY_DIGITS => Zeroizing::new(password.to_owned()),
        Security::Wpa2 => wpa_key(&network.ssid, password),
        _ => return None,
    };
    Some(Zeroizing::new(format!("\tkey_mgmt=WPA-PSK\n\tpsk={}\n", *key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::os::Bits;

    const PLAN: &str = r#"
schema = 1
[node]
hostname = "a"
role = "worker"
[wifi]
country = "FR"
[[wifi.networks]]
ssid = "IEEE"
[[wifi.networks]]
ssid = "Caf\u00e9"
security = "open"
hidden = true
[[wifi.networks]]
ssid = "later"
security = "wpa3"
"#;
    const SECRETS: &str = r#"
schema = 1
[[wifi.networks]]
ssid = "IEEE"
password = "password"
[[wifi.networks]]
ssid = "later"
password = "swordfish"
"#;

    fn of(release: Release, plan: &str, secrets: &str) -> Option<String> {
        let os = Os {
            mount: "/boot",
            bits: Bits::ThirtyTwo,
            ..Os::example(Family::RaspberryPiOs, release)
        };
        let plan = FirstbootPlan::from_toml(plan).unwrap();
        file(&os, &plan, &Secrets::from_toml(secrets).unwrap()).map(|text| text.to_string())
    }

    #[test]
    fn the_networks_with_keys_instead_of_pass_phrases() {
        for release in [Release::Buster, Release::Bullseye] {
            assert_eq!(
                of(release, PLAN, SECRETS).unwrap(),
                "# Written by pikube-agent from the firstboot plan.\n\
                 ctrl_interface=DIR=/run/wpa_supplicant\ncountry=FR\n\
                 network={\n\tssid=49454545\n\tpriority=3\n\tkey_mgmt=WPA-PSK\n\
                 \tpsk=f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e\n}\n\
                 network={\n\tssid=436166c3a9\n\tscan_ssid=1\n\tpriority=2\n\tkey_mgmt=NONE\n}\n"
            );
        }
    }

    #[test]
    fn nothing_where_nobody_reads_it_or_the_node_has_the_passwords() {
        for release in [Release::Bookworm, Release::Trixie] {
            assert_eq!(of(release, PLAN, SECRETS), None);
        }
        let taken = PLAN.replace("security = \"open\"\n", "");
        assert_eq!(of(Release::Bullseye, &taken, "schema = 1\n"), None);
        assert_eq!(of(Release::Bullseye, PLAN.split("[wifi]").next().unwrap(), SECRETS), None);
    }
}
