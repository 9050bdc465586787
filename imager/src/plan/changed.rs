//! The plan of a card that is written already, with some settings changed.

use jiff::Timestamp;
use pikube_config::{Cluster, Role, Secrets};

use super::{Laptop, PlanError, Settings, nodes};
use crate::boot::NodeFiles;

/// What a card has, with what was asked for in its place. Secrets that the node has taken off the card stay with the
/// node; `before` has those that are still there. Where nothing changes, the result is `before`, to the second at which
/// the card was written.
///
/// # Errors
/// [`PlanError`]; all wrong settings at once.
pub fn changed(
    before: &NodeFiles,
    hostname: Option<&str>,
    role: Option<Role>,
    settings: &Settings,
    laptop: &Laptop,
    now: Timestamp,
) -> Result<NodeFiles, PlanError> {
    let (old, old_secrets) = (&before.plan, &before.secrets);
    let name = hostname.unwrap_or(&old.node.hostname);
    let identity = (super::names(name, 1)?.remove(0), role.unwrap_or(old.node.role));
    let defaults = Laptop {
        timezone: old.time.timezone.clone(),
        // A first Wi-Fi network needs a country, and this computer's is the better guess than none.
        locale: old.system.locale.clone().or_else(|| laptop.locale.clone()),
        keyboard: old.system.keyboard.clone(),
        user: old.user.as_ref().map(|user| user.name.clone()),
        ssh_keys: old.user.iter().flat_map(|user| user.ssh_keys.clone()).collect(),
    };
    let mut asked = Settings { swap: settings.swap.or(Some(old.system.swap)), ..settings.clone() };
    let old_country = old.wifi.as_ref().map(|wifi| &wifi.country);
    if asked.wifi.networks.is_empty() && old.wifi.is_some() {
        asked.wifi.country = None;
    } else if !asked.wifi.networks.is_empty() {
        asked.wifi.country = asked.wifi.country.or_else(|| old_country.cloned());
    }
    // One card, one node.
    let mut node = nodes(&[identity], &asked, &defaults, now)?.remove(0);
    let plan = &mut node.plan;
    plan.cluster.clone_from(&old.cluster);
    plan.kubernetes.clone_from(&old.kubernetes);
    plan.system.locale = settings.locale.clone().or_else(|| old.system.locale.clone());
    if settings.user.is_none() && settings.ssh_keys.is_empty() {
        plan.user.clone_from(&old.user);
    }
    if settings.timezone.is_none() {
        plan.time.timezone.clone_from(&old.time.timezone);
    }
    if settings.ntp.is_empty() {
        plan.time.ntp.clone_from(&old.time.ntp);
    }
    if settings.apt_mirror.is_none() {
        plan.system.apt_mirror.clone_from(&old.system.apt_mirror);
    }
    if settings.apt_proxy.is_none() {
        plan.system.apt_proxy.clone_from(&old.system.apt_proxy);
    }
    if settings.modules.is_empty() {
        plan.system.modules.clone_from(&old.system.modules);
    }
    if settings.network.interface.is_none() {
        plan.network.interface.clone_from(&old.network.interface);
    }
    if settings.network.addresses.is_empty() {
        plan.network.addresses.clone_from(&old.network.addresses);
    }
    let address = super::static_addresses(plan).first().map(ToString::to_string);
    if let Some(cluster) = plan.cluster.as_mut().filter(|_| plan.node.role == Role::Master) {
        cluster.master = Some(plan.node.hostname.clone());
        if !has_own_address(cluster) {
            cluster.address = address;
        }
    }
    let secrets = &mut node.secrets;
    if settings.wifi.networks.is_empty() {
        plan.wifi.clone_from(&old.wifi);
        if let (Some(wifi), Some(country)) = (&mut plan.wifi, &settings.wifi.country) {
            wifi.country.clone_from(country);
        }
        secrets.wifi_passwords.clone_from(&old_secrets.wifi_passwords);
    }
    // A new hash of the old password would be a change of the card and none of the node.
    let same = |hash| settings.password.as_ref().is_none_or(|password| password.is(hash));
    if let Some(hash) = old_secrets.password_hash.as_ref().filter(|hash| same(hash)) {
        secrets.password_hash = Some(hash.clone());
    }
    // The rest is the cluster's, of which the card stays.
    node.secrets = Secrets {
        password_hash: secrets.password_hash.take(),
        wifi_passwords: std::mem::take(&mut secrets.wifi_passwords),
        ..old_secrets.clone()
    };
    plan.flashed_at = old.flashed_at;
    if plan != old {
        plan.flashed_at = Some(now);
    }
    Ok(node)
}

