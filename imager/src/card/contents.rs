//! What is on a card now, in words, for the question before it is overwritten.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::signature::recognise;
use crate::image::{ByteSize, Partition, PartitionTable, Scheme, TABLE_AREA_BYTES};

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
    /// A file system or container without a partition table.
    Whole(FileSystem),
    /// None of these.
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

/// A recognised file system, or a container for some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// `FAT32`, `ext4`, …
    pub name: String,
    /// Its label, where it has one; of ZFS, the pool.
    pub label: Option<String>,
    /// Whether it is a piece of something larger or locked (LVM, RAID, ZFS, btrfs on several disks, LUKS): nobody can
    /// tell by its looks what would be lost.
    pub is_member: bool,
}

impl Contents {
    /// Looks at a card or file; `None` where it cannot be read.
    pub(super) fn look(path: &Path, size_bytes: u64) -> Option<Contents> {
        Self::of(&File::open(path).ok()?, size_bytes)
    }

    /// The same of an open card. Not for direct I/O, which wants aligned memory.
    pub(super) fn of(card: &File, size_bytes: u64) -> Option<Contents> {
        let mut start = vec![0; TABLE_AREA_BYTES.min(size_bytes) as usize];
        card.read_exact_at(&mut start, 0).ok()?;
        // Before the table: FAT and others have one that means nothing, and a container at the end leaves zeros here.
        let whole = recognise(card, 0, size_bytes);
        if let Some(member) = whole.as_ref().filter(|whole| whole.is_member) {
            return Some(Contents::Whole(member.clone()));
        }
        if start.iter().all(|byte| *byte == 0) {
            return Some(Contents::Empty);
        }
        // No size is given: a damaged table is still a sign that there is something on the card.
        let Ok(table) = PartitionTable::parse(&start, None) else {
            return Some(whole.map_or(Contents::Unrecognised, Contents::Whole));
        };
        let partitions = table
            .partitions
            .iter()
            .map(|p| PartitionOnCard {
                partition: *p,
                file_system: recognise(card, p.offset_bytes, p.size_bytes),
            })
            .collect();
        Some(Contents::Partitions { scheme: table.scheme, partitions })
    }

    /// Whether an earlier system has data behind the first `bytes` of the card, as far as its table says.
    pub fn reaches_behind(&self, bytes: u64) -> bool {
        match self {
            Contents::Empty => false,
            Contents::Whole(_) | Contents::Unrecognised => true,
            Contents::Partitions { partitions, .. } => partitions.iter().any(|on_card| {
                let partition = on_card.partition;
                partition.offset_bytes.saturating_add(partition.size_bytes) > bytes
            }),
        }
    }

    /// Pieces of something larger, or locked: number of the partition, and what it is.
    pub fn members(&self) -> Vec<(Option<u32>, &FileSystem)> {
        let found: Vec<(Option<u32>, &FileSystem)> = match self {
            Contents::Whole(file_system) => vec![(None, file_system)],
            Contents::Partitions { partitions, .. } => partitions
                .iter()
                .filter_map(|p| Some((Some(p.partition.number), p.file_system.as_ref()?)))
                .collect(),
            Contents::Empty | Contents::Unrecognised => Vec::new(),
        };
        found.into_iter().filter(|(_, file_system)| file_system.is_member).collect()
    }
}

impl fmt::Display for Contents {
    /// `MBR, 1 FAT32 "bootfs" 512 MiB, 2 ext4 "rootfs" 2.1 GiB`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contents::Empty => f.write_str("empty"),
            Contents::Whole(file_system) => {
                write!(f, "{file_system} without a partition table")
            }
            Contents::Unrecognised => f.write_str("data without a partition table"),
            Contents::Partitions { scheme, partitions } => {
                scheme.fmt(f)?;
                partitions.iter().try_for_each(|partition| write!(f, ", {partition}"))
            }
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => write!(f, "{} {label:?}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for PartitionOnCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.partition.number)?;
        match &self.file_system {
            Some(file_system) => file_system.fmt(f)?,
            None => self.partition.kind.fmt(f)?,
        }
        write!(f, " {}", ByteSize(self.partition.size_bytes).short())
    }
}
