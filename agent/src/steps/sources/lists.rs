//! `apt-get update`, and what to do about what it says.

use super::Source;
use super::keys;
use crate::host::{Host, Look};
use crate::plan::Context;
use crate::render::{apt_sources, package_sources};
use crate::step::{Notes, Stop};
use crate::steps::origin::{self, Origin};
use crate::steps::package_manager::{self, apt_get, words::Trouble};
use crate::steps::patience;

const DOING: &str = "getting package lists";
/// The certificates that TLS is judged by (package `ca-certificates`).
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How many minor versions later a key is looked for.
const LATER: u32 = 2;

/// Certificates for TLS; without them no key can be asked for.
pub fn certificates(host: &dyn Host) -> Result<(), Stop> {
    if host.exists(CERTIFICATES)? {
        return Ok(());
    }
    again(host)?;
    let answer = host.ask(&apt_get(["--no-install-recommends", "install", "ca-certificates"]))?;
    match package_manager::troubles(&answer).first() {
        Some(trouble) => Err(trouble.stop("installing `ca-certificates`")),
        None => Ok(()),
    }
}

/// Gets all lists; whatever keeps one of them away is a reason to try again, or a note.
pub fn again(host: &dyn Host) -> Result<Notes, Stop> {
    let troubles = update(host, &["update"])?;
    judge_others(&troubles, &[], host)
}

