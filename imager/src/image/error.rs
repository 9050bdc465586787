//! What can be wrong with an image.

use std::io;
use std::path::PathBuf;

use super::http::HttpError;
use super::location::LocationError;
use super::partitions::TableError;
use super::s3::S3Error;
use super::sha256::Sha256Sum;
use super::signature::SignatureError;
use super::size::ByteSize;

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// An image that cannot be used, or can no longer be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on the file.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was attempted: `opening image`; `reading`, of a file beside an image.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory, a device, a pipe.
    #[error("opening image `{}`: it is {what}, not a regular file", path.display())]
    NotARegularFile {
        /// The path as given.
        path: PathBuf,
        /// What it is instead, with its article.
        what: &'static str,
    },
    /// Nothing in it.
    #[error("opening image `{}`: the file is empty", path.display())]
    Empty {
        /// The image file.
        path: PathBuf,
    },
    /// Recognised, but there is no decoder for it yet.
    #[error("opening image `{}`: {format} is not supported yet", path.display())]
    UnsupportedFormat {
        /// The image file.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// Command that unpacks it, where there is an obvious one.
        unpack: Option<&'static str>,
    },
    /// Neither a known compression nor a partition table.
    #[error("reading image `{}`: it is not a disk image ({found})", path.display())]
    NotADiskImage {
        /// The image file.
        path: PathBuf,
        /// What it looks like instead.
        found: &'static str,
    },
    /// There is a partition table, and it contradicts itself or the size of the image.
    #[error("reading the partition table of image `{}`: {problem}", path.display())]
    Table {
        /// The image file.
        path: PathBuf,
        /// What is wrong with the table.
        problem: TableError,
    },
    /// No partition of a FAT type holds a FAT16 or FAT32 file system.
    #[error("looking for the boot partition of image `{}`: no FAT16 or FAT32 partition among {found}", path.display())]
    NoFatPartition {
        /// The image file.
        path: PathBuf,
        /// The partitions that are there, in words.
        found: String,
    },
    /// The boot partition would not fit in the memory that is set aside for it.
    #[error(
        "reading the boot partition of image `{}`: partition {number} ends at byte {end_bytes} and has {}; \
         at most {} are supported", path.display(), ByteSize(*size_bytes), ByteSize(*limit_bytes)
    )]
    BootPartitionTooLarge {
        /// The image file.
        path: PathBuf,
        /// Number of the partition, as in the table.
        number: u32,
        /// Where it ends.
        end_bytes: u64,
        /// Its size.
        size_bytes: u64,
        /// The limit that it breaks.
        limit_bytes: u64,
    },
    /// The compressed file ends before its data does.
    #[error(
        "decoding image `{}`: the {format} data is truncated, the file ends at byte {offset_bytes} in mid-stream",
        path.display()
    )]
    Truncated {
        /// The image file.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// Size of the file as found.
        offset_bytes: u64,
    },
    /// Something that is neither padding nor a further stream follows the compressed data.
    #[error(
        "decoding image `{}`: garbage follows the {format} data at byte {offset_bytes}", path.display()
    )]
    TrailingGarbage {
        /// The image file.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// First byte that does not belong to the data.
        offset_bytes: u64,
    },
    /// The decoder does not accept the data.
    #[error("decoding image `{}`: {problem} near byte {offset_bytes} of the file", path.display())]
    Corrupt {
        /// The image file.
        path: PathBuf,
        /// What the decoder says.
        problem: &'static str,
        /// How far the decoder had read; with several threads it may have read ahead of the damage.
        offset_bytes: u64,
    },
    /// Whole, and packed in a way that there is no decoder for.
    #[error("decoding image `{}`: {what}", path.display())]
    Undecodable {
        /// The image file.
        path: PathBuf,
        /// What cannot be decoded, as a sentence.
        what: String,
    },
    /// Somebody writes to it.
    #[error("reading image `{}`: the file was changed while it was read", path.display())]
    ChangedMeanwhile {
        /// The image file.
        path: PathBuf,
    },
    /// The stream needs more memory than is set aside for decoding.
    #[error(
        "decoding image `{}`: its {format} dictionary needs more than {} of memory", path.display(),
        ByteSize(*limit_bytes)
    )]
    NeedsTooMuchMemory {
        /// The image file.
        path: PathBuf,
        /// Name of the format.
        format: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// The image is shorter than its own partition table, or than the size it declares, says.
    #[error(
        "reading image `{}`: it is truncated, {} of {}", path.display(), ByteSize(*size_bytes),
        ByteSize(*needed_bytes)
    )]
    ImageTooShort {
        /// The image file.
        path: PathBuf,
        /// What is there, decoded.
        size_bytes: u64,
        /// What the partition table needs.
        needed_bytes: u64,
    },
    /// A block map that cannot be used, or that the image does not match.
    #[error("reading block map `{}`: {problem}", path.display())]
    Bmap {
        /// The block map.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A zip archive with no image in it, or several.
    #[error("looking for the image in zip archive `{}`: {}", path.display(), not_one_image(*images, found))]
    NotOneImage {
        /// The archive.
        path: PathBuf,
        /// How many images are in it.
        images: usize,
        /// Their names, or those of what else is in it.
        found: String,
    },
    /// The image is not the one that it should be.
    #[error("checking image `{}`: {what} is {found}, but {origin} says {expected}", path.display())]
    WrongSum {
        /// The image file.
        path: PathBuf,
        /// Which sum it is.
        what: &'static str,
        /// What it is; boxed, for the size of all other errors.
        found: Box<Sha256Sum>,
        /// What it should be.
        expected: Box<Sha256Sum>,
        /// Who says so.
        origin: String,
    },
    /// A list of sums without the one that matters.
    #[error("looking for the SHA-256 sum of `{name}` in `{}`: there is none", list.display())]
    NoSum {
        /// The list.
        list: PathBuf,
        /// Name of the image.
        name: String,
    },
    /// Its OpenPGP signature.
    #[error("verifying the signature of image `{}`", path.display())]
    Signature {
        /// The image file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        problem: SignatureError,
    },
    /// The server, or the way to it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The settings for S3.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// An address that cannot be used.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The user asked to stop.
    #[error("reading image `{}`: interrupted", path.display())]
    Interrupted {
        /// The image file.
        path: PathBuf,
    },
}

