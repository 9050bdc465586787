//! The radio itself: images keep it off until somebody says in which country it is (`os-families.md` §2.4). The country
//! is in the managers' files and on the kernel command line, which piflash writes.

use crate::host::{Access, Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::variables;
use crate::step::Notes;
use crate::steps::programs;

/// NetworkManager's memory of its switch.
const NM_STATE: &str = "/var/lib/NetworkManager/NetworkManager.state";
/// systemd-rfkill's memory, one file per radio, named after its kind.
const MEMORY: &str = "/var/lib/systemd/rfkill";
/// The kernel's switches.
const SWITCHES: &str = "/sys/class/rfkill";

/// Files that keep the radio off, with their contents as they should be.
fn wrong(host: &dyn Look) -> Result<Vec<(String, String)>, Error> {
    let mut wrong = Vec::new();
    if let Some(text) = host.text(NM_STATE)? {
        let wanted = variables::merge(&text, &[("WirelessEnabled", "true")]);
        if variables::get(&text, "WirelessEnabled").as_deref() == Some("false") {
            wrong.push((NM_STATE.to_owned(), wanted));
        }
    }
    for name in host.list(MEMORY)?.into_iter().filter(|name| name.ends_with(":wlan")) {
        let path = format!("{MEMORY}/{name}");
        if host.text(&path)?.is_some_and(|text| text.trim() != "0") {
            wrong.push((path, "0\n".to_owned()));
        }
    }
    Ok(wrong)
}

/// Switches of wireless networks that are off and that software can turn on.
fn blocked(host: &dyn Look) -> Result<Vec<String>, Error> {
    let mut blocked = Vec::new();
    for name in host.list(SWITCHES)? {
        let value = |file: &str| -> Result<String, Error> {
            let text = host.text(&format!("{SWITCHES}/{name}/{file}"))?;
            Ok(text.unwrap_or_default().trim().to_owned())
        };
        if value("type")? == "wlan" && value("soft")? == "1" {
            blocked.push(format!("{SWITCHES}/{name}/soft"));
        }
    }
    Ok(blocked)
}

/// Why something is to be done.
pub fn reasons(context: &Context, host: &dyn Look) -> Result<Vec<String>, Error> {
    if context.plan.wifi.is_none() {
        return Ok(Vec::new());
    }
    let files = wrong(host)?.into_iter().map(|(path, _)| path);
    let switches = if host.live() { blocked(host)? } else { Vec::new() };
    Ok(files.chain(switches).map(|path| format!("`{path}` keeps Wi-Fi off")).collect())
}

/// Turns it on.
pub fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Error> {
    let Some(wifi) = &context.plan.wifi else { return Ok(Notes::new()) };
    let files = wrong(host)?;
    let mut notes = Notes::new();
    let nm = files.iter().any(|(path, _)| path == NM_STATE);
    for (path, text) in files {
        let access = host.stat(&path)?.map_or(Access::root(0o644), |stat| Access::like(&stat));
        host.write(&path, text.as_bytes(), access)?;
    }
    for path in blocked(host)? {
        host.tune(&path, "0")?;
    }
    if nm && programs::has(host, "nmcli")? {
        // Running already, it would write its old state over the file.
        note(host, &mut notes, &Command::new("nmcli", ["radio", "wifi", "on"]));
    }
    if programs::has(host, "iw")? {
        note(host, &mut notes, &Command::new("iw", ["reg", "set", &wifi.country]));
    }
    Ok(notes)
}

/// What it does is also done by a reboot.
fn note(host: &dyn Host, notes: &mut Notes, command: &Command) {
    notes.extend(host.run(command).err().map(|error| error.to_string()));
}
