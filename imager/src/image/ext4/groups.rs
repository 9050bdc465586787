//! The group descriptors: where the block bitmap of each group is, and how many of its blocks are free.

use super::checksum::{crc16, crc32c};
use super::superblock::{Checksums, Superblock};
use super::{Doubt, u16_at, u32_at};

/// `EXT4_BG_BLOCK_UNINIT`: the bitmap was never written, since nothing of the group is used but metadata.
const BITMAP_UNUSED: u16 = 0x2;
/// Where the checksum is in a descriptor.
const CHECKSUM_AT: usize = 0x1e;

/// One group. Places are block numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
    pub(super) free_blocks: u64,
    pub(super) has_bitmap: bool,
    /// What the checksum of the bitmap has to be, as far as it is stored.
    pub(super) bitmap_checksum: Option<Stored>,
}

/// A checksum, of which small descriptors have 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Half(u16),
    Whole(u32),
}

impl Stored {
    pub(super) fn is(self, sum: u32) -> bool {
        match self {
            Stored::Half(half) => u32::from(half) == sum & 0xffff,
            Stored::Whole(whole) => whole == sum,
        }
    }
}

/// The groups of a file system, which give no reason to doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Groups {
    pub(super) superblock: Superblock,
    pub(super) all: Vec<Group>,
    /// Blocks that hold bitmaps and inode tables, in order: first one and how many.
    metadata: Vec<std::ops::Range<u64>>,
}

impl Groups {
    /// Reads the group descriptors, which are at [`Superblock::descriptors`].
    ///
    /// # Errors
    /// A [`Doubt`].
    pub(in super::super) fn parse(superblock: Superblock, bytes: &[u8]) -> Result<Self, Doubt> {
        let mut all = Vec::new();
        for (number, descriptor) in bytes.chunks_exact(superblock.descriptor_bytes).enumerate() {
            check(&superblock, number as u32, descriptor)?;
            all.push(group(&superblock, descriptor));
        }
        if all.len() as u64 != superblock.groups {
            return Err(Doubt("it has too few group descriptors"));
        }
        let free_blocks: u64 = all.iter().map(|group| group.free_blocks).sum();
        if free_blocks != superblock.free_blocks {
            return Err(Doubt("its counts do not agree"));
        }
        let metadata = metadata(&superblock, &all)?;
        Ok(Self { superblock, all, metadata })
    }

    /// Bytes of a block, and so of a bitmap.
    pub(in super::super) fn block_bytes(&self) -> u64 {
        self.superblock.block_bytes
    }

    /// The places of the bitmaps, from the start of the partition, with the numbers of their groups, in order. Groups
    /// without one have none.
    pub(in super::super) fn bitmaps(&self) -> Vec<(u64, usize)> {
        let place = |(number, group): (usize, &Group)| {
            group.has_bitmap.then_some((group.block_bitmap * self.superblock.block_bytes, number))
        };
        let mut places: Vec<_> = self.all.iter().enumerate().filter_map(place).collect();
        places.sort_unstable();
        places
    }

    /// The groups that have no bitmap.
    pub(in super::super) fn without_bitmap(&self) -> impl Iterator<Item = usize> {
        self.all.iter().enumerate().filter(|(_, group)| !group.has_bitmap).map(|(number, _)| number)
    }

    /// The blocks of a group that hold metadata: copies of the superblock and the descriptors, bitmaps, inode tables.
    pub(super) fn metadata_in(&self, group: usize) -> impl Iterator<Item = u64> {
        let blocks = self.superblock.blocks_of(group as u64);
        let backup = (blocks.start + self.superblock.backup_blocks(group as u64)).min(blocks.end);
        let before = self.metadata.partition_point(|range| range.end <= blocks.start);
        let after = self.metadata.partition_point(|range| range.start < blocks.end);
        let clipped = self.metadata[before..after.max(before)]
            .iter()
            .map(move |range| range.start.max(blocks.start)..range.end.min(blocks.end));
        clipped.chain(std::iter::once(blocks.start..backup)).flatten()
    }
}

fn group(superblock: &Superblock, descriptor: &[u8]) -> Group {
    let wide = descriptor.len() >= 64;
    let block = |low, high| {
        let high = if wide { u64::from(u32_at(descriptor, high)) << 32 } else { 0 };
        u64::from(u32_at(descriptor, low)) | high
    };
    let free_high = if wide { u64::from(u16_at(descriptor, 0x2c)) << 16 } else { 0 };
    let flags = u16_at(descriptor, 0x12);
    let half = u16_at(descriptor, 0x18);
    let stored = match wide {
        true => Stored::Whole(u32::from(half) | u32::from(u16_at(descriptor, 0x38)) << 16),
        false => Stored::Half(half),
    };
    Group {
        block_bitmap: block(0x0, 0x20),
        inode_bitmap: block(0x4, 0x24),
        inode_table: block(0x8, 0x28),
        free_blocks: u64::from(u16_at(descriptor, 0xc)) | free_high,
        // Without checksums of the descriptors the flag means nothing.
        has_bitmap: superblock.checksums == Checksums::None || flags & BITMAP_UNUSED == 0,
        bitmap_checksum: matches!(superblock.checksums, Checksums::Metadata { .. })
            .then_some(stored),
    }
}

/// Compares the checksum of a descriptor.
fn check(superblock: &Superblock, number: u32, descriptor: &[u8]) -> Result<(), Doubt> {
    let (before, after) = (&descriptor[..CHECKSUM_AT], &descriptor[CHECKSUM_AT + 2..]);
    let number = number.to_le_bytes();
    let sum = match &superblock.checksums {
        Checksums::None => return Ok(()),
        Checksums::Descriptors { uuid } => {
            crc16(crc16(crc16(crc16(!0, uuid), &number), before), after)
        }
        Checksums::Metadata { seed } => {
            let sum = crc32c(crc32c(crc32c(*seed, &number), before), &[0, 0]);
            crc32c(sum, after) as u16
        }
    };
    match sum == u16_at(descriptor, CHECKSUM_AT) {
        true => Ok(()),
        false => Err(Doubt("the checksum of a group descriptor is wrong")),
    }
}

/// The blocks of all bitmaps and inode tables. Each is within the file system, and no two are the same.
fn metadata(superblock: &Superblock, groups: &[Group]) -> Result<Vec<std::ops::Range<u64>>, Doubt> {
    let mut ranges = Vec::new();
    for group in groups {
        ranges.push((group.block_bitmap, 1));
        ranges.push((group.inode_bitmap, 1));
        ranges.push((group.inode_table, superblock.inode_table_blocks));
    }
    let mut ranges: Vec<_> =
        ranges.into_iter().map(|(first, count)| first..first.saturating_add(count)).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let descriptors_end = superblock.descriptors().end.div_ceil(superblock.block_bytes);
    let inside = |range: &std::ops::Range<u64>| {
        range.start >= descriptors_end && range.end <= superblock.blocks
    };
    let overlap = ranges.windows(2).any(|pair| pair[0].end > pair[1].start);
    if overlap || !ranges.iter().all(inside) {
        return Err(Doubt("its metadata is at impossible places"));
    }
    Ok(ranges)
}