impl Error {
    /// Text for the `help:` line, where there is something to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::UnsupportedFormat { unpack: Some(command), path, .. } => Some(format!(
                "unpack it first, `{command} {}`, and give the file that comes out",
                path.display()
            )),
            Error::ChangedMeanwhile { .. } => {
                Some("start again when nothing else writes to it".into())
            }
            Error::UnsupportedFormat { .. } | Error::Undecodable { .. } => {
                Some("unpack it first and give the .img file that comes out".into())
            }
            Error::Truncated { .. }
            | Error::TrailingGarbage { .. }
            | Error::Corrupt { .. }
            | Error::ImageTooShort { .. } => {
                Some("the download is incomplete or damaged: fetch the image again".into())
            }
            Error::Bmap { .. } => Some(
                "fetch the block map again, from where the image is; without one everything is written"
                    .into(),
            ),
            Error::NotADiskImage { .. } => Some(
                "give an image of a whole SD card (.img or .img.xz), as it is distributed".into(),
            ),
            Error::NoFatPartition { .. } => {
                Some("a Raspberry Pi boots from a FAT partition: is this an image for a Pi?".into())
            }
            Error::NotOneImage { .. } => Some("unpack it and give the image that is meant".into()),
            Error::WrongSum { .. } => Some(
                "the image was changed or damaged on its way, or the sum is of another one: fetch both again"
                    .into(),
            ),
            Error::NeedsTooMuchMemory { path, format, .. } => Some(format!(
                "decode it beside piflash: `{format} -dc{} {} | piflash --image - ...`",
                if *format == "zstd" { " --long=31" } else { "" },
                path.display()
            )),
            Error::NoSum { .. } => Some("remove that file, or give the sum with --sha256".into()),
            Error::Signature { problem: SignatureError::Mismatch, .. } => {
                Some("the image was changed or damaged on its way: fetch it again".into())
            }
            Error::Signature { .. } => {
                Some("--signature is the detached signature of the file as it is distributed, --key its maker's public key".into())
            }
            Error::Http(error) => error.help(),
            Error::NotARegularFile { what: "a terminal", .. } => {
                Some("`--image -` reads an image from a pipe".into())
            }
            Error::NotARegularFile { .. } => {
                Some("the image is given with --image, the card as the last argument".into())
            }
            _ => None,
        }
    }

    /// Whether the image is not what it was said to be.
    pub fn is_mismatch(&self) -> bool {
        matches!(
            self,
            Error::WrongSum { .. } | Error::Signature { problem: SignatureError::Mismatch, .. }
        )
    }

    /// Takes this module's error back out of the [`io::Error`] that [`std::io::Read`] forced it into.
    pub(super) fn from_read(error: io::Error, path: &std::path::Path) -> Error {
        match error.downcast::<Error>() {
            Ok(ours) => ours,
            Err(source) => Error::Io { action: "reading image", path: path.to_owned(), source },
        }
    }

    /// Wraps this error for an implementation of [`std::io::Read`]; [`Error::from_read`] is the way back.
    pub(super) fn into_read(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }
}

fn not_one_image(images: usize, found: &str) -> String {
    match images {
        0 => format!("there is none, only {found}"),
        _ => format!("there are several, {found}"),
    }
}
