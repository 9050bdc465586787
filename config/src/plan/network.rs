//! `[network]` and `[wifi]`: interfaces, addresses, wireless networks.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Problems};
use crate::schema::{Key, Kind, Need};
use crate::values::{host, wifi};

/// `[network]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Interface of the cluster network; absent means the one with the default route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Static addresses, at most one per interface; every other interface asks a DHCP server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
}

/// `[[network.addresses]]`: the static address of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Name of the interface, `eth0`.
    pub interface: String,
    /// Address and prefix length, `192.168.1.21/24`.
    pub address: String,
    /// Default gateway; absent where another interface has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// `[wifi]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Where the radio is used, ISO 3166-1 alpha-2: without it the radio stays off.
    pub country: String,
    /// The networks, the preferred one first. Their passwords are in [`crate::Secrets`].
    pub networks: Vec<WifiNetwork>,
}

/// `[[wifi.networks]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WifiNetwork {
    /// Its name, 1 to 32 bytes of UTF-8.
    pub ssid: String,
    /// How it is protected.
    #[serde(default)]
    pub security: Security,
    /// Whether it does not announce its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// How a wireless network is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// WPA2-Personal, or an access point that has WPA2 and WPA3 side by side.
    #[default]
    Wpa2,
    /// WPA3-Personal only (SAE).
    Wpa3,
    /// Not at all; there is no password.
    Open,
}

impl Security {
    /// All of them, as they are written in files and on the command line.
    pub const NAMES: [&str; 3] = ["wpa2", "wpa3", "open"];
}

pub(super) const ADDRESS_KEYS: &[Key] = &[
    Key { path: "interface", kind: Kind::Text(host::interface), need: Need::Always },
    Key { path: "address", kind: Kind::Text(host::address), need: Need::Always },
    Key { path: "router", kind: Kind::Text(host::ip), need: Need::Optional },
    Key { path: "dns", kind: Kind::Texts(host::ip), need: Need::Optional },
];

pub(super) const WIFI_KEYS: &[Key] = &[
    Key { path: "ssid", kind: Kind::Text(wifi::ssid), need: Need::Always },
    Key { path: "security", kind: Kind::Text(wifi::security), need: Need::Optional },
    Key { path: "hidden", kind: Kind::Switch, need: Need::Optional },
];

impl Network {
    /// The static address of an interface, if it has one.
    pub fn address_of(&self, interface: &str) -> Option<&Address> {
        self.addresses.iter().find(|address| address.interface == interface)
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        for (index, address) in self.addresses.iter().enumerate() {
            let path = |key: &str| format!("network.addresses[{index}].{key}");
            if let Some(router) = &address.router
                && let Err(message) = host::router_of(&address.address, router)
            {
                problems.push(Problem::new(path("router"), message));
            }
            let earlier = &self.addresses[..index];
            if earlier.iter().any(|other| other.interface == address.interface) {
                let message = format!("`{}` has an address already", address.interface);
                problems.push(Problem::new(path("interface"), message));
            }
            if address.router.is_some() && earlier.iter().any(|other| other.router.is_some()) {
                problems.push(
                    Problem::new(path("router"), "is the second default gateway")
                        .help("give it to the interface that reaches the internet only"),
                );
            }
        }
    }
}

impl Wifi {
    pub(super) fn validate(&self, problems: &mut Problems) {
        if self.networks.is_empty() {
            problems.push(Problem::new("wifi.networks", "is empty"));
        }
        for (index, network) in self.networks.iter().enumerate() {
            if self.networks[..index].iter().any(|other| other.ssid == network.ssid) {
                let message = format!("Wi-Fi network `{}` is given twice", network.ssid);
                problems.push(Problem::new(format!("wifi.networks[{index}].ssid"), message));
            }
        }
    }
}
