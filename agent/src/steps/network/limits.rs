//! What a manager cannot do, found before anything is written: a file that its reader refuses would cost the networks that
//! work as well.

use pikube_config::Security;

use super::manager::Manager;
use crate::host::{Command, Host};
use crate::render::network::{Wanted, netplan};
use crate::step::Stop;
use crate::steps::programs;

/// Stops where the plan asks for what this system cannot have.
///
/// # Errors
/// The network that cannot be used, and what to do instead.
pub fn check(wanted: &Wanted, manager: Manager, host: &dyn Host) -> Result<(), Stop> {
    match manager {
        // It talks to wpa_supplicant itself and says what is missing.
        Manager::Nm => Ok(()),
        Manager::Netplan { sae, .. } => match netplan::refusal(wanted, sae) {
            Some((what, help)) => Err(Stop::person(what, help)),
            None => Ok(()),
        },
        Manager::Dhcpcd | Manager::Ifupdown | Manager::Networkd => supplicant(wanted, host),
    }
}

/// Debian builds wpa_supplicant with SAE since buster, which has 2.7; an older one refuses its whole file for the word.
fn supplicant(wanted: &Wanted, host: &dyn Host) -> Result<(), Stop> {
    const SINCE: (u32, u32) = (2, 7);
    let Some(network) = wanted.networks().iter().find(|n| n.security == Security::Wpa3) else {
        return Ok(());
    };
    if !programs::has(host, "wpa_supplicant")? {
        return Ok(());
    }
    // `wpa_supplicant v2.10` (wpa_supplicant(8), `-v`).
    let said = host.ask(&Command::new("wpa_supplicant", ["-v"]))?.stdout;
    let version = said.split_whitespace().find_map(|word| {
        let (major, minor) = word.strip_prefix('v')?.split_once('.')?;
        let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse::<u32>().ok()?, digits.parse::<u32>().ok()?))
    });
    match version {
        Some((major, minor)) if (major, minor) < SINCE => Err(Stop::person(
            format!(
                "using the Wi-Fi network `{}`: wpa_supplicant {major}.{minor} has no WPA3",
                network.ssid
            ),
            "say that it is `wpa2` if its access point has both, or use a system of 2019 or later",
        )),
        _ => Ok(()),
    }
}
