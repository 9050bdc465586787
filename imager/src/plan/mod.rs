//! Arguments and this computer's own settings → one firstboot plan per card.

mod accounts;
mod changed;
mod fits;
mod hostnames;
mod keyboards;
mod keys;
mod kubernetes;
mod laptop;
mod locales;
mod login;
mod network;
mod ranges;
mod ssh_keys;
mod wifi;

use std::path::PathBuf;

use jiff::Timestamp;
use pikube_config::values::{host, locale};
use pikube_config::{
    FirstbootPlan, Node, Problem, Problems, Role, SCHEMA, Secrets, Swap, System, Time, User,
};
use thiserror::Error;

use crate::boot::NodeFiles;

pub use changed::changed;
pub use fits::fits;
pub use hostnames::{expand as host_names, expand_all as host_names_of};
use keys::check_plan;
pub use keys::in_options;
use kubernetes::clashes;
pub use kubernetes::{KubernetesSettings, kubernetes};
pub use laptop::Laptop;
pub use login::{Password, read_key_files, read_passphrase, read_password, read_token};
pub(crate) use network::static_addresses;
pub use network::{NetworkSettings, split_addresses};
pub use ssh_keys::{SshKey, shown as shown_keys};
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
    /// Kernel modules beside those that pods' networks need.
    pub modules: Vec<String>,
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
    /// A 32-bit system, and nothing says that an old Kubernetes will do.
    #[error("{0} has no Kubernetes that is in support: 1.26 was the last with 32-bit ARM")]
    ThirtyTwo(String),
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
            PlanError::Masters(_) => Some(
                "without `--role`, the first card is the master and the others are workers".into(),
            ),
            PlanError::ThirtyTwo(_) => Some(
                "use a 64-bit system, or `--legacy` for an old Kubernetes, or `--kubernetes none`"
                    .into(),
            ),
            PlanError::Settings(_) | PlanError::Hash(_) | PlanError::File { .. } => None,
        }
    }
}

/// The host name of each card: a name, a list or a range of them.
///
/// # Errors
/// A name that is none; not as many as there are cards.
pub fn names(hostname: &str, cards: usize) -> Result<Vec<String>, PlanError> {
    let names = hostnames::expand(hostname)?;
    if names.len() == cards {
        Ok(names)
    } else {
        Err(PlanError::Count { names: names.len(), cards })
    }
}