/// Gets all lists, and heals what can be healed with those of ours.
pub fn get(
    context: &Context,
    origin: &Origin<'_>,
    sources: &[Source<'_>],
    host: &dyn Host,
) -> Result<Notes, Stop> {
    let troubles = update(host, &["update"])?;
    let mut notes = Notes::new();
    for source in sources {
        for trouble in troubles.iter().filter(|trouble| is_of(trouble, source)) {
            match trouble {
                Trouble::Key(_, why) if source.file.path == package_sources::KUBERNETES => {
                    notes.push(heal(context, origin, source, why, host)?);
                }
                Trouble::Key(_, why) => {
                    notes.push(heal_with_its_own(context, source, why, host)?);
                }
                Trouble::NoRelease(_) => return Err(no_release(source, host)?),
                other => return Err(other.stop(&format!("{DOING} of {}", source.what))),
            }
        }
    }
    notes.extend(judge_others(&troubles, sources, host)?);
    Ok(notes)
}

/// What `apt-get` complains of; a lock or a full disk ends it at once.
fn update(host: &dyn Host, args: &[&str]) -> Result<Vec<Trouble>, Stop> {
    let answer = host.ask(&apt_get(args.iter().copied()))?;
    let troubles = package_manager::troubles(&answer);
    match troubles.iter().find(|trouble| trouble.is_of_the_machine()) {
        Some(trouble) => Err(trouble.stop(DOING)),
        None => Ok(troubles),
    }
}

fn is_of(trouble: &Trouble, source: &Source<'_>) -> bool {
    let (address, url) = (trouble.address(), source.url.trim_end_matches('/'));
    let rest = address.strip_prefix(url);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Sources that nobody has judged yet. Those of the operating system, and ours, are needed: what may pass is waited for.
/// Anything else that a person has added is its own affair.
fn judge_others(troubles: &[Trouble], ours: &[Source<'_>], host: &dyn Look) -> Result<Notes, Stop> {
    let mut system = String::new();
    let own = [package_sources::DOCKER, package_sources::KUBERNETES];
    for path in apt_sources::FILES.into_iter().chain(own) {
        system.push_str(&host.text(path)?.unwrap_or_default());
    }
    let mut notes = Notes::new();
    for trouble in troubles {
        if ours.iter().any(|source| is_of(trouble, source)) {
            continue;
        }
        let server = trouble.address().split('/').nth(2).unwrap_or_default();
        let is_system = server.is_empty() || system.contains(&format!("//{server}/"));
        match trouble.stop(DOING) {
            stop @ Stop::Again(_) if is_system => return Err(stop),
            Stop::Again(what) | Stop::Person { what, .. } => notes.push(what),
        }
    }
    Ok(notes)
}

fn no_release(source: &Source<'_>, host: &dyn Host) -> Result<Stop, Stop> {
    let what = format!(
        "{DOING}: `{}` has nothing for this system: {} has no lists",
        source.url, source.what
    );
    let help = if source.file.path == package_sources::KUBERNETES {
        "correct `kubernetes.version` or `kubernetes.repository` in the plan"
    } else {
        "use an image of a release that the repository has, or leave `kubernetes.runtime_repository` \
         out to use the system's own packages"
    };
    Ok(patience::lose(host, what, help)?)
}

/// Tries the lists of one source alone.
fn try_alone(source: &Source<'_>, host: &dyn Host) -> Result<Vec<Trouble>, Stop> {
    let list = format!("Dir::Etc::sourcelist={}", source.file.path);
    let options = ["-o", &list, "-o", "Dir::Etc::sourceparts=-", "-o", "APT::Get::List-Cleanup=0"];
    update(host, &[&options[..], &["update"]].concat())
}

/// Keys that may do in the place of one that apt refuses: the repository's own, and those of later versions of it, which
/// are the same key with a later end; then plain binaries. Never `trusted=yes`.
fn heal(
    context: &Context,
    origin: &Origin<'_>,
    source: &Source<'_>,
    why: &str,
    host: &dyn Host,
) -> Result<String, Stop> {
    let repository = origin.repository.unwrap_or_default();
    let later =
        (1..=LATER).filter_map(|by| package_sources::later(repository, origin.plan.minor(), by));
    let urls = later.map(|url| (format!("{url}Release.key"), format!("of `{url}`")));
    let own = (source.ring.url.clone(), "that the repository has now".to_owned());
    if let Some(whose) = try_keys(context, source, std::iter::once(own).chain(urls), host)? {
        return Ok(format!("apt refused {}: {why}; it takes the key {whose}", source.what));
    }
    if origin.plan.downloads.is_none() || origin.plan.cni_plugins.is_none() {
        return Err(Stop::person(
            format!("{DOING}: apt does not trust {}: {why}", source.what),
            "write the card again with a newer piflash, or set `kubernetes.downloads` and \
             `kubernetes.cni_plugins` in the plan for plain binaries",
        ));
    }
    origin::refuse(host, repository, why)?;
    Ok(format!("apt does not trust {}: {why}; plain binaries take its place", source.what))
}

fn heal_with_its_own(
    context: &Context,
    source: &Source<'_>,
    why: &str,
    host: &dyn Host,
) -> Result<String, Stop> {
    let own = (source.ring.url.clone(), "that the repository has now".to_owned());
    if let Some(whose) = try_keys(context, source, std::iter::once(own), host)? {
        return Ok(format!("apt refused {}: {why}; it takes the key {whose}", source.what));
    }
    Err(Stop::person(
        format!("{DOING}: apt does not trust {}: {why}", source.what),
        "write the card again with a newer piflash, or leave `kubernetes.runtime_repository` out to \
         use the system's own packages",
    ))
}

/// Tries the keys at these addresses, one after the other, each other one once; whose it was that apt takes.
fn try_keys(
    context: &Context,
    source: &Source<'_>,
    candidates: impl Iterator<Item = (String, String)>,
    host: &dyn Host,
) -> Result<Option<String>, Stop> {
    let mut tried = vec![host.text(source.ring.path)?.unwrap_or_default().trim().to_owned()];
    for (url, whose) in candidates {
        // Whatever is wrong with it: it is only a try.
        let key = keys::ask(context, host, &url).ok().map(|key| key.trim().to_owned());
        let Some(key) = key.filter(|key| !tried.contains(key)) else { continue };
        source.ring.put(host, &key)?;
        let troubles = try_alone(source, host)?;
        let Some(trouble) = troubles.iter().find(|trouble| is_of(trouble, source)) else {
            return Ok(Some(whose));
        };
        if !matches!(trouble, Trouble::Key(..)) {
            return Err(trouble.stop(&format!("{DOING} of {}", source.what)));
        }
        tried.push(key);
    }
    Ok(None)
}
