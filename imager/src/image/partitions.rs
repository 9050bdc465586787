//! Partition tables as the rest of the program sees them, whichever scheme they are written in.

use std::fmt;
use std::io;

use super::size::ByteSize;
use super::{FatBootSector, ReadAt, SECTOR_BYTES, gpt, mbr};

/// How much of the start of an image or card [`PartitionTable::parse`] wants to see: all of it that there is, up to
/// 1 MiB. Partitioning tools align the first partition there.
pub const TABLE_AREA_BYTES: u64 = 1 << 20;

/// Which kind of table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// DOS partition table: what images for the Raspberry Pi have.
    Mbr,
    /// GUID partition table behind a protective (or hybrid) MBR.
    Gpt,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Mbr => "MBR",
            Scheme::Gpt => "GPT",
        })
    }
}

/// A GUID in its on-disk byte order; displays in the usual mixed-endian text form, lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-",
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u16::from_le_bytes([b[4], b[5]]),
            u16::from_le_bytes([b[6], b[7]]),
            b[8],
            b[9]
        )?;
        b[10..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The identity that `PARTUUID=` is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskId {
    /// The disk signature of an MBR.
    Mbr(u32),
    /// The disk GUID of a GPT.
    Gpt(Guid),
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskId::Mbr(id) => write!(f, "{id:08x}"),
            DiskId::Gpt(guid) => guid.fmt(f),
        }
    }
}

/// What the table says is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKind {
    /// Type byte of an MBR entry.
    Mbr(u8),
    /// Type GUID of a GPT entry.
    Gpt(Guid),
}

impl PartitionKind {
    /// Whether a FAT file system may be in it, as far as the type tells.
    pub fn may_be_fat(self) -> bool {
        match self {
            PartitionKind::Mbr(byte) => matches!(byte, 0x06 | 0x0b | 0x0c | 0x0e | 0xef),
            PartitionKind::Gpt(guid) => {
                [gpt::EFI_SYSTEM, gpt::BASIC_DATA, gpt::EXTENDED_BOOT].contains(&guid)
            }
        }
    }

    /// Whether an ext4 file system may be in it, as far as the type tells.
    pub(super) fn may_be_ext4(self) -> bool {
        match self {
            PartitionKind::Mbr(byte) => byte == 0x83,
            PartitionKind::Gpt(guid) => [gpt::LINUX, gpt::LINUX_ARM64_ROOT].contains(&guid),
        }
    }
}

impl fmt::Display for PartitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionKind::Mbr(0x05 | 0x0f | 0x85) => f.write_str("extended"),
            PartitionKind::Mbr(0x06 | 0x0e) => f.write_str("FAT16"),
            PartitionKind::Mbr(0x07) => f.write_str("NTFS or exFAT"),
            PartitionKind::Mbr(0x0b | 0x0c) => f.write_str("FAT32"),
            PartitionKind::Mbr(0x82) => f.write_str("Linux swap"),
            PartitionKind::Mbr(0x83) => f.write_str("Linux"),
            PartitionKind::Mbr(0x8e) => f.write_str("Linux LVM"),
            PartitionKind::Mbr(0xef) => f.write_str("EFI system"),
            PartitionKind::Mbr(0xfd) => f.write_str("Linux RAID"),
            PartitionKind::Mbr(byte) => write!(f, "type 0x{byte:02x}"),
            PartitionKind::Gpt(guid) => match gpt::type_name(*guid) {
                Some(name) => f.write_str(name),
                None => write!(f, "type {guid}"),
            },
        }
    }
}

/// One entry of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Number as Linux counts it, from 1.
    pub number: u32,
    /// Where it starts, from the start of the image.
    pub offset_bytes: u64,
    /// Its size.
    pub size_bytes: u64,
    /// What the table says is in it.
    pub kind: PartitionKind,
    /// Its own identity; only GPT has one.
    pub uuid: Option<Guid>,
}

impl Partition {
    /// First byte after it. Cannot overflow: [`PartitionTable::parse`] has checked it.
    pub fn end_bytes(&self) -> u64 {
        self.offset_bytes + self.size_bytes
    }
}

/// A table that makes sense: every partition lies behind the table, none overlaps another, none leaves the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// Which kind of table it is.
    pub scheme: Scheme,
    /// The disk's identity.
    pub disk_id: DiskId,
    /// In the order of the table, which need not be the order on the disk. At least one.
    pub partitions: Vec<Partition>,
}

