//! ifupdown's settings (interfaces(5)): a file of ours, and everybody else's words on the same interfaces made
//! comments, for ifupdown would apply both.

use std::net::IpAddr;

use pikube_config::Address;

use super::{OURS, Wanted, is_v6, wpa_supplicant};
use crate::render::draft::Draft;

/// The main file.
pub const MAIN: &str = "/etc/network/interfaces";
/// Files that it reads in.
pub const FOLDER: &str = "/etc/network/interfaces.d";
/// Ours; no point in its name, for `source-directory` skips those that have one.
pub const PATH: &str = "/etc/network/interfaces.d/pikube";

/// Lines of others that do not count while ours do.
const OFF: &str = "# pikube: ";
const SOURCE: &str = "source /etc/network/interfaces.d/pikube";

/// `None` where the plan asks for nothing.
pub fn draft(wanted: &Wanted) -> Option<Draft> {
    if wanted.is_nothing() {
        return None;
    }
    let mut draft = Draft::new(PATH, 0o644);
    draft.push([OURS]);
    for address in wanted.wired() {
        stanzas(&mut draft, &address.interface, Some(address), false);
    }
    if wanted.wifi.is_some() {
        stanzas(&mut draft, wanted.wireless, wanted.wireless_address(), true);
    }
    Some(draft)
}

/// The interfaces that our file speaks of.
pub fn names<'a>(wanted: &Wanted<'a>) -> Vec<&'a str> {
    let wireless = wanted.wifi.map(|_| wanted.wireless);
    wanted.wired().map(|address| address.interface.as_str()).chain(wireless).collect()
}

fn stanzas(draft: &mut Draft, interface: &str, address: Option<&Address>, wireless: bool) {
    // Not `auto`: an interface that is not there would be waited for.
    draft.push([format!("allow-hotplug {interface}")]);
    let v6 = address.is_some_and(is_v6);
    let wpa = wireless.then(|| format!("    wpa-conf {}", wpa_supplicant::PATH));
    if address.is_none() || v6 {
        draft.push([format!("iface {interface} inet dhcp")]);
        draft.push(wpa.clone());
    }
    let Some(address) = address else { return };
    let (ip, prefix) = address.address.split_once('/').unwrap_or((&address.address, "24"));
    let (family, mask) = if v6 { ("inet6", prefix.to_owned()) } else { ("inet", netmask(prefix)) };
    draft.push([
        format!("iface {interface} {family} static"),
        format!("    address {ip}"),
        format!("    netmask {mask}"),
    ]);
    draft.push(address.router.iter().map(|ip| format!("    gateway {ip}")));
    if !address.dns.is_empty() {
        draft.push([format!("    dns-nameservers {}", address.dns.join(" "))]);
    }
    if !v6 {
        draft.push(wpa);
    }
}

/// The prefix length as jessie's ifupdown wants it.
fn netmask(prefix: &str) -> String {
    let length: u32 = prefix.parse().unwrap_or(32).min(32);
    let bits = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    IpAddr::from(bits.to_be_bytes()).to_string()
}

/// A file of somebody else's with its words on these interfaces made comments, and everything that an earlier plan
/// made comments restored.
pub fn without(text: &str, names: &[&str]) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        let line = line.strip_prefix(OFF).unwrap_or(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        let off = match words.as_slice() {
            [] => false,
            [word, ..] if word.starts_with('#') => false,
            ["iface", name, ..] => {
                inside = names.contains(name);
                inside
            }
            [verb, rest @ ..] if *verb == "auto" || verb.starts_with("allow-") => {
                inside = false;
                !rest.is_empty() && rest.iter().all(|name| names.contains(name))
            }
            [
                "mapping" | "source" | "source-directory" | "rename" | "no-auto-down"
                | "no-scripts" | "template",
                ..,
            ] => {
                inside = false;
                false
            }
            _ => inside,
        };
        out.extend([if off { OFF } else { "" }, line, "\n"]);
    }
    out
}

/// The main file with a line that reads ours in, where nothing does so already; without it where we have none.
pub fn sourced(text: &str, wanted: bool) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| line.trim() != SOURCE).collect();
    let reads_folder = kept.iter().any(|line| {
        let mut words = line.split_whitespace();
        let (verb, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        match verb {
            "source" => [format!("{FOLDER}/*").as_str(), "interfaces.d/*"].contains(&path),
            "source-directory" => [FOLDER, "interfaces.d"].contains(&path.trim_end_matches('/')),
            _ => false,
        }
    });
    let own = (wanted && !reads_folder).then_some(SOURCE);
    kept.into_iter().chain(own).map(|line| format!("{line}\n")).collect()
}
