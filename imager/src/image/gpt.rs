//! The GUID partition table (UEFI specification 2.10, chapter 5.3), primary copy only.
//!
//! An image that is written to a larger card has its backup copy in the wrong place anyway, so the backup says nothing
//! that the primary does not.

use super::SECTOR_BYTES;
use super::partitions::{
    DiskId, Guid, PartitionKind, PartitionTable, Scheme, TableError, partition,
};

/// `C12A7328-F81F-11D2-BA4B-00A0C93EC93B`.
pub(super) const EFI_SYSTEM: Guid = Guid([
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
]);
/// `EBD0A0A2-B9E5-4433-87C0-68B6B72699C7`.
pub(super) const BASIC_DATA: Guid = Guid([
    0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7,
]);
/// `BC13C2FF-59E6-4262-A352-B275FD6F7172`, the boot loader specification's extended boot partition.
pub(super) const EXTENDED_BOOT: Guid = Guid([
    0xff, 0xc2, 0x13, 0xbc, 0xe6, 0x59, 0x62, 0x42, 0xa3, 0x52, 0xb2, 0x75, 0xfd, 0x6f, 0x71, 0x72,
]);
/// `0FC63DAF-8483-4772-8E79-3D69D8477DE4`.
pub(super) const LINUX: Guid = Guid([
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
]);
/// `B921B045-1DF0-41C3-AF44-4C6F280D3FAE`.
pub(super) const LINUX_ARM64_ROOT: Guid = Guid([
    0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41, 0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae,
]);

/// Protective MBR, header, and one sector of entries: no partition can begin before that.
pub(super) const SMALLEST_BYTES: u64 = 3 * SECTOR_BYTES;

/// Most entries that are read. Tools make 128; the limit only keeps a damaged count from costing memory.
const MAX_ENTRIES: u32 = 4096;

/// What a type is called, where it is one of those that are met on cards.
pub(super) fn type_name(kind: Guid) -> Option<&'static str> {
    [
        (EFI_SYSTEM, "EFI system"),
        (BASIC_DATA, "basic data"),
        (EXTENDED_BOOT, "extended boot"),
        (LINUX, "Linux"),
        (LINUX_ARM64_ROOT, "Linux root (arm64)"),
    ]
    .iter()
    .find(|(guid, _)| *guid == kind)
    .map(|(_, name)| *name)
}

