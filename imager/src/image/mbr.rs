//! The DOS partition table: four entries in the first sector.
//!
//! Logical partitions inside an extended one are not followed: the boot partition of a Pi is a primary one, and
//! everything else is copied as it is.

use super::partitions::{DiskId, PartitionKind, PartitionTable, Scheme, TableError, partition};

/// What the first sector says.
pub(super) struct Mbr {
    /// The table, without any entry that only protects a GPT.
    pub(super) table: PartitionTable,
    /// Whether one of the entries says that the real table is a GPT. Linux looks at the GPT then, also where further
    /// entries make it a hybrid.
    pub(super) announces_gpt: bool,
}

/// Type byte of the entry that protects a GPT.
const PROTECTIVE: u8 = 0xee;

/// Reads the first sector.
pub(super) fn parse(start: &[u8]) -> Result<Mbr, TableError> {
    let sector = start.get(..512).ok_or(TableError::NoTable)?;
    if sector[510..] != [0x55, 0xaa] {
        return Err(TableError::NoTable);
    }
    let entries: Vec<&[u8]> = sector[446..510].chunks_exact(16).collect();
    // The boot sector of a bare file system ends in 55 aa too; what it has here is code, not entries.
    if entries.iter().any(|entry| entry[0] & 0x7f != 0) {
        return Err(TableError::NoTable);
    }
    let mut partitions = Vec::new();
    let mut announces_gpt = false;
    for (number, entry) in (1u32..).zip(entries) {
        match entry[4] {
            0 => {}
            PROTECTIVE => announces_gpt = true,
            kind => partitions.push(partition(
                number,
                u32_at(entry, 8).into(),
                u32_at(entry, 12).into(),
                PartitionKind::Mbr(kind),
                None,
            )?),
        }
    }
    if partitions.is_empty() && !announces_gpt {
        return Err(TableError::NoTable);
    }
    let disk_id = DiskId::Mbr(u32_at(sector, 440));
    Ok(Mbr { table: PartitionTable { scheme: Scheme::Mbr, disk_id, partitions }, announces_gpt })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First sector with the given entries: index, type, first sector, sectors.
    fn sector(entries: &[(usize, u8, u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[440..444].copy_from_slice(&0x2fed_7fee_u32.to_le_bytes());
        for (index, kind, first, count) in entries {
            let entry = &mut bytes[446 + index * 16..][..16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..16].copy_from_slice(&count.to_le_bytes());
        }
        bytes[510..].copy_from_slice(&[0x55, 0xaa]);
        bytes
    }

    fn table(entries: &[(usize, u8, u32, u32)], total: u64) -> Result<PartitionTable, TableError> {
        PartitionTable::parse(&sector(entries), Some(total))
    }

    #[test]
    fn a_pi_image() {
        let entries = [(0, 0x0c, 8192, 1_048_576), (1, 0x83, 1_056_768, 4_000_000)];
        let table = table(&entries, 3 << 30).unwrap();
        assert_eq!(table.describe(), "1 FAT32 512 MiB, 2 Linux 1.9 GiB");
        assert_eq!(table.partuuid(&table.partitions[1]), "2fed7fee-02");
        assert_eq!(table.first_offset_bytes(), 4 << 20);
        assert_eq!(table.end_bytes(), 5_056_768 * 512);
    }

    #[test]
    fn nonsense_is_named() {
        use TableError::*;
        assert_eq!(table(&[], 1 << 20), Err(NoTable));
        assert_eq!(table(&[(0, 0x0c, 0, 8)], 1 << 20), Err(InTable(1)));
        assert_eq!(table(&[(2, 0x0c, 8, 0)], 1 << 20), Err(Impossible(3)));
        let overlap = [(0, 0x0c, 100, 50), (1, 0x83, 20, 81)];
        assert_eq!(table(&overlap, 1 << 20), Err(Overlap(2, 1)));
        assert!(matches!(table(&[(0, 0x0c, 2000, 49)], 1 << 20), Err(OutOfBounds { .. })));
        assert!(table(&[(0, 0x0c, 2000, 48)], 1 << 20).is_ok());
        assert_eq!(table(&[(0, 0xee, 1, u32::MAX)], 1 << 20), Err(NoGpt));
        assert_eq!(PartitionTable::parse(&[0; 511], None), Err(NoTable));
        // u32::MAX sectors are 2 TiB: large, but nothing overflows.
        assert!(PartitionTable::parse(&sector(&[(0, 0x0c, u32::MAX, u32::MAX)]), None).is_ok());
    }

    #[test]
    fn a_file_system_boot_sector_is_no_table() {
        let mut bytes = sector(&[(0, 0x0c, 8, 8)]);
        bytes[446] = 0x74;
        assert_eq!(PartitionTable::parse(&bytes, None), Err(TableError::NoTable));
    }
}
