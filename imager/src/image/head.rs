//! The head of an image: everything up to the end of the boot partition, decoded and kept.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{Error, Result};
use super::free_space::FreeSpace;
use super::partitions::{Partition, PartitionTable, TABLE_AREA_BYTES, TableError};
use super::sniff::{describe_non_image, sniff};
use super::source::Image;
use super::{FatBootSector, SECTOR_BYTES, SparseBytes, WithBoot};

/// Largest boot partition. Systems ship 64 MiB to 512 MiB; more would not be bounded memory.
pub const MAX_BOOT_PARTITION_BYTES: u64 = 1 << 30;
/// How far from the start the boot partition may end.
pub const MAX_HEAD_BYTES: u64 = MAX_BOOT_PARTITION_BYTES + (128 << 20);
/// Bytes that are decoded between two looks at the cancellation flag.
const STEP_BYTES: usize = 1 << 20;

/// The decoded start of an image. All cards share it; what a card changes is in its [`Patch`].
#[derive(Debug, Clone)]
pub struct Head {
    bytes: SparseBytes,
    table: PartitionTable,
    boot: Partition,
    fat: FatBootSector,
}

impl Head {
    /// The image's partition table.
    pub fn table(&self) -> &PartitionTable {
        &self.table
    }

    /// Where the head ends and the rest of the image begins; a multiple of 512.
    pub fn len_bytes(&self) -> u64 {
        self.bytes.len()
    }
}

impl WithBoot for Head {
    type Bytes = SparseBytes;

    /// From 0 to the end of the boot partition, exactly.
    fn bytes(&self) -> &SparseBytes {
        &self.bytes
    }

    /// It ends where the head ends.
    fn boot_partition(&self) -> &Partition {
        &self.boot
    }

    fn fat(&self) -> &FatBootSector {
        &self.fat
    }
}

/// What follows the head: decoded as it is read, once, for all cards.
pub struct Rest {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    position_bytes: u64,
    free: FreeSpace,
    /// Size that the file declares.
    size_bytes: Option<u64>,
    /// Size that the partition table needs.
    needed_bytes: u64,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("path", &self.path).field("at", &self.position_bytes).finish()
    }
}

impl Rest {
    /// The image file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Decoded bytes so far, those of the head included.
    pub fn position_bytes(&self) -> u64 {
        self.position_bytes
    }

    /// Size of the whole image once decoded; `None` where only decoding it will tell.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// Decodes until `buf` is full or the image ends; how many bytes there were. Blocks that ext4 says are free are
    /// zeros. Fewer bytes than `buf` has room for mean that the image is at its end, and that its size has been compared
    /// with the partition table and with the size that the file declares.
    ///
    /// # Errors
    /// What decoding says; [`Error::ImageTooShort`] at an end that comes too early.
    pub fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        let (len, free) = self.fill_as_it_is(buf)?;
        free.into_iter().for_each(|range| buf[range].fill(0));
        Ok(len)
    }

    /// The same with free blocks as the image has them, and where they are in `buf`.
    ///
    /// # Errors
    /// As [`Rest::fill`].
    pub fn fill_as_it_is(&mut self, buf: &mut [u8]) -> Result<(usize, Vec<Range<usize>>)> {
        let len = self.decode(buf)?;
        let free = self.free.within(&buf[..len]);
        Ok((len, free))
    }

    fn decode(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match self.reader.read(&mut buf[filled..]) {
                Ok(0) => {
                    self.check_end()?;
                    break;
                }
                Ok(len) => {
                    filled += len;
                    self.position_bytes += len as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from_read(error, &self.path)),
            }
        }
        Ok(filled)
    }

    fn check_end(&self) -> Result<()> {
        let needed_bytes = self.needed_bytes.max(self.size_bytes.unwrap_or(0));
        if self.position_bytes < needed_bytes {
            let (path, size_bytes) = (self.path.clone(), self.position_bytes);
            return Err(Error::ImageTooShort { path, size_bytes, needed_bytes });
        }
        Ok(())
    }
}

impl Image {
    /// Decodes the image up to the end of its boot partition. `progress` is told the decoded bytes so far;
    /// `cancelled` is looked at at least every MiB.
    ///
    /// Memory: at most 16 MiB of the head; the rest of what is not zero goes to a temporary file ([`SparseBytes`]).
    ///
    /// # Errors
    /// What decoding says; [`Error::NotADiskImage`], [`Error::Table`], [`Error::NoFatPartition`],
    /// [`Error::BootPartitionTooLarge`]; [`Error::Interrupted`].
    pub fn into_head(
        self,
        cancelled: &AtomicBool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Head, Rest)> {
        let (path, size_bytes) = (self.path().to_owned(), self.size_bytes());
        let rest = Rest {
            path,
            reader: self.reader,
            position_bytes: 0,
            free: FreeSpace::default(),
            size_bytes,
            needed_bytes: 0,
        };
        let mut decoding = Decoding { rest, bytes: SparseBytes::new(), cancelled, progress };
        let start = decoding.table_area()?;
        let table = PartitionTable::parse(&start, size_bytes)
            .map_err(|problem| decoding.table_error(problem, &start))?;
        decoding.rest.needed_bytes = table.end_bytes();
        for boot in table.partitions.iter().filter(|p| p.kind.may_be_fat()) {
            // A candidate that begins that far out could not be kept, so it is not looked at.
            if boot.offset_bytes + SECTOR_BYTES > MAX_HEAD_BYTES {
                continue;
            }
            decoding.reach(boot.offset_bytes + SECTOR_BYTES)?;
            let mut sector = [0; SECTOR_BYTES as usize];
            decoding.read_at(boot.offset_bytes, &mut sector)?;
            if let Some(fat) = FatBootSector::parse(&sector, boot.size_bytes) {
                decoding.limit(boot)?;
                decoding.reach(boot.end_bytes())?;
                return decoding.split(*boot, fat, table);
            }
        }
        Err(Error::NoFatPartition { path: decoding.rest.path, found: table.describe() })
    }
}

