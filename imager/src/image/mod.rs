//! From an image to bytes: source ► hash ► sniff ► decode ► head (kept in memory) and rest (streamed).
//!
//! * [`open_from`] takes a [`Location`] (file, server, standard input), recognises what is there by its content and gives
//!   an [`Image`], which decodes as it is read. What it has to be ([`Wanted`]) is known at its end, which is then an
//!   error; until the end nothing that boots is made of it.
//! * [`Image::into_head`] decodes everything up to the end of the boot partition into a [`Head`]; what follows stays
//!   in [`Rest`], still undecoded, for `card::write`.
//! * What ext4 says is free in that rest ([`Rest::fill`]) is zeros, whatever the image has there.
//! * [`Patch`] is what one card changes in that boot partition; [`PatchedPartition`] is the partition as that card
//!   shall see it, readable, writable and seekable.
//!
//! Nothing here opens a card and nothing here prints. Offsets and sizes are bytes unless a name says otherwise.

mod bmap;
mod bmap_reader;
mod cache;
mod checked;
mod decode;
mod difference;
mod error;
mod ext4;
mod fat;
mod fat_map;
mod fetch;
mod free_space;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gpt;
mod head;
pub mod http;
mod input;
mod location;
mod mbr;
mod members;
mod notice;
mod opening;
mod partitions;
mod patch;
mod read_ahead;
mod s3;
mod sha256;
mod signature;
mod size;
mod sniff;
mod source;
mod sparse;
mod window;
mod xz;
mod xz_block;
mod xz_blocks;
mod xz_index;
mod xz_plan;
mod zip;
mod zip_format;

pub use bmap::Bmap;
pub use cache::{Cache, DEFAULT_LIMIT_BYTES};
pub use checked::{Expected, Fingerprint};
pub use error::{Error, Result};
pub use fat::{FatBootSector, FatType};
pub use fat_map::{FatEntry, FatMap, MapError, ReadVolume};
pub use fetch::read_small;
pub use head::{Head, MAX_BOOT_PARTITION_BYTES, MAX_HEAD_BYTES, Rest};
pub use location::{Location, LocationError};
pub use notice::{Notice, Tell};
pub use opening::{BmapPlace, Surroundings, Wanted};
pub use partitions::{
    DiskId, Guid, Partition, PartitionKind, PartitionTable, Scheme, TABLE_AREA_BYTES, TableError,
};
pub use patch::Patch;
pub(crate) use read_ahead::interruptible;
pub use s3::{S3, S3Error};
pub use sha256::{Sha256Error, Sha256Sum};
pub use signature::SignatureError;
pub use size::ByteSize;
pub use sniff::{Format, sniff};
pub use source::{FileIdentity, Image, open, open_from};
pub use sparse::SparseBytes;
pub(crate) use sparse::is_zero;
pub use window::{PatchedDisk, PatchedPartition, WithBoot};

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
