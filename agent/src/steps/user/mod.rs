//! The login user: account, groups, home, password, ssh keys, sudo. Each part looks at what is there, so that a power
//! cut in the middle of `useradd` is mended like everything else.

mod account;
pub mod accounts;
mod keys;
mod password;
mod sudo;

use super::units;
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "user",
    title: "login user",
    class: Class::Access,
    wanted: |plan| plan.user.is_some(),
    check,
    apply,
    ahead: None,
};

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(user) = &context.plan.user else { return Ok(Check::Satisfied) };
    let name = &user.name;
    allow(host, name)?;
    let Some(account) = accounts::account(host, name)? else {
        return Ok(Check::Needed(format!("there is no user `{name}`")));
    };
    let mut reasons = account::reasons(host, &account)?;
    reasons.extend(password::reasons(context, host, name)?);
    reasons.extend(keys::reasons(host, &account, &user.ssh_keys)?);
    reasons.extend(sudo::reasons(host, name)?);
    Ok(Check::of(reasons, false))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(user) = &context.plan.user else { return Ok(Notes::new()) };
    let name = &user.name;
    allow(host, name)?;
    if is_being_configured(context, host)? {
        return Err(Stop::Again(
            "`userconfig.service` is setting up the login user of Raspberry Pi OS".to_owned(),
        ));
    }
    let account = account::apply(host, name)?;
    password::apply(context, host, name)?;
    keys::apply(host, &account, &user.ssh_keys)?;
    sudo::apply(host, name)
}

/// Stops before anything of an account is touched that is not a person's.
fn allow(host: &dyn Look, name: &str) -> Result<(), Stop> {
    let Some(why) = accounts::refusal(host, name)? else { return Ok(()) };
    Err(Stop::person(
        format!("making the login user `{name}`: {why}"),
        "put the card back into the reader and choose another name with `piflash configure --user NAME CARD`",
    ))
}

/// Raspberry Pi OS renames its user while it reads `userconf.txt`: two programs on one account do not go together.
fn is_being_configured(context: &Context, host: &dyn Look) -> Result<bool, Error> {
    let Some(boot) = &context.facts.boot else { return Ok(false) };
    Ok((host.exists(&format!("{boot}/userconf.txt"))?
        || host.exists(&format!("{boot}/userconf"))?)
        && units::state(host, "userconfig.service")?.as_deref() == Some("activating"))
}

#[cfg(test)]
mod tests;
