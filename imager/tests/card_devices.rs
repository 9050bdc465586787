//! Real files and real loop devices.
//!
//! Loop devices need root: without it those tests say so and pass. They attach only files that they made, named
//! `pikube-test-*`, and detach them on every way out.
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/images.rs"]
mod images;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use images::{MIB, Shape, head, xz};
use piflash::card::{
    self, Device, Error, Failure, Job, Kind, Options, Refusal, Request, System, Target, Written,
    guard,
};
use piflash::image::{Patch, ReadAt, WithBoot as _};

struct Bench {
    folder: tempfile::TempDir,
    image: Vec<u8>,
    /// The image with the patch of [`Bench::write`].
    wanted: Vec<u8>,
    path: PathBuf,
}

const PATCH: (u64, &[u8]) = (2_000_000, b"patched");

impl Bench {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        // Packing takes longer than all the rest.
        static PACKED: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
            let image = Shape::default().build();
            let packed = xz(&image, Some(1 << 20));
            (image, packed)
        });
        let (image, packed) = PACKED.clone();
        let path = folder.path().join("os.img.xz");
        fs::write(&path, packed).unwrap();
        let mut wanted = image.clone();
        wanted[PATCH.0 as usize..][..PATCH.1.len()].copy_from_slice(PATCH.1);
        Self { folder, image, wanted, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn check(&self, path: &Path) -> card::Result<Target> {
        let request = Request { image: None, image_bytes: Some(self.image.len() as u64) };
        guard::check(&System::default(), path, &request)
    }

    fn open(&self, path: &Path) -> card::Result<Device> {
        card::open(&System::default(), &self.check(path)?)
    }

    fn write(&self, device: Device) -> Result<Written, Failure> {
        let (head, rest) = head(&self.path).unwrap();
        let mut patch = Patch::new();
        patch.write_at(head.bytes(), PATCH.0, PATCH.1).unwrap();
        let jobs = vec![Job::new(device, patch)];
        card::write(&head, rest, jobs, &Options::default(), &(), &AtomicBool::new(false)).remove(0)
    }
}

fn refusal<T: std::fmt::Debug>(result: card::Result<T>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_new_file_becomes_the_image() {
    let bench = Bench::new();
    let path = bench.file("card.img");
    let target = bench.check(&path).unwrap();
    assert_eq!((target.kind, path.exists()), (Kind::NewFile, false));
    let written = bench.write(bench.open(&path).unwrap()).unwrap();
    assert!(written.verified && written.bytes == bench.image.len() as u64);
    assert!(fs::read(&path).unwrap() == bench.wanted);
    let blocks = fs::metadata(&path).unwrap().blocks() as usize * 512;
    assert!(blocks < bench.image.len() - 2 * MIB, "no holes: {blocks} bytes on disk");

    // A second time: it is a card now, and what was holes is written.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&[7; 3 * MIB], 6 << 20)
        .unwrap();
    bench.write(bench.open(&path).unwrap()).unwrap();
    assert!(fs::read(&path).unwrap() == bench.wanted);
}

#[test]
fn an_existing_file_keeps_its_size_and_its_end() {
    let bench = Bench::new();
    let path = bench.file("card.img");
    fs::write(&path, vec![0xa5; 20 * MIB + 77]).unwrap();
    let target = bench.check(&path).unwrap();
    assert_eq!(
        target.describe(),
        format!("{}: file, 20 MiB; data without a partition table", path.display())
    );
    bench.write(bench.open(&path).unwrap()).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 20 * MIB + 77);
    assert!(bytes[..bench.image.len()] == bench.wanted);
    assert!(bytes[bench.image.len()..].iter().all(|byte| *byte == 0xa5));
    let contents = bench.check(&path).unwrap().contents.unwrap().to_string();
    assert_eq!(contents, "MBR, 1 FAT16 \"BOOTFS\" 2.5 MiB, 2 Linux 9 MiB");
}

