//! The block bitmap of a group: one bit per block, set where the block is used.

use super::checksum::crc32c;
use super::superblock::Checksums;
use super::{Doubt, Groups};

/// The bitmap of one group, which gives no reason to doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Bitmap {
    first_block: u64,
    blocks: u64,
    block_bytes: u64,
    bits: Box<[u8]>,
}

impl Bitmap {
    /// Reads the bitmap of a group: `bytes` are its block.
    ///
    /// # Errors
    /// A [`Doubt`].
    pub(in super::super) fn parse(
        groups: &Groups,
        group: usize,
        bytes: &[u8],
    ) -> Result<Self, Doubt> {
        let superblock = &groups.superblock;
        let bits = &bytes[..(superblock.blocks_per_group / 8) as usize];
        if let Checksums::Metadata { seed } = superblock.checksums
            && let Some(stored) = groups.all[group].bitmap_checksum
            && !stored.is(crc32c(seed, bits))
        {
            return Err(Doubt("the checksum of a block bitmap is wrong"));
        }
        let bitmap = Self::new(groups, group, bits.into());
        // What is behind the last block of the last group is set.
        if !(bitmap.blocks..superblock.blocks_per_group).all(|index| bitmap.is_used(index)) {
            return Err(Doubt("a block bitmap has free blocks behind the end"));
        }
        bitmap.checked(groups, group)
    }

    /// The bitmap of a group that has none: what is not metadata is free.
    ///
    /// # Errors
    /// A [`Doubt`].
    pub(in super::super) fn without(groups: &Groups, group: usize) -> Result<Self, Doubt> {
        let bits = vec![0; (groups.superblock.blocks_per_group / 8) as usize];
        let mut bitmap = Self::new(groups, group, bits.into());
        for block in groups.metadata_in(group) {
            let index = block - bitmap.first_block;
            bitmap.bits[(index / 8) as usize] |= 1 << (index % 8);
        }
        bitmap.checked(groups, group)
    }

    fn new(groups: &Groups, group: usize, bits: Box<[u8]>) -> Self {
        let blocks = groups.superblock.blocks_of(group as u64);
        Self {
            first_block: blocks.start,
            blocks: blocks.end - blocks.start,
            block_bytes: groups.superblock.block_bytes,
            bits,
        }
    }

    fn checked(self, groups: &Groups, group: usize) -> Result<Self, Doubt> {
        let free = (0..self.blocks).filter(|index| !self.is_used(*index)).count();
        if free as u64 != groups.all[group].free_blocks {
            return Err(Doubt("its counts do not agree"));
        }
        let used = |block: u64| self.is_used(block - self.first_block);
        match groups.metadata_in(group).all(used) {
            true => Ok(self),
            false => Err(Doubt("a block bitmap has metadata among the free blocks")),
        }
    }

    fn is_used(&self, index: u64) -> bool {
        self.bits[(index / 8) as usize] & (1 << (index % 8)) != 0
    }

    /// Where the group ends, from the start of the partition.
    pub(in super::super) fn end_bytes(&self) -> u64 {
        (self.first_block + self.blocks) * self.block_bytes
    }

    /// Memory that it takes.
    pub(in super::super) fn memory_bytes(&self) -> u64 {
        self.bits.len() as u64
    }

    /// The runs of free blocks within a range of the partition, in bytes, cut at its ends.
    pub(in super::super) fn free_within(
        &self,
        range: std::ops::Range<u64>,
    ) -> Vec<std::ops::Range<u64>> {
        let mut runs: Vec<std::ops::Range<u64>> = Vec::new();
        let first = (range.start / self.block_bytes).max(self.first_block);
        let end = range.end.div_ceil(self.block_bytes).min(self.first_block + self.blocks);
        for block in (first..end).filter(|block| !self.is_used(block - self.first_block)) {
            let begin = (block * self.block_bytes).max(range.start);
            let end = ((block + 1) * self.block_bytes).min(range.end);
            match runs.last_mut() {
                Some(run) if run.end == begin => run.end = end,
                _ => runs.push(begin..end),
            }
        }
        runs
    }
}
