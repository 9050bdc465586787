//! What the operating system of an image cannot have. A node would find out after its first boot only, and then nobody is
//! there to read it.

use pikube_config::values::wifi::is_cut;
use pikube_config::{Problem, Problems, Security, Wifi};
use secrecy::ExposeSecret as _;

use super::{PlanError, accounts, check_plan};
use crate::boot::{Family, NodeFiles, Os, Release};

/// Whether a node can become what its plan says with this system; what may not work, as warnings.
///
/// # Errors
/// All settings that cannot be, at once.
pub fn fits(os: &Os, node: &NodeFiles) -> Result<Vec<String>, PlanError> {
    check_plan(&node.plan)?;
    let mut problems = Problems::default();
    let mut note = |option: &str, why: String| problems.push(Problem::new(option, why));
    if let Some(user) = &node.plan.user
        && let Err(why) = accounts::check_for(os.family, &user.name)
    {
        note("--user", why);
    }
    if let Some(locale) = &node.plan.system.locale
        && !os.has_locales()
        && !is_built_in(locale)
    {
        let system = os.name();
        note(
            "--locale",
            format!(
                "{system} lacks the package `locales`, which makes `{locale}`; leave it out, or use `C.UTF-8`"
            ),
        );
    }
    let mut warnings = Vec::new();
    if let Some(wifi) = &node.plan.wifi {
        unusable(os, wifi, node).into_iter().for_each(|(option, why)| note(option, why));
        warnings.extend(doubtful(os, wifi));
    }
    problems.or(()).map_err(PlanError::Settings)?;
    Ok(warnings)
}

/// glibc has it in itself since 2.35, and Debian before that.
fn is_built_in(locale: &str) -> bool {
    locale == "C.UTF-8"
}

/// Networks that cannot be written down for the program that uses them there (the agent's `render/network`).
fn unusable(os: &Os, wifi: &Wifi, node: &NodeFiles) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    // Debian builds wpa_supplicant with SAE since buster; an older one refuses its whole file for the word.
    let no_sae = matches!(os.release, Release::Jessie | Release::Stretch);
    let netplan = os.family == Family::Ubuntu;
    for network in &wifi.networks {
        let (ssid, wpa3) = (&network.ssid, network.security == Security::Wpa3);
        let password = node.secrets.wifi_password(ssid);
        if wpa3 && no_sae {
            let system = os.name();
            found.push(("--wifi-wpa3", format!("{system} has no WPA3, which `{ssid}` is said to need; leave it out if the access point has WPA2 too")));
        }
        if netplan && is_cut(ssid) {
            let why = format!("netplan cannot write the name `{ssid}`: it has \" and # together");
            found.push(("--wifi", why));
        }
        if netplan && wpa3 && password.is_some_and(|word| is_cut(word.expose_secret())) {
            let why = format!(
                "netplan cannot write the password of `{ssid}` for WPA3: it has \" and # together"
            );
            found.push(("--wifi-password-file", why));
        }
    }
    found
}

/// 22.04 came with netplan 0.104 and got 0.107, the first with WPA3, as an update: which one an image has, its boot
/// partition does not tell.
fn doubtful(os: &Os, wifi: &Wifi) -> Option<String> {
    let network = wifi.networks.iter().find(|network| network.security == Security::Wpa3)?;
    (os.family == Family::Ubuntu && os.release == Release::Jammy).then(|| {
        format!(
            "`{}` is WPA3, which netplan before 0.107 does not have: an image of {} older than August 2024 stays without this network",
            network.ssid,
            os.name()
        )
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pikube_config::Role;

    use super::super::{Laptop, Settings, WifiSettings, nodes};
    use super::*;

    fn os(family: Family, release: Release) -> Os {
        Os::example(family, release)
    }

    fn node(change: impl FnOnce(&mut Settings)) -> NodeFiles {
        let mut settings = Settings { user: Some("captain".into()), ..Settings::default() };
        change(&mut settings);
        let identity = [("laperouse".to_owned(), Role::Worker)];
        nodes(&identity, &settings, &Laptop::default(), Timestamp::UNIX_EPOCH).unwrap().remove(0)
    }

    fn wifi(name: &str, password: &str, wpa3: bool) -> NodeFiles {
        node(|settings| {
            settings.wifi = WifiSettings {
                networks: vec![name.to_owned()],
                passwords: vec![password.into()],
                country: Some("FR".into()),
                wpa3: wpa3.then(|| name.to_owned()).into_iter().collect(),
                ..WifiSettings::default()
            };
        })
    }

    fn refused(os: &Os, node: &NodeFiles) -> String {
        fits(os, node).unwrap_err().to_string()
    }

    #[test]
    fn names_of_the_image_s_own_accounts_are_refused() {
        let gpio = node(|settings| settings.user = Some("gpio".into()));
        let pi_os = os(Family::RaspberryPiOs, Release::Trixie);
        assert!(refused(&pi_os, &gpio).contains("`--user`: `gpio` is a group of the system"));
        assert_eq!(fits(&os(Family::Ubuntu, Release::Noble), &gpio).unwrap(), [""; 0]);
    }

    #[test]
    fn a_locale_needs_the_package_that_makes_it() {
        let locale = |name: &str| node(|settings| settings.locale = Some(name.into()));
        let debian = os(Family::Debian, Release::Trixie);
        assert!(refused(&debian, &locale("fr_FR.UTF-8")).contains("lacks the package `locales`"));
        assert!(fits(&debian, &locale("C.UTF-8")).is_ok());
        assert!(fits(&os(Family::Ubuntu, Release::Noble), &locale("fr_FR.UTF-8")).is_ok());
    }

    #[test]
    fn wireless_networks_are_ones_that_the_system_can_have() {
        let (jammy, noble) =
            (os(Family::Ubuntu, Release::Jammy), os(Family::Ubuntu, Release::Noble));
        let pi_os = os(Family::RaspberryPiOs, Release::Bookworm);
        let odd = "port \"#1\"";
        assert!(refused(&noble, &wifi(odd, "sea and salt", false)).contains("`--wifi`: netplan"));
        assert!(fits(&pi_os, &wifi(odd, "sea and salt", false)).is_ok());
        let told = refused(&noble, &wifi("harbour", "sea\"#salt", true));
        assert!(told.contains("--wifi-password-file") && !told.contains("salt"), "{told}");
        // A key is made of it on the laptop.
        assert!(fits(&noble, &wifi("harbour", "sea\"#salt", false)).is_ok());
        let wpa3 = wifi("harbour", "sea and salt", true);
        let stretch = os(Family::Hypriot, Release::Stretch);
        assert!(refused(&stretch, &wpa3).contains("`--wifi-wpa3`: HypriotOS stretch"));
        assert!(fits(&os(Family::Hypriot, Release::Buster), &wpa3).unwrap().is_empty());
        assert!(fits(&noble, &wpa3).unwrap().is_empty());
        let warnings = fits(&jammy, &wpa3).unwrap();
        assert!(warnings[0].contains("`harbour` is WPA3") && warnings.len() == 1, "{warnings:?}");
    }
}
