//! Makes changed files count at once. What works is not cut off needlessly: only managers and interfaces whose files
//! have changed are told. A program that is not there is no error: the next boot reads the files.

use super::manager::{DHCPCD_UNIT, Manager, NETWORKD_UNIT, NM_UNIT};
use crate::host::{Command, Error, Host};
use crate::render::network::{Wanted, dhcpcd, interfaces, keyfile, networkd, wpa_supplicant};
use crate::step::{Notes, Stop};
use crate::steps::{programs, units};

/// Tells the manager of these files.
pub fn apply(
    wanted: &Wanted,
    manager: Manager,
    changed: &[String],
    host: &dyn Host,
) -> Result<Notes, Stop> {
    match manager {
        Manager::Nm => network_manager(wanted, changed, host),
        // It compares with what runs itself.
        Manager::Netplan { .. } => netplan(wanted, host),
        Manager::Dhcpcd => dhcpcd(wanted, changed, host),
        Manager::Ifupdown => ifupdown(wanted, changed, host),
        Manager::Networkd => networkd(wanted, changed, host),
    }
}

fn has(changed: &[String], path: &str) -> bool {
    changed.iter().any(|changed| changed == path)
}

/// Whether an interface is there.
pub fn is_there(host: &dyn Host, interface: &str) -> Result<bool, Error> {
    host.exists(&format!("/sys/class/net/{interface}"))
}

/// Runs a command whose failure leaves the files right and something for a person to know.
fn attempt(host: &dyn Host, notes: &mut Notes, command: &Command) {
    notes.extend(host.run(command).err().map(|error| error.to_string()));
}

fn network_manager(wanted: &Wanted, changed: &[String], host: &dyn Host) -> Result<Notes, Stop> {
    let mut notes = Notes::new();
    if !programs::has(host, "nmcli")? {
        units::systemctl(host, "restart", NM_UNIT)?;
        return Ok(notes);
    }
    if units::state(host, NM_UNIT)?.as_deref() != Some("active") {
        units::systemctl(host, "start", NM_UNIT)?;
    }
    host.run(&Command::new("nmcli", ["connection", "reload"]))?;
    let list = Command::new("nmcli", ["-t", "-f", "NAME", "connection", "show"]);
    let known = host.ask(&list)?.ok(&list)?.stdout;
    let drafts = keyfile::drafts(wanted);
    for draft in &drafts {
        // `-t` puts a backslash before colons and backslashes only; our names have neither.
        if !known.lines().any(|name| name == keyfile::name(&draft.path)) {
            return Err(Stop::person(
                format!("loading `{}`: NetworkManager does not take it", draft.path),
                "`journalctl -u NetworkManager` says why",
            ));
        }
    }
    // Wireless networks come by themselves, the preferred one first; so does an interface that has no link yet. Where the
    // address is static the new one must take the place of the old.
    let of = |interface: &str| match wanted.is_wireless(interface) {
        true => format!("{}wifi-1", keyfile::PREFIX),
        false => format!("{}{interface}", keyfile::PREFIX),
    };
    for address in wanted.addresses {
        let id = of(&address.interface);
        let is_new = drafts
            .iter()
            .any(|draft| keyfile::name(&draft.path) == id && has(changed, &draft.path));
        if is_new && is_there(host, &address.interface)? {
            let up = Command::new("nmcli", ["--wait", "30", "connection", "up", "id", &id]);
            attempt(host, &mut notes, &up);
        }
    }
    Ok(notes)
}

fn netplan(wanted: &Wanted, host: &dyn Host) -> Result<Notes, Stop> {
    let mut notes = Notes::new();
    if wanted.networks().len() > 1 {
        notes.push("netplan prefers no Wi-Fi network to another: the strongest is used".to_owned());
    }
    host.run(&Command::new("netplan", ["generate"]))?;
    host.run(&Command::new("netplan", ["apply"]))?;
    Ok(notes)
}

fn dhcpcd(wanted: &Wanted, changed: &[String], host: &dyn Host) -> Result<Notes, Stop> {
    let mut notes = Notes::new();
    for address in wanted.addresses {
        if address.address.contains(':') && address.router.is_some() {
            notes.push(format!(
                "dhcpcd takes the IPv6 router of `{}` from router advertisements only",
                address.interface
            ));
        }
    }
    let told = has(changed, wpa_supplicant::PATH) && reconfigure(wanted, host, &mut notes)?;
    if has(changed, dhcpcd::PATH) || !told {
        units::systemctl(host, "restart", DHCPCD_UNIT)?;
    }
    Ok(notes)
}

