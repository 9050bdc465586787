//! Whether a disk, or anything that is a part of it or built on it, is in use.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::refusal::Refusal;
use super::sysfs::{DeviceNumber, Member, SysBlock, number_of_node};
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
    let mounted: Vec<(&Member, &Mount)> =
        mounts.iter().filter_map(|mount| Some((member(mount.number)?, mount))).collect();
    let is_system =
        |mount: &Mount| SYSTEM_MOUNTS.iter().any(|point| mount.point == Path::new(point));
    if let Some((member, mount)) = mounted.iter().find(|(_, mount)| is_system(mount)) {
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

/// One line of mountinfo.
struct Mount {
    number: DeviceNumber,
    point: PathBuf,
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
    if number.major == 0 {
        // btrfs has numbers of its own; the device is named behind the dash.
        let dash = fields.iter().position(|field| *field == b"-")?;
        if let Some(source) = fields.get(dash + 2).map(|source| unescape(source)) {
            number = number_of_node(system, &source).unwrap_or(number);
        }
    }
    Some(Mount { number, point: unescape(fields.get(4)?) })
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