/// Whether the API server is found at an address that is not the master's: a virtual one, or a load balancer's.
fn has_own_address(cluster: &Cluster) -> bool {
    let host = cluster.endpoint.as_deref().and_then(|endpoint| endpoint.rsplit_once(':'));
    let is_ip = |host: &str| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    cluster.virtual_ip == Some(true) || host.is_some_and(|(host, _)| is_ip(host))
}

#[cfg(test)]
mod tests {
    use pikube_config::Swap;
    use secrecy::ExposeSecret as _;

    use super::super::{NetworkSettings, WifiSettings, login};
    use super::*;

    fn password(word: &str) -> login::Password {
        let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
        std::fs::write(file.path(), word).unwrap();
        login::read_password(file.path()).unwrap()
    }

    fn full() -> Settings {
        Settings {
            timezone: Some("Europe/Paris".into()),
            ntp: vec!["ntp.example.org".into()],
            locale: Some("fr_FR.UTF-8".into()),
            keyboard: Some("fr".into()),
            user: Some("captain".into()),
            ssh_keys: vec![],
            password: Some(password("swordfish")),
            swap: Some(Swap::Keep),
            apt_mirror: Some("http://mirror.example.org/debian".into()),
            apt_proxy: Some("http://proxy.example.org:3142".into()),
            modules: vec!["dm_thin_pool".into()],
            network: NetworkSettings {
                addresses: vec!["192.168.1.21/24".into()],
                ..NetworkSettings::default()
            },
            wifi: WifiSettings {
                networks: vec!["harbour".into()],
                passwords: vec!["sea and salt".into()],
                ..WifiSettings::default()
            },
        }
    }

    fn before() -> NodeFiles {
        let identity = [("laperouse".to_owned(), Role::Master)];
        nodes(&identity, &full(), &Laptop::default(), Timestamp::UNIX_EPOCH).unwrap().remove(0)
    }

    fn later(before: &NodeFiles, settings: &Settings) -> NodeFiles {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        changed(before, None, None, settings, &Laptop::default(), now).unwrap()
    }

    fn secrets(node: &NodeFiles) -> String {
        node.secrets.to_toml().unwrap().to_string()
    }

    #[test]
    fn nothing_asked_or_the_same_asked_changes_nothing() {
        let mut before = before();
        for settings in [Settings::default(), full()] {
            let after = later(&before, &settings);
            assert_eq!(after.plan, before.plan);
            assert_eq!(secrets(&after), secrets(&before));
        }
        // As an earlier piflash wrote it.
        before.plan.time.timezone = Some("US/Pacific".into());
        assert_eq!(later(&before, &Settings::default()).plan, before.plan);
    }

    #[test]
    fn only_what_is_asked_changes() {
        let before = before();
        let asked = Settings {
            keyboard: Some("gb".into()),
            password: Some(password("marlin")),
            ..Settings::default()
        };
        let after = later(&before, &asked);
        let mut expected = before.plan.clone();
        expected.system.keyboard = Some("gb".into());
        expected.flashed_at = after.plan.flashed_at;
        assert_eq!(after.plan, expected);
        assert_ne!(after.plan.flashed_at, before.plan.flashed_at);
        let hash = after.secrets.password_hash.as_ref().unwrap();
        assert!(password("marlin").is(hash));
        assert_eq!(after.secrets.wifi_password("harbour").unwrap().expose_secret().len(), 64);
    }

    #[test]
    fn the_country_of_the_networks_changes_alone() {
        let wifi = WifiSettings { country: Some("BE".into()), ..WifiSettings::default() };
        let before = before();
        let after = later(&before, &Settings { wifi, ..Settings::default() });
        let (wifi, old) = (after.plan.wifi.unwrap(), before.plan.wifi.unwrap());
        assert_eq!((wifi.country.as_str(), wifi.networks), ("BE", old.networks));
        assert_eq!(old.country, "FR");
    }

    #[test]
    fn a_static_address_goes_back_to_dhcp() {
        let network =
            NetworkSettings { addresses: vec!["dhcp".into()], ..NetworkSettings::default() };
        let after = later(&before(), &Settings { network, ..Settings::default() });
        assert!(after.plan.network.addresses.is_empty());
    }

    #[test]
    fn what_the_node_took_off_the_card_is_not_asked_for_again() {
        let mut booted = before();
        booted.secrets = pikube_config::Secrets::default();
        assert!(later(&booted, &Settings::default()).secrets.is_empty());
        let asked = Settings { password: Some(password("swordfish")), ..Settings::default() };
        assert!(later(&booted, &asked).secrets.password_hash.is_some());
    }
}
