//! Package sources: apt knows Kubernetes' repository and docker's, trusts their keys, and has their lists. Where it will
//! not trust Kubernetes' for good, that is noted, and plain binaries take its place.

mod keys;
mod lists;

use pikube_config::names;

use super::origin::{Origin, RuntimeFrom, System};
use super::{in_place, package_manager, patience, put, upgrades};
use crate::host::{Access, Error, Host, Look};
use crate::plan::Context;
use crate::render::{File, package_sources};
use crate::step::{Check, Class, Notes, Step, Stop};
use keys::Ring;

pub use lists::again as refresh;

/// The step.
pub const STEP: Step = Step {
    id: "sources",
    title: "package sources",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

/// For which sources apt has got its lists.
fn memory() -> String {
    format!("{}/apt-lists", names::STATE_DIR)
}

/// One repository of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source<'a> {
    /// For people.
    what: String,
    /// As apt names it in what it says.
    url: String,
    file: File,
    ring: Ring<'a>,
}

/// Those that the plan wants.
fn sources<'a>(origin: &Origin<'a>, host: &dyn Look) -> Result<Vec<Source<'a>>, Error> {
    let mut sources = Vec::new();
    if let RuntimeFrom::Docker(repository) = origin.runtime {
        let system = System::of(host)?;
        let url = package_sources::docker_url(repository, system.distribution());
        let architecture = package_manager::architecture(host)?;
        sources.push(Source {
            what: format!("docker's repository for {} {}", system.distribution(), system.codename),
            file: package_sources::docker(
                repository,
                system.distribution(),
                &system.codename,
                &architecture,
            ),
            ring: Ring {
                path: package_sources::DOCKER_KEY,
                url: format!("{url}/gpg"),
                of_the_plan: origin.plan.runtime_repository_key.as_deref(),
            },
            url,
        });
    }
    if let Some(repository) = origin.repository {
        let url = repository.trim_end_matches('/');
        sources.push(Source {
            what: format!("the repository of Kubernetes 1.{}", origin.plan.minor()),
            url: url.to_owned(),
            file: package_sources::kubernetes(repository),
            ring: Ring {
                path: package_sources::KUBERNETES_KEY,
                url: format!("{url}/Release.key"),
                of_the_plan: origin.plan.repository_key.as_deref(),
            },
        });
    }
    Ok(sources)
}

/// What [`memory`] holds once apt has the lists of these.
fn fetched(sources: &[Source<'_>]) -> String {
    let files =
        sources.iter().map(|source| format!("{}\n{}", source.file.path, source.file.text()));
    files.collect::<Vec<_>>().join("\n") + "\n"
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let Some(origin) = Origin::of(context, host)? else { return Ok(Check::Satisfied) };
    if !origin.needs_apt() {
        return Ok(Check::Satisfied);
    }
    if !host.live() {
        return Ok(Check::Unknown);
    }
    let sources = sources(&origin, host)?;
    let mut reasons = Vec::new();
    for source in &sources {
        if !source.ring.is_there(host)? {
            reasons.push(format!("the key of {} is not there", source.what));
        }
        if !in_place(host, &source.file)? {
            reasons.push(format!("`{}` does not name {}", source.file.path, source.what));
        }
    }
    for path in leftovers(&sources, host)? {
        reasons.push(format!("`{path}` is of an earlier plan"));
    }
    if host.text(&memory())?.as_deref() != Some(fetched(&sources).as_str()) {
        reasons.push("apt has no lists of them yet".to_owned());
    }
    Ok(Check::of(reasons, false))
}

/// Sources of ours that are not wanted any more.
fn leftovers(sources: &[Source<'_>], host: &dyn Look) -> Result<Vec<&'static str>, Error> {
    let mut left = Vec::new();
    for path in [package_sources::DOCKER, package_sources::KUBERNETES] {
        if sources.iter().all(|source| source.file.path != path) && host.exists(path)? {
            left.push(path);
        }
    }
    Ok(left)
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(origin) = Origin::of(context, host)? else { return Ok(Notes::new()) };
    architecture_fits(&origin, host)?;
    upgrades::pause(host)?;
    package_manager::repair(host)?;
    let mut notes = Notes::new();
    let sources = sources(&origin, host)?;
    for path in leftovers(&sources, host)? {
        host.remove(path)?;
    }
    if sources.iter().any(|source| source.url.starts_with("https:")) {
        lists::certificates(host)?;
    }
    for source in &sources {
        notes.extend(source.ring.fill(context, host, &source.what)?);
        put(host, &source.file)?;
    }
    notes.extend(lists::get(context, &origin, &sources, host)?);
    // Another origin than above where apt has refused a repository.
    let Some(origin) = Origin::of(context, host)? else { return Ok(notes) };
    let sources = self::sources(&origin, host)?;
    for path in leftovers(&sources, host)? {
        host.remove(path)?;
    }
    host.write(&memory(), fetched(&sources).as_bytes(), Access::root(0o644))?;
    patience::regain(host)?;
    Ok(notes)
}

/// `kubernetes-on-pi.md` D1: there are no packages for 32 bits, and apt would only say that it knows no kubelet.
fn architecture_fits(origin: &Origin<'_>, host: &dyn Look) -> Result<(), Stop> {
    let architecture = package_manager::architecture(host)?;
    if !origin.plan.legacy && ["armhf", "armel"].contains(&architecture.as_str()) {
        return Err(Stop::person(
            format!(
                "preparing Kubernetes {}: this system is 32-bit ({architecture}), whatever its kernel \
                 is, and Kubernetes 1.27 and later is not built for it",
                origin.plan.version
            ),
            "write the card with a 64-bit (arm64) image, or with `--legacy` for Kubernetes 1.26 or older",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
