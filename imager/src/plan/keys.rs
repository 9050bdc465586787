//! Keys of the firstboot plan → what a person sets them with: nobody who types options has ever seen such a key.

use pikube_config::{FirstbootPlan, Problem, Problems};

use super::{PlanError, clashes};

/// Where the value of a key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// An option of the command line, which is a key of a cluster's file as well.
    Option(&'static str),
    /// The catalogue of Kubernetes, which `PIKUBE_KUBERNETES` names.
    Catalogue,
    /// piflash itself.
    Piflash,
}

use Origin::{Catalogue, Option as By, Piflash};

/// Every key of the plan.
const ORIGINS: [(&str, Origin); 43] = [
    ("schema", Piflash),
    ("flashed_at", Piflash),
    ("node.hostname", By("--hostname")),
    ("node.role", By("--role")),
    ("cluster.name", By("--cluster")),
    ("cluster.endpoint", By("--endpoint")),
    ("cluster.ca_hash", Piflash),
    ("cluster.token_expires", Piflash),
    ("cluster.master", By("--hostname")),
    ("cluster.address", By("--address")),
    ("cluster.virtual_ip", By("--virtual-ip")),
    ("time.timezone", By("--timezone")),
    ("time.ntp", By("--ntp")),
    ("system.locale", By("--locale")),
    ("system.keyboard", By("--keyboard")),
    ("system.swap", By("--swap")),
    ("system.modules", By("--kernel-module")),
    ("system.apt_mirror", By("--apt-mirror")),
    ("system.apt_proxy", By("--apt-proxy")),
    ("user.name", By("--user")),
    ("user.ssh_keys", By("--ssh-key")),
    ("network.interface", By("--interface")),
    ("network.addresses", By("--address")),
    ("network.addresses[].interface", By("--address")),
    ("network.addresses[].address", By("--address")),
    ("network.addresses[].router", By("--router")),
    ("network.addresses[].dns", By("--dns")),
    ("wifi.country", By("--wifi-country")),
    ("wifi.networks", By("--wifi")),
    ("wifi.networks[].ssid", By("--wifi")),
    ("wifi.networks[].security", By("--wifi-wpa3")),
    ("wifi.networks[].hidden", By("--wifi-hidden")),
    ("kubernetes.version", By("--kubernetes")),
    ("kubernetes.legacy", By("--legacy")),
    ("kubernetes.pod_network", By("--pod-network")),
    ("kubernetes.pod_cidr", By("--pod-cidr")),
    ("kubernetes.service_cidr", By("--service-cidr")),
    ("kubernetes.runtime", By("--runtime")),
    ("kubernetes.runtime_repository", By("--runtime-packages")),
    ("kubernetes.force_low_memory", By("--force-low-memory")),
    ("kubernetes.image_repository", By("--image-repository")),
    ("kubernetes.keep_16k_pages", By("--keep-16k-pages")),
    ("kubernetes.addons", Piflash),
];
/// Keys of the plan that the catalogue has under the same names, but for Calico's manifest.
const OF_CATALOGUE: [&str; 7] = [
    "kubernetes.repository",
    "kubernetes.repository_key",
    "kubernetes.runtime_repository_key",
    "kubernetes.downloads",
    "kubernetes.cni_plugins",
    "kubernetes.pod_network_manifest",
    "kubernetes.pod_network_manifest_sha256",
];

/// The table without which there is no Kubernetes: a card that was only prepared has none.
const CLUSTER: &str = "cluster";

/// Looks at a plan as the agent will: what no option shows by itself.
///
/// # Errors
/// [`PlanError::Settings`], in the words of the command line.
pub(super) fn check_plan(plan: &FirstbootPlan) -> Result<(), PlanError> {
    clashes(plan)?;
    agent_reads(plan).map_err(PlanError::Settings)
}

/// What the agent would refuse, in the words of the command line.
pub(super) fn agent_reads(plan: &FirstbootPlan) -> Result<(), Problems> {
    plan.to_toml().map(|_| ()).map_err(in_options)
}

/// Problems of a plan in the words of the command line, each once.
pub fn in_options(problems: Problems) -> Problems {
    once(Problems(problems.0.into_iter().map(in_option).collect()))
}

/// What several nodes have in common is told once.
pub(super) fn once(problems: Problems) -> Problems {
    let mut told = Problems::default();
    for problem in problems.0 {
        if !told.0.contains(&problem) {
            told.push(problem);
        }
    }
    told
}

