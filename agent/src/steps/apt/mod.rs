//! Where apt gets the OS's own packages from, and through which proxy; before anything is installed. The rule of what
//! is the OS's own is in [`apt_sources`].

use pikube_config::names;

use crate::host::{Access, Error, Host, Look};
use crate::plan::Context;
use crate::render::{APT_PROXY, apt_sources};
use crate::step::{Check, Class, Notes, Step, Stop};
use crate::steps::{edit, in_place, put};

/// The step.
pub const STEP: Step = Step {
    id: "apt",
    title: "package mirror and proxy",
    class: Class::Essential,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

/// Mirrors that we have put into the sources, one per line: without it nobody could tell ours from another's later.
fn memory() -> String {
    format!("{}/apt-mirrors", names::STATE_DIR)
}

fn earlier(host: &dyn Look) -> Result<Vec<String>, Error> {
    Ok(host.text(&memory())?.unwrap_or_default().lines().map(str::to_owned).collect())
}

/// One file of sources.
struct Sources {
    path: &'static str,
    text: String,
    wanted: String,
}

/// The files that are there, with what is wanted in them. Without a mirror in the plan that is what was there before an
/// earlier plan had one.
fn sources(context: &Context, host: &dyn Look) -> Result<Vec<Sources>, Error> {
    let mirror = context.plan.system.apt_mirror.as_str();
    let earlier = earlier(host)?;
    let mut sources = Vec::new();
    for path in apt_sources::FILES {
        let Some(text) = host.text(path)? else { continue };
        let original = host.text(&format!("{path}{}", apt_sources::ORIGINAL))?.unwrap_or_default();
        let first = apt_sources::own(path, &original, &[]).into_iter().next();
        let target = if mirror.is_empty() { first } else { Some(mirror) };
        let wanted = match target {
            Some(target) if !mirror.is_empty() || !earlier.is_empty() => {
                apt_sources::replace(path, &text, target, &earlier)
            }
            _ => text.clone(),
        };
        sources.push(Sources { path, text, wanted });
    }
    Ok(sources)
}

fn is_different(sources: &Sources) -> bool {
    sources.wanted.trim_end() != sources.text.trim_end()
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let mut reasons = Vec::new();
    for sources in sources(context, host)?.iter().filter(|sources| is_different(sources)) {
        reasons.push(format!("`{}` does not name the mirror of the plan", sources.path));
    }
    if is_nowhere(context, host)? {
        reasons.push("the mirror of the plan is in none of apt's sources".to_owned());
    }
    match context.file(APT_PROXY) {
        Some(file) if !in_place(host, file)? => {
            reasons.push(format!("`{APT_PROXY}` does not name the proxy of the plan"));
        }
        None if host.exists(APT_PROXY)? => {
            reasons.push(format!("`{APT_PROXY}` is of an earlier plan"));
        }
        _ => {}
    }
    Ok(Check::of(reasons, false))
}

/// Whether there is a mirror that no entry could have.
fn is_nowhere(context: &Context, host: &dyn Look) -> Result<bool, Error> {
    let mirror = &context.plan.system.apt_mirror;
    if mirror.is_empty() {
        return Ok(false);
    }
    let known = [mirror.clone()];
    let sources = sources(context, host)?;
    Ok(sources.iter().all(|file| apt_sources::own(file.path, &file.wanted, &known).is_empty()))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    match context.file(APT_PROXY) {
        Some(file) => put(host, file)?,
        None => host.remove(APT_PROXY)?,
    }
    if is_nowhere(context, host)? {
        return Err(Stop::person(
            format!(
                "setting the mirror of apt: `{}` has no entry of the system's own archive",
                apt_sources::FILES.join("`, `")
            ),
            "leave `system.apt_mirror` empty, or use an image with its own sources",
        ));
    }
    let mirror = &context.plan.system.apt_mirror;
    let mut known = earlier(host)?;
    // Before the sources: a mirror that is in them and not here would be taken for somebody else's.
    if !mirror.is_empty() && !known.contains(mirror) {
        known.push(mirror.clone());
        host.write(&memory(), (known.join("\n") + "\n").as_bytes(), Access::root(0o644))?;
    }
    for file in sources(context, host)?.iter().filter(|file| is_different(file)) {
        let original = format!("{}{}", file.path, apt_sources::ORIGINAL);
        if !host.exists(&original)? {
            host.write(&original, file.text.as_bytes(), Access::root(0o644))?;
        }
        edit(host, file.path, &file.wanted)?;
    }
    Ok(Notes::new())
}

#[cfg(test)]
mod tests;
