//! A real card: a block device, or a regular file that stands for one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, PosixFadviseAdvice, fallocate, posix_fadvise};

use super::destination::Destination;
use super::error::{Error, Result};
use super::guard::{Kind, Request, Target, changed, check, refuse_other_contents};
use super::ioctl;
use super::refusal::Refusal;
use super::sysfs::{DeviceNumber, SysBlock};
use super::system::System;
use super::udisks;
use crate::image::{ByteSize, FileIdentity, SECTOR_BYTES};

/// What direct reads of a file are aligned to; every file system that has them accepts this.
const DIRECT_BYTES: u64 = 4096;

/// A card that is opened exclusively; closing it lets others have it.
///
/// * Block device: `O_EXCL`, which fails where anything of it is mounted or held, in any namespace; `O_DIRECT`, so
///   reads and writes go to the device and not to memory.
/// * File: locked (`flock`). Writes go through the page cache; reads go past it where the file system has direct
///   I/O, elsewhere what is cached is dropped before (which a memory file system such as tmpfs cannot do).
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    is_block: bool,
    size_bytes: Option<u64>,
    direct: Option<File>,
    /// Whether the device zeroes by itself (a file: by a hole); otherwise the kernel would write the zeros, and so can we.
    zeroes: bool,
    /// The file, where it was made here and would be litter if nothing were written to it.
    made: Option<PathBuf>,
}

/// Opens a target for writing, after checking that it still may be written and is still the card that was checked:
/// cards get swapped while a question waits for its answer. Makes the file where the target is a new one.
///
/// # Errors
/// [`Error::Refused`], with [`Refusal::Changed`] for another card; [`Error::Io`]. Nothing was written then.
pub fn open(system: &System, target: &Target) -> Result<Device> {
    // The image need not be known any more: that target and image differ was checked, and the target is the same.
    let now = check(system, &target.path, &Request::default())?;
    refuse_if_changed(target, &now)?;
    Target { forced: target.forced, ..now }.refuse_doubts()?;
    match target.kind {
        Kind::Block => open_block(system, target),
        Kind::File => open_file(target, OpenOptions::new().read(true).write(true)),
        Kind::NewFile => {
            // It will hold keys.
            let mut how = OpenOptions::new();
            open_file(target, how.read(true).write(true).create_new(true).mode(0o600))
        }
    }
}

/// Refuses a card that was swapped for another after it was looked at.
pub(super) fn refuse_if_changed(before: &Target, now: &Target) -> Result<()> {
    changed(before, "kind", Some(before.kind), Some(now.kind))?;
    let places = [before, now].map(|target| Some(target.canonical.display()));
    let [place_before, place_now] = places.map(|place| place.map(|place| place.to_string()));
    changed(before, "place", place_before, place_now)?;
    changed(before, "file number", before.file, now.file)?;
    changed(before, "device number", before.device, now.device)?;
    changed(before, "size", before.size_bytes.map(ByteSize), now.size_bytes.map(ByteSize))?;
    changed(before, "model", before.model.as_ref(), now.model.as_ref())?;
    changed(before, "serial number", before.serial.as_ref(), now.serial.as_ref())?;
    changed(before, "sequence number", before.disk_sequence, now.disk_sequence)?;
    if before.kind == Kind::Block {
        // Readers without a serial number, kernels without a sequence number.
        changed(before, "content", before.contents.as_ref(), now.contents.as_ref())?;
    }
    Ok(())
}

fn open_block(system: &System, target: &Target) -> Result<Device> {
    let path = || target.path.clone();
    let flags = OFlag::O_EXCL | OFlag::O_DIRECT | OFlag::O_CLOEXEC;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits())
        .open(&target.canonical)
        .or_else(|error| open_as_user(target, flags, error));
    let file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EBUSY) => Refusal::Busy { path: path() }.into(),
        Some(Errno::ENOMEDIUM) => Refusal::NoMedium { path: path() }.into(),
        Some(Errno::EROFS) => Refusal::ReadOnly { path: path(), is_file: false }.into(),
        _ => Error::io("opening card", &target.path, error),
    })?;
    // udev keeps away from a disk that is locked (systemd.io/BLOCK_DEVICE_LOCKING); when udev has it just now, it
    // is only looking, and `O_EXCL` is what counts.
    let _ = file.try_lock();

    let failed = |error| Error::io("examining card", &target.path, error);
    let device = DeviceNumber::from_raw(file.metadata().map_err(failed)?.rdev());
    changed(target, "device number", target.device, Some(device))?;
    let bytes = ioctl::size_bytes(&file).map_err(failed)?;
    let size_bytes = Some(bytes);
    changed(target, "size", target.size_bytes.map(ByteSize), size_bytes.map(ByteSize))?;
    if ioctl::is_read_only(&file).map_err(failed)? {
        return Err(Refusal::ReadOnly { path: path(), is_file: false }.into());
    }
    let sector_bytes = ioctl::sector_bytes(&file).map_err(failed)?;
    if sector_bytes != SECTOR_BYTES {
        return Err(Refusal::SectorSize { path: path(), sector_bytes }.into());
    }
    // What was cached before is of no use now, and would be taken for the card's content later. Who is not root may
    // not drop it; direct reads and writes do that, place by place.
    match ioctl::drop_cache(&file) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        dropped => dropped.map_err(failed)?,
    }
    // udisks2 may have waited minutes for a password. What was opened is looked at itself, not by its name: nobody can
    // exchange it from here on without an error of the device.
    let sequence = ioctl::disk_sequence(&file);
    if sequence.is_some() {
        changed(target, "sequence number", target.disk_sequence, sequence)?;
    }
    let serial = SysBlock::find(system, device).and_then(|disk| disk.serial());
    changed(target, "serial number", target.serial.as_ref(), serial.as_ref())?;
    refuse_other_contents(target, &file, bytes)?;
    let zeroes = zeroes(device);
    Ok(Device { file, path: path(), is_block: true, size_bytes, direct: None, zeroes, made: None })
}

