//! File systems and containers by their signatures, at the places where libblkid looks for them too.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::contents::FileSystem;
use crate::image::{FatBootSector, SECTOR_BYTES};

/// What begins at `offset` and has `size_bytes`: a partition or a whole disk. `None` where nothing is recognised.
pub(super) fn recognise(card: &File, offset: u64, size_bytes: u64) -> Option<FileSystem> {
    let volume = Volume { card, offset, size_bytes };
    volume.member().or_else(|| volume.file_system())
}

/// A run of bytes on a card.
struct Volume<'a> {
    card: &'a File,
    offset: u64,
    size_bytes: u64,
}

/// Where the superblock of btrfs is (kernel, `fs/btrfs/fs.h`).
const BTRFS_BYTES: u64 = 64 << 10;
/// Magic number of a member of a RAID (kernel, `include/uapi/linux/raid/md_p.h`).
const RAID_MAGIC: u32 = 0xa92b_4efc;
/// Where the list of names and values of a ZFS label is, and its size (OpenZFS, `vdev_impl.h`).
const ZFS_LIST_BYTES: u64 = 16 << 10;
const ZFS_LIST_LEN: usize = 112 << 10;

impl Volume<'_> {
    /// `N` bytes at a place; `None` behind the end.
    fn bytes<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        if at.checked_add(N as u64)? > self.size_bytes {
            return None;
        }
        self.card.read_exact_at(&mut bytes, self.offset.checked_add(at)?).ok()?;
        Some(bytes)
    }

    fn has(&self, at: u64, wanted: &[u8; 8]) -> bool {
        self.bytes::<8>(at).as_ref() == Some(wanted)
    }

    /// A piece of something larger, or something locked: what it holds cannot be told from here.
    fn member(&self) -> Option<FileSystem> {
        let member = |name: &str, label| FileSystem { name: name.into(), label, is_member: true };
        if (0..4)
            .map(|n| n * SECTOR_BYTES)
            .any(|at| self.has(at, b"LABELONE") && self.has(at + 24, b"LVM2 001"))
        {
            return Some(member("LVM", None));
        }
        if self.bytes::<6>(0)? == *b"LUKS\xba\xbe" {
            return Some(member("LUKS", None));
        }
        if self.is_raid() {
            return Some(member("RAID", None));
        }
        if let Some(pool) = self.zfs_pool() {
            return Some(member("ZFS", pool));
        }
        let devices = self.btrfs_devices()?;
        (devices > 1)
            .then(|| member("btrfs on several disks", self.label::<256>(BTRFS_BYTES + 0x12b)))
    }

    /// Versions 1.1 and 1.2 at the start, 1.0 and 0.90 at the end (md(4), `mdadm/super1.c`, `super0.c`). Only the
    /// processor's own byte order for 0.90, which others cannot assemble either.
    fn is_raid(&self) -> bool {
        let end = |reserved: u64, align: u64| {
            Some(self.size_bytes.checked_sub(reserved)? / align * align)
        };
        let version_0 = (self.size_bytes / (64 << 10)).checked_sub(1).map(|n| n * (64 << 10));
        [Some(0), Some(4096), end(8 << 10, 4096), version_0]
            .into_iter()
            .flatten()
            .filter_map(|at| self.bytes::<4>(at))
            .any(|magic| u32::from_le_bytes(magic) == RAID_MAGIC)
    }

    /// `Some` where there is a ZFS label, with the name of its pool where that can be read.
    fn zfs_pool(&self) -> Option<Option<String>> {
        // Encoding XDR, byte order, two reserved; version 0; unique names.
        let start = self.bytes::<12>(ZFS_LIST_BYTES)?;
        if start[0] != 1 || start[1] > 1 || start[2..] != [0, 0, 0, 0, 0, 0, 0, 0, 0, 1] {
            return None;
        }
        let list = self.bytes::<ZFS_LIST_LEN>(ZFS_LIST_BYTES)?;
        let find = |wanted: &[u8]| list.windows(wanted.len()).position(|w| w == wanted);
        find(b"pool_guid")?;
        // A pair is its name, here of 4 bytes, its type, a string (9), the number of values, and the value.
        let pair = b"\0\0\0\x04name\0\0\0\x09\0\0\0\x01";
        let value = find(pair).map(|at| &list[at + pair.len()..]);
        Some(value.and_then(|value| {
            let (len, text) = value.split_first_chunk::<4>()?;
            let text = text.get(..u32::from_be_bytes(*len) as usize)?;
            std::str::from_utf8(text).ok().map(str::to_owned)
        }))
    }

    fn btrfs_devices(&self) -> Option<u64> {
        if !self.has(BTRFS_BYTES + 0x40, b"_BHRfS_M") {
            return None;
        }
        Some(u64::from_le_bytes(self.bytes(BTRFS_BYTES + 0x88)?))
    }

    fn file_system(&self) -> Option<FileSystem> {
        let named =
            |name: &str, label| Some(FileSystem { name: name.into(), label, is_member: false });
        let sector = self.bytes::<{ SECTOR_BYTES as usize }>(0)?;
        if let Some(fat) = FatBootSector::parse(&sector, self.size_bytes) {
            return named(&fat.kind.to_string(), fat.label);
        }
        match &sector[3..11] {
            b"NTFS    " => return named("NTFS", None),
            b"EXFAT   " => return named("exFAT", None),
            _ => {}
        }
        if sector.starts_with(b"XFSB") {
            return named("XFS", None);
        }
        if self.btrfs_devices().is_some() {
            return named("btrfs", self.label::<256>(BTRFS_BYTES + 0x12b));
        }
        // At the end of the first page (kernel, `include/linux/swap.h`).
        if self.bytes::<10>(4096 - 10)? == *b"SWAPSPACE2" {
            return named("swap", None);
        }
        self.ext()
    }

    fn ext(&self) -> Option<FileSystem> {
        let superblock = self.bytes::<256>(1024)?;
        if superblock[0x38..0x3a] != [0x53, 0xef] {
            return None;
        }
        // Journal and extents tell the three apart (Documentation/filesystems/ext4/super.rst).
        let name = match (superblock[0x60] & 0x40 != 0, superblock[0x5c] & 0x04 != 0) {
            (true, _) => "ext4",
            (false, true) => "ext3",
            (false, false) => "ext2",
        };
        let label = self.label::<16>(1024 + 0x78);
        Some(FileSystem { name: name.into(), label, is_member: false })
    }

    /// Text that ends at a zero or where its field does.
    fn label<const N: usize>(&self, at: u64) -> Option<String> {
        let field = self.bytes::<N>(at)?;
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    /// What is recognised where these bytes are at these places, on a disk and at an offset.
    fn of(pieces: &[(u64, &[u8])]) -> Option<(String, Option<String>, bool)> {
        let found = [0, 3 << 20].map(|offset| {
            let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
            file.as_file().set_len(offset + SIZE).unwrap();
            for (at, bytes) in pieces {
                file.as_file().write_all_at(bytes, offset + at).unwrap();
            }
            recognise(file.as_file(), offset, SIZE)
        });
        assert_eq!(found[0], found[1]);
        found[0].clone().map(|fs| (fs.name, fs.label, fs.is_member))
    }

    fn member(name: &str, label: Option<&str>) -> Option<(String, Option<String>, bool)> {
        Some((name.into(), label.map(str::to_owned), true))
    }

    #[test]
    fn members_are_recognised_wherever_their_signature_is() {
        assert_eq!(of(&[(512, b"LABELONE"), (536, b"LVM2 001")]), member("LVM", None));
        assert_eq!(of(&[(512, b"LABELONE")]), None);
        assert_eq!(of(&[(0, b"LUKS\xba\xbe\0\x02")]), member("LUKS", None));
        for at in [0, 4096, SIZE - 8192, SIZE - 65536] {
            assert_eq!(of(&[(at, &RAID_MAGIC.to_le_bytes())]), member("RAID", None), "at {at}");
        }
        let list = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04name\0\0\0\x09\0\0\0\x01\0\0\0\x05tank1\0\0\0pool_guid";
        assert_eq!(of(&[(16 << 10, list)]), member("ZFS", Some("tank1")));
        let btrfs = |devices: u64| {
            of(&[
                (BTRFS_BYTES + 0x40, b"_BHRfS_M"),
                (BTRFS_BYTES + 0x88, &devices.to_le_bytes()),
                (BTRFS_BYTES + 0x12b, b"data"),
            ])
        };
        assert_eq!(btrfs(2), member("btrfs on several disks", Some("data")));
        assert_eq!(btrfs(1), Some(("btrfs".into(), Some("data".into()), false)));
    }

    #[test]
    fn file_systems_are_no_members() {
        let named = |name: &str| Some((name.to_owned(), None, false));
        assert_eq!(of(&[(4086, b"SWAPSPACE2")]), named("swap"));
        assert_eq!(of(&[(3, b"NTFS    ")]), named("NTFS"));
        assert_eq!(of(&[(1024 + 0x38, &[0x53, 0xef]), (1024 + 0x60, &[0x40])]), named("ext4"));
        assert_eq!(of(&[(0, b"XFSB")]), named("XFS"));
        assert_eq!(of(&[]), None);
    }
}