/// Reads header and entries, both with their checksums.
pub(super) fn parse(start: &[u8]) -> Result<PartitionTable, TableError> {
    let damaged = TableError::DamagedGpt;
    let header = start.get(512..1024).ok_or(TableError::NoGpt)?;
    if &header[..8] != b"EFI PART" {
        return Err(TableError::NoGpt);
    }
    let header_bytes = u32_at(header, 12) as usize;
    if !(92..=512).contains(&header_bytes) {
        return Err(damaged("impossible header size"));
    }
    // The checksum is over the header with the checksum itself as zero.
    let mut counted = header[..header_bytes].to_vec();
    counted[16..20].fill(0);
    if crc32fast::hash(&counted) != u32_at(header, 16) {
        return Err(damaged("wrong header checksum"));
    }
    if u64_at(header, 24) != 1 {
        return Err(damaged("the header is not for sector 1"));
    }
    let (count, entry_bytes) = (u32_at(header, 80), u32_at(header, 84));
    if count > MAX_ENTRIES || !(128..=4096).contains(&entry_bytes) || entry_bytes % 8 != 0 {
        return Err(damaged("impossible number or size of entries"));
    }
    let entries = usize::try_from(u64_at(header, 72))
        .ok()
        .and_then(|sector| sector.checked_mul(512))
        .and_then(|from| start.get(from..from.checked_add((count * entry_bytes) as usize)?))
        .ok_or(damaged("the entries are not at the start of the disk"))?;
    if crc32fast::hash(entries) != u32_at(header, 88) {
        return Err(damaged("wrong checksum of the entries"));
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1u32..).zip(entries.chunks_exact(entry_bytes as usize)) {
        let kind = guid_at(entry, 0);
        if kind.0 == [0; 16] {
            continue;
        }
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let sectors = last.checked_sub(first).and_then(|more| more.checked_add(1));
        let sectors = sectors.ok_or(TableError::Impossible(number))?;
        let uuid = Some(guid_at(entry, 16));
        partitions.push(partition(number, first, sectors, PartitionKind::Gpt(kind), uuid)?);
    }
    if partitions.is_empty() {
        return Err(TableError::NoTable);
    }
    let disk_id = DiskId::Gpt(guid_at(header, 56));
    Ok(PartitionTable { scheme: Scheme::Gpt, disk_id, partitions })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[at..at + 16]);
    Guid(guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk start with a GPT of 4 entries in sector 2; `edit` runs before the checksums are made.
    fn gpt(partitions: &[(Guid, u64, u64)], edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[446 + 4] = 0xee;
        bytes[446 + 8] = 1;
        bytes[446 + 12..446 + 16].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        let header = &mut bytes[512..1024];
        header[..8].copy_from_slice(b"EFI PART");
        header[12] = 92;
        header[24] = 1;
        header[56..72].copy_from_slice(&[0xab; 16]);
        header[72] = 2;
        header[80] = 4;
        header[84] = 128;
        for (index, (kind, first, last)) in partitions.iter().enumerate() {
            let entry = &mut bytes[1024 + index * 128..][..128];
            entry[..16].copy_from_slice(&kind.0);
            entry[16..32].fill(0x11);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
        }
        edit(&mut bytes);
        let entries = crc32fast::hash(&bytes[1024..1536]);
        bytes[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
        let header = crc32fast::hash(&bytes[512..604]);
        bytes[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
        bytes
    }

    #[test]
    fn guids_print_as_everywhere() {
        assert_eq!(EFI_SYSTEM.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(BASIC_DATA.to_string(), "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");
        assert_eq!(EXTENDED_BOOT.to_string(), "bc13c2ff-59e6-4262-a352-b275fd6f7172");
        assert_eq!(LINUX.to_string(), "0fc63daf-8483-4772-8e79-3d69d8477de4");
        assert_eq!(LINUX_ARM64_ROOT.to_string(), "b921b045-1df0-41c3-af44-4c6f280d3fae");
    }

    #[test]
    fn header_and_entries_are_read() {
        let bytes = gpt(&[(EFI_SYSTEM, 2048, 4095), (LINUX, 4096, 8191)], |_| {});
        let table = PartitionTable::parse(&bytes, Some(8192 * 512)).unwrap();
        assert_eq!(table.scheme, Scheme::Gpt);
        assert_eq!(table.describe(), "1 EFI system 1 MiB, 2 Linux 2 MiB");
        let uuid = table.partuuid(&table.partitions[0]);
        assert_eq!(uuid, "11111111-1111-1111-1111-111111111111");
        assert_eq!(table.disk_id.to_string(), "abababab-abab-abab-abab-abababababab");
    }

    #[test]
    fn every_flipped_bit_under_a_checksum_is_found() {
        let good = gpt(&[(EFI_SYSTEM, 2048, 4095)], |_| {});
        for at in (512..604).chain(1024..1536) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(PartitionTable::parse(&bad, None).is_err(), "byte {at}");
        }
    }

    #[test]
    fn checksummed_nonsense_is_refused() {
        let parse = |edit: fn(&mut [u8])| {
            PartitionTable::parse(&gpt(&[(EFI_SYSTEM, 2048, 4095)], edit), Some(1 << 30))
        };
        assert!(parse(|_| {}).is_ok());
        assert!(parse(|b| b[512 + 24] = 2).is_err(), "header for another sector");
        assert!(parse(|b| b[512 + 83] = 0xff).is_err(), "a billion entries");
        assert!(parse(|b| b[512 + 84] = 0).is_err(), "entries of no size");
        assert!(parse(|b| b[512 + 72..512 + 80].fill(0xff)).is_err(), "entries past the end");
        assert_eq!(parse(|b| b[1024 + 32..1024 + 40].fill(0xff)), Err(TableError::Impossible(1)));
        assert_eq!(
            parse(|b| {
                b[1024 + 32..1024 + 40].fill(0);
                b[1024 + 40..1024 + 48].fill(0xff);
            }),
            Err(TableError::Impossible(1))
        );
        assert_eq!(parse(|b| b[1024 + 33] = 0), Err(TableError::InTable(1)));
    }
}
