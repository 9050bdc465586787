//! Arguments and this computer's own settings → one firstboot plan per card.

mod changed;
mod hostnames;
mod laptop;
mod locales;
mod login;
mod network;
mod ranges;
mod wifi;

use std::path::PathBuf;

use jiff::Timestamp;
use pikube_config::values::{host, locale, person};
use pikube_config::{
    FirstbootPlan, Node, Problem, Problems, Role, SCHEMA, Secrets, Swap, System, Time, User,
};
use thiserror::Error;

use crate::boot::NodeFiles;

pub use changed::changed;
pub use laptop::Laptop;
pub use login::{Password, read_key_files, read_password};
pub use network::NetworkSettings;
pub use wifi::{WifiSettings, read_passwords};

/// Login user where the caller's own name cannot be one, as root's: the name that Raspberry Pi OS made usual.
const FALLBACK_USER: &str = "pi";

/// What a person asked for, still unchecked.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Absent: this computer's.
    pub timezone: Option<String>,
    /// Empty: the operating system's.
    pub ntp: Vec<String>,
    /// Absent: this computer's.
    pub locale: Option<String>,
    /// Absent: this computer's.
    pub keyboard: Option<String>,
    /// Absent: this computer's.
    pub user: Option<String>,
    /// Empty: this computer's.
    pub ssh_keys: Vec<String>,
    /// Absent: no log in by password.
    pub password: Option<Password>,
    /// What becomes of swap. Absent: it goes off.
    pub swap: Option<Swap>,
    /// Absent: the image's.
    pub apt_mirror: Option<String>,
    /// Absent: the image's.
    pub apt_proxy: Option<String>,
    /// Interfaces and addresses.
    pub network: NetworkSettings,
    /// Wireless networks.
    pub wifi: WifiSettings,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The host name expression.
    #[error("{0}")]
    Hostname(String),
    /// Names and cards do not match.
    #[error("{names} host name(s) for {cards} card(s)")]
    Count {
        /// Names given.
        names: usize,
        /// Cards given.
        cards: usize,
    },
    /// A cluster has one.
    #[error("`--role master` is for one card, and {0} are given")]
    Masters(usize),
    /// Settings that are wrong, all at once.
    #[error("{0}")]
    Settings(Problems),
    /// The system has no random numbers.
    #[error("hashing the password: {0}")]
    Hash(String),
    /// A file named in an option.
    #[error("reading `{path}`: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        message: String,
    },
}

impl PlanError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            PlanError::Hostname(_) => {
                Some("use one label of letters a to z, digits and hyphens".into())
            }
            PlanError::Count { .. } => Some(
                "give one name per card: `--hostname fregate,black-pearl` or `pi[01-04]`".into(),
            ),
            PlanError::Masters(_) => {
                Some("write the master first, then the others with `--role worker`".into())
            }
            PlanError::Settings(_) | PlanError::Hash(_) | PlanError::File { .. } => None,
        }
    }
}

/// One node's files per card, in the order of the host names: a name, a list or a range of them.
///
/// # Errors
/// [`PlanError`]; all wrong settings at once.
pub fn nodes(
    (hostname, role): (&str, Role),
    settings: &Settings,
    laptop: &Laptop,
    cards: usize,
    now: Timestamp,
) -> Result<Vec<NodeFiles>, PlanError> {
    let names = hostnames::expand(hostname)?;
    if names.len() != cards {
        return Err(PlanError::Count { names: names.len(), cards });
    }
    if role == Role::Master && cards > 1 {
        return Err(PlanError::Masters(cards));
    }
    let choose =
        |asked: &Option<String>, own: &Option<String>| asked.clone().or_else(|| own.clone());
    let locale = choose(&settings.locale, &laptop.locale);
    let mut problems = check(settings);
    let networks = network::networks(&settings.network, cards, &mut problems);
    let (wifi, wifi_passwords) = wifi::wifi(&settings.wifi, locale.as_deref(), &mut problems);
    problems.or(()).map_err(PlanError::Settings)?;
    let user = choose(&settings.user, &laptop.user).unwrap_or_else(|| FALLBACK_USER.to_owned());
    let ssh_keys = if settings.ssh_keys.is_empty() {
        laptop.ssh_keys.clone()
    } else {
        settings.ssh_keys.clone()
    };
    let password =
        settings.password.as_ref().map(|password| password.hash().map_err(PlanError::Hash));
    let password_hash = password.transpose()?;
    let node = |(hostname, network)| NodeFiles {
        plan: FirstbootPlan {
            schema: SCHEMA,
            flashed_at: Some(now),
            node: Node { hostname, role },
            cluster: None,
            time: Time {
                timezone: choose(&settings.timezone, &laptop.timezone),
                ntp: settings.ntp.clone(),
            },
            system: System {
                locale: locale.clone(),
                keyboard: choose(&settings.keyboard, &laptop.keyboard),
                swap: settings.swap.unwrap_or_default(),
                apt_mirror: settings.apt_mirror.clone().unwrap_or_default(),
                apt_proxy: settings.apt_proxy.clone(),
            },
            user: Some(User { name: user.clone(), ssh_keys: ssh_keys.clone() }),
            network,
            wifi: wifi.clone(),
            kubernetes: None,
        },
        secrets: Secrets {
            password_hash: password_hash.clone(),
            wifi_passwords: wifi_passwords.clone(),
            ..Secrets::default()
        },
    };
    Ok(names.into_iter().zip(networks).map(node).collect())
}

