//! Block devices as sysfs knows them. Devices are compared by number, never by name: `/dev/sda` is not the beginning
//! of `/dev/sdaa`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::system::System;

/// Major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl DeviceNumber {
    /// From a `dev_t`, as in the metadata of a file.
    pub fn from_raw(device: u64) -> Self {
        // Neither has more than 32 bits on Linux.
        Self {
            major: nix::sys::stat::major(device) as u32,
            minor: nix::sys::stat::minor(device) as u32,
        }
    }

    /// From `8:1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once(':')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// How a disk is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// Behind USB: a card reader, a stick.
    Usb,
    /// An SD, MMC or eMMC slot.
    Mmc,
    /// A file shown as a disk.
    Loop,
    /// SATA or IDE.
    Ata,
    /// NVMe.
    Nvme,
    /// The disk of a virtual machine.
    Virtio,
    /// Made by the kernel: RAM disk, device mapper, RAID, network.
    Virtual,
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bus::Usb => "usb",
            Bus::Mmc => "mmc",
            Bus::Loop => "loop",
            Bus::Ata => "ata",
            Bus::Nvme => "nvme",
            Bus::Virtio => "virtio",
            Bus::Virtual => "virtual",
        })
    }
}

/// The folder of one block device, a disk or a partition.
#[derive(Debug, Clone)]
pub(super) struct SysBlock {
    folder: PathBuf,
}

/// A device of a disk's family, and what it lies on.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) number: DeviceNumber,
    /// As under `/dev`.
    pub(super) node: String,
    /// The member that this one is built on, where it is not a part of the disk itself.
    pub(super) held: Option<String>,
}

impl SysBlock {
    /// Finds a device by its number.
    pub(super) fn find(system: &System, number: DeviceNumber) -> Option<Self> {
        let link = system.sys.join("dev/block").join(number.to_string());
        Some(Self { folder: fs::canonicalize(link).ok()? })
    }

    /// Name under `/dev`. (sysfs writes `!` for a slash.)
    pub(super) fn node(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        format!("/dev/{}", name.replace('!', "/"))
    }

    /// Where the kernel keeps facts about it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_partition(&self) -> bool {
        self.folder.join("partition").exists()
    }

    /// The disk that a partition is a part of.
    pub(super) fn parent(&self) -> Option<SysBlock> {
        Some(Self { folder: self.folder.parent()?.to_owned() })
    }

    /// One line of a file in its folder; `None` where there is none, or nothing in it.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        line(&self.folder.join(name))
    }

    pub(super) fn number(&self) -> Option<DeviceNumber> {
        DeviceNumber::parse(&self.text("dev")?)
    }

    pub(super) fn size_bytes(&self) -> Option<u64> {
        // Always in units of 512, whatever the sector size of the device.
        self.text("size")?.parse::<u64>().ok()?.checked_mul(512)
    }

    /// `Some(true)` where it can be taken out: the kernel's flag, or an SD card in a built-in reader (for which the
    /// kernel says 0, because the reader cannot be taken out).
    pub(super) fn removable(&self) -> Option<bool> {
        if matches!(self.text("device/type").as_deref(), Some("SD")) {
            return Some(true);
        }
        self.text("removable").map(|flag| flag == "1")
    }

    /// How it is connected, from where it is in the tree of devices.
    pub(super) fn bus(&self) -> Option<Bus> {
        // Without a file behind it, it has only its name.
        let name = self.folder.file_name()?.to_str()?;
        if self.folder.join("loop").exists() || name.starts_with("loop") {
            return Some(Bus::Loop);
        }
        if self.folder.ends_with(Path::new("virtual/block").join(self.folder.file_name()?)) {
            return Some(Bus::Virtual);
        }
        let device = fs::canonicalize(self.folder.join("device")).ok()?;
        // The nearest one counts: a bridge to SATA within a USB enclosure is a USB disk all the same.
        device.ancestors().find_map(|folder| {
            let name = folder.file_name()?.to_str()?;
            let numbered = |prefix: &str| {
                let rest = name.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            Some(match () {
                () if folder.join("idVendor").exists() => Bus::Usb,
                () if numbered("mmc") => Bus::Mmc,
                () if numbered("ata") => Bus::Ata,
                () if numbered("nvme") => Bus::Nvme,
                () if numbered("virtio") => Bus::Virtio,
                () => return None,
            })
        })
    }

    pub(super) fn model(&self) -> Option<String> {
        self.text("device/model").or_else(|| self.text("device/name"))
    }

    pub(super) fn vendor(&self) -> Option<String> {
        self.text("device/vendor").filter(|vendor| !vendor.starts_with("0x"))
    }

    /// Serial number: of the card where it has one, else of the USB reader that it is in.
    pub(super) fn serial(&self) -> Option<String> {
        if let Some(own) = self.text("device/serial").or_else(|| self.text("serial")) {
            return Some(own);
        }
        let device = fs::canonicalize(self.folder.join("device")).ok()?;
        let usb = device.ancestors().find(|folder| folder.join("idVendor").exists())?;
        line(&usb.join("serial"))
    }

    /// The disk, its partitions, and everything that is built on any of them (device mapper, RAID), all the way up.
    pub(super) fn family(&self) -> Vec<Member> {
        let mut members = Vec::new();
        let mut seen = BTreeSet::new();
        self.collect(None, &mut seen, &mut members);
        members
    }

    fn collect(
        &self,
        held: Option<String>,
        seen: &mut BTreeSet<DeviceNumber>,
        members: &mut Vec<Member>,
    ) {
        let Some(number) = self.number() else { return };
        if !seen.insert(number) {
            return;
        }
        members.push(Member { number, node: self.node(), held: held.clone() });
        for child in children(&self.folder) {
            let child = SysBlock { folder: child };
            if child.is_partition() {
                child.collect(held.clone(), seen, members);
            }
        }
        for holder in children(&self.folder.join("holders")) {
            SysBlock { folder: holder }.collect(Some(self.node()), seen, members);
        }
    }
}

