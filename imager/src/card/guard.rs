//! May this be written? Everything that can be said before it is opened for writing.
//!
//! What is unknown stays unknown (`None`) in the [`Target`]; but where it is unknown whether a disk is in use, it is
//! taken to be.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::contents::Contents;
use super::error::{Error, Result};
use super::in_use::{refuse_if_in_pool, refuse_if_in_use, swaps};
use super::refusal::Refusal;
use super::sysfs::{Bus, DeviceNumber, SysBlock, loop_devices};
use super::system::System;
use crate::image::{ByteSize, FileIdentity, SECTOR_BYTES, sniff};

pub(super) mod doubt;
mod list;

pub use doubt::{Doubt, PLAUSIBLE_BYTES};
pub use list::{Listed, list};

/// Largest card: SDXC ends at 2 TiB.
pub const MAX_CARD_BYTES: u64 = 2 << 40;

/// What shall be written; a default request asks only whether the card may be written at all.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Path and identity of the image file, so that it is not written onto itself.
    pub image: Option<(PathBuf, FileIdentity)>,
    /// Size of the decoded image, where known.
    pub image_bytes: Option<u64>,
}

/// What kind of thing a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole block device.
    Block,
    /// A regular file that exists.
    File,
    /// A file that will be made; its folder exists.
    NewFile,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Block => "a block device",
            Kind::File => "a file",
            Kind::NewFile => "no file yet",
        })
    }
}

/// Something that may be written, as it was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What kind of thing it is.
    pub kind: Kind,
    /// The path as given.
    pub path: PathBuf,
    /// The path without links.
    pub canonical: PathBuf,
    /// Its size; `None` for a file that takes the size of the image: a new one, or an empty one.
    pub size_bytes: Option<u64>,
    /// Which file it is; not for a block device.
    pub file: Option<FileIdentity>,
    /// Number of a block device.
    pub device: Option<DeviceNumber>,
    /// Number that the kernel gives to every card that is put in, never twice (since Linux 5.15).
    pub disk_sequence: Option<u64>,
    /// Model, as the device says.
    pub model: Option<String>,
    /// Maker, as the device says.
    pub vendor: Option<String>,
    /// Serial number of the card, or of the USB reader that it is in.
    pub serial: Option<String>,
    /// Whether it can be taken out.
    pub removable: Option<bool>,
    /// How it is connected.
    pub bus: Option<Bus>,
    /// What is on it now; `None` where there is nothing yet or where it cannot be read.
    pub contents: Option<Contents>,
    /// Reasons to hesitate; with any, [`open`](super::open) refuses the target unless it is [`forced`](Target::forced).
    pub doubts: Vec<Doubt>,
    /// Whether a person has overruled the doubts.
    pub forced: bool,
}

impl Target {
    /// Whether it is a file that other users of this computer can read: a card holds keys.
    pub fn others_can_read(&self) -> bool {
        let mode = |path| fs::metadata(path).map(|file| file.mode());
        self.kind == Kind::File && mode(&self.canonical).is_ok_and(|mode| mode & 0o044 != 0)
    }

    /// Overrules the doubts (`--force`). What is in use, read-only or too small has never become a target.
    pub fn force(&mut self) {
        self.forced = true;
    }

