//! systemd's units. What is enabled or masked is read from the links themselves (systemd.unit(5), "UNIT FILE LOAD
//! PATH"): they are what counts at the next boot, and they can be read under a test root as well.

use crate::host::{Command, Error, Host, Look};
use crate::render::UNITS;

/// Where unit files are, the strongest first; `/lib` is a folder of its own before Debian 12.
const FOLDERS: [&str; 3] = [UNITS, "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Whether there is a unit file, masked or not.
pub fn is_installed(host: &dyn Look, unit: &str) -> Result<bool, Error> {
    for folder in &FOLDERS[1..] {
        if host.exists(&format!("{folder}/{unit}"))? {
            return Ok(true);
        }
    }
    Ok(host.exists(&format!("{UNITS}/{unit}"))? && !is_masked(host, unit)?)
}

/// Whether it is linked to `/dev/null`.
pub fn is_masked(host: &dyn Look, unit: &str) -> Result<bool, Error> {
    Ok(host.read_link(&format!("{UNITS}/{unit}"))?.as_deref() == Some("/dev/null"))
}

/// Whether something wants it at boot, and it is not masked.
pub fn is_enabled(host: &dyn Look, unit: &str) -> Result<bool, Error> {
    if is_masked(host, unit)? {
        return Ok(false);
    }
    for folder in host.list(UNITS)? {
        let wants = folder.ends_with(".wants") || folder.ends_with(".requires");
        if wants && host.exists(&format!("{UNITS}/{folder}/{unit}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The names of unit files with this ending, in all folders, those of generators among them (systemd.generator(7)).
pub fn named(host: &dyn Look, ending: &str) -> Result<Vec<String>, Error> {
    const GENERATED: [&str; 3] =
        ["/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late"];
    let mut names = Vec::new();
    for folder in FOLDERS.into_iter().chain(GENERATED) {
        names.extend(host.list(folder)?.into_iter().filter(|name| name.ends_with(ending)));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// `active`, `inactive`, `activating`, `failed`; `None` under a test root.
pub fn state(host: &dyn Look, unit: &str) -> Result<Option<String>, Error> {
    if !host.live() {
        return Ok(None);
    }
    let answer = host.ask(&Command::new("systemctl", ["is-active", unit]))?;
    Ok(Some(answer.stdout.trim().to_owned()))
}

/// Masks a unit by its link, which needs no service manager. A unit file of the administrator's own is kept beside it.
pub fn mask(host: &dyn Host, unit: &str) -> Result<(), Error> {
    if is_masked(host, unit)? {
        return Ok(());
    }
    let path = format!("{UNITS}/{unit}");
    if host.read_link(&path)?.is_none()
        && let Some(content) = host.read(&path)?
    {
        super::edit(host, &format!("{path}.pikube-off"), &String::from_utf8_lossy(&content))?;
    }
    host.link("/dev/null", &path)
}

/// `systemctl VERB UNIT`.
pub fn systemctl(host: &dyn Host, verb: &str, unit: &str) -> Result<(), Error> {
    host.run(&Command::new("systemctl", [verb, unit])).map(|_| ())
}

/// Reads the unit files anew; generators run too.
pub fn reload(host: &dyn Host) -> Result<(), Error> {
    host.run(&Command::new("systemctl", ["daemon-reload"])).map(|_| ())
}