fn in_option(problem: Problem) -> Problem {
    let Problem { key, message, help } = problem;
    if key == CLUSTER {
        let help = "write the card anew: `piflash --hostname NAME CARD`";
        return Problem::new("--kubernetes", "needs a cluster, and the card is of none").help(help);
    }
    let last = key.rsplit('.').next().unwrap_or(&key);
    let (key, message) = match origin(&key) {
        Some(Origin::Option(option)) => (option.to_owned(), message),
        Some(Catalogue) => ("PIKUBE_KUBERNETES".to_owned(), format!("its `{last}` {message}")),
        Some(Piflash) | None => (
            String::new(),
            format!("this is a fault of piflash, please report it: {last} {message}"),
        ),
    };
    Problem { key, message, help }
}

/// Where a key comes from; with or without the numbers of list items.
fn origin(key: &str) -> Option<Origin> {
    let mut plain = String::new();
    let mut within = false;
    for letter in key.chars() {
        within &= letter != ']';
        if !within {
            plain.push(letter);
        }
        within |= letter == '[';
    }
    let plain = plain.trim_end_matches("[]");
    if OF_CATALOGUE.contains(&plain) {
        return Some(Catalogue);
    }
    ORIGINS.iter().find(|(known, _)| *known == plain).map(|(_, origin)| *origin)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pikube_config::Role;

    use super::super::{Laptop, NetworkSettings, Settings, nodes};
    use super::*;

    #[test]
    fn every_key_of_the_plan_has_an_origin_that_there_is() {
        let keys = FirstbootPlan::keys();
        assert!(keys.len() > 40, "{keys:?}");
        let options = crate::cli::options();
        for key in &keys {
            match origin(key) {
                Some(Origin::Option(option)) => {
                    let long = option.strip_prefix("--").unwrap();
                    assert!(
                        options.iter().any(|known| known.get_long() == Some(long)),
                        "{key}: {option} is no option"
                    );
                }
                Some(Catalogue | Piflash) => {}
                None => panic!("{key} comes from nowhere"),
            }
        }
        let known = ORIGINS.iter().map(|(key, _)| *key).chain(OF_CATALOGUE);
        for key in known {
            assert!(keys.iter().any(|of_plan| of_plan == key), "{key} is no key of the plan");
        }
    }

    #[test]
    fn no_problem_of_any_key_is_told_with_the_key() {
        for key in FirstbootPlan::keys() {
            let key = key.replace("[]", "[0]");
            let problem = Problem::new(key.clone(), "is wrong");
            let told = in_options(Problems(vec![problem.clone(), problem])).to_string();
            assert_eq!(told.lines().count(), 1, "{told}");
            assert!(!key.contains('.') || !told.contains(&key), "{key}: {told}");
            assert!(told.contains("is wrong"), "{told}");
        }
        assert_eq!(origin("user.ssh_keys[12]"), Some(By("--ssh-key")));
        let prepared = "schema = 1\n[node]\nhostname = 'a'\nrole = 'worker'\n";
        let mut plan = FirstbootPlan::from_toml(prepared).unwrap();
        let kubernetes = pikube_config::Kubernetes::new("1.36");
        plan.kubernetes = Some(pikube_config::Kubernetes {
            repository: Some("https://h.example.org/deb/".into()),
            ..kubernetes
        });
        let told = check_plan(&plan).unwrap_err().to_string();
        assert!(told.starts_with("`--kubernetes`: needs a cluster"), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert_eq!(origin("network.addresses[3].dns[1]"), Some(By("--dns")));
    }

    #[test]
    fn what_only_the_whole_plan_shows_is_told_as_an_option() {
        let asked = |addresses: &[&str], router: Option<&str>| {
            let network = NetworkSettings {
                addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
                router: router.map(str::to_owned),
                ..NetworkSettings::default()
            };
            let settings = Settings { network, ..Settings::default() };
            let identity = [("laperouse".to_owned(), Role::Master)];
            nodes(&identity, &settings, &Laptop::default(), Timestamp::UNIX_EPOCH)
                .unwrap_err()
                .to_string()
        };
        for (addresses, router, expected) in [
            (&["192.168.1.20/24"][..], Some("192.168.1.20"), "`--router`: "),
            (&["192.168.1.20/24", "eth0=10.0.0.2/24"], None, "`--address`: `eth0` has an address"),
            (
                &["192.168.1.20/24", "wlan0=192.168.1.21/24"],
                Some("192.168.1.1"),
                "`--router`: is the second default gateway",
            ),
        ] {
            let told = asked(addresses, router);
            assert!(told.starts_with(expected), "{expected} not in {told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
