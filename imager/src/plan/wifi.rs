//! `--wifi` and its companions → the plan's networks and their keys.

use std::path::{Path, PathBuf};

use pikube_config::values::wifi;
use pikube_config::{Problem, Problems, Security, Wifi, WifiNetwork, WifiPassword, wpa_key};
use secrecy::{ExposeSecret, SecretString};

use super::{PlanError, login};

/// Digits of a WPA key.
const KEY_DIGITS: usize = 64;

/// What a person asked for, still unchecked.
#[derive(Debug, Clone, Default)]
pub struct WifiSettings {
    /// Names of the networks, the preferred one first.
    pub networks: Vec<String>,
    /// Passwords, in the order of the networks that have one.
    pub passwords: Vec<SecretString>,
    /// Absent: that of the node's locale.
    pub country: Option<String>,
    /// Those of the networks that do not announce their name.
    pub hidden: Vec<String>,
    /// Those that are WPA3 only.
    pub wpa3: Vec<String>,
    /// Those that have no password.
    pub open: Vec<String>,
}

/// The passwords in a file, a line each, without their line ends.
///
/// # Errors
/// [`PlanError::File`]: unreadable or not text; never with the content.
pub fn read_passwords(path: &Path) -> Result<Vec<SecretString>, PlanError> {
    let text = login::read(path)?;
    // A line that is left over at the end would be a password too many.
    let lines = text.trim_end_matches(['\n', '\r']).split('\n');
    let passwords: Vec<SecretString> =
        lines.map(|line| SecretString::from(line.trim_end_matches('\r'))).collect();
    if passwords.iter().all(|password| password.expose_secret().is_empty()) {
        let message = "its first line, the password, is empty".to_owned();
        return Err(PlanError::File { path: PathBuf::from(path), message });
    }
    Ok(passwords)
}

/// The plan's Wi-Fi and the secrets that belong to it; `None` where no network was asked for. `locale` is the node's.
pub(super) fn wifi(
    settings: &WifiSettings,
    locale: Option<&str>,
    problems: &mut Problems,
) -> (Option<Wifi>, Vec<WifiPassword>) {
    let mut note = |option: &str, message: String| problems.push(Problem::new(option, message));
    for (option, names) in [
        ("--wifi-hidden", &settings.hidden),
        ("--wifi-wpa3", &settings.wpa3),
        ("--wifi-open", &settings.open),
    ] {
        for name in names.iter().filter(|name| !settings.networks.contains(name)) {
            note(option, format!("`{name}` is not a network of `--wifi`"));
        }
    }
    for name in settings.open.iter().filter(|name| settings.wpa3.contains(name)) {
        note("--wifi-open", format!("`{name}` is WPA3 by `--wifi-wpa3`"));
    }
    if settings.networks.is_empty() {
        if settings.country.is_some() {
            note("--wifi-country", "is for `--wifi`".into());
        }
        if !settings.passwords.is_empty() {
            note("--wifi-password-file", "is for `--wifi`".into());
        }
        return (None, Vec::new());
    }
    for (index, name) in settings.networks.iter().enumerate() {
        if let Err(message) = wifi::ssid(name) {
            note("--wifi", message);
        }
        if settings.networks[..index].contains(name) {
            note("--wifi", format!("network `{name}` is given twice"));
        }
    }
    let country = settings.country.clone().or_else(|| locale.and_then(country_of));
    match country.as_deref().map(wifi::country) {
        None => note(
            "--wifi-country",
            "is missing, and the locale names no country; the radio stays off without it".into(),
        ),
        Some(Err(message)) => note("--wifi-country", message),
        Some(Ok(())) => {}
    }
    let networks: Vec<WifiNetwork> =
        settings.networks.iter().map(|name| network(settings, name)).collect();
    let passwords = passwords(settings, &networks, problems);
    (Some(Wifi { country: country.unwrap_or_default(), networks }), passwords)
}

/// The country of a locale such as `fr_CH.UTF-8`.
fn country_of(locale: &str) -> Option<String> {
    let country = locale.split_once('_')?.1.split(['.', '@']).next()?;
    wifi::country(country).is_ok().then(|| country.to_owned())
}

fn network(settings: &WifiSettings, name: &String) -> WifiNetwork {
    let security = match name {
        name if settings.open.contains(name) => Security::Open,
        name if settings.wpa3.contains(name) => Security::Wpa3,
        _ => Security::Wpa2,
    };
    WifiNetwork { ssid: name.clone(), security, hidden: settings.hidden.contains(name) }
}

fn passwords(
    settings: &WifiSettings,
    networks: &[WifiNetwork],
    problems: &mut Problems,
) -> Vec<WifiPassword> {
    let protected: Vec<&WifiNetwork> =
        networks.iter().filter(|network| network.security != Security::Open).collect();
    if protected.len() != settings.passwords.len() {
        let message = format!(
            "{} password(s) for {} network(s) that have one; a line each, in the order of `--wifi`",
            settings.passwords.len(),
            protected.len()
        );
        problems.push(Problem::new("--wifi-password-file", message));
        return Vec::new();
    }
    let mut passwords = Vec::new();
    for (network, password) in protected.iter().zip(&settings.passwords) {
        let problem = match wifi::password(password.expose_secret()) {
            Err(message) => Some(message),
            // SAE starts from the pass phrase itself.
            Ok(()) if network.security == Security::Wpa3 && password.expose_secret().len() > 63 => {
                Some("is a key of 64 hexadecimal digits, and WPA3 needs the pass phrase".into())
            }
            Ok(()) => None,
        };
        match problem {
            Some(message) => {
                let message = format!("the password of `{}` {message}", network.ssid);
                problems.push(Problem::new("--wifi-password-file", message));
            }
            None => passwords.push(WifiPassword {
                ssid: network.ssid.clone(),
                password: key(network, password),
            }),
        }
    }
    passwords
}

