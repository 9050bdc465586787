//! Rung 3: a booted node on a virtual switch, seen from the laptop beside it: its addresses, its login, its Wi-Fi, and
//! what becomes of it when its card gets other settings.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use pikube_tests::node::{self, Node, Order};
use pikube_tests::site::Site;
use pikube_tests::ssh::Login;
use pikube_tests::switch::{BEYOND, DOMAIN, LAPTOP};

const CARD_BYTES: u64 = 4 << 30;
/// Outside of what the DHCP server gives away.
const ADDRESS: &str = "192.168.77.21";
/// The name after the card was changed.
const OTHER_NAME: &str = "fregate";
const SSID: &str = "La Pérouse 5 GHz";
const WIFI_PASSWORD: &str = "Vanikoro-1788; reef";

/// A node that asks the DHCP server, and then gets a static address and another name.
#[test]
fn raspios_trixie() -> Result<()> {
    let Some(site) = Site::new("raspios-trixie-amd64")? else { return Ok(()) };
    let node = written(&site, &Order::changes())?;
    by_dhcp(&site, &node, node::HOSTNAME).context("first boot")?;
    same_settings_change_nothing(&site, &node)?;

    let change = static_address(Order::changes()).with("--hostname", OTHER_NAME);
    site.workshop.configure(&node, &change)?;
    by_static_address(&site, &node, OTHER_NAME).context("with a static address")?;
    stays_there(&site, &node, OTHER_NAME)
}

/// A node with a static address that then shall ask the DHCP server, under another name.
#[test]
fn raspios_bookworm() -> Result<()> {
    let Some(site) = Site::new("raspios-bookworm-amd64")? else { return Ok(()) };
    let node = written(&site, &static_address(Order::changes()))?;
    by_static_address(&site, &node, node::HOSTNAME).context("first boot")?;
    stays_there(&site, &node, node::HOSTNAME)?;
    same_settings_change_nothing(&site, &node)?;

    let change = Order::changes().with("--address", "dhcp").with("--hostname", OTHER_NAME);
    site.workshop.configure(&node, &change)?;
    by_dhcp(&site, &node, OTHER_NAME).context("by DHCP")
}

/// A new card with Wi-Fi and what else a person sets, with `more`.
fn written(site: &Site, more: &Order) -> Result<Node> {
    let passwords = tempfile::Builder::new().prefix("pikube-test-wifi").tempdir()?;
    let password_file = passwords.path().join("passwords");
    std::fs::write(&password_file, format!("{WIFI_PASSWORD}\n"))?;
    let order = site
        .order(node::HOSTNAME)
        .with("--locale", "en_GB.UTF-8")
        .with("--keyboard", "fr:oss")
        .with("--wifi", SSID)
        .with("--wifi-password-file", password_file)
        .with("--wifi-country", "FR");
    site.workshop.write(CARD_BYTES, &order.and(more))
}

fn static_address(order: Order) -> Order {
    order
        .with("--interface", "eth0")
        .with("--address", format!("{ADDRESS}/24"))
        .with("--router", LAPTOP)
        .with("--dns", LAPTOP)
}

fn by_dhcp(site: &Site, node: &Node, hostname: &str) -> Result<()> {
    let visit = site.visit(node, None)?;
    is_right(&visit.login, node, hostname)?;
    let lease = site.lease()?.context("no lease")?;
    ensure!(lease.hostname.as_deref() == Some(hostname), "announced itself as {lease:?}");
    visit.leave()
}

fn by_static_address(site: &Site, node: &Node, hostname: &str) -> Result<()> {
    let visit = site.visit(node, Some(ADDRESS))?;
    is_right(&visit.login, node, hostname)?;
    visit.leave()
}

/// A further boot with a static address: nobody asks the DHCP server any more.
fn stays_there(site: &Site, node: &Node, hostname: &str) -> Result<()> {
    let asked = requests(site)?;
    by_static_address(site, node, hostname).context("a further boot")?;
    let log = site.switch.dhcp_log()?;
    ensure!(requests(site)? == asked, "the node still asks for an address:\n{log}");
    node.card().check_boot()?;
    node.card().check_root()
}

