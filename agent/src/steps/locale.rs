//! The system's locale: generated (locale-gen(8)) and set (locale.conf(5)).

use super::{edit, lacking};
use crate::host::{Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::{LOCALE, LOCALE_CONF, LOCALE_GEN, locale_gen, variables};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "locale",
    title: "locale",
    class: Class::Comfort,
    wanted: |plan| plan.system.locale.is_some(),
    check,
    apply,
    ahead: None,
};

/// Of the package `locales`.
const GENERATOR: &str = "/usr/sbin/locale-gen";
/// All locales that it can generate.
const SUPPORTED: &str = "/usr/share/i18n/SUPPORTED";

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(locale) = &context.plan.system.locale else { return Ok(Check::Satisfied) };
    let mut reasons = Vec::new();
    let exists = exists(host, locale)?;
    if exists == Some(false) {
        if let Some(what) = lack(host, locale)? {
            return Ok(lacking::check(host, STEP.id, &what)?);
        }
        reasons.push(format!("`{locale}` is not generated"));
    }
    if !is_kept(host, locale)? {
        reasons.push(format!("`{LOCALE_GEN}` does not ask for `{locale}`"));
    }
    for path in settings(host)? {
        let text = host.text(path)?.unwrap_or_default();
        if variables::get(&text, "LANG").as_ref() != Some(locale) {
            reasons.push(format!("`{path}` does not say `LANG={locale}`"));
        }
    }
    Ok(Check::of(reasons, exists.is_none()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(locale) = &context.plan.system.locale else { return Ok(Notes::new()) };
    let exists = exists(host, locale)? == Some(true);
    if !exists && let Some(what) = lack(host, locale)? {
        return Ok(lacking::tell(host, STEP.id, what)?);
    }
    if !is_kept(host, locale)? {
        let now = host.text(LOCALE_GEN)?.unwrap_or_default();
        edit(host, LOCALE_GEN, &locale_gen::merge(&now, locale))?;
    }
    if !exists {
        host.run(&Command::new("locale-gen", [""; 0]))?;
    }
    for path in settings(host)? {
        let now = host.text(path)?.unwrap_or_default();
        edit(host, path, &variables::merge(&now, &[("LANG", locale)]))?;
    }
    Ok(Notes::new())
}

/// Whether programs can use it; `None` under a test root.
fn exists(host: &dyn Look, locale: &str) -> Result<Option<bool>, Error> {
    if !locale_gen::is_generated(locale) {
        return Ok(Some(true));
    }
    if !host.live() {
        return Ok(None);
    }
    let command = Command::new("locale", ["-a"]);
    let listed = host.ask(&command)?.ok(&command)?.stdout;
    Ok(Some(listed.lines().any(|name| name == locale_gen::normal_name(locale))))
}

/// Whether it survives the next locale-gen, which removes all that its list does not ask for.
fn is_kept(host: &dyn Look, locale: &str) -> Result<bool, Error> {
    if !locale_gen::is_generated(locale) || !host.exists(GENERATOR)? {
        return Ok(true);
    }
    Ok(locale_gen::has(&host.text(LOCALE_GEN)?.unwrap_or_default(), locale))
}

/// Why it cannot be generated here. The image's own locale stays then: one that is not there makes programs complain.
fn lack(host: &dyn Look, locale: &str) -> Result<Option<String>, Error> {
    if !host.exists(GENERATOR)? {
        return Ok(Some(format!(
            "this system lacks the package `locales`, which makes the locale `{locale}`: the image's own stays"
        )));
    }
    let supported = host.text(SUPPORTED)?;
    Ok(supported
        .filter(|list| !locale_gen::has(list, locale))
        .map(|_| format!("the locale `{locale}` is not in `{SUPPORTED}`: the image's own stays")))
}

/// The files that set it. On trixie `/etc/default/locale` is a link to `/etc/locale.conf`; a link is never written over.
fn settings(host: &dyn Look) -> Result<Vec<&'static str>, Error> {
    let mut paths = Vec::new();
    if host.exists(LOCALE_CONF)? && host.read_link(LOCALE_CONF)?.is_none() {
        paths.push(LOCALE_CONF);
    }
    let link = host.read_link(LOCALE)?;
    if link.is_none() && (paths.is_empty() || host.exists(LOCALE)?) {
        paths.push(LOCALE);
    } else if link.is_some() && paths.is_empty() {
        paths.push(LOCALE_CONF);
    }
    Ok(paths)
}