/// Where this user may not, udisks2 may: it asks polkit, and hands over what it opened with the same flags.
fn open_as_user(target: &Target, flags: OFlag, denied: io::Error) -> io::Result<File> {
    if denied.kind() != io::ErrorKind::PermissionDenied {
        return Err(denied);
    }
    udisks::open(&target.canonical, flags & !OFlag::O_CLOEXEC).map_err(|error| {
        // The errors of others come as text. Busy is the one that has another remedy than being root.
        match error.to_string().contains("Device or resource busy") {
            true => Errno::EBUSY.into(),
            false => denied,
        }
    })
}

fn open_file(target: &Target, how: &OpenOptions) -> Result<Device> {
    let failed = |error| Error::io("opening card", &target.path, error);
    let file = how.open(&target.canonical).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Refusal::Locked { path: target.path.clone() }.into());
        }
        Err(TryLockError::Error(error)) => {
            return Err(Error::io("locking card", &target.path, error));
        }
    }
    let metadata = file.metadata().map_err(failed)?;
    if target.kind == Kind::File {
        changed(target, "file number", target.file, Some(FileIdentity::of(&metadata)))?;
    }
    let size_bytes = Some(metadata.len()).filter(|size| *size > 0);
    changed(target, "size", target.size_bytes.map(ByteSize), size_bytes.map(ByteSize))?;
    let path = target.path.clone();
    let made = (target.kind == Kind::NewFile).then(|| target.canonical.clone());
    // A new file needs none: what is not written of it is a hole.
    let zeroes = size_bytes.is_some();
    Ok(Device { file, path, is_block: false, size_bytes, direct: None, zeroes, made })
}

/// Whether the device has a command that zeroes (a limit of 0 bytes means that it has none).
fn zeroes(device: DeviceNumber) -> bool {
    let limit = format!("/sys/dev/block/{device}/queue/write_zeroes_max_bytes");
    std::fs::read_to_string(limit)
        .is_ok_and(|bytes| bytes.trim().parse::<u64>().is_ok_and(|bytes| bytes > 0))
}

/// Makes a hole in a file.
fn punch(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let bytes = |count: u64| i64::try_from(count).map_err(|_| io::ErrorKind::InvalidInput);
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(file, how, bytes(offset)?, bytes(len)?)?)
}

impl Drop for Device {
    /// Removes a file that was made for a write that did not begin, for instance because another card was refused.
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        let ours = |metadata: std::fs::Metadata| {
            (metadata.len() == 0).then(|| FileIdentity::of(&metadata))
        };
        let open = self.file.metadata().ok().and_then(ours);
        if open.is_some() && open == std::fs::symlink_metadata(made).ok().and_then(ours) {
            let _ = std::fs::remove_file(made);
        }
    }
}

impl Destination for Device {
    fn path(&self) -> &Path {
        &self.path
    }

    fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    fn padded(&self) -> bool {
        self.is_block
    }

    fn unwritten_is_zero(&self) -> bool {
        self.size_bytes.is_none()
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<usize> {
        self.file.write_at(data, offset)
    }

    fn zeroes(&self) -> bool {
        self.zeroes
    }

    fn zero_at(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let zeroed = match self.is_block {
            true => ioctl::zero_out(&self.file, offset, len),
            false => punch(&self.file, offset, len),
        };
        // A device that refuses once is not asked again.
        self.zeroes = zeroed.is_ok();
        zeroed
    }

    fn forget_at(&mut self, offset: u64, len: u64) -> io::Result<()> {
        // Not zeros: a disk that writes them by itself would be at it for hours.
        match self.is_block {
            true => ioctl::discard(&self.file, offset, len),
            // In a file, what lies behind the image is not ours.
            false => Ok(()),
        }
    }

    fn queue(&self) -> Option<File> {
        // A file has the page cache between it and the disk, which takes what it is given at once.
        if self.is_block { self.file.try_clone().ok() } else { None }
    }

    fn second_writer(&self) -> Option<Box<dyn Destination>> {
        // The same open file, so the exclusive hold is shared and ends with the last of the two.
        let (file, path) = (self.queue()?, self.path.clone());
        let Device { is_block, size_bytes, zeroes, .. } = *self;
        Some(Box::new(Device {
            file,
            path,
            is_block,
            size_bytes,
            direct: None,
            zeroes,
            made: None,
        }))
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let aligned =
            offset.is_multiple_of(DIRECT_BYTES) && (buf.len() as u64).is_multiple_of(DIRECT_BYTES);
        if let Some(direct) = self.direct.as_ref().filter(|_| aligned) {
            match direct.read_at(buf, offset) {
                // Accepted at open, refused here: the cache was dropped, so the other way is as good.
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                    self.direct = None
                }
                result => return result,
            }
        }
        self.file.read_at(buf, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.is_block {
            // After the fsync every page is clean, and clean pages are dropped.
            posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
            if self.direct.is_none() {
                let again =
                    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file));
                let flags = (OFlag::O_DIRECT | OFlag::O_CLOEXEC).bits();
                self.direct = OpenOptions::new().read(true).custom_flags(flags).open(again).ok();
            }
        }
        Ok(())
    }

    fn set_end(&mut self, image_bytes: u64) -> io::Result<()> {
        match self.size_bytes {
            None => self.file.set_len(image_bytes),
            Some(_) => Ok(()),
        }
    }

    fn announce(&mut self) {
        if self.is_block {
            let _ = ioctl::drop_cache(&self.file);
            let _ = ioctl::reread_partitions(&self.file);
        }
    }
}