/// Why bytes are not a usable partition table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No table at all; whatever this is, it is not a partitioned disk.
    #[error("no partition table")]
    NoTable,
    /// The protective MBR announces a GPT that is not there.
    #[error("the MBR announces a GPT, but there is none at sector 1")]
    NoGpt,
    /// A checksum or a field of the GPT is wrong.
    #[error("the GPT is damaged: {0}")]
    DamagedGpt(&'static str),
    /// A partition begins within the table itself.
    #[error("partition {0} begins within the partition table")]
    InTable(u32),
    /// A partition ends after the image or card does.
    #[error("partition {number} ends at byte {end_bytes}, after the end at byte {total_bytes}")]
    OutOfBounds {
        /// Number of the partition.
        number: u32,
        /// Where the table says it ends.
        end_bytes: u64,
        /// Size of the image or card.
        total_bytes: u64,
    },
    /// A partition has numbers that no disk can have.
    #[error("partition {0} has an impossible start or size")]
    Impossible(u32),
    /// Two partitions claim the same bytes.
    #[error("partitions {0} and {1} overlap")]
    Overlap(u32, u32),
}

impl PartitionTable {
    /// Reads a table from `start`, the first bytes of an image or card: [`TABLE_AREA_BYTES`], or all that there is.
    /// `total_bytes` is the size of the whole, where it is known.
    ///
    /// # Errors
    /// [`TableError::NoTable`] where there is none, the other variants where there is one that contradicts itself.
    pub fn parse(start: &[u8], total_bytes: Option<u64>) -> Result<Self, TableError> {
        let found = mbr::parse(start)?;
        let table = if found.announces_gpt { gpt::parse(start)? } else { found.table };
        table.check(total_bytes)?;
        Ok(table)
    }

    /// Where the last partition ends: the least that an image with this table must have.
    pub fn end_bytes(&self) -> u64 {
        self.partitions.iter().map(Partition::end_bytes).max().unwrap_or(0)
    }

    /// Where the first partition on the disk (not in the table) begins.
    pub fn first_offset_bytes(&self) -> u64 {
        self.partitions.iter().map(|p| p.offset_bytes).min().unwrap_or(0)
    }

    /// What Linux calls this partition in `root=PARTUUID=`.
    pub fn partuuid(&self, partition: &Partition) -> String {
        match (partition.uuid, self.disk_id) {
            (Some(guid), _) => guid.to_string(),
            (None, id) => format!("{id}-{:02x}", partition.number),
        }
    }

    /// The boot partition: the first in the table whose type may be FAT and whose boot sector is FAT16 or FAT32.
    ///
    /// # Errors
    /// What reading `disk` says.
    pub fn boot_partition<B: ReadAt + ?Sized>(
        &self,
        disk: &B,
    ) -> io::Result<Option<(Partition, FatBootSector)>> {
        for partition in self.partitions.iter().filter(|p| p.kind.may_be_fat()) {
            let mut sector = [0; SECTOR_BYTES as usize];
            disk.read_at(partition.offset_bytes, &mut sector)?;
            if let Some(fat) = FatBootSector::parse(&sector, partition.size_bytes) {
                return Ok(Some((*partition, fat)));
            }
        }
        Ok(None)
    }

    /// The partitions in words, `1 FAT32 512 MiB, 2 Linux 2.1 GiB`.
    pub fn describe(&self) -> String {
        let words: Vec<String> = self
            .partitions
            .iter()
            .map(|p| format!("{} {} {}", p.number, p.kind, ByteSize(p.size_bytes).short()))
            .collect();
        words.join(", ")
    }

    /// Bounds and overlaps, for either scheme.
    fn check(&self, total_bytes: Option<u64>) -> Result<(), TableError> {
        let table_bytes = match self.scheme {
            Scheme::Mbr => SECTOR_BYTES,
            Scheme::Gpt => gpt::SMALLEST_BYTES,
        };
        for partition in &self.partitions {
            if partition.offset_bytes < table_bytes {
                return Err(TableError::InTable(partition.number));
            }
            if let Some(total_bytes) = total_bytes
                && partition.end_bytes() > total_bytes
            {
                let (number, end_bytes) = (partition.number, partition.end_bytes());
                return Err(TableError::OutOfBounds { number, end_bytes, total_bytes });
            }
        }
        let mut sorted: Vec<&Partition> = self.partitions.iter().collect();
        sorted.sort_by_key(|p| p.offset_bytes);
        match sorted.windows(2).find(|pair| pair[0].end_bytes() > pair[1].offset_bytes) {
            Some(pair) => Err(TableError::Overlap(pair[0].number, pair[1].number)),
            None => Ok(()),
        }
    }
}

/// Makes a partition from sector numbers, which may be anything in a damaged table.
pub(super) fn partition(
    number: u32,
    first_sector: u64,
    sectors: u64,
    kind: PartitionKind,
    uuid: Option<Guid>,
) -> Result<Partition, TableError> {
    let impossible = TableError::Impossible(number);
    let bytes = |sectors: u64| sectors.checked_mul(SECTOR_BYTES);
    let (Some(offset_bytes), Some(size_bytes)) = (bytes(first_sector), bytes(sectors)) else {
        return Err(impossible);
    };
    if size_bytes == 0 || offset_bytes.checked_add(size_bytes).is_none() {
        return Err(impossible);
    }
    Ok(Partition { number, offset_bytes, size_bytes, kind, uuid })
}
