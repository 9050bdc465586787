//! One apt transaction, and what to do when it does not go through.

use super::choice::{self, Wanted};
use crate::host::{Command, Host, Look};
use crate::render::runtime::version_in;
use crate::step::{Notes, Stop};
use crate::steps::origin::{Origin, RuntimeFrom};
use crate::steps::package_manager::{self, apt_get, words::Trouble};
use crate::steps::sources;

const DOING: &str = "installing packages";

/// `apt-get install` of these. What we hold may change with the plan; a version that is older, too.
pub fn command(packages: &[Wanted], more: &[&str]) -> Command {
    let names: Vec<String> = packages.iter().map(Wanted::argument).collect();
    let mut args =
        vec!["--no-install-recommends", "--allow-change-held-packages", "--allow-downgrades"];
    args.extend(more);
    args.push("install");
    args.extend(names.iter().map(String::as_str));
    apt_get(args)
}

/// Installs them.
pub fn install(origin: &Origin<'_>, absent: &[Wanted], host: &dyn Host) -> Result<Notes, Stop> {
    let mut packages = absent.to_vec();
    containerd_fits(origin, host)?;
    // Debian 13 has docker's command in a package of its own, which is only recommended.
    if packages.iter().any(|package| package.name == "docker.io")
        && package_manager::candidate(host, "docker-cli")?.is_some()
    {
        packages.push(Wanted { name: "docker-cli", version: None, held: false });
    }
    let mut notes = Notes::new();
    let Some(trouble) = attempt(&packages, host)? else { return Ok(notes) };
    let again = match &trouble {
        // Lists of days ago name what the server has not any more.
        Trouble::Gone(_) | Trouble::NoPackage(_) | Trouble::NoVersion(..) => {
            notes.extend(sources::refresh(host)?);
            true
        }
        Trouble::Interrupted | Trouble::Script(_) => {
            package_manager::repair(host)?;
            true
        }
        Trouble::Conflict(_) => {
            // What is broken already, of whatever is installed.
            let _ = host.ask(&apt_get(["--fix-broken", "install"]))?;
            true
        }
        // What has come and is wrong would be taken for whole.
        Trouble::Passing(_, what) if what.contains("Hash Sum mismatch") => {
            host.run(&Command::new("apt-get", ["clean"]))?;
            false
        }
        _ => false,
    };
    let trouble = if again { attempt(&packages, host)? } else { Some(trouble) };
    match trouble {
        None => Ok(notes),
        Some(Trouble::NoPackage(name) | Trouble::Gone(name)) if origin.plan.legacy => {
            Err(Stop::person(
                format!(
                    "{DOING}: this system has no docker, and its package mirrors have none (any more): `{name}`"
                ),
                "use an image that has docker, or set `system.apt_mirror` in the plan to an archive of its release",
            ))
        }
        Some(Trouble::NoVersion(package, version)) => {
            Err(no_version(origin, &package, &version, host)?)
        }
        Some(trouble) => Err(trouble.stop(DOING)),
    }
}

/// The worst that there is to say, if anything.
fn attempt(packages: &[Wanted], host: &dyn Host) -> Result<Option<Trouble>, Stop> {
    let answer = host.ask(&command(packages, &[]))?;
    if answer.status == 0 {
        return Ok(None);
    }
    let mut troubles = package_manager::troubles(&answer);
    troubles.sort_by_key(|trouble| !trouble.is_of_the_machine());
    let trouble = troubles.into_iter().next();
    match trouble {
        Some(trouble) if trouble.is_of_the_machine() => Err(trouble.stop(DOING)),
        trouble => Ok(trouble),
    }
}

/// What there is instead.
fn no_version(
    origin: &Origin<'_>,
    package: &str,
    version: &str,
    host: &dyn Look,
) -> Result<Stop, Stop> {
    let known = package_manager::versions(host, package)?;
    let shown: Vec<&str> =
        known.iter().map(|known| known.split('-').next().unwrap_or(known)).take(8).collect();
    let there = if shown.is_empty() { "none".to_owned() } else { shown.join(", ") };
    Ok(Stop::person(
        format!(
            "{DOING}: `{}` has no {package} {}; it has {there}",
            origin.repository.unwrap_or("apt"),
            version.trim_end_matches(['*', '-', '.'])
        ),
        "correct `kubernetes.version` in the plan",
    ))
}

/// Before anything is installed: the system's own containerd may be too old.
fn containerd_fits(origin: &Origin<'_>, host: &dyn Look) -> Result<(), Stop> {
    if origin.runtime != RuntimeFrom::System {
        return Ok(());
    }
    let Some(version) = package_manager::candidate(host, "containerd")? else { return Ok(()) };
    let problem = version_in(&version)
        .and_then(|version| choice::containerd_problem(version, origin.plan.minor()));
    match problem {
        Some(problem) => Err(Stop::person(
            format!("{DOING}: {problem}, which this system has"),
            choice::containerd_help(origin),
        )),
        None => Ok(()),
    }
}

/// Keeps upgrades away from those that are to be held (apt-mark(8)).
pub fn hold(packages: &[Wanted], host: &dyn Host) -> Result<(), Stop> {
    let names: Vec<&str> =
        packages.iter().filter(|package| package.held).map(|package| package.name).collect();
    if !names.is_empty() {
        host.run(&Command::new("apt-mark", [&["hold"][..], &names].concat()))?;
    }
    Ok(())
}