/// Takes back what only this computer's own settings asked for, where the image cannot have it.
pub fn without_locale_defaults(node: &mut NodeFiles, settings: &Settings) {
    node.plan.system.locale.clone_from(&settings.locale);
    node.plan.system.keyboard.clone_from(&settings.keyboard);
}

/// Whether anybody can log in, for a warning.
pub fn has_login(node: &NodeFiles) -> bool {
    node.secrets.password_hash.is_some()
        || node.plan.user.as_ref().is_some_and(|user| !user.ssh_keys.is_empty())
}

fn check(settings: &Settings) -> Problems {
    let mut problems = Problems::default();
    let mut note = |option: &str, checked: Result<(), String>| {
        if let Err(message) = checked {
            problems.push(Problem::new(option, message));
        }
    };
    let optional = |value: &Option<String>, check: fn(&str) -> Result<(), String>| {
        value.as_deref().map_or(Ok(()), check)
    };
    note("--timezone", optional(&settings.timezone, locale::timezone));
    for server in &settings.ntp {
        note("--ntp", host::server(server));
    }
    note("--locale", optional(&settings.locale, locales::check));
    note("--keyboard", optional(&settings.keyboard, locale::keyboard));
    note("--user", optional(&settings.user, person::user_name));
    note("--apt-mirror", optional(&settings.apt_mirror, host::url));
    note("--apt-proxy", optional(&settings.apt_proxy, host::url));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: (&str, Role) = ("laperouse", Role::Master);

    fn settings() -> Settings {
        Settings { user: Some("captain".into()), ..Settings::default() }
    }

    #[test]
    fn options_win_over_the_laptop() {
        let laptop = Laptop {
            timezone: Some("Europe/Berlin".into()),
            keyboard: Some("de".into()),
            user: Some("jean".into()),
            ..Laptop::default()
        };
        let asked = Settings { timezone: Some("Europe/Paris".into()), ..settings() };
        let node = &nodes(MASTER, &asked, &laptop, 1, Timestamp::UNIX_EPOCH).unwrap()[0];
        assert_eq!(node.plan.time.timezone.as_deref(), Some("Europe/Paris"));
        assert_eq!(node.plan.system.keyboard.as_deref(), Some("de"));
        assert_eq!(node.plan.user.as_ref().unwrap().name, "captain");
        assert!(node.plan.to_toml().is_ok());
        assert!(!has_login(node));
        let mut bare = node.clone();
        without_locale_defaults(&mut bare, &asked);
        assert_eq!((bare.plan.system.keyboard, bare.plan.system.locale), (None, None));
        let root = Settings { user: None, ..settings() };
        let node = &nodes(MASTER, &root, &Laptop::default(), 1, Timestamp::UNIX_EPOCH).unwrap()[0];
        assert_eq!(node.plan.user.as_ref().unwrap().name, "pi");
    }

    #[test]
    fn all_wrong_settings_come_at_once() {
        let asked = Settings {
            timezone: Some("Europe/Pariss".into()),
            ntp: vec!["not a server".into()],
            user: Some("root".into()),
            apt_mirror: Some("mirror.example.org".into()),
            network: NetworkSettings {
                addresses: vec!["10.0.0.2".into()],
                ..NetworkSettings::default()
            },
            wifi: WifiSettings { networks: vec!["harbour".into()], ..WifiSettings::default() },
            ..settings()
        };
        let error = nodes(MASTER, &asked, &Laptop::default(), 1, Timestamp::UNIX_EPOCH)
            .unwrap_err()
            .to_string();
        let options = ["--ntp", "--user", "--apt-mirror", "--address", "--wifi-password-file"];
        for part in ["--timezone", "Europe/Paris"].into_iter().chain(options) {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }

    #[test]
    fn names_cards_and_masters_must_match() {
        let plan = |hostname: &str, role, cards| {
            nodes((hostname, role), &settings(), &Laptop::default(), cards, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(plan("pi[1-2]", Role::Worker, 2).unwrap().len(), 2);
        assert!(matches!(plan("pi[1-2]", Role::Worker, 1), Err(PlanError::Count { .. })));
        assert!(matches!(plan("pi[1-2]", Role::Master, 2), Err(PlanError::Masters(2))));
    }
}
