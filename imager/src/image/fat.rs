//! Recognising a FAT file system by its boot sector (Microsoft FAT specification 1.03); reading it is `boot/`'s work.

use std::ops::Range;

/// Which FAT it is, which is decided by the number of clusters and by nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FatType {
    /// 12-bit entries; too small for a boot partition.
    Fat12,
    /// 16-bit entries.
    Fat16,
    /// 32-bit entries.
    Fat32,
}

impl std::fmt::Display for FatType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FatType::Fat12 => "FAT12",
            FatType::Fat16 => "FAT16",
            FatType::Fat32 => "FAT32",
        })
    }
}

/// What the boot sector of a FAT file system says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatBootSector {
    /// Which FAT it is: [`FatType::Fat16`] or [`FatType::Fat32`].
    pub kind: FatType,
    /// Volume label, without padding; `None` where there is none or it is `NO NAME`.
    pub label: Option<String>,
    /// Volume serial number, as `blkid` shows it in `UUID=XXXX-XXXX`.
    pub serial: u32,
    /// Where the volume describes itself and which clusters are whose: everything before the root directory and the
    /// clusters. Bytes from the start of the partition.
    pub tables: Range<u64>,
    /// Where the root directory begins: all of it on FAT16, its first cluster on FAT32. Bytes from the start of the
    /// partition.
    pub root: Range<u64>,
    /// The first cluster of the root directory, on FAT32.
    pub root_cluster: Option<u32>,
    /// Size of a cluster.
    pub cluster_bytes: u64,
    /// Number of clusters; the first has the number 2.
    pub clusters: u32,
    /// Where the sector with the count of free clusters is, on FAT32, which is a hint.
    pub info: Option<u64>,
    /// The copies of the allocation table, bytes from the start of the partition.
    allocation: Vec<Range<u64>>,
    /// Which of them is in use: all of them, or this one.
    only: Option<usize>,
}

impl FatBootSector {
    /// Recognises a FAT16 or FAT32 boot sector of a partition of `partition_bytes`; `None` for anything else,
    /// FAT12 included.
    pub fn parse(sector: &[u8; 512], partition_bytes: u64) -> Option<Self> {
        let fat = parse_any(sector)?;
        let fits = fat.total_bytes <= partition_bytes;
        (fits && fat.boot_sector.kind != FatType::Fat12).then_some(fat.boot_sector)
    }

    /// Where a cluster is, bytes from the start of the partition.
    pub fn cluster(&self, cluster: u32) -> Range<u64> {
        // The root directory of FAT16 stands before them.
        let first = if self.root_cluster.is_some() { self.tables.end } else { self.root.end };
        let start = first + u64::from(cluster.saturating_sub(2)) * self.cluster_bytes;
        start..start + self.cluster_bytes
    }

    /// The cluster at this place; `None` before the first and after the last.
    pub fn cluster_at(&self, at: u64) -> Option<u32> {
        let number = at.checked_sub(self.cluster(2).start)? / self.cluster_bytes;
        u32::try_from(number).ok().filter(|number| *number < self.clusters).map(|number| number + 2)
    }

    /// The entry of the allocation table at this place, in any copy that is kept: the cluster's number.
    pub fn entry_at(&self, at: u64) -> Option<u32> {
        let table = self.allocation.iter().find(|table| table.contains(&at))?;
        u32::try_from((at - table.start) / self.entry_bytes() as u64).ok()
    }

    /// Where this byte of the allocation table is, in every copy that is kept, that which counts first.
    pub fn copies(&self, offset: u64) -> Vec<u64> {
        let kept = match self.only {
            Some(only) => &self.allocation[only..=only],
            None => &self.allocation[..],
        };
        kept.iter().map(|table| table.start + offset).collect()
    }

    /// Bytes of an entry of the allocation table.
    pub fn entry_bytes(&self) -> usize {
        if self.root_cluster.is_some() { 4 } else { 2 }
    }

    /// Bytes of the entries of all clusters, with the two before them.
    pub fn entries_bytes(&self) -> u64 {
        (u64::from(self.clusters) + 2) * self.entry_bytes() as u64
    }

    /// The value of an entry; four bits of those with 32 are reserved.
    pub fn entry(&self, bytes: &[u8]) -> u32 {
        match *bytes {
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) & 0x0fff_ffff,
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            _ => 0,
        }
    }

    /// Entries from this value on end a chain; the value before it marks a bad cluster.
    pub fn last_values(&self) -> u32 {
        if self.root_cluster.is_some() { 0x0fff_fff8 } else { 0xfff8 }
    }
}

/// Any FAT, with the size that it claims.
struct AnyFat {
    boot_sector: FatBootSector,
    total_bytes: u64,
}