/// The files of nodes with these names and roles, in this order.
///
/// # Errors
/// [`PlanError`]; all wrong settings at once.
pub fn nodes(
    identities: &[(String, Role)],
    settings: &Settings,
    laptop: &Laptop,
    now: Timestamp,
) -> Result<Vec<NodeFiles>, PlanError> {
    let cards = identities.len();
    let masters = identities.iter().filter(|(_, role)| *role == Role::Master).count();
    if masters > 1 {
        return Err(PlanError::Masters(masters));
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
    let node = |((hostname, role), network): (&(String, Role), _)| NodeFiles {
        plan: FirstbootPlan {
            schema: SCHEMA,
            flashed_at: Some(now),
            node: Node { hostname: hostname.clone(), role: *role },
            cluster: None,
            time: Time {
                // Under the name that systems without `tzdata-legacy` have it.
                timezone: choose(&settings.timezone, &laptop.timezone)
                    .map(|zone| locale::present_zone(&zone).to_owned()),
                ntp: settings.ntp.clone(),
            },
            system: System {
                locale: locale.clone(),
                keyboard: choose(&settings.keyboard, &laptop.keyboard),
                swap: settings.swap.unwrap_or_default(),
                apt_mirror: settings.apt_mirror.clone().unwrap_or_default(),
                apt_proxy: settings.apt_proxy.clone(),
                modules: settings.modules.clone(),
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
    let nodes: Vec<NodeFiles> = identities.iter().zip(networks).map(node).collect();
    let mut problems = Problems::default();
    for problem in nodes.iter().filter_map(|node| keys::agent_reads(&node.plan).err()) {
        problems.0.extend(problem.0);
    }
    keys::once(problems).or(nodes).map_err(PlanError::Settings)
}

/// Takes back what only this computer's own settings asked for, where the image cannot have it.
pub fn without_locale_defaults(node: &mut NodeFiles, settings: &Settings) {
    node.plan.system.locale.clone_from(&settings.locale);
    node.plan.system.keyboard.clone_from(&settings.keyboard);
}

/// The login user, where it has the name that stands in for one that no node can have.
pub fn fallback_user<'a>(
    node: &'a NodeFiles,
    settings: &Settings,
    laptop: &Laptop,
) -> Option<&'a str> {
    let name = &node.plan.user.as_ref()?.name;
    let nobody_said = settings.user.is_none() && laptop.user.is_none();
    (nobody_said && name == FALLBACK_USER).then_some(name)
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
    note("--keyboard", optional(&settings.keyboard, keyboards::check));
    note("--user", optional(&settings.user, accounts::check));
    note("--apt-mirror", optional(&settings.apt_mirror, host::url));
    note("--apt-proxy", optional(&settings.apt_proxy, host::url));
    for module in &settings.modules {
        note("--kernel-module", host::kernel_module(module));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> [(String, Role); 1] {
        [("laperouse".into(), Role::Master)]
    }

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
        let node = &nodes(&master(), &asked, &laptop, Timestamp::UNIX_EPOCH).unwrap()[0];
        assert_eq!(node.plan.time.timezone.as_deref(), Some("Europe/Paris"));
        assert_eq!(node.plan.system.keyboard.as_deref(), Some("de"));
        assert_eq!(node.plan.user.as_ref().unwrap().name, "captain");
        assert!(node.plan.to_toml().is_ok());
        assert!(!has_login(node));
        let old = Settings { timezone: Some("US/Pacific".into()), ..settings() };
        let calcutta = Laptop { timezone: Some("Asia/Calcutta".into()), ..Laptop::default() };
        for (asked, zone) in [(old, "America/Los_Angeles"), (settings(), "Asia/Kolkata")] {
            let node = &nodes(&master(), &asked, &calcutta, Timestamp::UNIX_EPOCH).unwrap()[0];
            assert_eq!(node.plan.time.timezone.as_deref(), Some(zone));
        }
        let mut bare = node.clone();
        without_locale_defaults(&mut bare, &asked);
        assert_eq!((bare.plan.system.keyboard, bare.plan.system.locale), (None, None));
        let root = Settings { user: None, ..settings() };
        let node = &nodes(&master(), &root, &Laptop::default(), Timestamp::UNIX_EPOCH).unwrap()[0];
        assert_eq!(node.plan.user.as_ref().unwrap().name, "pi");
        assert_eq!(fallback_user(node, &root, &Laptop::default()), Some("pi"));
        assert_eq!(fallback_user(node, &settings(), &Laptop::default()), None, "asked for");
        let of_pi = Laptop { user: Some("pi".into()), ..Laptop::default() };
        assert_eq!(fallback_user(node, &root, &of_pi), None, "this computer's own");
    }

    #[test]
    fn all_wrong_settings_come_at_once() {
        let asked = Settings {
            timezone: Some("Europe/Pariss".into()),
            ntp: vec!["not a server".into()],
            keyboard: Some("uk".into()),
            user: Some("games".into()),
            apt_mirror: Some("mirror.example.org".into()),
            network: NetworkSettings {
                addresses: vec!["10.0.0.2".into()],
                ..NetworkSettings::default()
            },
            wifi: WifiSettings { networks: vec!["harbour".into()], ..WifiSettings::default() },
            ..settings()
        };
        let error = nodes(&master(), &asked, &Laptop::default(), Timestamp::UNIX_EPOCH)
            .unwrap_err()
            .to_string();
        let options = ["--ntp", "--user", "--apt-mirror", "--address", "--wifi-password-file"];
        for part in ["--timezone", "Europe/Paris", "did you mean `gb`", "`games` is an account"]
            .into_iter()
            .chain(options)
        {
            assert!(error.contains(part), "{part} not in {error}");
        }
    }

    #[test]
    fn names_cards_and_masters_must_match() {
        assert_eq!(names("pi[1-2]", 2).unwrap(), ["pi1", "pi2"]);
        assert!(matches!(names("pi[1-2]", 1), Err(PlanError::Count { names: 2, cards: 1 })));
        let plan = |roles: [Role; 2]| {
            let identities = ["a", "b"].map(str::to_owned).into_iter().zip(roles);
            let identities: Vec<_> = identities.collect();
            nodes(&identities, &settings(), &Laptop::default(), Timestamp::UNIX_EPOCH)
        };
        let roles = plan([Role::Master, Role::Worker]).unwrap();
        assert_eq!(roles[1].plan.node.role, Role::Worker);
        assert!(matches!(plan([Role::Master; 2]), Err(PlanError::Masters(2))));
    }
}
