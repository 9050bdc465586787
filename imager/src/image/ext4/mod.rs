//! What ext4 says is free: superblock, group descriptors and block bitmaps in, ranges of bytes out (Linux kernel
//! documentation, "ext4 Data Structures and Algorithms").
//!
//! What is free is not worth writing, but a block that is taken for free and is not would be lost without a word. So the
//! parser looks for a reason to doubt, and one doubt is enough for the file system to be written whole: a feature that
//! it does not know, a checksum that is wrong, counts that do not agree, a journal that has to be replayed.

mod bitmap;
mod checksum;
mod groups;
mod superblock;

pub(super) use bitmap::Bitmap;
pub(super) use groups::Groups;
pub(super) use superblock::{SUPERBLOCK_AT, SUPERBLOCK_BYTES, Superblock};

/// Why nothing of a file system is taken for free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Doubt(pub(super) &'static str);

/// The `u16` at a place of a structure, which is known to be large enough.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The `u32` at a place of a structure, which is known to be large enough.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
