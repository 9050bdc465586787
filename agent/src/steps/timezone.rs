//! Time zone: the link `/etc/localtime` (localtime(5)), and `/etc/timezone` where the system has it (Debian 12 and
//! earlier). A zone that the system does not have under any of its names is UTC: a clock that shows another hour is no
//! reason to stop.

use pikube_config::values::locale::zone_names;

use super::{edit, lacking};
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::{LOCALTIME, TIMEZONE, ZONES};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "timezone",
    title: "time zone",
    class: Class::Comfort,
    wanted: |plan| plan.time.timezone.is_some(),
    check,
    apply,
    ahead: None,
};

/// What every system has: without the file, `localtime` is UTC as well (localtime(5)).
const UTC: &str = "Etc/UTC";

/// The name under which this system has a zone; `None` where it has none.
fn find<'a>(host: &dyn Look, zone: &'a str) -> Result<Option<&'a str>, Error> {
    for name in zone_names(zone) {
        if host.exists(&format!("{ZONES}/{name}"))? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn lack(zone: &str) -> String {
    format!(
        "this system has no zone `{zone}` in `{ZONES}`: the node has UTC; \
         `sudo apt-get install tzdata-legacy` or a newer `tzdata` may have it, and \
         `sudo timedatectl set-timezone {zone}` sets it then"
    )
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(zone) = &context.plan.time.timezone else { return Ok(Check::Satisfied) };
    let found = find(host, zone)?;
    let name = found.unwrap_or(UTC);
    let mut reasons = Vec::new();
    // `../usr/share/zoneinfo/…` is as good: timedatectl writes that.
    let link = host.read_link(LOCALTIME)?;
    if !link.as_deref().is_some_and(|target| target.ends_with(&format!("{ZONES}/{name}"))) {
        let link = link.map_or_else(|| "is no link".to_owned(), |to| format!("links to `{to}`"));
        reasons.push(format!("`{LOCALTIME}` {link}"));
    }
    if !is_named(name, host)? {
        reasons.push(format!("`{TIMEZONE}` does not say `{name}`"));
    }
    if found.is_none()
        && let Check::Needed(why) = lacking::check(host, STEP.id, &lack(zone))?
    {
        reasons.push(why);
    }
    Ok(Check::of(reasons, false))
}

/// Whether `/etc/timezone` agrees, or is not there.
fn is_named(name: &str, host: &dyn Look) -> Result<bool, Error> {
    Ok(host.text(TIMEZONE)?.is_none_or(|text| text.trim() == name))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(zone) = &context.plan.time.timezone else { return Ok(Notes::new()) };
    let found = find(host, zone)?;
    let name = found.unwrap_or(UTC);
    host.link(&format!("{ZONES}/{name}"), LOCALTIME)?;
    if !is_named(name, host)? {
        edit(host, TIMEZONE, &format!("{name}\n"))?;
    }
    match found {
        Some(_) => Ok(Notes::new()),
        None => Ok(lacking::tell(host, STEP.id, lack(zone))?),
    }
}
