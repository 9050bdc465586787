//! The fuzz targets of this folder (`crate::fuzzing`).

use std::io;

use super::replace::replace;
use super::user_data::{self, UserData};
use super::{BootFs, Family, cmdline, config_txt, existing, firmware, meta_data, survey};
use crate::fuzzing::volume;
use crate::image::{FatBootSector, Partition, PartitionKind, Patch, ReadAt, WithBoot};

/// Bytes of a volume that can be anything but zeros.
const MOST_BYTES: usize = 4 << 20;
/// Bytes of the partition.
const PARTITION_BYTES: u64 = 1 << 30;

/// A boot partition that is all of its disk.
struct Disk {
    bytes: Vec<u8>,
    partition: Partition,
    fat: FatBootSector,
}

impl ReadAt for Disk {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > PARTITION_BYTES) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let stored = self.bytes.get(offset as usize..).unwrap_or_default();
        let len = stored.len().min(buf.len());
        buf[..len].copy_from_slice(&stored[..len]);
        buf[len..].fill(0);
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        PARTITION_BYTES
    }
}

impl WithBoot for Disk {
    type Bytes = Self;

    fn bytes(&self) -> &Self {
        self
    }

    fn boot_partition(&self) -> &Partition {
        &self.partition
    }

    fn fat(&self) -> &FatBootSector {
        &self.fat
    }
}

/// A FAT, looked at as `diagnose`, `survey` and `configure` do, and changed.
pub(crate) fn boot_partition(data: &[u8]) {
    let bytes = volume(data, MOST_BYTES);
    let Some(sector) = bytes.first_chunk::<512>() else { return };
    let Some(fat) = FatBootSector::parse(sector, PARTITION_BYTES) else { return };
    let kind = PartitionKind::Mbr(0x0c);
    let partition =
        Partition { number: 1, offset_bytes: 0, size_bytes: PARTITION_BYTES, kind, uuid: None };
    let disk = Disk { bytes, partition, fat };
    let _ = (survey(&disk), existing(&disk));
    let mut patch = Patch::new();
    let Ok(map) = disk.map(&patch) else { return };
    if let Ok(fs) = BootFs::open(&disk, &map, &mut patch) {
        let _ = (fs.label(), fs.kind(), fs.short_path("overlays/pikube.dtbo"));
        for name in ["config.txt", "pikube-report.json", "overlays/README"] {
            let _ = (fs.exists(name), fs.size(name), fs.read(name), fs.holds(name, &[7; 700]));
        }
    }
    let files: [(&str, &[u8]); 2] = [("config.txt", &[7; 3000]), ("pikube.toml", b"schema = 1\n")];
    let mut patch = Patch::new();
    if replace(&disk, &map, &files, &mut patch).is_ok() {
        let after = disk.map(&patch).expect("what we have changed is in order");
        let fs =
            BootFs::open(&disk, &after, &mut patch).expect("what we have changed can be opened");
        for (name, content) in files {
            assert!(fs.holds(name, content).is_ok_and(|holds| holds), "{name}");
        }
    }
}

/// The small texts of a boot partition: `config.txt`, `cmdline.txt`, `meta-data`.
pub(crate) fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let same = |_: &str| Ok::<_, ()>(Some(text.to_string()));
    if let Ok(config) = firmware::Config::new(&text, same) {
        let lines = config.command_lines(|path| Ok::<_, ()>(path.len() % 2 == 0));
        let _ = lines.map(|lines| lines.notes());
    }
    let lines = ["dtparam=audio=off".to_owned(), "[pi4]".to_owned()];
    if let Ok(edited) = config_txt::edit(data, &lines) {
        assert_eq!(config_txt::block(&edited).ok().as_deref(), Some(&lines[..]));
        assert_eq!(config_txt::edit(&edited, &lines).ok(), Some(edited));
    }
    let hook = cmdline::HookTokens::With("/boot/firmware/pikube-launch.sh".into());
    let flags = vec!["cgroup_enable=memory".to_owned()];
    let wanted =
        cmdline::Wanted { flags, outdated: vec!["cfg80211.ieee80211_regdom=FR".into()], hook };
    if let Ok(edited) = cmdline::edit(data, &wanted) {
        assert_eq!(cmdline::edit(edited.as_bytes(), &wanted).ok(), Some(edited));
    }
    let instance = meta_data::Instance::of(&text).map_or_else(
        || meta_data::Instance::new(None, &text),
        |seen| meta_data::Instance::new(None, "").after(&seen),
    );
    let edited = meta_data::edit(&text, &instance, "laperouse");
    assert!(meta_data::Instance::of(&edited).is_some_and(|found| found == instance));
}

/// `user-data`: a person's, and what we make of it.
pub(crate) fn user_data(data: &[u8]) {
    let _ = (user_data::author(data), user_data::is_empty(data), user_data::unwrap(data));
    for family in [Family::Hypriot, Family::RaspberryPiOs, Family::Ubuntu, Family::Debian] {
        let _ = user_data::is_shipped(family, data);
    }
    if let Ok(own) = UserData::new(data) {
        let archive = user_data::wrap(&own, "/boot/pikube-launch.sh", true);
        assert_eq!(user_data::unwrap(archive.as_bytes()), Ok(own));
    }
}
