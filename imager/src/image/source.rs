//! Where the bytes come from: a regular file now; a URL and standard input will be further constructors of [`Image`].

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::{Error, Result};
use super::sniff::{Format, SNIFF_BYTES, sniff};
use super::{decode, xz_index};

/// Which file this is, whatever its name: the guard refuses to write an image onto itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    /// Device that the file is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl std::fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.inode)
    }
}

impl FileIdentity {
    /// The identity of the file that `metadata` are of.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// An opened image, recognised and ready to be decoded from its first byte.
pub struct Image {
    path: PathBuf,
    format: Format,
    identity: FileIdentity,
    size_bytes: Option<u64>,
    pub(super) reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("path", &self.path).field("format", &self.format).finish()
    }
}

/// Opens an image file and recognises it by its content.
///
/// # Errors
/// [`Error::Io`], [`Error::NotARegularFile`], [`Error::Empty`], [`Error::UnsupportedFormat`].
pub fn open(path: &Path) -> Result<Image> {
    let failed = |source: io::Error| Error::Io { action: "opening", path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if let Some(what) = not_regular(&std::fs::metadata(path).map_err(failed)?.file_type()) {
        return Err(Error::NotARegularFile { path: path.to_owned(), what });
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let file_bytes = metadata.len();
    if file_bytes == 0 {
        return Err(Error::Empty { path: path.to_owned() });
    }
    let mut start = vec![0; SNIFF_BYTES.min(file_bytes as usize)];
    file.read_exact_at(&mut start, 0).map_err(failed)?;
    let format = sniff(&start);
    let size_bytes = match format {
        Format::Plain => Some(file_bytes),
        Format::Xz => xz_index::decoded_bytes(&file, file_bytes),
        _ => None,
    };
    // A file that grows while it is read is cut at the size that the partition table was checked against.
    let reader = decode::decoded(format, file.take(file_bytes), path)?;
    let identity = FileIdentity::of(&metadata);
    Ok(Image { path: path.to_owned(), format, identity, size_bytes, reader })
}

impl Image {
    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Which file it is.
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Its size once decoded; `None` where only decoding it will tell.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }
}

/// What something is that is not a regular file.
fn not_regular(kind: &std::fs::FileType) -> Option<&'static str> {
    Some(match kind {
        kind if kind.is_file() => return None,
        kind if kind.is_dir() => "a directory",
        kind if kind.is_block_device() => "a block device",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_fifo() => "a pipe",
        _ => "a special file",
    })
}