/// A wpa_supplicant that runs already reads its file again; one that does not run is started by its manager. Whether it
/// runs.
fn reconfigure(wanted: &Wanted, host: &dyn Host, notes: &mut Notes) -> Result<bool, Error> {
    let interface = wanted.wireless;
    let socket = format!("/run/wpa_supplicant/{interface}");
    let runs = programs::has(host, "wpa_cli")? && host.exists(&socket)?;
    if runs {
        attempt(host, notes, &Command::new("wpa_cli", ["-i", interface, "reconfigure"]));
    }
    Ok(runs)
}

/// An interface that the plan no longer names keeps its address until the next boot: cutting it off could cut off more.
fn ifupdown(wanted: &Wanted, changed: &[String], host: &dyn Host) -> Result<Notes, Stop> {
    let mut notes = Notes::new();
    for interface in interfaces::names(wanted) {
        // Of its one file nobody can tell which interface has changed; wpa_supplicant's is for Wi-Fi only.
        let only_wifi = changed.iter().all(|path| path == wpa_supplicant::PATH);
        if !is_there(host, interface)? || only_wifi && !wanted.is_wireless(interface) {
            continue;
        }
        leave_dhcp(host, interface)?;
        // With the new file it may not know how the interface came up: that is no reason not to bring it up anew.
        let _ = host.run(&Command::new("ifdown", ["--force", interface]));
        let up = Command::new("ifup", ["--force", interface]);
        if wanted.is_wireless(interface)
            || wanted.addresses.iter().all(|a| a.interface != interface)
        {
            // No such network in reach, or no DHCP server yet.
            attempt(host, &mut notes, &up);
        } else {
            host.run(&up)?;
        }
    }
    Ok(notes)
}

/// ifdown(8) ends the DHCP client of an interface only while its file still says `dhcp`; one that goes on would give the
/// interface its old address back. Its paths are ifupdown's; `-r` is how ifdown ends it, and no reason to stop if it fails.
fn leave_dhcp(host: &dyn Host, interface: &str) -> Result<(), Error> {
    let pid = format!("/run/dhclient.{interface}.pid");
    if host.exists(&pid)? && programs::has(host, "dhclient")? {
        let leases = format!("/var/lib/dhcp/dhclient.{interface}.leases");
        let _ = host.run(&Command::new("dhclient", ["-r", "-pf", &pid, "-lf", &leases, interface]));
    }
    Ok(())
}

fn networkd(wanted: &Wanted, changed: &[String], host: &dyn Host) -> Result<Notes, Stop> {
    let mut notes = Notes::new();
    if !units::is_enabled(host, NETWORKD_UNIT)? {
        units::systemctl(host, "enable", NETWORKD_UNIT)?;
    }
    let unit = super::wpa_unit(wanted.wireless);
    if wanted.wifi.is_none() && units::is_enabled(host, &unit)? {
        // Its settings are gone only where they were ours.
        if !host.exists(&wpa_supplicant::path_of(wanted.wireless))? {
            units::systemctl(host, "disable", &unit)?;
            units::systemctl(host, "stop", &unit)?;
        }
    }
    if wanted.wifi.is_some() {
        if !units::is_enabled(host, &unit)? {
            units::systemctl(host, "enable", &unit)?;
        }
        let is_new = has(changed, &unit) || has(changed, &wpa_supplicant::path_of(wanted.wireless));
        if is_new && is_there(host, wanted.wireless)? {
            units::systemctl(host, "restart", &unit)?;
        }
    }
    // `reload` is not known before 244.
    if units::state(host, NETWORKD_UNIT)?.as_deref() != Some("active")
        || host.run(&Command::new("networkctl", ["reload"])).is_err()
    {
        units::systemctl(host, "restart", NETWORKD_UNIT)?;
    }
    for address in wanted.addresses {
        let is_new = has(changed, &networkd::path(&address.interface));
        if is_new && is_there(host, &address.interface)? {
            attempt(
                host,
                &mut notes,
                &Command::new("networkctl", ["reconfigure", &address.interface]),
            );
        }
    }
    Ok(notes)
}
