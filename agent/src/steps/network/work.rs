//! What is to be in place for a plan and a manager, and what is there of ours that no longer belongs.

use zeroize::Zeroizing;

use crate::host::{Access, Error, Host, Kind, Look};
use crate::plan::Context;
use crate::render::block;
use crate::render::draft::Draft;
use crate::render::network::{
    OURS, WIRELESS, Wanted, dhcpcd, interfaces, keyfile, netplan, networkd, resolv_conf,
    wpa_supplicant,
};
use crate::step::Stop;

use super::manager::Manager;

/// Everything about files.
#[derive(Debug, Default)]
pub struct Work {
    /// Files that are ours as a whole.
    pub drafts: Vec<Draft>,
    /// Files of others with a part of ours or without one: path and whole text, where it differs.
    pub edits: Vec<(String, String)>,
    /// Files of ours that the plan no longer wants.
    pub stale: Vec<String>,
}

/// Beside a file of others that ours replaces.
const KEPT: &str = ".pikube-orig";

/// The Wi-Fi interface: the first that has one of the kernel's signs, else the one that the plan names.
pub fn wireless(context: &Context, host: &dyn Look) -> Result<String, Error> {
    for name in host.list("/sys/class/net")? {
        for sign in ["phy80211", "wireless"] {
            if host.exists(&format!("/sys/class/net/{name}/{sign}"))? {
                return Ok(name);
            }
        }
    }
    let named = context.plan.network.addresses.iter().find(|a| a.interface.starts_with("wl"));
    Ok(named.map_or(WIRELESS, |address| &address.interface).to_owned())
}

/// Finds all of it; changes nothing.
pub fn find(wanted: &Wanted, manager: Option<Manager>, host: &dyn Look) -> Result<Work, Error> {
    let wpa = wpa_supplicant::draft(wanted, wpa_supplicant::PATH);
    let drafts = match manager {
        None => Vec::new(),
        Some(Manager::Nm) => keyfile::drafts(wanted),
        Some(Manager::Netplan { regulatory, .. }) => {
            netplan::draft(wanted, regulatory).into_iter().collect()
        }
        Some(Manager::Dhcpcd) => wpa.into_iter().collect(),
        Some(Manager::Ifupdown) => interfaces::draft(wanted).into_iter().chain(wpa).collect(),
        Some(Manager::Networkd) => networkd::drafts(wanted),
    };
    let mut edits = Vec::new();
    let block = if manager == Some(Manager::Dhcpcd) { dhcpcd::block(wanted) } else { Vec::new() };
    push_edit(host, &mut edits, dhcpcd::PATH, |text| block::merge(text, &block))?;
    let ifupdown = manager == Some(Manager::Ifupdown) && !wanted.is_nothing();
    let names = if ifupdown { interfaces::names(wanted) } else { Vec::new() };
    push_edit(host, &mut edits, interfaces::MAIN, |text| {
        interfaces::sourced(&interfaces::without(text, &names), ifupdown)
    })?;
    for name in host.list(interfaces::FOLDER)? {
        let path = format!("{}/{name}", interfaces::FOLDER);
        if path != interfaces::PATH && !name.starts_with('.') {
            push_edit(host, &mut edits, &path, |text| interfaces::without(text, &names))?;
        }
    }
    if ifupdown
        && !crate::steps::programs::has(host, "resolvconf")?
        && host.read_link(resolv_conf::PATH)?.is_none()
    {
        let text = host.text(resolv_conf::PATH)?.unwrap_or_default();
        let merged = resolv_conf::merge(&text, wanted);
        edits.extend(merged.map(|merged| (resolv_conf::PATH.to_owned(), merged)));
    }
    let mut stale = ours(host)?;
    stale.retain(|path| drafts.iter().all(|draft| draft.path != *path));
    Ok(Work { drafts, edits, stale })
}

fn push_edit(
    host: &dyn Look,
    edits: &mut Vec<(String, String)>,
    path: &str,
    change: impl FnOnce(&str) -> String,
) -> Result<(), Error> {
    if let Some(text) = host.text(path)? {
        let changed = change(&text);
        // A last line without its end is no difference.
        if changed.trim_end() != text.trim_end() {
            edits.push((path.to_owned(), changed));
        }
    }
    Ok(())
}

