//! The steps, one file each, in the order in which they are taken.

mod apt;
mod bounds;
mod cgroups;
mod clock;
pub(crate) mod cluster;
mod done;
mod download;
mod hostname;
mod internet;
mod kernel;
mod keyboard;
mod lacking;
mod locale;
mod log;
mod network;
mod ntp;
mod origin;
mod owed;
mod package_manager;
mod packages;
mod patience;
mod programs;
mod root;
mod routing;
mod runtime;
mod scrub;
mod sources;
mod ssh;
mod swap;
mod time;
mod timezone;
mod units;
mod upgrades;
mod user;
mod web;

use crate::host::{Access, Error, Host, Kind, Look};
use crate::render::File;
use crate::step::Step;

/// Every step there is; a plan has those that it wants. First what a person needs to reach the node, then everything else:
/// nothing that can be done without stands before network, user and ssh.
pub const ALL: [Step; 33] = [
    clock::STEP,
    hostname::STEP,
    network::STEP,
    user::STEP,
    ssh::STEP,
    root::STEP,
    timezone::STEP,
    ntp::STEP,
    log::STEP,
    apt::STEP,
    cluster::board::STEP,
    internet::STEP,
    time::STEP,
    sources::STEP,
    locale::STEP,
    keyboard::STEP,
    swap::STEP,
    cgroups::STEP,
    kernel::STEP,
    packages::STEP,
    runtime::STEP,
    cluster::images::STEP,
    cluster::endpoint::STEP,
    cluster::init::STEP,
    cluster::join::STEP,
    cluster::virtual_ip::STEP,
    cluster::kubeconfig::STEP,
    cluster::certificates::STEP,
    cluster::pod_network::STEP,
    cluster::ready::STEP,
    upgrades::STEP,
    scrub::STEP,
    done::STEP,
];

/// Whether a rendered file is in place, with its contents and mode.
fn in_place(host: &dyn Look, file: &File) -> Result<bool, Error> {
    let Some(stat) = host.stat(&file.path)? else { return Ok(false) };
    Ok(stat.kind == Kind::File
        && stat.mode == file.mode
        && host.read(&file.path)?.as_deref() == Some(file.text().as_bytes()))
}

/// Puts a rendered file in place, root's own.
fn put(host: &dyn Host, file: &File) -> Result<(), Error> {
    host.write(&file.path, file.text().as_bytes(), Access::root(file.mode))
}

/// Gives a file new contents; it keeps its owner and mode, a new one is root's own (0644).
fn edit(host: &dyn Host, path: &str, content: &str) -> Result<(), Error> {
    let stat = host.stat(path)?.filter(|stat| stat.kind == Kind::File);
    let access = stat.map_or(Access::root(0o644), |stat| Access::like(&stat));
    host.write(path, content.as_bytes(), access)
}

#[cfg(test)]
mod tests;
