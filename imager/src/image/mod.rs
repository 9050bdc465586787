//! From an image file to bytes: source ► sniff ► decode ► head (kept in memory) and rest (streamed).
//!
//! * [`open`] recognises the file by its content and gives an [`Image`], which decodes as it is read.
//! * [`Image::into_head`] decodes everything up to the end of the boot partition into a [`Head`]; what follows stays
//!   in [`Rest`], still undecoded, for `card::write`.
//! * [`Patch`] is what one card changes in that boot partition; [`PatchedPartition`] is the partition as that card
//!   shall see it, readable, writable and seekable.
//!
//! Nothing here opens a card and nothing here prints. Offsets and sizes are bytes unless a name says otherwise.

mod decode;
mod error;
mod fat;
mod gpt;
mod head;
mod mbr;
mod partitions;
mod patch;
mod size;
mod sniff;
mod source;
mod sparse;
mod window;
mod xz;
mod xz_index;

pub use error::{Error, Result};
pub use fat::{FatBootSector, FatType};
pub use head::{Head, MAX_BOOT_PARTITION_BYTES, MAX_HEAD_BYTES, Rest};
pub use partitions::{
    DiskId, Guid, Partition, PartitionKind, PartitionTable, Scheme, TABLE_AREA_BYTES, TableError,
};
pub use patch::Patch;
pub use size::ByteSize;
pub use sniff::{Format, sniff};
pub use source::{FileIdentity, Image, open};
pub use sparse::SparseBytes;
pub use window::PatchedPartition;

/// Bytes of a sector. Images for the Raspberry Pi are made for this size only; a reader that presents another one
/// is refused by `card::guard`.
pub const SECTOR_BYTES: u64 = 512;

/// Something that can be read anywhere: the decoded head of an image, or a card.
pub trait ReadAt {
    /// Fills `buf` from `offset` bytes after the start.
    ///
    /// # Errors
    /// `UnexpectedEof` where the source ends before `buf` is full; otherwise what the source says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()>;

    /// Bytes that can be read.
    fn len_bytes(&self) -> u64;
}
