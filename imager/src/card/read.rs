//! Looking at a card that exists: its table, its boot partition.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::error::{Error, Result};
use crate::image::{FatBootSector, Partition, PartitionTable, ReadAt, TABLE_AREA_BYTES, WithBoot};

/// A card opened for reading only; it may be mounted meanwhile.
#[derive(Debug)]
pub struct ReadCard {
    file: File,
    path: PathBuf,
    size_bytes: u64,
    table: PartitionTable,
    boot: Partition,
    fat: FatBootSector,
}

/// Opens a card (block device or file) that holds an operating system.
///
/// # Errors
/// [`Error::Io`]; [`Error::Table`] and [`Error::NoFatPartition`] where it holds none.
pub fn read(path: &Path) -> Result<ReadCard> {
    let failed = |error: io::Error| Error::io("opening card", path, error);
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let mut file = File::open(path).map_err(failed)?;
    // The metadata of a block device have no size; its end has.
    let size_bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let failed = |error| Error::io("reading card", path, error);
    let mut start = vec![0; TABLE_AREA_BYTES.min(size_bytes) as usize];
    file.read_exact_at(&mut start, 0).map_err(failed)?;
    let table = PartitionTable::parse(&start, Some(size_bytes))
        .map_err(|problem| Error::Table { path: path.to_owned(), problem })?;
    let disk = OpenFile { file: &file, size_bytes };
    let (boot, fat) = table
        .boot_partition(&disk)
        .map_err(failed)?
        .ok_or_else(|| Error::NoFatPartition { path: path.to_owned(), found: table.describe() })?;
    Ok(ReadCard { path: path.to_owned(), file, size_bytes, table, boot, fat })
}

impl ReadCard {
    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the card.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Its partition table.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// Drops what the kernel keeps of the card in memory, so that what is read next is on the card. Best effort: what
    /// is in use meanwhile stays.
    pub fn forget_cached(&self) {
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

impl WithBoot for ReadCard {
    type Bytes = Self;

    fn bytes(&self) -> &Self {
        self
    }

    fn boot_partition(&self) -> &Partition {
        &self.boot
    }

    fn fat(&self) -> &FatBootSector {
        &self.fat
    }
}

impl ReadAt for ReadCard {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn len_bytes(&self) -> u64 {
        self.size_bytes
    }
}

/// The same before the table is known.
struct OpenFile<'a> {
    file: &'a File,
    size_bytes: u64,
}

impl ReadAt for OpenFile<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn len_bytes(&self) -> u64 {
        self.size_bytes
    }
}