#[test]
fn a_link_leads_to_its_file() {
    let bench = Bench::new();
    let (path, link) = (bench.file("card.img"), bench.file("link.img"));
    fs::write(&path, vec![1; 15 * MIB]).unwrap();
    symlink(&path, &link).unwrap();
    bench.write(bench.open(&link).unwrap()).unwrap();
    assert!(fs::read(&path).unwrap()[..bench.image.len()] == bench.wanted);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn two_at_once_is_one_too_many() {
    let bench = Bench::new();
    let path = bench.file("card.img");
    fs::write(&path, vec![1; 15 * MIB]).unwrap();
    let first = bench.open(&path).unwrap();
    assert!(matches!(refusal(bench.open(&path)), Refusal::Locked { .. }));
    drop(first);
    bench.open(&path).unwrap();
}

#[test]
fn what_was_swapped_after_the_check_is_not_opened() {
    let bench = Bench::new();
    let system = System::default();
    let path = bench.file("card.img");
    let new = bench.check(&path).unwrap();
    fs::write(&path, vec![1; 15 * MIB]).unwrap();
    assert!(matches!(refusal(card::open(&system, &new)), Refusal::Changed { what: "kind", .. }));
    let target = bench.check(&path).unwrap();
    fs::rename(&path, bench.file("old.img")).unwrap();
    fs::write(&path, vec![1; 15 * MIB]).unwrap();
    assert!(matches!(
        refusal(card::open(&system, &target)),
        Refusal::Changed { what: "file number", .. }
    ));
    let target = bench.check(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(16 << 20).unwrap();
    assert!(matches!(refusal(card::open(&system, &target)), Refusal::Changed { what: "size", .. }));
}

#[test]
fn a_file_that_was_made_and_not_written_is_removed() {
    let bench = Bench::new();
    let (path, kept) = (bench.file("card.img"), bench.file("empty.img"));
    fs::write(&kept, "").unwrap();
    drop((bench.open(&path).unwrap(), bench.open(&kept).unwrap()));
    assert!(!path.exists() && kept.exists());
}

#[test]
fn a_card_can_be_read_again() {
    let bench = Bench::new();
    let path = bench.file("card.img");
    bench.write(bench.open(&path).unwrap()).unwrap();
    let card = card::read(&path).unwrap();
    assert_eq!(
        (card.size_bytes(), card.len_bytes()),
        (bench.image.len() as u64, bench.image.len() as u64)
    );
    assert_eq!(card.table().partitions.len(), 2);
    let mut patch = Patch::new();
    let volume = fatfs::FileSystem::new(card.patched(&mut patch), fatfs::FsOptions::new()).unwrap();
    let names: Vec<String> =
        volume.root_dir().iter().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["cmdline.txt", "kernel.img"]);
    drop(volume);
    fs::write(&path, vec![0; 4 * MIB]).unwrap();
    assert!(matches!(card::read(&path), Err(Error::Table { .. })));
    assert!(matches!(card::read(&bench.file("none")), Err(Error::Io { .. })));
}

/// A loop device over a file of its own.
struct Loop {
    node: PathBuf,
    _file: tempfile::NamedTempFile,
}

impl Loop {
    /// `None`, with a line, where this user cannot have one.
    fn new(size: usize) -> Option<Self> {
        Self::attach(size, &[])
    }

    fn attach(size: usize, options: &[&str]) -> Option<Self> {
        let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
        file.as_file().write_all_at(&vec![0xa5; size], 0).unwrap();
        let losetup = Command::new("losetup")
            .args(["--find", "--show", "--partscan"])
            .args(options)
            .arg(file.path())
            .output();
        match losetup {
            Ok(output) if output.status.success() => {
                let node = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
                Some(Self { node, _file: file })
            }
            _ if !nix::unistd::geteuid().is_root() => {
                println!("skipped: loop devices need root");
                None
            }
            other => panic!("root, and no loop device: {other:?}"),
        }
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self._file.path()).unwrap()
    }

    /// Whether the partitions have nodes. A kernel that knows partition tables has made them when the card was
    /// finished; for one that does not, `partx` tells it.
    fn show_partitions(&self) -> bool {
        if !self.partition(2).exists() {
            let _ = Command::new("partx").arg("--add").arg(&self.node).output();
        }
        let shown = self.partition(2).exists();
        if !shown {
            println!("skipped: this computer shows no partitions of {}", self.node.display());
        }
        shown
    }

    fn partition(&self, number: u32) -> PathBuf {
        PathBuf::from(format!("{}p{number}", self.node.display()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // Partitions that `partx` made would outlive a detach.
        let _ = Command::new("partx").arg("--delete").arg(&self.node).output();
        let _ = Command::new("losetup").arg("--detach").arg(&self.node).status();
    }
}

/// A mount that ends with the test.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_loop_device_is_written() {
    let bench = Bench::new();
    let Some(card) = Loop::new(20 * MIB) else { return };
    let target = bench.check(&card.node).unwrap();
    assert_eq!((target.kind, target.size_bytes), (Kind::Block, Some(20 << 20)));
    let written = bench.write(bench.open(&card.node).unwrap()).unwrap();
    assert!(written.verified && written.left_bytes == 0);
    let bytes = card.content();
    assert!(bytes[..bench.image.len()] == bench.wanted);
    let left = bytes[bench.image.len()..].iter().filter(|byte| **byte != 0).count();
    assert_eq!(left, 0, "what was there before, an old cluster's keys perhaps");

    if !card.show_partitions() {
        return;
    }
    let name = card.node.file_name().unwrap().to_str().unwrap().to_owned();
    let sectors = fs::read_to_string(format!("/sys/block/{name}/{name}p2/size")).unwrap();
    assert_eq!(sectors.trim(), "18432");
    let contents = bench.check(&card.node).unwrap().contents.unwrap().to_string();
    assert!(contents.contains("FAT16 \"BOOTFS\""), "{contents}");

    // And one partition is not a card.
    match refusal(guard::check(&System::default(), &card.partition(1), &Request::default())) {
        Refusal::Partition { disk, .. } => assert_eq!(disk.as_deref(), Some(card.node.as_path())),
        other => panic!("{other}"),
    }
}

#[test]
fn a_loop_device_that_just_fits_and_one_that_does_not() {
    let bench = Bench::new();
    let Some(card) = Loop::new(bench.image.len().next_multiple_of(512)) else { return };
    bench.write(bench.open(&card.node).unwrap()).unwrap();
    assert!(card.content()[..bench.image.len()] == bench.wanted);
    let Some(small) = Loop::new(bench.image.len() / 512 * 512) else { return };
    assert!(matches!(refusal(bench.open(&small.node)), Refusal::TooSmall { .. }));
    assert!(small.content().iter().all(|byte| *byte == 0xa5));
}

#[test]
fn a_busy_loop_device_is_refused() {
    let bench = Bench::new();
    let Some(card) = Loop::new(20 * MIB) else { return };
    let target = bench.check(&card.node).unwrap();
    let holder = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_EXCL.bits())
        .open(&card.node)
        .unwrap();
    // Nothing that can be seen from outside explains it, and it is refused nevertheless.
    assert!(matches!(refusal(card::open(&System::default(), &target)), Refusal::Busy { .. }));
    drop(holder);
    let first = bench.open(&card.node).unwrap();
    assert!(matches!(refusal(bench.open(&card.node)), Refusal::Busy { .. }));
    drop(first);
    // Its backing file is in use, too.
    let loop_device = card.node.display().to_string();
    match refusal(bench.check(card._file.path())) {
        Refusal::LoopBacking { loop_device: named, .. } => assert_eq!(named, loop_device),
        other => panic!("{other}"),
    }
    assert!(card.content().iter().all(|byte| *byte == 0xa5));
}