fn parse_any(s: &[u8; 512]) -> Option<AnyFat> {
    let u16_at = |at: usize| u32::from(u16::from_le_bytes([s[at], s[at + 1]]));
    let u32_at = |at: usize| u32::from_le_bytes([s[at], s[at + 1], s[at + 2], s[at + 3]]);
    let sector_bytes = u16_at(11);
    let sectors_per_cluster = u32::from(s[13]);
    let (reserved, fats, root_entries) = (u16_at(14), u32::from(s[16]), u16_at(17));
    let plausible = s[510..] == [0x55, 0xaa]
        && matches!(s[0], 0xeb | 0xe9)
        && matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
        && sectors_per_cluster.is_power_of_two()
        && reserved > 0
        && (1..=2).contains(&fats)
        && (s[21] == 0xf0 || s[21] >= 0xf8);
    if !plausible {
        return None;
    }
    let sectors = if u16_at(19) != 0 { u16_at(19) } else { u32_at(32) };
    let fat_sectors = if u16_at(22) != 0 { u16_at(22) } else { u32_at(36) };
    let root_sectors = (root_entries * 32).div_ceil(sector_bytes);
    let system =
        u64::from(reserved) + u64::from(fats) * u64::from(fat_sectors) + u64::from(root_sectors);
    let clusters = u64::from(sectors).checked_sub(system)? / u64::from(sectors_per_cluster);
    let kind = match clusters {
        0 => return None,
        1..4085 => FatType::Fat12,
        4085..65525 => FatType::Fat16,
        _ => FatType::Fat32,
    };
    // Only FAT32 has no fixed root directory and a large FAT; a mixture is neither.
    let fat32_fields = root_entries == 0 && u16_at(22) == 0;
    if (kind == FatType::Fat32) != fat32_fields {
        return None;
    }
    let bytes = |sectors: u64| sectors * u64::from(sector_bytes);
    let tables_end = bytes(system - u64::from(root_sectors));
    let cluster_bytes = bytes(u64::from(sectors_per_cluster));
    let root = match kind {
        FatType::Fat32 => {
            // Cluster 2 is the first.
            let begin = tables_end + u64::from(u32_at(44).checked_sub(2)?) * cluster_bytes;
            begin..begin + cluster_bytes
        }
        _ => tables_end..bytes(system),
    };
    let wide = kind == FatType::Fat32;
    let table_bytes = bytes(u64::from(fat_sectors));
    // A table that is too small for its clusters would have them share entries with what follows it.
    if table_bytes < (clusters + 2) * if wide { 4 } else { 2 } {
        return None;
    }
    let first_table = bytes(u64::from(reserved));
    let allocation: Vec<Range<u64>> = (0..u64::from(fats))
        .map(|copy| first_table + copy * table_bytes..first_table + (copy + 1) * table_bytes)
        .collect();
    // Flags at offset 40 of FAT32: bit 7 says that one copy only is in use, and bits 0 to 3 which.
    let only = (wide && s[40] & 0x80 != 0).then_some(usize::from(s[40] & 0x0f));
    if only.is_some_and(|copy| copy >= allocation.len()) {
        return None;
    }
    let extended = if wide { 66 } else { 38 };
    let (serial, label) = (u32_at(extended + 1), &s[extended + 5..extended + 16]);
    let label = String::from_utf8_lossy(label).trim_end().to_owned();
    let named = matches!(s[extended], 0x29) && !label.is_empty() && label != "NO NAME";
    Some(AnyFat {
        boot_sector: FatBootSector {
            kind,
            label: named.then_some(label),
            serial,
            tables: 0..tables_end,
            root,
            root_cluster: wide.then(|| u32_at(44)),
            cluster_bytes,
            clusters: clusters as u32,
            info: (wide && u16_at(48) != 0 && u16_at(48) < reserved)
                .then(|| bytes(u64::from(u16_at(48)))),
            allocation,
            only,
        },
        total_bytes: u64::from(sectors) * u64::from(sector_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot sector as `mkfs.vfat -n BOOTFS` writes it.
    fn sector(fat32: bool, sectors: u32, fat_sectors: u16) -> [u8; 512] {
        let mut s = [0; 512];
        s[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
        s[11..13].copy_from_slice(&512u16.to_le_bytes());
        s[13] = 1;
        s[14] = 32;
        s[16] = 2;
        s[21] = 0xf8;
        s[32..36].copy_from_slice(&sectors.to_le_bytes());
        let extended = if fat32 { 66 } else { 38 };
        if fat32 {
            s[36..38].copy_from_slice(&fat_sectors.to_le_bytes());
            s[44] = 2;
        } else {
            s[17..19].copy_from_slice(&512u16.to_le_bytes());
            s[22..24].copy_from_slice(&fat_sectors.to_le_bytes());
        }
        s[extended] = 0x29;
        s[extended + 1..extended + 5].copy_from_slice(&0x1234_abcd_u32.to_le_bytes());
        s[extended + 5..extended + 16].copy_from_slice(b"BOOTFS     ");
        s[510..].copy_from_slice(&[0x55, 0xaa]);
        s
    }

    #[test]
    fn the_number_of_clusters_decides() {
        let fat32 = FatBootSector::parse(&sector(true, 131_072, 1009), 64 << 20).unwrap();
        assert_eq!((fat32.kind, fat32.label.as_deref()), (FatType::Fat32, Some("BOOTFS")));
        assert_eq!(fat32.serial, 0x1234_abcd);
        let fat16 = FatBootSector::parse(&sector(false, 32_768, 128), 16 << 20).unwrap();
        assert_eq!(fat16.kind, FatType::Fat16);
        assert_eq!(FatBootSector::parse(&sector(false, 4000, 12), 16 << 20), None, "FAT12");
    }

    #[test]
    fn others_are_not_fat() {
        let good = sector(true, 131_072, 1009);
        assert_eq!(
            FatBootSector::parse(&good, (64 << 20) - 512),
            None,
            "larger than its partition"
        );
        for (at, value) in [(0, 3), (12, 3), (13, 3), (14, 0), (16, 3), (21, 3), (510, 3)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(FatBootSector::parse(&bad, 64 << 20), None, "byte {at}");
        }
        assert_eq!(FatBootSector::parse(&[0; 512], 64 << 20), None);
    }
}