/// Every file that is ours as a whole, of whichever manager.
fn ours(host: &dyn Look) -> Result<Vec<String>, Error> {
    let mut candidates = vec![netplan::PATH.to_owned(), interfaces::PATH.to_owned()];
    for (folder, start) in [
        (keyfile::FOLDER, keyfile::PREFIX),
        (networkd::FOLDER, networkd::PREFIX),
        ("/etc/wpa_supplicant", "wpa_supplicant"),
    ] {
        let names = host.list(folder)?.into_iter().filter(|name| name.starts_with(start));
        candidates.extend(names.map(|name| format!("{folder}/{name}")));
    }
    let mut ours = Vec::new();
    for path in candidates {
        if is_ours(host, &path)? {
            ours.push(path);
        }
    }
    Ok(ours)
}

fn is_ours(host: &dyn Look, path: &str) -> Result<bool, Error> {
    Ok(host.text(path)?.is_some_and(|text| text.lines().next() == Some(OURS)))
}

impl Work {
    /// Why something is to be done.
    pub fn reasons(&self, host: &dyn Look) -> Result<Vec<String>, Error> {
        let told = |path: String| {
            let earlier = self.stale.contains(&path);
            let why = if earlier { "of an earlier plan" } else { "not as the plan says" };
            format!("`{path}` is {why}")
        };
        Ok(self.changed(host)?.into_iter().map(told).collect())
    }

    /// The paths of all that is to be written or removed.
    pub fn changed(&self, host: &dyn Look) -> Result<Vec<String>, Error> {
        let mut changed = Vec::new();
        for draft in &self.drafts {
            if !is_in_place(host, draft)? {
                changed.push(draft.path.clone());
            }
        }
        changed.extend(self.edits.iter().map(|(path, _)| path.clone()));
        changed.extend(self.stale.iter().cloned());
        Ok(changed)
    }

    /// The texts of all drafts, in their order; passwords that are not in the secrets any more come from the files that
    /// are there.
    pub fn texts(&self, host: &dyn Look) -> Result<Vec<Zeroizing<String>>, Stop> {
        let mut old = Zeroizing::new(String::new());
        for path in ours(host)? {
            if let Some(bytes) = host.read(&path)?.map(Zeroizing::new) {
                old.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        let text = |draft: &Draft| {
            draft.text(&old).map_err(|ssid| {
                Stop::person(
                    format!(
                        "writing `{}`: the card has no password for the Wi-Fi network `{ssid}`",
                        draft.path
                    ),
                    "give it to `piflash configure`, or say that the network is open",
                )
            })
        };
        self.drafts.iter().map(text).collect()
    }

    /// Writes everything, the drafts with these texts.
    pub fn write(&self, host: &dyn Host, texts: &[Zeroizing<String>]) -> Result<(), Error> {
        for (draft, text) in self.drafts.iter().zip(texts) {
            keep_original(host, &draft.path)?;
            host.write(&draft.path, text.as_bytes(), Access::root(draft.mode))?;
        }
        for (path, text) in &self.edits {
            crate::steps::edit(host, path, text)?;
        }
        for path in &self.stale {
            let kept = format!("{path}{KEPT}");
            match host.read(&kept)?.map(Zeroizing::new) {
                Some(bytes) => {
                    host.write(path, &bytes, Access::root(0o600))?;
                    host.remove(&kept)?;
                }
                None => host.remove(path)?,
            }
        }
        Ok(())
    }
}

fn is_in_place(host: &dyn Look, draft: &Draft) -> Result<bool, Error> {
    let Some(stat) = host.stat(&draft.path)? else { return Ok(false) };
    let Some(bytes) = host.read(&draft.path)?.map(Zeroizing::new) else {
        return Ok(false);
    };
    Ok(stat.kind == Kind::File
        && stat.mode == draft.mode
        && std::str::from_utf8(&bytes).is_ok_and(|text| draft.is(text)))
}

/// Only wpa_supplicant's settings can be somebody else's before they are ours.
fn keep_original(host: &dyn Host, path: &str) -> Result<(), Error> {
    let kept = format!("{path}{KEPT}");
    if path != wpa_supplicant::PATH || is_ours(host, path)? || host.exists(&kept)? {
        return Ok(());
    }
    match host.read(path)?.map(Zeroizing::new) {
        Some(bytes) => host.write(&kept, &bytes, Access::root(0o600)),
        None => Ok(()),
    }
}
