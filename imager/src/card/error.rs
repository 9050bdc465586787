//! What can go wrong with a card, and in which state it leaves the card.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::refusal::Refusal;
use crate::image::{self, ByteSize};

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// What the exit code is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitClass {
    /// Exit code 1.
    Failed,
    /// Exit code 3.
    Refused,
    /// Exit code 4.
    Mismatch,
}

/// Something went wrong with one card.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It may not be written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operating system refused an operation.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was attempted: `opening card`, `syncing card`.
        action: &'static str,
        /// The card.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A read or a write did not work at one place.
    #[error("{action} card `{}` at byte {offset_bytes}", path.display())]
    IoAt {
        /// `reading` or `writing`.
        action: &'static str,
        /// The card.
        path: PathBuf,
        /// Where.
        offset_bytes: u64,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// What is on the card is not what was written.
    #[error("verifying card `{}`: what is read back differs from what was written, first at byte {offset_bytes}{}",
        path.display(), if found.is_some() { " or within 64 KiB after it" } else { "" })]
    Mismatch {
        /// The card.
        path: PathBuf,
        /// The first differing byte; with `found`, the beginning of the block that it is in.
        offset_bytes: u64,
        /// What was read there, where only the digest of what should be there is known: whoever has the image can
        /// tell the byte ([`Error::sharpen`]).
        found: Option<Arc<[u8]>>,
    },
    /// What was right after it had been written is something else after the rest had been written.
    #[error(
        "verifying card `{}`: what was read back right at byte {offset_bytes} was overwritten by what was written later: \
         the card has less capacity than it says", path.display()
    )]
    Overwritten {
        /// The card.
        path: PathBuf,
        /// A place that was overwritten, not necessarily the first.
        offset_bytes: u64,
    },
    /// A card that does not keep what is written within its size.
    #[error(
        "checking the capacity of card `{}`: it is counterfeit, it says {} and keeps only the first {}", path.display(),
        ByteSize(*claimed_bytes), ByteSize(*real_bytes)
    )]
    Counterfeit {
        /// The card.
        path: PathBuf,
        /// Size that it reports.
        claimed_bytes: u64,
        /// What it really has, to a MiB.
        real_bytes: u64,
    },
    /// A card that takes writes and keeps none: what flash memory does at the end of its life.
    #[error(
        "checking the capacity of card `{}`: it keeps nothing of what is written, as worn-out cards do", path.display()
    )]
    KeepsNothing {
        /// The card.
        path: PathBuf,
    },
    /// The image turned out to be larger than the card while it was decoded.
    #[error("writing card `{}`: the card is too small, it has {} and the image is larger", path.display(),
        ByteSize(*card_bytes))]
    ImageLarger {
        /// The card.
        path: PathBuf,
        /// Size of the card.
        card_bytes: u64,
    },
    /// The image could not be read to its end.
    #[error(transparent)]
    Image(Arc<image::Error>),
    /// There is no partition table, or a damaged one, on a card that should have one.
    #[error("reading the partition table of card `{}`: {problem}", path.display())]
    Table {
        /// The card.
        path: PathBuf,
        /// What is wrong.
        problem: image::TableError,
    },
    /// A card that holds no FAT16 or FAT32 partition.
    #[error("looking for the boot partition of card `{}`: no FAT16 or FAT32 partition among {found}", path.display())]
    NoFatPartition {
        /// The card.
        path: PathBuf,
        /// The partitions that are there, in words.
        found: String,
    },
    /// Its boot partition cannot be changed safely.
    #[error(transparent)]
    Map(Arc<image::MapError>),
    /// The user asked to stop.
    #[error("writing card `{}`: interrupted", path.display())]
    Interrupted {
        /// The card.
        path: PathBuf,
    },
}

impl Error {
    /// What the exit code is made of.
    pub fn exit_class(&self) -> ExitClass {
        match self {
            Error::Refused(_) => ExitClass::Refused,
            Error::Mismatch { .. }
            | Error::Overwritten { .. }
            | Error::Counterfeit { .. }
            | Error::KeepsNothing { .. } => ExitClass::Mismatch,
            Error::Image(error) if error.is_mismatch() => ExitClass::Mismatch,
            _ => ExitClass::Failed,
        }
    }

    /// Names the very byte of a mismatch, where only its block is known. `first_difference` is asked with the place of
    /// the block and what was found there; where it cannot tell, the error stays as it is.
    pub fn sharpen(self, first_difference: impl FnOnce(u64, &[u8]) -> Option<u64>) -> Self {
        match self {
            Error::Mismatch { path, offset_bytes, found: Some(found) } => {
                match first_difference(offset_bytes, &found) {
                    Some(offset_bytes) => Error::Mismatch { path, offset_bytes, found: None },
                    None => Error::Mismatch { path, offset_bytes, found: Some(found) },
                }
            }
            other => other,
        }
    }

    /// Whether another user might.
    pub fn is_denied(&self) -> bool {
        let (Error::Io { source, .. } | Error::IoAt { source, .. }) = self else { return false };
        source.kind() == io::ErrorKind::PermissionDenied
    }

    /// Text for the `help:` line, where there is something to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Refused(refusal) => refusal.help(),
            Error::Image(error) => error.help(),
            Error::Mismatch { .. } => {
                Some("the card or its reader is bad or counterfeit: take another one".into())
            }
            Error::Overwritten { .. } | Error::Counterfeit { .. } => {
                Some("give it back to where it was bought and take another one".into())
            }
            Error::KeepsNothing { .. } => {
                Some("is its write-protect switch on? Otherwise take another one".into())
            }
            Error::ImageLarger { .. } => Some("take a larger card".into()),
            Error::Table { .. } | Error::NoFatPartition { .. } => {
                Some("write an operating system to it first".into())
            }
            Error::Io { source, .. } | Error::IoAt { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => Some("run it with `sudo`".into()),
                io::ErrorKind::StorageFull => Some("make room on that file system".into()),
                io::ErrorKind::NotFound => Some("does its folder exist?".into()),
                _ if matches!(self, Error::IoAt { .. }) => {
                    Some("the card or its reader is failing: take another one".into())
                }
                _ => None,
            },
            Error::Map(_) | Error::Interrupted { .. } => None,
        }
    }

    pub(super) fn map(error: image::MapError) -> Self {
        Error::Map(Arc::new(error))
    }

    pub(super) fn io(action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Error::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }
}

/// What a failed write left behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CardState {
    /// Nothing was written.
    Untouched,
    /// Its start is zeros, so no Pi boots from it.
    NotBootable,
    /// Some of its files are changed, and some may not be.
    Amended,
    /// Its start could not be cleared.
    Unknown(Arc<io::Error>),
}

/// A card that was not written, with the first thing that went wrong and the state that the card is in.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The first error; later ones, of the cleaning up, do not hide it.
    pub error: Error,
    /// What it left behind.
    pub state: CardState,
}

impl Failure {
    /// What the exit code is made of.
    pub fn exit_class(&self) -> ExitClass {
        self.error.exit_class()
    }

    /// Text for the `help:` line.
    pub fn help(&self) -> Option<String> {
        self.error.help()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)?;
        match &self.state {
            CardState::Untouched => match self.error {
                Error::Refused(_) => Ok(()),
                _ => f.write_str("; nothing was written"),
            },
            CardState::NotBootable => {
                f.write_str("; the card does not boot half-written and must be written again")
            }
            CardState::Amended => f.write_str(
                "; some of its files may be changed already: run the same command again",
            ),
            CardState::Unknown(error) => write!(
                f,
                "; the start of the card could not be cleared ({error}): do not boot it, write it again"
            ),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
