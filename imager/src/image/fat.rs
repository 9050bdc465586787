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
}

impl FatBootSector {
    /// Recognises a FAT16 or FAT32 boot sector of a partition of `partition_bytes`; `None` for anything else,
    /// FAT12 included.
    pub fn parse(sector: &[u8; 512], partition_bytes: u64) -> Option<Self> {
        let fat = parse_any(sector)?;
        let fits = fat.total_bytes <= partition_bytes;
        (fits && fat.boot_sector.kind != FatType::Fat12).then_some(fat.boot_sector)
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
    let extended = if kind == FatType::Fat32 { 66 } else { 38 };
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
