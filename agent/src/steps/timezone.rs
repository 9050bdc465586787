//! Time zone: the link `/etc/localtime` (localtime(5)), and `/etc/timezone` where the system has it (Debian 12 and
//! earlier).

use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::{Content, LOCALTIME, TIMEZONE, ZONES};
use crate::step::{Check, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "timezone",
    title: "time zone",
    wanted: |plan| plan.time.timezone.is_some(),
    check,
    apply,
    ahead: None,
};

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(zone) = &context.plan.time.timezone else { return Ok(Check::Satisfied) };
    let mut reasons = Vec::new();
    // `../usr/share/zoneinfo/…` is as good: timedatectl writes that.
    let found = host.read_link(LOCALTIME)?;
    if !found.as_deref().is_some_and(|target| target.ends_with(&format!("{ZONES}/{zone}"))) {
        let found = found.map_or_else(|| "is no link".to_owned(), |to| format!("links to `{to}`"));
        reasons.push(format!("`{LOCALTIME}` {found}"));
    }
    if !host.exists(&format!("{ZONES}/{zone}"))? {
        reasons.push(format!("the zone `{zone}` is not on this system"));
    }
    if !is_named(context, host)? {
        reasons.push(format!("`{TIMEZONE}` does not say `{zone}`"));
    }
    Ok(Check::of(reasons, false))
}

/// Whether `/etc/timezone` agrees, or is not there.
fn is_named(context: &Context, host: &dyn Look) -> Result<bool, Error> {
    let Some(wanted) = context.file(TIMEZONE) else { return Ok(true) };
    Ok(host.text(TIMEZONE)?.is_none_or(|text| text.trim() == wanted.text().trim()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(zone) = &context.plan.time.timezone else { return Ok(Notes::new()) };
    if !host.exists(&format!("{ZONES}/{zone}"))? {
        return Err(Stop::person(
            format!("setting the time zone `{zone}`: it is not in `{ZONES}`"),
            "set `time.timezone` to a name that `timedatectl list-timezones` shows on the Pi, or \
             install `tzdata-legacy`, which has the old names",
        ));
    }
    if let Some(Content::Link(target)) = context.file(LOCALTIME).map(|file| &file.content) {
        host.link(target, LOCALTIME)?;
    }
    if !is_named(context, host)?
        && let Some(file) = context.file(TIMEZONE)
    {
        super::put(host, file)?;
    }
    Ok(Notes::new())
}
