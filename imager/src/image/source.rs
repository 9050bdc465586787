//! Where the bytes come from: a file, a server, standard input.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::checked::{Checked, Demands, Fingerprint};
use super::error::{Error, Result};
use super::fetch::{self, Fetched, fetch, typed};
use super::location::Location;
use super::notice::Notice;
use super::opening::{Surroundings, Wanted};
use super::read_ahead::ReadAhead;
use super::signature::Signed;
use super::sniff::{Format, SNIFF_BYTES, sniff};
use super::xz_index::Index;
use super::{decode, zip, zip_format};

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
    identity: Option<FileIdentity>,
    size_bytes: Option<u64>,
    fingerprint: Fingerprint,
    pub(super) reader: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("path", &self.path).field("format", &self.format).finish()
    }
}

/// Opens an image file of which nothing is demanded.
///
/// # Errors
/// As [`open_from`].
pub fn open(path: &Path) -> Result<Image> {
    let (surroundings, demands) = (Surroundings::bare(), Demands::default());
    let (fetched, identity) = open_file(path, demands)?;
    recognise(path.to_owned(), fetched, identity, &Wanted::default(), &surroundings)
}

/// Opens an image, wherever it is, and recognises it by its content. What `wanted` says of it is checked when it has
/// been read to its end: until then nothing may be made of it that cannot be unmade.
///
/// Memory: 3 MiB beside the decoder. Signatures cost a thread and 2 MiB more.
///
/// # Errors
/// [`Error::Io`], [`Error::NotARegularFile`], [`Error::Empty`], [`Error::UnsupportedFormat`], [`Error::NotOneImage`];
/// [`Error::Http`] and [`Error::S3`]; [`Error::NoSum`], [`Error::Signature`]; [`Error::Interrupted`].
pub fn open_from(
    location: &Location,
    wanted: &Wanted,
    surroundings: &Surroundings,
) -> Result<Image> {
    let path = PathBuf::from(location.to_string());
    let demands = demands(location, &path, wanted, surroundings)?;
    let (fetched, identity) = match location {
        Location::File(path) => open_file(path, demands)?,
        Location::StandardInput => (open_standard_input(&path, demands)?, None),
        Location::Web(_) | Location::S3 { .. } => {
            (fetch(location, &path, demands, surroundings)?, None)
        }
    };
    recognise(path, fetched, identity, wanted, surroundings)
}

/// What has to hold at the end of the file.
fn demands(
    location: &Location,
    path: &Path,
    wanted: &Wanted,
    surroundings: &Surroundings,
) -> Result<Demands> {
    let expected = match &wanted.sum {
        Some(sum) => Some(sum.clone()),
        // What the catalogue says about the decoded image is no worse.
        None if wanted.decoded_sum.is_some() => None,
        None => fetch::sum_beside(location, surroundings)?,
    };
    let signature = match &wanted.signature {
        None => None,
        Some((signature, key)) => Some(read_signature(path, signature, key, surroundings)?),
    };
    let unchecked = expected.is_none() && signature.is_none() && wanted.decoded_sum.is_none();
    if unchecked && location.as_file().is_none() {
        (surroundings.tell)(Notice::NoChecksum { name: path.display().to_string() });
    }
    Ok(Demands { expected, signature })
}

fn read_signature(
    path: &Path,
    signature: &Location,
    key: &Path,
    surroundings: &Surroundings,
) -> Result<super::signature::Verifier> {
    let key = fetch::read_small(&Location::File(key.to_owned()), surroundings)?;
    let signature = fetch::read_small(signature, surroundings)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Signed::new(&signature, &key, now)
        .and_then(Signed::verifier)
        .map_err(|problem| Error::Signature { path: path.to_owned(), problem })
}