/// What is kept of a password. For WPA2 the key made from it, which opens this network only: people use a pass phrase
/// for more than one thing (IEEE 802.11i H.4; `wpa_passphrase`).
fn key(network: &WifiNetwork, password: &SecretString) -> SecretString {
    let password = password.expose_secret();
    if network.security == Security::Wpa3 || password.len() == KEY_DIGITS {
        return SecretString::from(password);
    }
    SecretString::from(wpa_key(&network.ssid, password).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(networks: &[&str], passwords: &[&str]) -> WifiSettings {
        WifiSettings {
            networks: networks.iter().map(|name| (*name).to_owned()).collect(),
            passwords: passwords.iter().map(|word| SecretString::from(*word)).collect(),
            country: Some("FR".into()),
            ..WifiSettings::default()
        }
    }

    #[test]
    fn a_pass_phrase_becomes_the_key_of_its_network() {
        // IEEE 802.11i H.4.1, test case 1.
        let mut problems = Problems::default();
        let (plan, secrets) = wifi(&asked(&["IEEE"], &["password"]), None, &mut problems);
        assert!(problems.0.is_empty(), "{problems}");
        assert_eq!(plan.unwrap().networks[0].security, Security::Wpa2);
        assert_eq!(
            secrets[0].password.expose_secret(),
            "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"
        );
    }

    #[test]
    fn wpa3_keeps_the_pass_phrase_and_open_has_none() {
        let mut settings =
            asked(&["cabin", "quay", "harbour"], &["sea and salt", &"0a".repeat(32)]);
        (settings.wpa3, settings.open) = (vec!["cabin".into()], vec!["quay".into()]);
        settings.hidden = vec!["cabin".into()];
        let mut problems = Problems::default();
        let (plan, secrets) = wifi(&settings, None, &mut problems);
        assert!(problems.0.is_empty(), "{problems}");
        let networks = plan.unwrap().networks;
        assert_eq!((networks[0].security, networks[0].hidden), (Security::Wpa3, true));
        assert_eq!((networks[1].security, networks[2].security), (Security::Open, Security::Wpa2));
        let kept: Vec<_> = secrets
            .iter()
            .map(|s| (s.ssid.as_str(), s.password.expose_secret().to_owned()))
            .collect();
        assert_eq!(kept, [("cabin", "sea and salt".to_owned()), ("harbour", "0a".repeat(32))]);
    }

    #[test]
    fn what_cannot_be_is_told_without_the_password() {
        let with = |change: fn(&mut WifiSettings)| {
            let mut settings = asked(&["harbour"], &["sea and salt"]);
            change(&mut settings);
            let mut problems = Problems::default();
            wifi(&settings, None, &mut problems);
            problems.to_string()
        };
        for (told, expected) in [
            (
                with(|s| s.passwords[0] = SecretString::from("secret7")),
                "the password of `harbour` has 7 characters",
            ),
            (
                with(|s| s.passwords[0] = SecretString::from("secretsecret".repeat(6))),
                "has 72 characters",
            ),
            (with(|s| s.passwords.clear()), "0 password(s) for 1 network(s)"),
            (with(|s| s.networks[0] = "é".repeat(17)), "has 34 bytes; 32 are allowed"),
            (with(|s| s.country = Some("UK".into())), "did you mean `GB`?"),
            (with(|s| s.country = None), "`--wifi-country`: is missing"),
            (with(|s| s.hidden = vec!["harbor".into()]), "`harbor` is not a network of `--wifi`"),
            (
                with(|s| (s.networks.clear(), s.country = None).0),
                "`--wifi-password-file`: is for `--wifi`",
            ),
        ] {
            assert!(told.contains(expected), "{expected}\nnot in\n{told}");
            assert!(!told.contains("secret"), "{told}");
        }
        let mut settings = asked(&["harbour"], &[&"0a".repeat(32)]);
        settings.wpa3 = vec!["harbour".into()];
        let mut problems = Problems::default();
        wifi(&settings, None, &mut problems);
        assert!(problems.to_string().contains("WPA3 needs the pass phrase"), "{problems}");
    }

    #[test]
    fn the_country_is_that_of_the_locale() {
        let settings = WifiSettings { country: None, ..asked(&["harbour"], &["sea and salt"]) };
        let mut problems = Problems::default();
        assert_eq!(wifi(&settings, Some("fr_CH.UTF-8"), &mut problems).0.unwrap().country, "CH");
        assert!(problems.0.is_empty(), "{problems}");
    }

    #[test]
    fn a_file_has_a_password_per_line() {
        let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
        std::fs::write(file.path(), "sea and salt\r\n  blanks stay  \n\n").unwrap();
        let read = read_passwords(file.path()).unwrap();
        let read: Vec<&str> = read.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(read, ["sea and salt", "  blanks stay  "]);
        std::fs::write(file.path(), "\n").unwrap();
        assert!(read_passwords(file.path()).is_err());
    }
}
