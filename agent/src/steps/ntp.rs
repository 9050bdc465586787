//! NTP servers, for whichever program keeps the clock: systemd-timesyncd (timesyncd.conf(5)) or, on Ubuntu 25.10 and
//! later, chrony (chrony.conf(5), `sourcedir`). Does not wait until the clock is right: that needs a network.

use super::{in_place, lacking, owed, put, units};
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::{CHRONY, File, TIMESYNCD};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "ntp",
    title: "NTP servers",
    class: Class::Comfort,
    wanted: |plan| !plan.time.ntp.is_empty(),
    check,
    apply,
    ahead: None,
};

/// Units of programs that keep the clock, and the files that name servers to them.
const KEEPERS: [(&str, &str); 2] =
    [("systemd-timesyncd.service", TIMESYNCD), ("chrony.service", CHRONY)];
/// chrony's settings, which say where it looks for servers: before version 4 in no folder.
const CHRONY_CONF: &str = "/etc/chrony/chrony.conf";
const LACK: &str = "neither `systemd-timesyncd` nor chrony 4 is installed: the NTP servers of the plan are not used, and \
                    whatever else keeps the clock keeps its own";

/// Unit and file of the program that keeps the clock here.
fn keeper<'a>(
    context: &'a Context,
    host: &dyn Look,
) -> Result<Option<(&'static str, &'a File)>, Error> {
    for (unit, path) in KEEPERS {
        let reads = path != CHRONY
            || host.text(CHRONY_CONF)?.unwrap_or_default().lines().any(is_source_folder);
        if reads
            && units::is_installed(host, unit)?
            && let Some(file) = context.file(path)
        {
            return Ok(Some((unit, file)));
        }
    }
    Ok(None)
}

fn is_source_folder(line: &str) -> bool {
    let folder = CHRONY.rsplit_once('/').map_or(CHRONY, |(folder, _)| folder);
    let mut words = line.split_whitespace();
    words.next() == Some("sourcedir") && words.any(|word| word.trim_end_matches('/') == folder)
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some((unit, file)) = keeper(context, host)? else {
        return Ok(lacking::check(host, STEP.id, LACK)?);
    };
    let mut reasons = Vec::new();
    if !in_place(host, file)? {
        reasons.push(format!("`{}` does not name the servers of the plan", file.path));
    }
    if !units::is_enabled(host, unit)? {
        reasons.push(format!("`{unit}` is not enabled"));
    }
    let state = units::state(host, unit)?;
    if state.as_ref().is_some_and(|state| state != "active") {
        reasons.push(format!("`{unit}` is not running"));
    }
    if owed::is(host, unit)? {
        reasons.push(format!("`{unit}` has not read its new settings"));
    }
    Ok(Check::of(reasons, state.is_none()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some((unit, file)) = keeper(context, host)? else {
        return Ok(lacking::tell(host, STEP.id, LACK.to_owned())?);
    };
    if !in_place(host, file)? {
        owed::note(host, unit)?;
        put(host, file)?;
    }
    if !units::is_enabled(host, unit)? {
        if units::is_masked(host, unit)? {
            units::systemctl(host, "unmask", unit)?;
        }
        units::systemctl(host, "enable", unit)?;
    }
    // Starts it too where it is not running.
    units::systemctl(host, "restart", unit)?;
    owed::settle(host, unit)?;
    Ok(Notes::new())
}
