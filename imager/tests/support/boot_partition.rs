//! Boot partitions as their makers ship them, rebuilt from the facts of each release with mkfs.vfat and mtools: names,
//! labels, sizes, free space, and the small text files. What the firmware loads is a file of the right size, empty
//! inside.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use piflash::image::{self, Head, Patch};
use tempfile::TempDir;

use super::{pipe, run};

/// First sector of the boot partition, as in most of the images.
const BOOT_SECTOR: u64 = 8192;
/// Sectors of an empty second partition.
const ROOT_SECTORS: u64 = 8192;

/// How a boot partition shall look.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Name of the golden file.
    pub name: &'static str,
    pub label: &'static str,
    pub size_mib: u64,
    /// What the firmware files take, for the free space.
    pub used_mib: u64,
    /// `-F` of mkfs.vfat; 0 for its own choice.
    pub fat_bits: u8,
    /// Name and content; a `/` in the name makes the folder.
    pub files: Vec<(&'static str, String)>,
}

/// A disk image with that boot partition, removed when dropped.
pub struct BootImage {
    folder: TempDir,
    size_bytes: u64,
}

impl BootImage {
    pub fn new(shape: &Shape) -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let path = folder.path().join("card.img");
        let boot_sectors = shape.size_mib << 11;
        let root_sector = BOOT_SECTOR + boot_sectors;
        File::create(&path).unwrap().set_len((root_sector + ROOT_SECTORS) * 512).unwrap();
        let layout = format!(
            "label: dos\nlabel-id: 0xd9b3a0f1\n{BOOT_SECTOR},{boot_sectors},c\n{root_sector},{ROOT_SECTORS},83\n"
        );
        pipe(Command::new("sfdisk").arg("-q").arg(&path), &layout);
        let mut mkfs = Command::new("mkfs.vfat");
        if shape.fat_bits != 0 {
            mkfs.args(["-F", &shape.fat_bits.to_string()]);
        }
        if shape.fat_bits == 32 {
            // pi-gen says `-s 4`; smaller volumes would have too few clusters for FAT32 then.
            mkfs.args(["-s", if shape.size_mib >= 256 { "4" } else { "1" }]);
        }
        mkfs.args(["-n", shape.label, "--offset", &BOOT_SECTOR.to_string()]);
        run(mkfs.arg(&path).arg((boot_sectors / 2).to_string()));
        let image = Self { folder, size_bytes: shape.size_mib << 20 };
        let firmware = image.folder.path().join("firmware");
        File::create(&firmware).unwrap().set_len(shape.used_mib << 20).unwrap();
        image.copy_in(&firmware, "start4.elf");
        for (name, content) in &shape.files {
            image.put(name, content.as_bytes());
        }
        image
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("card.img")
    }

    /// The volume as mtools wants it.
    fn volume(&self) -> String {
        format!("{}@@{}", self.path().display(), BOOT_SECTOR * 512)
    }

    fn mtool(&self, tool: &str, args: &[&str]) -> std::process::Output {
        Command::new(tool).args(["-i", &self.volume()]).args(args).output().unwrap()
    }

    fn copy_in(&self, from: &Path, name: &str) {
        run(Command::new("mcopy")
            .args(["-o", "-i", &self.volume()])
            .arg(from)
            .arg(format!("::{name}")));
    }

    /// Creates or replaces a file.
    pub fn put(&self, name: &str, content: &[u8]) {
        if let Some((folder, _)) = name.split_once('/')
            && !self.mtool("mdir", &["-b", &format!("::{folder}")]).status.success()
        {
            run(Command::new("mmd").args(["-i", &self.volume(), &format!("::{folder}")]));
        }
        let path = self.folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        self.copy_in(&path, name);
    }

    pub fn remove(&self, name: &str) {
        run(Command::new("mdel").args(["-i", &self.volume(), &format!("::{name}")]));
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let output = self.mtool("mtype", &[&format!("::{name}")]);
        output.status.success().then_some(output.stdout)
    }

    pub fn text(&self, name: &str) -> String {
        let bytes = self.read(name).unwrap_or_else(|| panic!("there is no {name}"));
        String::from_utf8(bytes).unwrap()
    }

    /// Every file with its content, by path.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let copy = TempDir::with_prefix("pikube-test-").unwrap();
        let target = format!("{}/", copy.path().display());
        run(Command::new("mcopy").args(["-s", "-n", "-i", &self.volume(), "::", &target]));
        let mut files = Vec::new();
        collect(copy.path(), copy.path(), &mut files);
        files.sort();
        files
    }

    pub fn head(&self) -> Head {
        let image = image::open(&self.path()).unwrap();
        image.into_head(&AtomicBool::new(false), &mut |_| {}).unwrap().0
    }

    /// Writes the changed sectors, as the card engine does.
    pub fn apply(&self, patch: &Patch) {
        let file = File::options().write(true).open(self.path()).unwrap();
        for (number, sector) in patch.sectors() {
            file.write_all_at(sector, number * 512).unwrap();
        }
    }

    /// fsck.fat finds nothing to complain about.
    pub fn assert_clean(&self) {
        let volume = self.folder.path().join("volume");
        let mut from = File::open(self.path()).unwrap();
        from.seek(SeekFrom::Start(BOOT_SECTOR * 512)).unwrap();
        let mut to = File::create(&volume).unwrap();
        copy_sparse(&from, &mut to, self.size_bytes);
        let output = Command::new("fsck.fat").arg("-n").arg(&volume).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        std::fs::remove_file(volume).unwrap();
    }
}

/// Zeros are not written.
fn copy_sparse(from: &File, to: &mut File, size_bytes: u64) {
    use std::io::Read as _;
    to.set_len(size_bytes).unwrap();
    let mut piece = vec![0; 1 << 20];
    let zeros = vec![0; piece.len()];
    let mut from = from.take(size_bytes);
    let mut at = 0;
    loop {
        let len = from.read(&mut piece).unwrap();
        if len == 0 {
            return;
        }
        if piece[..len] != zeros[..len] {
            to.seek(SeekFrom::Start(at)).unwrap();
            to.write_all(&piece[..len]).unwrap();
        }
        at += len as u64;
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}