#[test]
fn a_loop_device_with_a_mounted_partition_is_refused() {
    let bench = Bench::new();
    let Some(card) = Loop::new(20 * MIB) else { return };
    bench.write(bench.open(&card.node).unwrap()).unwrap();
    let before = bench.check(&card.node).unwrap();
    if !card.show_partitions() {
        return;
    }
    let made = Command::new("mkfs.ext4")
        .args(["-q", "-F", "-L", "rootfs"])
        .arg(card.partition(2))
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: no mkfs.ext4");
        return;
    }
    let contents = bench.check(&card.node).unwrap().contents.unwrap().to_string();
    assert!(contents.ends_with("2 ext4 \"rootfs\" 9 MiB"), "{contents}");
    let point = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount").arg(card.partition(2)).arg(point.path()).status().unwrap();
    assert!(mounted.success());
    let mount = Mount(point.path().to_owned());
    match refusal(bench.check(&card.node)) {
        Refusal::Mounted { member, mount_point, .. } => {
            assert_eq!(Path::new(&member), card.partition(2));
            assert_eq!(mount_point, point.path());
        }
        other => panic!("{other}"),
    }
    // Also where it was mounted after the check.
    assert!(matches!(refusal(card::open(&System::default(), &before)), Refusal::Mounted { .. }));
    drop(mount);
    bench.open(&card.node).unwrap();
}

#[test]
fn a_read_only_loop_device_is_refused() {
    let bench = Bench::new();
    // (Not `blockdev --setro`: that outlives the detach and hits whoever gets the device next.)
    let Some(card) = Loop::attach(20 * MIB, &["--read-only"]) else { return };
    assert!(matches!(refusal(bench.check(&card.node)), Refusal::ReadOnly { is_file: false, .. }));
}

#[test]
fn this_computers_own_disk_is_refused() {
    let number = fs::metadata("/").unwrap().dev();
    let link = format!(
        "/sys/dev/block/{}:{}",
        nix::sys::stat::major(number),
        nix::sys::stat::minor(number)
    );
    let Ok(folder) = fs::canonicalize(&link) else {
        println!("skipped: / is on no block device here");
        return;
    };
    // Up from the partition to its disk.
    let folder = if folder.join("partition").exists() { folder.parent().unwrap() } else { &folder };
    let node = Path::new("/dev").join(folder.file_name().unwrap());
    if !node.exists() {
        println!("skipped: {} is not there", node.display());
        return;
    }
    match refusal(guard::check(&System::default(), &node, &Request::default())) {
        Refusal::SystemDisk { .. } => {}
        other => panic!("{other}"),
    }
}
