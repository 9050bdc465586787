//! HypriotOS: its `os-release` lies on the boot partition.

use super::{Bits, Family, Hook, Os, Release, Signs, Unsupported, value};

/// First version with cloud-init; those before read `device-init.yaml`.
const FIRST: (u32, u32) = (1, 7);

/// The version of the image; absent where it is no HypriotOS. Only this key stayed in all of its releases.
pub fn version_of(os_release: &str) -> Option<&str> {
    value(os_release, "HYPRIOT_IMAGE_VERSION")
}

/// Which one it is. 32 bit, all of them.
pub fn recognise(signs: &Signs, os_release: &str, version: &str) -> Result<Os, Unsupported> {
    let known = |why| Unsupported::Known(format!("HypriotOS {version}"), why);
    let number = parse(version).ok_or_else(|| known("it is not a published version"))?;
    if (number.0, number.1) < FIRST {
        return Err(known("versions before 1.7 have no cloud-init that would start the agent"));
    }
    let codename = value(os_release, "VERSION").unwrap_or("");
    let release =
        [("jessie", Release::Jessie), ("stretch", Release::Stretch), ("buster", Release::Buster)];
    let (_, release) = release
        .into_iter()
        .find(|(name, _)| codename.contains(name))
        .ok_or_else(|| known("its `os-release` names no Debian release that HypriotOS had"))?;
    Ok(Os {
        family: Family::Hypriot,
        release,
        version: Some(number),
        mount: "/boot",
        bits: Bits::ThirtyTwo,
        cmdlines: signs.cmdlines.clone(),
        hook: Hook::CloudInit,
        cloud_init: true,
        booted: signs.launched,
    })
}

/// `v1.12.3`; with what follows a hyphen (`-rc1`) left out.
fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let number = version.trim_start_matches('v').split('-').next()?;
    let mut parts = number.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}
