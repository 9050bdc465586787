//! Files in the root of a FAT16 or FAT32 volume; the only module that names the `fatfs` crate.
//!
//! Rules that its version 0.3.6 imposes (design's reference, `codebases` §0): no directories, always truncate,
//! a time provider of our own, and `unmount` checked.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use fatfs::{FatType, FileSystem, FsOptions};
use thiserror::Error;

use crate::image::{FatMap, Patch, PatchedPartition, ReadAt, WithBoot};

/// Largest file that is read whole, bytes: everything piflash reads is text.
const MAX_READ_BYTES: u64 = 1 << 20;

/// A file of the volume.
type File<'fs, 'a, B> = fatfs::File<'fs, PatchedPartition<'a, B>>;

/// Bytes that are compared at a time.
const COMPARED_BYTES: usize = 64 << 10;

/// What went wrong on the volume.
#[derive(Debug, Error)]
pub enum FatError {
    /// Not a volume that can be mounted.
    #[error("opening the boot partition's FAT file system")]
    Open(#[source] io::Error),
    /// FAT12: no Pi image has it, and the firmware does not read it from partitions of this kind.
    #[error("the boot partition is FAT12, not FAT16 or FAT32")]
    Fat12,
    /// A file operation.
    #[error("{action} `{name}` on the boot partition")]
    File {
        /// "reading", "writing".
        action: &'static str,
        /// Name in the root directory.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// Finishing.
    #[error("closing the boot partition's FAT file system")]
    Close(#[source] io::Error),
}

/// A mounted volume.
pub struct BootFs<'a, B: ReadAt> {
    fs: FileSystem<PatchedPartition<'a, B>>,
}

impl<'a, B: ReadAt> BootFs<'a, B> {
    /// Mounts the boot partition of an image or a card as `patch` changes it.
    ///
    /// `_checked` is what [`WithBoot::map`] made of this partition, before or after changes of ours: `fatfs` follows a
    /// chain that is a circle for ever, and there is no map of a partition that has one.
    ///
    /// # Errors
    /// [`FatError::Open`], [`FatError::Fat12`].
    pub fn open<D: WithBoot<Bytes = B>>(
        disk: &'a D,
        _checked: &FatMap<'_>,
        patch: &'a mut Patch,
    ) -> Result<Self, FatError> {
        let options = FsOptions::new().time_provider(&LAPTOP_CLOCK).update_accessed_date(false);
        let fs = FileSystem::new(disk.patched(patch), options).map_err(FatError::Open)?;
        if fs.fat_type() == FatType::Fat12 { Err(FatError::Fat12) } else { Ok(Self { fs }) }
    }

    /// `FAT16` or `FAT32`.
    pub fn kind(&self) -> &'static str {
        if self.fs.fat_type() == FatType::Fat32 { "FAT32" } else { "FAT16" }
    }

    /// Volume label: the root directory's, which `mkfs.vfat -n` and `fatlabel` keep, else the boot sector's.
    pub fn label(&self) -> String {
        let from_directory = self.fs.read_volume_label_from_root_dir().ok().flatten();
        from_directory.unwrap_or_else(|| self.fs.volume_label()).trim_end().to_owned()
    }

    /// Whether the root directory has this name (upper and lower case alike).
    ///
    /// # Errors
    /// Reading the directory.
    pub fn exists(&self, name: &str) -> Result<bool, FatError> {
        Ok(self.open_file(name)?.is_some())
    }

    /// The whole file, `None` where there is none.
    ///
    /// # Errors
    /// Reading, or a file over 1 MiB.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FatError> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let fail = |source| FatError::File { action: "reading", name: name.to_owned(), source };
        let mut content = Vec::new();
        file.take(MAX_READ_BYTES + 1).read_to_end(&mut content).map_err(fail)?;
        if content.len() as u64 > MAX_READ_BYTES {
            return Err(fail(io::Error::other("larger than 1 MiB")));
        }
        Ok(Some(content))
    }

    /// Size of the file in bytes, `None` where there is none.
    ///
    /// # Errors
    /// Reading the directory, or a folder of that name.
    pub fn size(&self, name: &str) -> Result<Option<u64>, FatError> {
        let Some(mut file) = self.open_file(name)? else { return Ok(None) };
        let fail = |source| FatError::File { action: "reading", name: name.to_owned(), source };
        file.seek(SeekFrom::End(0)).map(Some).map_err(fail)
    }

