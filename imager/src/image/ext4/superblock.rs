//! The superblock: how the file system is laid out, and whether it is in a state that can be trusted.

use super::checksum::crc32c;
use super::{Doubt, u16_at, u32_at};

/// Where the superblock is, from the start of the partition.
pub(in super::super) const SUPERBLOCK_AT: u64 = 1024;
/// Bytes of a superblock.
pub(in super::super) const SUPERBLOCK_BYTES: usize = 1024;

const MAGIC: u16 = 0xef53;
/// `s_state` of a file system that was unmounted and has no known errors.
const CLEAN: u16 = 1;
/// Most bytes of group descriptors that are read: 2 TiB of blocks of 4 KiB.
const MAX_DESCRIPTOR_BYTES: u64 = 1 << 20;

const COMPAT: u32 = 0x5c;
const INCOMPAT: u32 = 0x60;
const RO_COMPAT: u32 = 0x64;

const SPARSE_SUPER2: u32 = 0x200;
/// Directory preallocation, "imagic" inodes, journal, extended attributes, reserved descriptors, indexed directories,
/// two backups of the superblock, fast commits, stable inodes, orphan file.
const KNOWN_COMPAT: u32 =
    0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | SPARSE_SUPER2 | 0x400 | 0x800 | 0x1000;

const WIDE: u32 = 0x80;
const STORED_SEED: u32 = 0x2000;
/// File types, extents, 64 bits, flexible groups, attributes in inodes, stored seed, large directories, data in inodes,
/// encryption, names without case. Not: compression, a journal to be replayed, a journal device, `meta_bg`, multiple
/// mount protection, data in directory entries.
const KNOWN_INCOMPAT: u32 =
    0x2 | 0x40 | WIDE | 0x200 | 0x400 | STORED_SEED | 0x4000 | 0x8000 | 0x10000 | 0x20000;

const SPARSE_SUPER: u32 = 0x1;
const GDT_CSUM: u32 = 0x10;
const METADATA_CSUM: u32 = 0x400;
/// Sparse superblocks, large files, huge files, checksums of descriptors, many links, large inodes, quota, checksums of
/// metadata, read-only, project quota, verity. Not: clusters (`bigalloc`), snapshots, replicas, shared blocks, orphans.
const KNOWN_RO_COMPAT: u32 = SPARSE_SUPER
    | 0x2
    | 0x8
    | GDT_CSUM
    | 0x20
    | 0x40
    | 0x100
    | METADATA_CSUM
    | 0x1000
    | 0x2000
    | 0x8000;

/// Which checksums there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksums {
    None,
    /// Of the group descriptors, with CRC-16 of the UUID as seed.
    Descriptors {
        uuid: [u8; 16],
    },
    /// Of all metadata, with this seed.
    Metadata {
        seed: u32,
    },
}

/// Where copies of the superblock and of the group descriptors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backups {
    Everywhere,
    /// In groups 0, 1 and the powers of 3, 5 and 7.
    Sparse,
    /// In group 0 and these.
    Two([u32; 2]),
}

/// A superblock that gives no reason to doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Superblock {
    pub(super) block_bytes: u64,
    pub(super) blocks: u64,
    pub(super) first_block: u64,
    pub(super) blocks_per_group: u64,
    pub(super) groups: u64,
    pub(super) free_blocks: u64,
    pub(super) descriptor_bytes: usize,
    /// Blocks of the inode table of one group.
    pub(super) inode_table_blocks: u64,
    pub(super) checksums: Checksums,
    reserved_descriptor_blocks: u64,
    backups: Backups,
}

