//! Why a card is not written, and what to do about it.

use std::path::PathBuf;

use super::guard::Doubt;
use crate::image::ByteSize;

/// A refusal for safety: nothing was written, and nothing will be before the reason is gone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A path among the devices that is not there. Creating a file of that name would fill the memory of the laptop
    /// and write no card.
    #[error("opening card `{}`: there is no such device", path.display())]
    NoSuchDevice {
        /// The path as given.
        path: PathBuf,
    },
    /// A regular file among the devices, left there by a writer less careful.
    #[error("opening card `{}`: it is a regular file among the devices, not a card", path.display())]
    FileAmongDevices {
        /// The path as given.
        path: PathBuf,
    },
    /// Neither a block device nor a regular file.
    #[error("opening card `{}`: it is {what}, neither a block device nor a regular file", path.display())]
    NotADevice {
        /// The path as given.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
    },
    /// One partition where the whole disk is wanted.
    #[error("opening card `{}`: it is a partition, not a whole card", path.display())]
    Partition {
        /// The path as given.
        path: PathBuf,
        /// The disk that it is a part of, where known.
        disk: Option<PathBuf>,
    },
    /// The disk that this computer runs from.
    #[error("writing `{}`: this computer runs from it, `{member}` is mounted at `{}`",
        path.display(), mount_point.display())]
    SystemDisk {
        /// The path as given.
        path: PathBuf,
        /// The device that is mounted: the disk, a partition, or what is built on one.
        member: String,
        /// Where.
        mount_point: PathBuf,
    },
    /// Something of it is mounted.
    #[error("writing `{}`: it is in use, `{member}` is mounted at `{}`", path.display(), mount_point.display())]
    Mounted {
        /// The path as given.
        path: PathBuf,
        /// The device that is mounted: the disk, a partition, or what is built on one.
        member: String,
        /// Where.
        mount_point: PathBuf,
    },
    /// Something of it is swap space.
    #[error("writing `{}`: it is in use, `{member}` is active swap", path.display())]
    Swap {
        /// The path as given.
        path: PathBuf,
        /// The device or file that is swapped to.
        member: String,
    },
    /// A device-mapper or RAID device is built on it.
    #[error("writing `{}`: it is in use, `{member}` is held by `{holder}`", path.display())]
    Held {
        /// The path as given.
        path: PathBuf,
        /// The disk or partition.
        member: String,
        /// What is built on it.
        holder: String,
    },
    /// A member of an imported ZFS pool.
    #[error("writing `{}`: it is in use by the ZFS pool `{pool}`", path.display())]
    Pool {
        /// The path as given.
        path: PathBuf,
        /// Name of the pool.
        pool: String,
    },
    /// It may be a card and may as well be somebody's data.
    #[error("writing `{}`: {doubt}", path.display())]
    Doubtful {
        /// The path as given.
        path: PathBuf,
        /// Why.
        doubt: Doubt,
    },
    /// A regular file that a loop device is showing as a disk.
    #[error("writing `{}`: it is in use as the backing file of `{loop_device}`", path.display())]
    LoopBacking {
        /// The path as given.
        path: PathBuf,
        /// The loop device.
        loop_device: String,
    },
    /// The kernel says busy, and nothing that can be seen from here explains it.
    #[error("opening card `{}`: the kernel says that it is in use", path.display())]
    Busy {
        /// The path as given.
        path: PathBuf,
    },
    /// Another piflash is writing it.
    #[error("opening card `{}`: another program has locked it", path.display())]
    Locked {
        /// The path as given.
        path: PathBuf,
    },
    /// The card, the reader or the file is write-protected.
    #[error("writing `{}`: it is read-only", path.display())]
    ReadOnly {
        /// The path as given.
        path: PathBuf,
        /// Whether it is a regular file.
        is_file: bool,
    },
    /// A reader without a card.
    #[error("opening card `{}`: there is no card in the reader", path.display())]
    NoMedium {
        /// The path as given.
        path: PathBuf,
    },
    /// A compressed image was given as the card.
    #[error("writing `{}`: it is an image ({format}), not a card", path.display())]
    PackedImage {
        /// The path as given.
        path: PathBuf,
        /// What it is packed with.
        format: &'static str,
    },
    /// The card and the image are one file.
    #[error("writing `{}`: it is the image itself, `{}`", path.display(), image.display())]
    IsTheImage {
        /// The path as given.
        path: PathBuf,
        /// The image's path.
        image: PathBuf,
    },
    /// The image does not fit.
    #[error("writing `{}`: the card is too small, it has {} and the image needs {}",
        path.display(), ByteSize(*card_bytes), ByteSize(*image_bytes))]
    TooSmall {
        /// The path as given.
        path: PathBuf,
        /// Size of the card.
        card_bytes: u64,
        /// Size of the image.
        image_bytes: u64,
    },
    /// No SD card is that large.
    #[error("writing `{}`: it has {}, which no SD card has (at most {})",
        path.display(), ByteSize(*size_bytes), ByteSize(*limit_bytes))]
    TooLarge {
        /// The path as given.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// Partition tables count sectors; with other sectors they would mean other places.
    #[error("writing `{}`: it has sectors of {sector_bytes} bytes, images for a Pi are made for 512",
        path.display())]
    SectorSize {
        /// The path as given.
        path: PathBuf,
        /// Its logical sector size.
        sector_bytes: u64,
    },
    /// Whether it is in use cannot be found out, so it may be.
    #[error("writing `{}`: cannot find out whether it is in use, `{}` is not readable",
        path.display(), missing.display())]
    Unexamined {
        /// The path as given.
        path: PathBuf,
        /// What could not be read.
        missing: PathBuf,
    },
    /// Not the card that was looked at before.
    #[error("opening card `{}`: it is not the card that was checked, its {what} was {before} and is {now}",
        path.display())]
    Changed {
        /// The path as given.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// How it was.
        before: String,
        /// How it is.
        now: String,
    },
}