    /// Refuses a target with doubts that nobody has overruled.
    ///
    /// # Errors
    /// [`Refusal::Doubtful`] with the first of them.
    pub fn refuse_doubts(&self) -> Result<()> {
        match self.doubts.first() {
            Some(doubt) if !self.forced => {
                Err(Refusal::Doubtful { path: self.path.clone(), doubt: doubt.clone() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Maker and model.
    pub fn model_name(&self) -> Option<String> {
        let name = [self.vendor.as_deref(), self.model.as_deref()];
        let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
        (!name.is_empty()).then_some(name)
    }

    /// One line for the question before writing: `/dev/sdb: Generic SD Reader, 29.7 GiB; MBR, 1 FAT32 …`.
    pub fn describe(&self) -> String {
        let mut facts: Vec<String> = self.model_name().into_iter().collect();
        match (self.kind, self.size_bytes) {
            (Kind::NewFile, _) => facts.push("new file".into()),
            (Kind::File, None) => facts.push("empty file".into()),
            (Kind::File, Some(size)) => facts.push(format!("file, {}", ByteSize(size).short())),
            (Kind::Block, size) => facts.extend(size.map(|size| ByteSize(size).short())),
        }
        facts.extend(self.serial.as_ref().map(|serial| format!("serial {serial}")));
        let contents = self.contents.as_ref().map(|c| format!("; {c}")).unwrap_or_default();
        format!("{}: {}{contents}", self.path.display(), facts.join(", "))
    }
}

/// Whether `path` may be written.
///
/// # Errors
/// [`Error::Refused`] with the reason; [`Error::Io`] where the path cannot be looked at, or the folder of a new file
/// does not exist.
pub fn check(system: &System, path: &Path, request: &Request) -> Result<Target> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return check_new_file(system, path);
        }
        Err(error) => return Err(Error::io("opening card", path, error)),
    };
    let canonical =
        fs::canonicalize(path).map_err(|error| Error::io("opening card", path, error))?;
    let kind = metadata.file_type();
    if kind.is_block_device() {
        let number = DeviceNumber::from_raw(metadata.rdev());
        return check_block(system, path, canonical, number, request);
    }
    if kind.is_file() {
        return check_file(system, path, canonical, &metadata, request);
    }
    let what = match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "something else",
    };
    Err(Refusal::NotADevice { path: path.to_owned(), what }.into())
}

/// Refuses an open card that is another than the one that was looked at, or, where only who may write a card can read
/// it, for what is on it.
///
/// # Errors
/// [`Refusal::Changed`]; [`Refusal::Doubtful`], which [`Target::force`] overrules; reading the card.
pub(super) fn refuse_other_contents(
    target: &Target,
    file: &fs::File,
    size_bytes: u64,
) -> Result<()> {
    let failed = |error: Errno| Error::io("reading card", &target.path, error.into());
    // Direct reads want aligned memory; these few need not be direct.
    let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL).map_err(failed)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_DIRECT)).map_err(failed)?;
    let contents = Contents::of(file, size_bytes);
    fcntl(file, FcntlArg::F_SETFL(flags)).map_err(failed)?;
    if target.contents.is_some() {
        return changed(target, "content", target.contents.as_ref(), contents.as_ref());
    }
    if target.forced {
        return Ok(());
    }
    let doubts = doubt::of_contents(contents.as_ref());
    Target { doubts, ..target.clone() }.refuse_doubts()
}

/// Refuses a card of which a fact differs, or is known now and was not before.
///
/// # Errors
/// [`Refusal::Changed`].
pub(super) fn changed<T: PartialEq + std::fmt::Display>(
    target: &Target,
    what: &'static str,
    before: Option<T>,
    now: Option<T>,
) -> Result<()> {
    if before == now {
        return Ok(());
    }
    let words = |fact: Option<T>| fact.map_or("unknown".into(), |fact| fact.to_string());
    let (before, now) = (words(before), words(now));
    Err(Refusal::Changed { path: target.path.clone(), what, before, now }.into())
}

/// A path that does not exist: a file to be made, unless it is among the devices.
fn check_new_file(system: &System, path: &Path) -> Result<Target> {
    // A link that leads nowhere: what it stands for is as unclear as a missing device.
    let dangling = fs::symlink_metadata(path).is_ok();
    let absolute = std::path::absolute(path).map_err(|e| Error::io("opening card", path, e))?;
    let shared_memory = absolute.starts_with(system.dev.join("shm"));
    if dangling || absolute.starts_with(&system.dev) && !shared_memory {
        return Err(Refusal::NoSuchDevice { path: path.to_owned() }.into());
    }
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Refusal::NotADevice { path: path.to_owned(), what: "a directory" }.into());
    };
    let folder =
        fs::canonicalize(folder).map_err(|e| Error::io("opening the folder of card", path, e))?;
    if is_among_devices(system, &folder) {
        return Err(Refusal::NoSuchDevice { path: path.to_owned() }.into());
    }
    Ok(Target { canonical: folder.join(name), ..target(Kind::NewFile, path, PathBuf::new()) })
}

/// A regular file that exists.
fn check_file(
    system: &System,
    path: &Path,
    canonical: PathBuf,
    metadata: &fs::Metadata,
    request: &Request,
) -> Result<Target> {
    let owned = || path.to_owned();
    let identity = FileIdentity::of(metadata);
    if canonical.parent().is_some_and(|folder| is_among_devices(system, folder)) {
        return Err(Refusal::FileAmongDevices { path: owned() }.into());
    }
    refuse_the_image(path, identity, request)?;
    let is_same = |other: &Path| identity_of(other) == Some(identity);
    for (loop_device, backing) in loop_devices(system) {
        if is_same(&backing) {
            return Err(Refusal::LoopBacking { path: owned(), loop_device }.into());
        }
    }
    if let Some(swap) = swaps(system, path)?.into_iter().find(|swap| is_same(swap)) {
        let member = swap.display().to_string();
        return Err(Refusal::Swap { path: owned(), member }.into());
    }
    if metadata.permissions().readonly() {
        return Err(Refusal::ReadOnly { path: owned(), is_file: true }.into());
    }
    let mut start = Vec::new();
    let looked = fs::File::open(path).and_then(|file| file.take(512).read_to_end(&mut start));
    looked.map_err(|error| Error::io("reading card", path, error))?;
    let format = sniff(&start);
    if format.is_packed() {
        return Err(Refusal::PackedImage { path: owned(), format: format.name() }.into());
    }
    // An empty file is one that `touch` made for us: it grows like a new one.
    let size_bytes = Some(metadata.len()).filter(|size| *size > 0);
    refuse_size(path, size_bytes, request)?;
    let contents = size_bytes.and_then(|size| Contents::look(&canonical, size));
    Ok(Target { size_bytes, contents, file: Some(identity), ..target(Kind::File, path, canonical) })
}

