//! Whether a disk, or anything that is a part of it or built on it, is in use.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use super::contents::Contents;
use super::refusal::Refusal;
use super::sysfs::{DeviceNumber, Member, SysBlock, btrfs_devices, number_of_node, zfs_pools};
use super::system::System;

/// Where a computer runs from. What is mounted elsewhere is refused just as well, in other words.
const SYSTEM_MOUNTS: [&str; 9] =
    ["/", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/usr", "/var", "/etc", "/home"];

/// Refuses a disk of which any part is mounted, swapped to, or held by another device.
pub(super) fn refuse_if_in_use(
    system: &System,
    path: &Path,
    disk: &SysBlock,
) -> Result<(), Refusal> {
    let family = disk.family();
    if family.is_empty() {
        return Err(Refusal::Unexamined {
            path: path.to_owned(),
            missing: disk.folder().join("dev"),
        });
    }
    let member = |number| family.iter().find(|member| member.number == number);

    let mounts = mounts(system, path)?;
    let spread = btrfs_devices(system);
    let mounted: Vec<(&Member, &Mount)> = mounts
        .iter()
        .filter_map(|mount| {
            let numbers = devices(mount, &mounts, &spread);
            Some((numbers.into_iter().find_map(member)?, mount))
        })
        .collect();
    if let Some((member, mount)) = mounted.iter().find(|(_, mount)| mount.is_system()) {
        return Err(Refusal::SystemDisk {
            path: path.to_owned(),
            member: member.node.clone(),
            mount_point: mount.point.clone(),
        });
    }
    if let Some((member, mount)) = mounted.first() {
        return Err(Refusal::Mounted {
            path: path.to_owned(),
            member: member.node.clone(),
            mount_point: mount.point.clone(),
        });
    }
    // Mounted where this process does not see it.
    let unseen = spread
        .iter()
        .find_map(|(id, devices)| Some((id, devices.iter().copied().find_map(member)?)));
    if let Some((id, member)) = unseen {
        let (path, member) = (path.to_owned(), member.node.clone());
        return Err(Refusal::Held { path, member, holder: format!("btrfs {id}") });
    }
    for swap in swaps(system, path)? {
        if let Some(member) = number_of_node(system, &swap).and_then(member) {
            return Err(Refusal::Swap { path: path.to_owned(), member: member.node.clone() });
        }
    }
    for holder in &family {
        if let Some(held) = &holder.held {
            let (path, member) = (path.to_owned(), held.clone());
            return Err(Refusal::Held { path, member, holder: holder.node.clone() });
        }
    }
    Ok(())
}

/// Refuses a disk with a member of a ZFS pool that is imported. ZFS tells the kernel nothing that could be seen in
/// sysfs, and its mounts name the pool only.
pub(super) fn refuse_if_in_pool(
    system: &System,
    path: &Path,
    contents: Option<&Contents>,
) -> Result<(), Refusal> {
    let pools = zfs_pools(system);
    let members = contents.map(Contents::members).unwrap_or_default();
    let mut labels = members
        .iter()
        .filter(|(_, what)| what.name == "ZFS")
        .filter_map(|(_, what)| what.label.clone());
    let Some(pool) = labels.find(|pool| pools.contains(pool)) else { return Ok(()) };
    let of_pool = |mount: &Mount| {
        mount.kind == "zfs"
            && mount.source.components().next() == Some(Component::Normal(pool.as_ref()))
    };
    let system_mount =
        mounts(system, path)?.into_iter().filter(of_pool).find(|mount| mount.is_system());
    Err(match system_mount {
        Some(mount) => Refusal::SystemDisk {
            path: path.to_owned(),
            member: mount.source.display().to_string(),
            mount_point: mount.point,
        },
        None => Refusal::Pool { path: path.to_owned(), pool },
    })
}

/// One line of mountinfo.
struct Mount {
    number: DeviceNumber,
    point: PathBuf,
    /// Type of the file system.
    kind: String,
    /// What it calls its device.
    source: PathBuf,
    /// Folders that an overlay shows.
    layers: Vec<PathBuf>,
}

impl Mount {
    fn is_system(&self) -> bool {
        SYSTEM_MOUNTS.iter().any(|point| self.point == Path::new(point))
    }
}

/// The devices that a mount is on: one; all that a btrfs is spread over; those below an overlay.
fn devices(
    mount: &Mount,
    mounts: &[Mount],
    spread: &[(String, Vec<DeviceNumber>)],
) -> Vec<DeviceNumber> {
    if mount.kind == "btrfs" {
        let all = spread.iter().map(|(_, devices)| devices).find(|all| all.contains(&mount.number));
        return all.cloned().unwrap_or_else(|| vec![mount.number]);
    }
    // The last mount at a place hides those before it. A layer that lies on the overlay itself is out of sight, and
    // so is an overlay on an overlay: the exclusive open has the last word.
    let below = |layer: &PathBuf| {
        let places = mounts.iter().filter(|other| layer.starts_with(&other.point));
        let nearest = places.max_by_key(|other| other.point.components().count())?;
        (nearest.kind != "overlay").then_some(nearest)
    };
    match mount.kind.as_str() {
        "overlay" => mount
            .layers
            .iter()
            .filter_map(below)
            .flat_map(|other| devices(other, &[], spread))
            .collect(),
        _ => vec![mount.number],
    }
}

/// What is mounted, as this process sees it.
fn mounts(system: &System, path: &Path) -> Result<Vec<Mount>, Refusal> {
    let missing = system.proc.join("self/mountinfo");
    let text = fs::read(&missing)
        .map_err(|_| Refusal::Unexamined { path: path.to_owned(), missing: missing.clone() })?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| mount(system, line)).collect())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw` (proc(5)).
fn mount(system: &System, line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let mut number = DeviceNumber::parse(std::str::from_utf8(fields.get(2)?).ok()?)?;
    let point = unescape(fields.get(4)?);
    let dash = fields.iter().position(|field| *field == b"-")?;
    let field = |at: usize| fields.get(dash + at).copied().unwrap_or_default();
    let (kind, source) = (String::from_utf8_lossy(field(1)).into_owned(), unescape(field(2)));
    if number.major == 0 {
        // btrfs has numbers of its own; the device is named behind the dash.
        number = number_of_node(system, &source).unwrap_or(number);
    }
    let layers = if kind == "overlay" { layers(field(3)) } else { Vec::new() };
    Some(Mount { number, point, kind, source, layers })
}

/// The folders in `rw,lowerdir=/a:/b,upperdir=/c` (Documentation/filesystems/overlayfs.rst).
fn layers(options: &[u8]) -> Vec<PathBuf> {
    let options = options.split(|byte| *byte == b',');
    options
        .filter_map(|option| {
            let folders = ["lowerdir=", "lowerdir+=", "upperdir="]
                .iter()
                .find_map(|name| option.strip_prefix(name.as_bytes()))?;
            Some(folders.split(|byte| *byte == b':').map(unescape))
        })
        .flatten()
        .collect()
}

/// Paths that are swapped to, devices and files. A kernel without swap has no such list.
pub(super) fn swaps(system: &System, path: &Path) -> Result<Vec<PathBuf>, Refusal> {
    let missing = system.proc.join("swaps");
    let text = match fs::read(&missing) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(_) => return Err(Refusal::Unexamined { path: path.to_owned(), missing }),
    };
    let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.is_empty());
    Ok(lines
        .filter_map(|line| line.split(|byte| matches!(byte, b' ' | b'\t')).next())
        .map(unescape)
        .collect())
}

/// Undoes the kernel's `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match (first, octal) {
            (b'\\', Some(d)) if d[0] <= b'3' => {
                bytes.push((d[0] - b'0') * 64 + (d[1] - b'0') * 8 + (d[2] - b'0'));
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(br"/media/my\040card\134x"), Path::new(r"/media/my card\x"));
        assert_eq!(unescape(br"/a\04"), Path::new(r"/a\04"));
        assert_eq!(unescape(br"/a\777"), Path::new(r"/a\777"));
    }
}
