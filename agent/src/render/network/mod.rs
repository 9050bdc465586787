//! `[network]` and `[wifi]` for each network manager; one file per format, all pure.

pub mod dhcpcd;
pub mod interfaces;
pub mod keyfile;
pub mod netplan;
pub mod networkd;
pub mod resolv_conf;
pub mod wpa_supplicant;

use std::net::IpAddr;

use pikube_config::{Address, FirstbootPlan, Secrets, Security, Wifi, WifiNetwork};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Content, File};
use crate::render::draft::Draft;

/// The Wi-Fi interface where none is to be seen.
pub const WIRELESS: &str = "wlan0";

/// First line of the files that are ours as a whole.
pub const OURS: &str = "# Written by pikube-agent from the firstboot plan.";

/// What the plan asks for, as the renderers need it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Static addresses.
    pub addresses: &'a [Address],
    /// Wireless networks and their country.
    pub wifi: Option<&'a Wifi>,
    /// Name of the Wi-Fi interface.
    pub wireless: &'a str,
    /// Passwords, as long as they are there.
    pub secrets: Option<&'a Secrets>,
}

impl<'a> Wanted<'a> {
    /// Of a plan.
    pub fn new(plan: &'a FirstbootPlan, secrets: Option<&'a Secrets>, wireless: &'a str) -> Self {
        Self { addresses: &plan.network.addresses, wifi: plan.wifi.as_ref(), wireless, secrets }
    }

    /// Whether it asks for nothing at all: the image's own settings stay.
    pub fn is_nothing(&self) -> bool {
        self.addresses.is_empty() && self.wifi.is_none()
    }

    /// The wireless networks, the preferred one first.
    pub fn networks(&self) -> &'a [WifiNetwork] {
        self.wifi.map_or(&[], |wifi| &wifi.networks)
    }

    /// Whether the plan's networks are used through this interface.
    pub fn is_wireless(&self, interface: &str) -> bool {
        self.wifi.is_some() && interface == self.wireless
    }

    /// Static addresses of interfaces that have nothing to do with the plan's wireless networks.
    pub fn wired(&self) -> impl Iterator<Item = &'a Address> {
        self.addresses.iter().filter(|address| !self.is_wireless(&address.interface))
    }

    /// The static address of the Wi-Fi interface.
    pub fn wireless_address(&self) -> Option<&'a Address> {
        self.addresses.iter().find(|address| self.is_wireless(&address.interface))
    }

    /// The password of a network; `None` where the secrets have none (any more).
    fn password(&self, network: &WifiNetwork) -> Option<Zeroizing<String>> {
        let found = self.secrets?.wifi_password(&network.ssid)?;
        Some(Zeroizing::new(found.expose_secret().to_owned()))
    }
}

/// Whether a password is the key itself: 64 hexadecimal digits, the contract's rule. SAE has no such keys.
fn is_key(password: &str, security: Security) -> bool {
    password.len() == 64 && security != Security::Wpa3
}

/// Whether a static address is IPv6.
fn is_v6(address: &Address) -> bool {
    address.address.contains(':')
}

/// Name servers of one family.
fn servers(address: Option<&Address>, v6: bool) -> Vec<&str> {
    let all = address.map_or(&[][..], |address| &address.dns);
    let of_family =
        |server: &&String| server.parse::<IpAddr>().is_ok_and(|server| server.is_ipv6() == v6);
    all.iter().filter(of_family).map(String::as_str).collect()
}

/// Every file that a plan would lead to, for each manager, as it may be shown: passwords are hidden.
pub fn shown(plan: &FirstbootPlan) -> Vec<File> {
    let wanted = Wanted::new(plan, None, WIRELESS);
    if wanted.is_nothing() {
        return Vec::new();
    }
    let mut files = Vec::new();
    let mut add = |when, drafts: Vec<Draft>| {
        files.extend(drafts.into_iter().map(|draft| File {
            content: Content::Text(draft.shown()),
            path: draft.path,
            mode: draft.mode,
            when: Some(when),
        }));
    };
    add("where NetworkManager is used", keyfile::drafts(&wanted));
    add("where netplan is used", netplan::draft(&wanted, true).into_iter().collect());
    add(
        "where dhcpcd or ifupdown is used",
        wpa_supplicant::draft(&wanted, wpa_supplicant::PATH).into_iter().collect(),
    );
    add("where ifupdown is used", interfaces::draft(&wanted).into_iter().collect());
    add("where systemd-networkd is used", networkd::drafts(&wanted));
    let block = dhcpcd::block(&wanted);
    if !block.is_empty() {
        files.push(super::when(
            super::text(dhcpcd::PATH, super::block::merge("", &block)),
            "where dhcpcd is used",
        ));
    }
    files
}

#[cfg(test)]
pub(crate) mod tests;
