//! Rung 3: a booted node on a virtual switch, seen from the laptop beside it: its addresses, its login, its Wi-Fi.

use anyhow::{Context, Result, ensure};
use pikube_tests::node::{self, Node};
use pikube_tests::site::Site;
use pikube_tests::ssh::Login;
use pikube_tests::switch::{BEYOND, DOMAIN, LAPTOP};

const CARD_BYTES: u64 = 4 << 30;
/// Outside of what the DHCP server gives away.
const ADDRESS: &str = "192.168.77.21";
const SSID: &str = "La Pérouse 5 GHz";
const WIFI_PASSWORD: &str = "Vanikoro-1788; reef";

#[test]
fn raspios_trixie() -> Result<()> {
    lives_on_the_network("raspios-trixie-amd64")
}

#[test]
fn raspios_bookworm() -> Result<()> {
    lives_on_the_network("raspios-bookworm-amd64")
}

/// One card with a static address, booted twice, and one that asks the DHCP server.
fn lives_on_the_network(image: &str) -> Result<()> {
    let Some(site) = Site::new(image)? else { return Ok(()) };
    with_a_static_address(&site).context("static address")?;
    asks_for_an_address(&site).context("address by DHCP")
}

fn with_a_static_address(site: &Site) -> Result<()> {
    let passwords = tempfile::Builder::new().prefix("pikube-test-wifi").tempdir()?;
    let password_file = passwords.path().join("passwords");
    std::fs::write(&password_file, format!("{WIFI_PASSWORD}\n"))?;
    let order = site
        .order(node::HOSTNAME)
        .with("--locale", "en_GB.UTF-8")
        .with("--keyboard", "fr:oss")
        .with("--interface", "eth0")
        .with("--address", format!("{ADDRESS}/24"))
        .with("--router", LAPTOP)
        .with("--dns", LAPTOP)
        .with("--wifi", SSID)
        .with("--wifi-password-file", password_file)
        .with("--wifi-country", "FR");
    let node = site.workshop.write(CARD_BYTES, &order)?;

    let first = site.visit(&node, Some(ADDRESS))?;
    is_connected(&first.login)?;
    settings_are_made(&first.login)?;
    wifi_is_ready(&first.login, &node)?;
    first.leave()?;

    let asked = requests(site)?;
    let again = site.visit(&node, Some(ADDRESS)).context("second boot")?;
    is_connected(&again.login).context("second boot")?;
    again.leave()?;
    ensure!(
        requests(site)? == asked,
        "the node still asks for an address: {}",
        site.switch.dhcp_log()?
    );
    node.card().check_boot()?;
    node.card().check_root()
}

fn asks_for_an_address(site: &Site) -> Result<()> {
    let node = site.workshop.write(CARD_BYTES, &site.order("fregate"))?;
    let visit = site.visit(&node, None)?;
    is_connected(&visit.login)?;
    let lease = site.lease()?.context("no lease")?;
    ensure!(lease.hostname.as_deref() == Some("fregate"), "announced itself as {lease:?}");
    visit.leave()
}

/// Address, default route and name server, as far as the laptop's network goes, and nothing beside them.
fn is_connected(login: &Login<'_>) -> Result<()> {
    let addresses = login.run("ip -4 -o address show dev eth0")?;
    ensure!(
        addresses.lines().count() == 1
            && addresses.contains(&format!("inet {}/24", login.address())),
        "eth0 has {addresses}"
    );
    let route = login.run("ip -4 route show default")?;
    ensure!(
        route.lines().count() == 1 && route.starts_with(&format!("default via {LAPTOP} dev eth0 ")),
        "the default route is {route:?}"
    );
    login.run(&format!("sudo -n ping -n -c 1 -W 10 {BEYOND}"))?;
    let laptop = login.run(&format!("getent hosts laptop.{DOMAIN}"))?;
    ensure!(laptop.starts_with(LAPTOP), "the laptop is at {laptop}");
    Ok(())
}

/// What a person would look at after the first login.
fn settings_are_made(login: &Login<'_>) -> Result<()> {
    same(login, "hostname", node::HOSTNAME)?;
    same(login, "sudo -n id -un", "root")?;
    has(login, "localectl status", "LANG=en_GB.UTF-8")?;
    has(login, "localectl status", "X11 Layout: fr")?;
    has(login, "localectl status", "X11 Variant: oss")?;
    has(login, "timedatectl status", node::TIMEZONE)?;
    has(login, "timedatectl status", "NTP service: active")?;
    has(login, "timedatectl show-timesync --property=SystemNTPServers", node::NTP)?;
    has(login, "systemctl is-system-running", "running")?;
    for (user, password) in
        [(node::USER, node::PASSWORD), ("pi", "raspberry"), ("root", "raspberry")]
    {
        let accepted = login.other(user).password_is_accepted(password)?;
        ensure!(!accepted, "{user} may log in with the password {password}");
    }
    Ok(())
}

/// No radio is here: what NetworkManager makes of the files that would drive it.
fn wifi_is_ready(login: &Login<'_>, node: &Node) -> Result<()> {
    let files = "sudo -n find /etc/NetworkManager/system-connections -type f -printf '%m %u:%g\\n'";
    for file in login.run(files)?.lines() {
        ensure!(file == "600 root:root", "a connection file is {file}");
    }
    let known = login.run(
        "for uuid in $(nmcli -g UUID connection show); do \
         sudo -n nmcli -s -g 802-11-wireless.ssid,802-11-wireless-security.psk connection show $uuid; done",
    )?;
    ensure!(known.contains(SSID), "NetworkManager does not know the network: {known}");
    ensure!(known.contains(WIFI_PASSWORD), "NetworkManager does not know the password: {known}");
    same(login, "nmcli radio wifi", "enabled")?;
    has(login, "cat /proc/cmdline", "cfg80211.ieee80211_regdom=FR")?;
    let names = node.card().boot_names()?;
    ensure!(!names.iter().any(|name| name == "pikube-secrets.toml"), "secrets are on the FAT");
    ensure!(!node.card().boot_holds(WIFI_PASSWORD.as_bytes())?, "the password is on the FAT");
    Ok(())
}

/// How often anybody has asked for an address.
fn requests(site: &Site) -> Result<usize> {
    Ok(site.switch.dhcp_log()?.matches("DHCPREQUEST").count())
}

fn same(login: &Login<'_>, line: &str, wanted: &str) -> Result<()> {
    let found = login.run(line)?;
    ensure!(found == wanted, "{line}: {found:?}, not {wanted:?}");
    Ok(())
}

fn has(login: &Login<'_>, line: &str, wanted: &str) -> Result<()> {
    let found = login.run(line)?;
    ensure!(found.contains(wanted), "{line} lacks {wanted:?}:\n{found}");
    Ok(())
}