/// Loop devices that show a file as a disk: device node and path of the file, as the kernel writes it.
pub(super) fn loop_devices(system: &System) -> Vec<(String, PathBuf)> {
    children(&system.sys.join("block"))
        .into_iter()
        .filter_map(|folder| {
            let backing = line(&folder.join("loop/backing_file"))?;
            Some((SysBlock { folder }.node(), PathBuf::from(backing)))
        })
        .collect()
}

/// Every disk, not its partitions.
pub(super) fn disks(system: &System) -> Vec<SysBlock> {
    children(&system.sys.join("block")).into_iter().map(|folder| SysBlock { folder }).collect()
}

/// Mounted btrfs file systems, in any namespace: identity and the devices that each is spread over.
pub(super) fn btrfs_devices(system: &System) -> Vec<(String, Vec<DeviceNumber>)> {
    let file_systems = children(&system.sys.join("fs/btrfs")).into_iter();
    file_systems
        .filter_map(|folder| {
            let devices = children(&folder.join("devices")).into_iter();
            let numbers = devices.filter_map(|folder| SysBlock { folder }.number()).collect();
            Some((folder.file_name()?.to_str()?.to_owned(), numbers))
        })
        .collect()
}

/// Imported ZFS pools.
pub(super) fn zfs_pools(system: &System) -> Vec<String> {
    let folders = children(&system.proc.join("spl/kstat/zfs")).into_iter();
    folders.filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned())).collect()
}

/// The number of the block device that a path under `/dev` names.
pub(super) fn number_of_node(system: &System, path: &Path) -> Option<DeviceNumber> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    let relative = path.strip_prefix("/dev").ok()?;
    if let Ok(metadata) = fs::metadata(system.dev.join(relative))
        && metadata.file_type().is_block_device()
    {
        return Some(DeviceNumber::from_raw(metadata.rdev()));
    }
    let name = relative.to_str()?.replace('/', "!");
    DeviceNumber::parse(&line(&system.sys.join("class/block").join(name).join("dev"))?)
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // Through the links that sysfs is full of, so that a name is the device's own.
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| fs::canonicalize(entry.path()).ok())
        .filter(|p| p.is_dir())
        .collect();
    folders.sort();
    folders
}

fn line(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