fn open_file(path: &Path, demands: Demands) -> Result<(Fetched, Option<FileIdentity>)> {
    let failed =
        |source: io::Error| Error::Io { action: "opening image", path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if let Some(what) = not_regular(&std::fs::metadata(path).map_err(failed)?.file_type()) {
        return Err(Error::NotARegularFile { path: path.to_owned(), what });
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let file_bytes = metadata.len();
    // A file that grows while it is read is cut at the size that the partition table was checked against.
    let reader = typed(file.try_clone().map_err(failed)?.take(file_bytes), path);
    let checked = Checked::distributed(reader, path.to_owned(), demands);
    let fetched = Fetched {
        fingerprint: checked.fingerprint(),
        reader: Box::new(checked),
        file_bytes: Some(file_bytes),
        file: Some(file),
    };
    Ok((fetched, Some(FileIdentity::of(&metadata))))
}

fn open_standard_input(path: &Path, demands: Demands) -> Result<Fetched> {
    if io::IsTerminal::is_terminal(&io::stdin()) {
        return Err(Error::NotARegularFile { path: path.to_owned(), what: "a terminal" });
    }
    let checked = Checked::distributed(typed(io::stdin(), path), path.to_owned(), demands);
    Ok(Fetched {
        fingerprint: checked.fingerprint(),
        reader: Box::new(checked),
        file_bytes: None,
        file: None,
    })
}

fn recognise(
    path: PathBuf,
    fetched: Fetched,
    identity: Option<FileIdentity>,
    wanted: &Wanted,
    surroundings: &Surroundings,
) -> Result<Image> {
    let Fetched { reader, fingerprint, file_bytes, file } = fetched;
    if file_bytes == Some(0) {
        return Err(Error::Empty { path });
    }
    let mut reader = ReadAhead::new(reader, path.clone(), surroundings.cancelled.clone())?;
    let mut start = Vec::new();
    reader
        .by_ref()
        .take(SNIFF_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(|error| Error::from_read(error, &path))?;
    if start.is_empty() {
        return Err(Error::Empty { path });
    }
    let format = sniff(&start);
    let xz_index = match (format, &file, file_bytes) {
        (Format::Xz, Some(file), Some(bytes)) => Index::read(file, bytes),
        _ => None,
    };
    let size_bytes = match (format, &file, file_bytes) {
        (Format::Plain, _, bytes) => bytes,
        (Format::Xz, ..) => xz_index.as_ref().map(Index::decoded_bytes),
        (Format::Zip, Some(file), Some(bytes)) => zip_bytes(file, bytes, &path)?,
        _ => None,
    };
    let reader = Box::new(Cursor::new(start).chain(reader));
    let mut reader = decode::decoded(format, reader, &path, xz_index)?;
    if let Some(expected) = &wanted.decoded_sum
        && wanted.sum.is_none()
    {
        reader = Box::new(Checked::decoded(reader, path.clone(), expected.clone()));
    }
    let size_bytes = size_bytes.or(wanted.decoded_bytes);
    Ok(Image { path, format, identity, size_bytes, fingerprint, reader })
}

/// Decoded size of the one image in an archive; what is wrong with the archive is said before any card is touched.
fn zip_bytes(archive: &File, archive_bytes: u64, path: &Path) -> Result<Option<u64>> {
    let Some(files) = zip_format::files(archive, archive_bytes) else {
        return Ok(None);
    };
    let images: Vec<&(String, u64)> =
        files.iter().filter(|(name, _)| zip_format::is_image(name)).collect();
    match images.as_slice() {
        [(_, bytes)] => Ok(Some(*bytes)),
        _ => {
            let names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
            Err(zip::not_one_image(path, &names))
        }
    }
}

impl Image {
    /// Its path or address, as messages show it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Which file it is, where it is one.
    pub fn identity(&self) -> Option<FileIdentity> {
        self.identity
    }

    /// Its size once decoded; `None` where only decoding it will tell.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// The SHA-256 sum of the image as it is distributed, for when it has been read to its end.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
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