fn requests(site: &Site) -> Result<usize> {
    Ok(site.switch.dhcp_log()?.matches("DHCPREQUEST").count())
}

/// What is asked for a second time is there already: not a byte of the whole card changes.
fn same_settings_change_nothing(site: &Site, node: &Node) -> Result<()> {
    let before = node.copy()?;
    let same = site.order(node::HOSTNAME).with("--keyboard", "fr:oss");
    site.workshop.configure(node, &same)?;
    let compared =
        Command::new("cmp").arg(before.card().path()).arg(node.card().path()).output()?;
    let said = String::from_utf8_lossy(&compared.stdout);
    ensure!(compared.status.success(), "the same settings changed the card: {said}");
    Ok(())
}

fn is_right(login: &Login<'_>, node: &Node, hostname: &str) -> Result<()> {
    is_connected(login)?;
    settings_are_made(login, hostname)?;
    wifi_is_ready(login, node)
}

/// Address, default route and name server, as far as the laptop's network goes, and nothing beside them.
fn is_connected(login: &Login<'_>) -> Result<()> {
    let addresses = login.run("ip -4 -o address show dev eth0")?;
    let own = format!("inet {}/24", login.address());
    ensure!(addresses.lines().count() == 1 && addresses.contains(&own), "eth0 has {addresses}");
    let route = login.run("ip -4 route show default")?;
    let via_laptop = format!("default via {LAPTOP} dev eth0 ");
    ensure!(
        route.lines().count() == 1 && route.starts_with(&via_laptop),
        "the default route is {route:?}"
    );
    login.run(&format!("sudo -n ping -n -c 1 -W 10 {BEYOND}"))?;
    let laptop = login.run(&format!("getent hosts laptop.{DOMAIN}"))?;
    ensure!(laptop.starts_with(LAPTOP), "the laptop is at {laptop}");
    Ok(())
}

/// What a person would look at after the first login.
fn settings_are_made(login: &Login<'_>, hostname: &str) -> Result<()> {
    same(login, "hostname", hostname)?;
    same(login, "sudo -n id -un", "root")?;
    has(login, "localectl status", "LANG=en_GB.UTF-8")?;
    has(login, "localectl status", "X11 Layout: fr")?;
    has(login, "localectl status", "X11 Variant: oss")?;
    has(login, "timedatectl status", node::TIMEZONE)?;
    has(login, "timedatectl status", "NTP service: active")?;
    has(login, "timedatectl show-timesync --property=SystemNTPServers", node::NTP)?;
    let state = login.run("systemctl is-system-running --wait; true")?;
    let failed = login.run("systemctl --failed --no-legend")?;
    ensure!(state == "running", "the system is {state}: {failed}");
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
    let files = login.run(files)?;
    ensure!(!files.is_empty(), "there is no connection file");
    ensure!(files.lines().all(|file| file == "600 root:root"), "connection files are {files}");
    // in NetworkManager's own words, with the key as wpa_supplicant derives it from the password
    let known = login.run(
        "for uuid in $(nmcli -g UUID connection show); do sudo -n nmcli -s \
         -g 802-11-wireless.ssid,802-11-wireless-security.psk connection show $uuid; done",
    )?;
    let key = login.run(&format!(
        "echo '{WIFI_PASSWORD}' | /usr/bin/wpa_passphrase '{SSID}' | sed -n 's/^\\tpsk=//p'"
    ))?;
    ensure!(key.len() == 64, "wpa_passphrase says {key:?}");
    ensure!(known.contains(SSID), "NetworkManager does not know the network: {known}");
    ensure!(known.contains(&key), "NetworkManager does not know the key {key}: {known}");
    same(login, "nmcli radio wifi", "enabled")?;
    has(login, "cat /proc/cmdline", "cfg80211.ieee80211_regdom=FR")?;
    let names = node.card().boot_names()?;
    ensure!(!names.iter().any(|name| name == "pikube-secrets.toml"), "secrets are on the FAT");
    for secret in [WIFI_PASSWORD, &key] {
        ensure!(!node.card().boot_holds(secret.as_bytes())?, "a Wi-Fi secret is on the FAT");
    }
    Ok(())
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
