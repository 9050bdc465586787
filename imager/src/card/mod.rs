//! Cards: may this one be written, what is on it, write it, read it back.
//!
//! * [`guard::check`] turns a path into a [`Target`], or into a [`Refusal`] that says why and how to mend it.
//! * [`open`] opens a target exclusively, checks again that it is the same card, and gives a [`Destination`].
//! * [`write`] writes one image to any number of destinations from one decode, each with its own patch, reads
//!   back what was written and makes the cards bootable last.
//! * [`read`] looks at a card that exists, [`amend`] changes files of its boot partition.
//!
//! The only place with ioctls and io_uring, and with the `unsafe` that they need. Nothing here prints.

mod ahead;
mod amend;
mod blank;
mod buffer;
mod capacity;
mod contents;
mod destination;
mod device;
pub mod eject;
mod error;
mod events;
pub mod guard;
mod in_use;
mod ioctl;
mod lane;
mod medium;
mod one_card;
mod read;
mod read_back;
mod refusal;
mod ring;
mod signature;
mod stream;
mod sysfs;
mod system;
mod udisks;
mod write;

pub use amend::amend;
pub use contents::{Contents, FileSystem, PartitionOnCard};
pub use destination::Destination;
pub use device::{Device, open};
pub use error::{CardState, Error, ExitClass, Failure, Result};
pub use events::{Event, Events, Phase};
pub use guard::{Kind, Request, Target};
pub use read::{ReadCard, read};
pub use refusal::Refusal;
pub use sysfs::{Bus, DeviceNumber};
pub use system::System;
pub use write::{Job, Options, Written, write};
