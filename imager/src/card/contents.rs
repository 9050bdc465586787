//! What is on a card now, in words, for the question before it is overwritten.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::image::{
    ByteSize, FatBootSector, Partition, PartitionTable, SECTOR_BYTES, Scheme, TABLE_AREA_BYTES,
};

/// What is on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// The first MiB is zeros: a new card, or one whose writing was interrupted.
    Empty,
    /// A partitioned disk.
    Partitions {
        /// Which kind of table.
        scheme: Scheme,
        /// Its partitions.
        partitions: Vec<PartitionOnCard>,
    },
    /// Neither.
    Unrecognised,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionOnCard {
    /// What the table says.
    pub partition: Partition,
    /// What is in it, where it is recognised.
    pub file_system: Option<FileSystem>,
}

/// A recognised file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// `FAT32`, `ext4`, …
    pub name: String,
    /// Its label, where it has one.
    pub label: Option<String>,
}

impl Contents {
    /// Looks at a card or file; `None` where it cannot be read.
    pub(super) fn look(path: &Path, size_bytes: u64) -> Option<Contents> {
        let card = File::open(path).ok()?;
        let mut start = vec![0; TABLE_AREA_BYTES.min(size_bytes) as usize];
        card.read_exact_at(&mut start, 0).ok()?;
        if start.iter().all(|byte| *byte == 0) {
            return Some(Contents::Empty);
        }
        // No size is given: a damaged table is still a sign that there is something on the card.
        let Ok(table) = PartitionTable::parse(&start, None) else {
            return Some(Contents::Unrecognised);
        };
        let partitions = table
            .partitions
            .iter()
            .map(|p| PartitionOnCard { partition: *p, file_system: recognise(&card, p) })
            .collect();
        Some(Contents::Partitions { scheme: table.scheme, partitions })
    }
}

/// FAT by its boot sector, ext by its superblock; others are not met on a Pi's card.
fn recognise(card: &File, partition: &Partition) -> Option<FileSystem> {
    let mut sector = [0; SECTOR_BYTES as usize];
    card.read_exact_at(&mut sector, partition.offset_bytes).ok()?;
    if let Some(fat) = FatBootSector::parse(&sector, partition.size_bytes) {
        return Some(FileSystem { name: fat.kind.to_string(), label: fat.label });
    }
    let mut superblock = [0; 256];
    card.read_exact_at(&mut superblock, partition.offset_bytes.checked_add(1024)?).ok()?;
    if superblock[0x38..0x3a] != [0x53, 0xef] {
        return None;
    }
    // Journal and extents tell the three apart (Documentation/filesystems/ext4/super.rst).
    let name = match (superblock[0x60] & 0x40 != 0, superblock[0x5c] & 0x04 != 0) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    };
    let label = String::from_utf8_lossy(&superblock[0x78..0x88]);
    let label = label.trim_end_matches('\0');
    Some(FileSystem { name: name.into(), label: (!label.is_empty()).then(|| label.to_owned()) })
}

impl fmt::Display for Contents {
    /// `MBR, 1 FAT32 "bootfs" 512 MiB, 2 ext4 "rootfs" 2.1 GiB`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contents::Empty => f.write_str("empty"),
            Contents::Unrecognised => f.write_str("data without a partition table"),
            Contents::Partitions { scheme, partitions } => {
                scheme.fmt(f)?;
                partitions.iter().try_for_each(|partition| write!(f, ", {partition}"))
            }
        }
    }
}

impl fmt::Display for PartitionOnCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.partition.number)?;
        match &self.file_system {
            Some(FileSystem { name, label: Some(label) }) => write!(f, "{name} {label:?}")?,
            Some(FileSystem { name, label: None }) => f.write_str(name)?,
            None => self.partition.kind.fmt(f)?,
        }
        write!(f, " {}", ByteSize(self.partition.size_bytes).short())
    }
}
