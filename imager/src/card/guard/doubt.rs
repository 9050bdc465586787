//! What may be a card and may as well be somebody's data: written only where a person says `--force`.

use std::fmt;

use super::super::contents::Contents;
use super::super::sysfs::{Bus, SysBlock};
use crate::image::ByteSize;

/// Largest card that is taken for one without asking: larger ones are sold, and larger disks are far more common.
pub const PLAUSIBLE_BYTES: u64 = 256 << 30;

/// A reason to hesitate, which `--force` overrules; what is in use is refused whatever is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// It cannot be taken out and is neither an SD card nor behind USB.
    BuiltIn {
        /// How it is connected, where known.
        bus: Option<Bus>,
    },
    /// Larger than [`PLAUSIBLE_BYTES`].
    Large {
        /// Its size.
        size_bytes: u64,
    },
    /// It holds a piece of something larger, or something locked.
    Holds {
        /// The partition; `None` for the whole disk.
        partition: Option<u32>,
        /// What, with its name.
        what: String,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::BuiltIn { bus: Some(bus) } => write!(f, "it is built in ({bus}), not a card"),
            Doubt::BuiltIn { bus: None } => f.write_str("it is built in, not a card"),
            Doubt::Large { size_bytes } => {
                write!(f, "it has {}, few cards have", ByteSize(*size_bytes).short())
            }
            Doubt::Holds { partition: Some(number), what } => {
                write!(f, "partition {number} holds {what} data")
            }
            Doubt::Holds { partition: None, what } => write!(f, "it holds {what} data"),
        }
    }
}

/// The doubts about a disk, from what sysfs says.
pub(super) fn of_disk(disk: &SysBlock, size_bytes: Option<u64>) -> Vec<Doubt> {
    let bus = disk.bus();
    let may_be_card = matches!(bus, Some(Bus::Usb | Bus::Mmc | Bus::Loop));
    // A kernel that does not say (`None`) is no reason to hesitate; one that says no is.
    let built_in = !may_be_card && disk.removable() == Some(false);
    let large = size_bytes.filter(|size| *size > PLAUSIBLE_BYTES);
    let built_in = built_in.then_some(Doubt::BuiltIn { bus });
    built_in.into_iter().chain(large.map(|size_bytes| Doubt::Large { size_bytes })).collect()
}

/// The doubts about what is on it.
pub(in super::super) fn of_contents(contents: Option<&Contents>) -> Vec<Doubt> {
    let members = contents.map(Contents::members).unwrap_or_default();
    members
        .into_iter()
        .map(|(partition, what)| Doubt::Holds { partition, what: what.to_string() })
        .collect()
}
