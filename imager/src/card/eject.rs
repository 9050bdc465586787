//! A card that is complete and synced, given back to the hand that wants it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

use super::guard::{Kind, Target};
use super::sysfs::Bus;
use super::{ioctl, udisks};

/// Whether a card can be taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ejected {
    /// The reader has let go of it.
    Yes,
    /// The reader has nothing that would hold it: everything was synced, it can be taken out as it is.
    NotNeeded,
    /// A file, a loop device, a built-in disk.
    NotRemovable,
}

/// Lets the reader go of a card. Best effort: the card was synced before, and is good whether the reader obeys or not.
/// Not the power of the reader, which may have other slots and would have to be plugged in again.
pub fn eject(target: &Target) -> Ejected {
    let may_go = match (target.kind, target.bus) {
        (Kind::File | Kind::NewFile, _) | (_, Some(Bus::Loop | Bus::Virtual)) => false,
        (Kind::Block, Some(Bus::Usb | Bus::Mmc)) => true,
        (Kind::Block, _) => target.removable == Some(true),
    };
    if !may_go {
        return Ejected::NotRemovable;
    }
    // A slot for SD cards has no such command.
    if target.bus == Some(Bus::Mmc) || target.removable != Some(true) {
        return Ejected::NotNeeded;
    }
    let by_ioctl = || {
        // Not blocking: a reader that has let go already must not be asked for its medium.
        let flags = (OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&target.canonical)?;
        ioctl::eject(&file)
    };
    match udisks::eject(&target.canonical).is_ok() || by_ioctl().is_ok() {
        true => Ejected::Yes,
        false => Ejected::NotNeeded,
    }
}