impl Refusal {
    /// Text for the `help:` line.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Refusal::NoSuchDevice { .. } => {
                "is the card in the reader? `piflash devices` shows what is there; for a file, give a path outside /dev".into()
            }
            Refusal::FileAmongDevices { path } => format!("remove it, `rm {}`", path.display()),
            Refusal::Partition { disk: Some(disk), .. } => {
                format!("give the whole card, `{}`", disk.display())
            }
            Refusal::Partition { disk: None, .. } => "give the whole card".into(),
            Refusal::NotADevice { .. } => {
                "give a whole device such as `/dev/sdX` or `/dev/mmcblk0`, or a regular file".into()
            }
            Refusal::SystemDisk { .. } => "give the card, not the disk of this computer".into(),
            Refusal::Mounted { mount_point, .. } => {
                format!("is it the right card? then `umount {}`", mount_point.display())
            }
            Refusal::Swap { member, .. } => format!("is it the right card? then `swapoff {member}`"),
            Refusal::Held { holder, .. } => {
                format!("is it the right card? then close `{holder}` first (LVM, LUKS or RAID)")
            }
            Refusal::Pool { pool, .. } => format!("is it the right card? then `zpool export {pool}`"),
            Refusal::Doubtful { .. } => {
                "is it the right card? then add `--force`; `piflash devices` lists them all".into()
            }
            Refusal::LoopBacking { loop_device, .. } => {
                format!("write to `{loop_device}` itself, or detach it, `losetup -d {loop_device}`")
            }
            Refusal::Busy { .. } => "another program has it open: close it and try again".into(),
            Refusal::Locked { .. } => "is another piflash writing it? wait until it has finished".into(),
            Refusal::ReadOnly { is_file: false, .. } => {
                "look at the lock switch on the side of the card or its adapter".into()
            }
            Refusal::ReadOnly { path, is_file: true } => format!("`chmod u+w {}`", path.display()),
            Refusal::NoMedium { .. } => "put a card in the reader".into(),
            Refusal::PackedImage { .. } => {
                "the image is given with --image; did the shell expand a `*`?".into()
            }
            Refusal::IsTheImage { .. } => "give another file as the card".into(),
            Refusal::TooSmall { .. } => "take a larger card".into(),
            Refusal::TooLarge { .. } => "is it a hard disk?".into(),
            Refusal::SectorSize { .. } => "take another card reader".into(),
            Refusal::Unexamined { .. } => "/proc and /sys must be mounted".into(),
            Refusal::Changed { .. } => "leave the cards in their readers, and start again".into(),
        })
    }
}
