//! Which Kubernetes the nodes get, and the keys of its packages as they are now.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pikube_config::Kubernetes;
use pikube_config::values::cluster::public_key;

use super::images;
use crate::boot::{Family, Os};
use crate::catalogue::Releases;
use crate::cli::{KubernetesArgs, RuntimePackagesArg};
use crate::failure::Failure;
use crate::image::http::Patience;
use crate::image::{self, Location, Surroundings};
use crate::plan::{self, KubernetesSettings};
use crate::progress::Console;

/// What the arguments ask for.
pub(super) fn of(args: &KubernetesArgs) -> KubernetesSettings {
    KubernetesSettings {
        version: args.kubernetes.clone(),
        legacy: args.legacy,
        pod_network: args.pod_network.map(Into::into),
        pod_cidr: args.pod_cidr.clone(),
        service_cidr: args.service_cidr.clone(),
        runtime: args.runtime.map(Into::into),
        runtime_of_os: args.runtime_packages == Some(RuntimePackagesArg::Os),
        image_repository: args.image_repository.clone(),
        force_low_memory: args.force_low_memory,
        keep_16k_pages: args.keep_16k_pages,
    }
}

/// The table of the plan for nodes with this system, with the keys as they are now where they can be had.
///
/// # Errors
/// Wrong settings; a catalogue that cannot be read; Ctrl-C.
pub(super) fn table(
    asked: &KubernetesSettings,
    os: &Os,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Option<Kubernetes>, Failure> {
    let releases = Releases::from_environment(|name| std::env::var(name).ok())?;
    let Some(mut table) = plan::kubernetes(asked, &releases, os)? else {
        return Ok(None);
    };
    if let Some(warning) = table.warning() {
        console.warn(&warning);
    }
    let distribution = if os.family == Family::Ubuntu { "ubuntu" } else { "debian" };
    let beside = |place: &Option<String>, below: &str, name: &Option<String>| {
        let (place, name) = (place.as_ref()?.trim_end_matches('/'), name.as_ref()?);
        // A whole address or path is anywhere.
        Some(if name.contains('/') { name.clone() } else { format!("{place}/{below}{name}") })
    };
    let kubernetes = beside(&table.repository, "", &releases.repository_key);
    let below = format!("{distribution}/");
    let runtime = beside(&table.runtime_repository, &below, &releases.runtime_repository_key);
    table.repository_key = key(kubernetes, console, interrupted)?;
    table.runtime_repository_key = key(runtime, console, interrupted)?;
    Ok(Some(table))
}

/// One key. A computer without a network writes cards nevertheless: the node fetches the key itself, over https.
fn key(
    address: Option<String>,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Option<String>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let location = Location::parse(&address).map_err(image::Error::from)?;
    if is_open_to_others(&location) {
        console.warn(&format!(
            "the key {address} is not taken over http, where anybody on the way can change it, and a node does not either: name a file or an https address in the catalogue"
        ));
        return Ok(None);
    }
    let patience = Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(10),
        attempts: 1,
        ..Patience::default()
    };
    let surroundings = Surroundings { patience, ..images::surroundings(console, interrupted) };
    let why = match image::read_small(&location, &surroundings) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) if public_key(&text).is_ok() => return Ok(Some(text)),
            _ => "it is not an OpenPGP key".to_owned(),
        },
        Err(error @ image::Error::Interrupted { .. }) => return Err(error.into()),
        Err(error) => error.to_string(),
    };
    console.note(&format!("the key of the packages is left to the nodes: {address}: {why}"));
    Ok(None)
}

/// Plain HTTP to anywhere but this computer.
fn is_open_to_others(location: &Location) -> bool {
    let Location::Web(url) = location else { return false };
    let own = url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    });
    url.scheme() == "http" && !own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_computer() {
        for (address, open) in [
            ("http://packages.example.org/Release.key", true),
            ("http://203.0.113.1:8765/Release.key", true),
            ("http://localhost.example.org/Release.key", true),
            ("https://packages.example.org/Release.key", false),
            ("http://127.0.0.1:8765/Release.key", false),
            ("http://[::1]/Release.key", false),
            ("/srv/mirror/Release.key", false),
        ] {
            assert_eq!(is_open_to_others(&Location::parse(address).unwrap()), open, "{address}");
        }
    }
}
