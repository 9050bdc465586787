//! Who manages the network of this system, found by looking at its files (`os-families.md` §1, §2).

use crate::host::{Error, Look};
use crate::steps::{programs, units};

/// A network manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// NetworkManager: Raspberry Pi OS bookworm and trixie.
    Nm,
    /// Ubuntu, with systemd-networkd below it.
    Netplan {
        /// Whether it knows `regulatory-domain`.
        regulatory: bool,
        /// Whether it knows WPA3.
        sae: bool,
    },
    /// Raspberry Pi OS buster and bullseye, with wpa_supplicant.
    Dhcpcd,
    /// HypriotOS and Debian's own Pi images, with wpa_supplicant.
    Ifupdown,
    /// systemd-networkd alone, with wpa_supplicant.
    Networkd,
}

pub const NM_UNIT: &str = "NetworkManager.service";
pub const DHCPCD_UNIT: &str = "dhcpcd.service";
pub const NETWORKD_UNIT: &str = "systemd-networkd.service";
const IFUPDOWN_UNIT: &str = "networking.service";

const NETPLAN: &str = "/etc/netplan";
/// Where netplan lists what it knows (`netplan info` prints this): to 0.106, later, and in Debian.
const FEATURES: [&str; 3] = [
    "/usr/share/netplan/netplan/_features.py",
    "/usr/share/netplan/netplan_cli/_features.py",
    "/usr/lib/python3/dist-packages/netplan_cli/_features.py",
];

/// Finds it. Several may be installed; the one that is enabled counts. Where NetworkManager and netplan are both, it
/// is netplan's word which of the two has the wires (`renderer: NetworkManager`).
pub fn find(host: &dyn Look) -> Result<Option<Manager>, Error> {
    let networkd = units::is_enabled(host, NETWORKD_UNIT)? || is_generated(host)?;
    let netplan = programs::has(host, "netplan")?;
    if units::is_enabled(host, NM_UNIT)? && !(netplan && networkd && !prefers_nm(host)?) {
        return Ok(Some(Manager::Nm));
    }
    if netplan && host.exists(NETPLAN)? {
        return Ok(Some(Manager::Netplan {
            regulatory: knows_regulatory(host)?,
            sae: host.exists(FEATURES[1])? || host.exists(FEATURES[2])?,
        }));
    }
    if units::is_enabled(host, DHCPCD_UNIT)? {
        return Ok(Some(Manager::Dhcpcd));
    }
    // HypriotOS 1.7 has no unit of that name, only a script that systemd wraps.
    if programs::has(host, "ifup")? && (!networkd || units::is_enabled(host, IFUPDOWN_UNIT)?) {
        return Ok(Some(Manager::Ifupdown));
    }
    Ok((networkd || units::is_installed(host, NETWORKD_UNIT)?).then_some(Manager::Networkd))
}

/// netplan's generator enables networkd for this boot where the image has not enabled it.
fn is_generated(host: &dyn Look) -> Result<bool, Error> {
    for folder in ["/run/systemd/generator", "/run/systemd/generator.late"] {
        if host.exists(&format!("{folder}/multi-user.target.wants/{NETWORKD_UNIT}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a netplan file of others gives the wires to NetworkManager.
fn prefers_nm(host: &dyn Look) -> Result<bool, Error> {
    for folder in [NETPLAN, "/lib/netplan", "/usr/lib/netplan"] {
        for name in host.list(folder)? {
            let text = host.text(&format!("{folder}/{name}"))?.unwrap_or_default();
            if text.lines().any(|line| line.trim() == "renderer: NetworkManager") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn knows_regulatory(host: &dyn Look) -> Result<bool, Error> {
    for path in FEATURES {
        if host.text(path)?.is_some_and(|text| text.contains("regdom")) {
            return Ok(true);
        }
    }
    Ok(false)
}