/// A block device. Apart from [`check`] because tests have no device nodes.
fn check_block(
    system: &System,
    path: &Path,
    canonical: PathBuf,
    number: DeviceNumber,
    request: &Request,
) -> Result<Target> {
    let owned = || path.to_owned();
    let Some(disk) = SysBlock::find(system, number) else {
        let missing = system.sys.join("dev/block").join(number.to_string());
        return Err(Refusal::Unexamined { path: owned(), missing }.into());
    };
    if disk.is_partition() {
        let disk = disk.parent().map(|disk| PathBuf::from(disk.node()));
        return Err(Refusal::Partition { path: owned(), disk }.into());
    }
    refuse_if_in_use(system, path, &disk)?;
    let size_bytes = disk.size_bytes();
    if size_bytes == Some(0) {
        return Err(Refusal::NoMedium { path: owned() }.into());
    }
    if let Some(backing) = disk.text("loop/backing_file")
        && let Some(identity) = identity_of(Path::new(&backing))
    {
        refuse_the_image(path, identity, request)?;
    }
    if disk.text("ro").as_deref() == Some("1") {
        return Err(Refusal::ReadOnly { path: owned(), is_file: false }.into());
    }
    let sector_bytes = disk.text("queue/logical_block_size").and_then(|text| text.parse().ok());
    if let Some(sector_bytes) = sector_bytes
        && sector_bytes != SECTOR_BYTES
    {
        return Err(Refusal::SectorSize { path: owned(), sector_bytes }.into());
    }
    refuse_size(path, size_bytes, request)?;
    let contents = size_bytes.and_then(|size| Contents::look(&canonical, size));
    refuse_if_in_pool(system, path, contents.as_ref())?;
    let mut doubts = doubt::of_disk(&disk, size_bytes);
    doubts.extend(doubt::of_contents(contents.as_ref()));
    Ok(Target {
        size_bytes,
        device: Some(number),
        disk_sequence: disk.text("diskseq").and_then(|text| text.parse().ok()),
        model: disk.model(),
        vendor: disk.vendor(),
        serial: disk.serial(),
        removable: disk.removable(),
        bus: disk.bus(),
        contents,
        doubts,
        ..target(Kind::Block, path, canonical)
    })
}

/// A target about which nothing is known yet.
fn target(kind: Kind, path: &Path, canonical: PathBuf) -> Target {
    Target {
        kind,
        path: path.to_owned(),
        canonical,
        size_bytes: None,
        file: None,
        device: None,
        disk_sequence: None,
        model: None,
        vendor: None,
        serial: None,
        removable: None,
        bus: None,
        contents: None,
        doubts: Vec::new(),
        forced: false,
    }
}

fn refuse_the_image(path: &Path, identity: FileIdentity, request: &Request) -> Result<()> {
    match &request.image {
        Some((image, of_image)) if *of_image == identity => {
            Err(Refusal::IsTheImage { path: path.to_owned(), image: image.clone() }.into())
        }
        _ => Ok(()),
    }
}

fn refuse_size(path: &Path, size_bytes: Option<u64>, request: &Request) -> Result<()> {
    let Some(size_bytes) = size_bytes else { return Ok(()) };
    if size_bytes > MAX_CARD_BYTES {
        let limit_bytes = MAX_CARD_BYTES;
        return Err(Refusal::TooLarge { path: path.to_owned(), size_bytes, limit_bytes }.into());
    }
    match request.image_bytes {
        Some(image_bytes) if image_bytes > size_bytes => {
            Err(Refusal::TooSmall { path: path.to_owned(), card_bytes: size_bytes, image_bytes }
                .into())
        }
        _ => Ok(()),
    }
}

/// Whether a folder is the one of the device nodes, or within it. Shared memory lies there too and holds real files.
fn is_among_devices(system: &System, folder: &Path) -> bool {
    let Ok(dev) = fs::canonicalize(&system.dev) else { return false };
    folder.starts_with(&dev) && !folder.starts_with(dev.join("shm"))
}

fn identity_of(path: &Path) -> Option<FileIdentity> {
    Some(FileIdentity::of(&fs::metadata(path).ok()?))
}

#[cfg(test)]
mod tests;