    /// Whether the file is there with exactly this content.
    ///
    /// # Errors
    /// Reading.
    pub fn holds(&self, name: &str, content: &[u8]) -> Result<bool, FatError> {
        if self.size(name)? != Some(content.len() as u64) {
            return Ok(false);
        }
        let Some(mut file) = self.open_file(name)? else { return Ok(false) };
        let fail = |source| FatError::File { action: "reading", name: name.to_owned(), source };
        let mut piece = vec![0; COMPARED_BYTES];
        for expected in content.chunks(COMPARED_BYTES) {
            let piece = &mut piece[..expected.len()];
            file.read_exact(piece).map_err(fail)?;
            if piece != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Creates the file or replaces its content. A folder in the name must be there.
    ///
    /// # Errors
    /// Writing; a full volume among them.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), FatError> {
        let fail = |source| FatError::File { action: "writing", name: name.to_owned(), source };
        let mut file = self.fs.root_dir().create_file(name).map_err(fail)?;
        // create_file keeps the content of a file that is there.
        file.truncate().map_err(fail)?;
        file.write_all(content).map_err(fail)?;
        file.flush().map_err(fail)
    }

    /// The path in short names (`OVERLAYS/PIKUBE~1.TOM`), as the directories have it; `None` where there is no such file.
    ///
    /// # Errors
    /// Reading the directories.
    pub fn short_path(&self, name: &str) -> Result<Option<String>, FatError> {
        let fail = |source| FatError::File { action: "opening", name: name.to_owned(), source };
        let mut folder = self.fs.root_dir();
        let mut short = Vec::new();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            let mut found = None;
            for entry in folder.iter() {
                let entry = entry.map_err(fail)?;
                let is_it = |name: &str| name.eq_ignore_ascii_case(part);
                if is_it(&entry.file_name()) || is_it(&entry.short_file_name()) {
                    found = Some(entry);
                    break;
                }
            }
            let Some(entry) = found else { return Ok(None) };
            short.push(entry.short_file_name());
            if parts.peek().is_some() {
                if !entry.is_dir() {
                    return Ok(None);
                }
                folder = entry.to_dir();
            }
        }
        Ok(Some(short.join("/")))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Where it is not there, or writing fails.
    pub fn remove(&self, name: &str) -> Result<(), FatError> {
        let fail = |source| FatError::File { action: "removing", name: name.to_owned(), source };
        self.fs.root_dir().remove(name).map_err(fail)
    }

    /// Writes back what is cached and clears the dirty flag.
    ///
    /// # Errors
    /// [`FatError::Close`].
    pub fn close(self) -> Result<(), FatError> {
        // Counted here where the count is unknown: closing writes it.
        self.fs.stats().map_err(FatError::Close)?;
        self.fs.unmount().map_err(FatError::Close)
    }

    fn open_file(&self, name: &str) -> Result<Option<File<'_, 'a, B>>, FatError> {
        match self.fs.root_dir().open_file(name) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FatError::File { action: "opening", name: name.to_owned(), source }),
        }
    }
}

/// Gives files the time of the laptop, UTC; without it fatfs would date them 1980-00-00, which fsck.fat dislikes.
#[derive(Debug)]
struct LaptopClock;

static LAPTOP_CLOCK: LaptopClock = LaptopClock;

impl fatfs::TimeProvider for LaptopClock {
    fn get_current_date(&self) -> fatfs::Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> fatfs::DateTime {
        let now = crate::moment::flashing().to_zoned(jiff::tz::TimeZone::UTC).datetime();
        // Each part is in range by jiff's contract; the FAT epoch is 1980 (Microsoft's fatgen103, "Date and Time").
        let part = |value: i8| u16::from(value.unsigned_abs());
        fatfs::DateTime {
            date: fatfs::Date {
                year: now.year().unsigned_abs().clamp(1980, 2107),
                month: part(now.month()),
                day: part(now.day()),
            },
            time: fatfs::Time {
                hour: part(now.hour()),
                min: part(now.minute()),
                sec: part(now.second()),
                millis: 0,
            },
        }
    }
}