/// An image of which a part is decoded and kept.
struct Decoding<'a> {
    rest: Rest,
    bytes: SparseBytes,
    cancelled: &'a AtomicBool,
    progress: &'a mut dyn FnMut(u64),
}

impl Decoding<'_> {
    /// The first MiB, or all that there is.
    fn table_area(&mut self) -> Result<Vec<u8>> {
        let mut start = vec![0; TABLE_AREA_BYTES as usize];
        let len = self.rest.decode(&mut start)?;
        start.truncate(len);
        self.bytes.append(&start);
        Ok(start)
    }

    /// Decodes until `end` bytes are kept.
    fn reach(&mut self, end: u64) -> Result<()> {
        let mut step = vec![0; STEP_BYTES];
        while self.bytes.len() < end {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Interrupted { path: self.rest.path.clone() });
            }
            let want = (end - self.bytes.len()).min(STEP_BYTES as u64) as usize;
            let got = self.rest.decode(&mut step[..want])?;
            self.bytes.append(&step[..got]);
            (self.progress)(self.bytes.len());
            if got < want {
                let (path, size_bytes) = (self.rest.path.clone(), self.bytes.len());
                return Err(Error::ImageTooShort { path, size_bytes, needed_bytes: end });
            }
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        read_kept(&self.bytes, &self.rest.path, offset, buf)
    }

    fn limit(&self, boot: &Partition) -> Result<()> {
        let (number, size_bytes, end_bytes) = (boot.number, boot.size_bytes, boot.end_bytes());
        if size_bytes <= MAX_BOOT_PARTITION_BYTES && end_bytes <= MAX_HEAD_BYTES {
            return Ok(());
        }
        let (path, limit_bytes) = (self.rest.path.clone(), MAX_BOOT_PARTITION_BYTES);
        Err(Error::BootPartitionTooLarge { path, number, end_bytes, size_bytes, limit_bytes })
    }

    fn table_error(&self, problem: TableError, start: &[u8]) -> Error {
        let path = self.rest.path.clone();
        match problem {
            TableError::NoTable if sniff(start).is_packed() => {
                Error::NotADiskImage { path, found: "it is packed twice" }
            }
            TableError::NoTable => Error::NotADiskImage { path, found: describe_non_image(start) },
            TableError::OutOfBounds { end_bytes, total_bytes, .. } => {
                Error::ImageTooShort { path, size_bytes: total_bytes, needed_bytes: end_bytes }
            }
            problem => Error::Table { path, problem },
        }
    }

    /// Gives back what was decoded beyond the boot partition (at most the first MiB, where the partition is tiny, or
    /// what an earlier candidate needed) as the beginning of the rest.
    fn split(
        self,
        boot: Partition,
        fat: FatBootSector,
        table: PartitionTable,
    ) -> Result<(Head, Rest)> {
        let end = boot.end_bytes();
        let mut rest = self.rest;
        rest.free = FreeSpace::of(&table, end);
        if self.bytes.len() == end {
            let bytes = self.bytes;
            return Ok((Head { bytes, table, boot, fat }, rest));
        }
        let mut head = SparseBytes::new();
        let mut piece = vec![0; STEP_BYTES];
        while head.len() < end {
            let len = (end - head.len()).min(STEP_BYTES as u64) as usize;
            read_kept(&self.bytes, &rest.path, head.len(), &mut piece[..len])?;
            head.append(&piece[..len]);
        }
        rest.position_bytes = end;
        let surplus = Surplus { bytes: self.bytes, position_bytes: end };
        rest.reader = Box::new(surplus.chain(rest.reader));
        Ok((Head { bytes: head, table, boot, fat }, rest))
    }
}

fn read_kept(bytes: &SparseBytes, path: &Path, offset: u64, buf: &mut [u8]) -> Result<()> {
    let failed = |source| Error::Io { action: "reading image", path: path.to_owned(), source };
    bytes.read_at(offset, buf).map_err(failed)
}

/// What was decoded behind the boot partition before it was known to end there.
struct Surplus {
    bytes: SparseBytes,
    position_bytes: u64,
}

impl Read for Surplus {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let left = self.bytes.len() - self.position_bytes;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.bytes.read_at(self.position_bytes, &mut buf[..len])?;
        self.position_bytes += len as u64;
        Ok(len)
    }
}