impl Superblock {
    /// Reads a superblock; the partition has `partition_bytes`.
    ///
    /// # Errors
    /// A [`Doubt`], also where this is no ext4.
    pub(in super::super) fn parse(
        bytes: &[u8; SUPERBLOCK_BYTES],
        partition_bytes: u64,
    ) -> Result<Self, Doubt> {
        let u32_of = |at| u64::from(u32_at(bytes, at));
        let is = |holds: bool, why: &'static str| if holds { Ok(()) } else { Err(Doubt(why)) };
        is(u16_at(bytes, 0x38) == MAGIC, "it is no ext4")?;
        let [compat, incompat, ro_compat] =
            [COMPAT, INCOMPAT, RO_COMPAT].map(|at| u32_at(bytes, at as usize));
        is(u32_at(bytes, 0x4c) == 1, "its revision is not known")?;
        is(compat & !KNOWN_COMPAT == 0, "it has an unknown compatible feature")?;
        is(incompat & !KNOWN_INCOMPAT == 0, "it has a feature that is not supported here")?;
        is(ro_compat & !KNOWN_RO_COMPAT == 0, "it has a feature that is not supported here")?;
        let checksums = checksums(bytes, incompat, ro_compat)?;
        is(u16_at(bytes, 0x3a) == CLEAN, "it was not unmounted, or has errors")?;
        is(u32_at(bytes, 0xe8) == 0, "it has orphaned inodes")?;
        is(u32_at(bytes, 0x194) == 0, "errors were found in it")?;

        let block_shift = u32_at(bytes, 0x18);
        is(block_shift <= 2, "its blocks have an unusual size")?;
        is(u32_at(bytes, 0x1c) == block_shift, "it has clusters")?;
        let block_bytes = 1024 << block_shift;
        let wide = incompat & WIDE != 0;
        let high = |at| if wide { u32_of(at) << 32 } else { 0 };
        let blocks = u32_of(0x4) | high(0x150);
        let free_blocks = u32_of(0xc) | high(0x158);
        let first_block = u32_of(0x14);
        is(first_block == u64::from(block_shift == 0), "its first block is an unusual one")?;
        let fits = blocks.checked_mul(block_bytes).is_some_and(|end| end <= partition_bytes);
        is(blocks > first_block && fits, "it does not fit into its partition")?;
        is(free_blocks <= blocks, "its counts do not agree")?;

        let blocks_per_group = u32_of(0x20);
        // mke2fs makes none smaller. In smaller ones the bitmaps would be many and each of them next to nothing.
        let whole = blocks_per_group >= 256 && blocks_per_group.is_multiple_of(8);
        is(whole && blocks_per_group <= block_bytes * 8, "its groups have an unusual size")?;
        is(u32_of(0x24) == blocks_per_group, "it has clusters")?;
        let groups = (blocks - first_block).div_ceil(blocks_per_group);
        let (inodes_per_group, inode_bytes) = (u32_of(0x28), u64::from(u16_at(bytes, 0x58)));
        is(
            inode_bytes.is_power_of_two() && (128..=block_bytes).contains(&inode_bytes),
            "its inodes have an unusual size",
        )?;
        is(
            (1..=block_bytes * 8).contains(&inodes_per_group)
                && groups.checked_mul(inodes_per_group) == Some(u32_of(0)),
            "its counts do not agree",
        )?;
        let descriptor_bytes = match (wide, u16_at(bytes, 0xfe)) {
            (false, 0 | 32) => 32,
            (true, 64) => 64,
            _ => return Err(Doubt("its group descriptors have an unusual size")),
        };
        is(groups * descriptor_bytes as u64 <= MAX_DESCRIPTOR_BYTES, "it has too many groups")?;
        let backups = match (compat & SPARSE_SUPER2 != 0, ro_compat & SPARSE_SUPER != 0) {
            (true, _) => Backups::Two([u32_at(bytes, 0x24c), u32_at(bytes, 0x250)]),
            (false, true) => Backups::Sparse,
            (false, false) => Backups::Everywhere,
        };
        Ok(Self {
            block_bytes,
            blocks,
            first_block,
            blocks_per_group,
            groups,
            free_blocks,
            descriptor_bytes,
            inode_table_blocks: (inodes_per_group * inode_bytes).div_ceil(block_bytes),
            checksums,
            reserved_descriptor_blocks: u64::from(u16_at(bytes, 0xce)),
            backups,
        })
    }

    /// Where the group descriptors are, from the start of the partition, and their bytes.
    pub(in super::super) fn descriptors(&self) -> std::ops::Range<u64> {
        let begin = (self.first_block + 1) * self.block_bytes;
        begin..begin + self.groups * self.descriptor_bytes as u64
    }

    /// The blocks of a group.
    pub(super) fn blocks_of(&self, group: u64) -> std::ops::Range<u64> {
        let begin = self.first_block + group * self.blocks_per_group;
        begin..(begin + self.blocks_per_group).min(self.blocks)
    }

    /// Blocks at the start of a group that hold a copy of the superblock and the group descriptors.
    pub(super) fn backup_blocks(&self, group: u64) -> u64 {
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        let has_backup = match self.backups {
            _ if group == 0 => true,
            Backups::Everywhere => true,
            Backups::Sparse => group == 1 || [3, 5, 7].into_iter().any(power_of),
            Backups::Two(groups) => groups.iter().any(|backup| u64::from(*backup) == group),
        };
        let descriptors = (self.groups * self.descriptor_bytes as u64).div_ceil(self.block_bytes);
        if has_backup { 1 + descriptors + self.reserved_descriptor_blocks } else { 0 }
    }
}

/// Which checksums there are; that of the superblock is looked at.
fn checksums(
    bytes: &[u8; SUPERBLOCK_BYTES],
    incompat: u32,
    ro_compat: u32,
) -> Result<Checksums, Doubt> {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&bytes[0x68..0x78]);
    match (ro_compat & METADATA_CSUM != 0, ro_compat & GDT_CSUM != 0) {
        (true, true) => Err(Doubt("it has two kinds of checksums")),
        (false, true) => Ok(Checksums::Descriptors { uuid }),
        (false, false) => Ok(Checksums::None),
        // CRC-32C is the only kind there is.
        (true, false) if bytes[0x175] != 1 => Err(Doubt("it has unknown checksums")),
        (true, false) if crc32c(!0, &bytes[..0x3fc]) != u32_at(bytes, 0x3fc) => {
            Err(Doubt("the checksum of its superblock is wrong"))
        }
        (true, false) => {
            let stored = incompat & STORED_SEED != 0;
            let seed = if stored { u32_at(bytes, 0x270) } else { crc32c(!0, &uuid) };
            Ok(Checksums::Metadata { seed })
        }
    }
}
