//! Small images with a real partition table and a real FAT, made by sfdisk, mkfs.vfat and mtools.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test")]

pub mod boot_partition;
pub mod prepared;
pub mod releases;
pub mod suites;

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use piflash::agents::Agents;
use tempfile::{NamedTempFile, TempDir};

pub const CONFIG: &str = "# For more options and information see\ndtparam=audio=on\nauto_initramfs=1\n\n[all]\narm_64bit=1\n";
pub const ISSUE: &str = "Raspberry Pi reference 2025-11-24\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen, 0000, stage2\n";
pub const TRIXIE_CMDLINE: &str = "console=serial0,115200 console=tty1 root=PARTUUID=d9b3a0f1-02 rootfstype=ext4 fsck.repair=yes rootwait resize\n";

pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me@laptop";

/// PIKUBE_KUBERNETES of every test: nothing is asked of a server.
pub const KUBERNETES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kubernetes.toml");

/// First sector of the boot partition, as in Raspberry Pi OS' images.
const BOOT_SECTOR: u64 = 8192;
/// Sectors of the second partition, which holds a pattern instead of a file system.
const ROOT_SECTORS: u64 = 8192;

/// FAT16 in 16 MiB, FAT32 in 64 MiB.
#[derive(Debug, Clone, Copy)]
pub enum Fat {
    Sixteen,
    ThirtyTwo,
}

/// An image file, removed when dropped.
pub struct TestImage {
    file: NamedTempFile,
    pub boot_offset_bytes: u64,
    pub boot_size_bytes: u64,
}

impl TestImage {
    pub fn raspberry_pi_os_trixie(fat: Fat) -> Self {
        Self::with_files(
            fat,
            &[("config.txt", CONFIG), ("issue.txt", ISSUE), ("cmdline.txt", TRIXIE_CMDLINE)],
        )
    }

    /// An image whose boot partition has these files, a kernel, and a folder.
    pub fn with_files(fat: Fat, files: &[(&str, &str)]) -> Self {
        let (boot_sectors, bits, kind) = match fat {
            Fat::Sixteen => (32 << 10, "16", "e"),
            Fat::ThirtyTwo => (128 << 10, "32", "c"),
        };
        let mut file =
            tempfile::Builder::new().prefix("pikube-test-").suffix(".img").tempfile().unwrap();
        let root_sector = BOOT_SECTOR + boot_sectors;
        file.as_file().set_len((root_sector + ROOT_SECTORS) * 512).unwrap();
        let layout = format!(
            "label: dos\nlabel-id: 0xd9b3a0f1\n{BOOT_SECTOR},{boot_sectors},{kind}\n{root_sector},{ROOT_SECTORS},83\n"
        );
        pipe(Command::new("sfdisk").arg("-q").arg(file.path()), &layout);
        file.seek(SeekFrom::Start(root_sector * 512)).unwrap();
        file.write_all(&pattern(ROOT_SECTORS as usize * 512)).unwrap();

        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let volume = format!("{}@@{}", file.path().display(), BOOT_SECTOR * 512);
        run(Command::new("mkfs.vfat")
            .args(["-F", bits, "-n", "bootfs", "--offset", &BOOT_SECTOR.to_string()])
            .arg(file.path())
            .arg((boot_sectors / 2).to_string()));
        let copy = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            run(Command::new("mcopy").args(["-i", &volume]).arg(path).arg(format!("::{name}")));
        };
        copy("kernel8.img", &kernel());
        for (name, content) in files {
            copy(name, content.as_bytes());
        }
        run(Command::new("mmd").args(["-i", &volume, "::overlays"]));
        let readme = folder.path().join("README");
        std::fs::write(&readme, "overlays").unwrap();
        run(Command::new("mcopy").args(["-i", &volume]).arg(readme).arg("::overlays/README"));
        Self { file, boot_offset_bytes: BOOT_SECTOR * 512, boot_size_bytes: boot_sectors * 512 }
    }

    /// An image with one Linux partition.
    pub fn without_fat() -> Self {
        let file =
            tempfile::Builder::new().prefix("pikube-test-").suffix(".img").tempfile().unwrap();
        file.as_file().set_len(32 << 20).unwrap();
        pipe(Command::new("sfdisk").arg("-q").arg(file.path()), "label: dos\n8192,,83\n");
        Self { file, boot_offset_bytes: 0, boot_size_bytes: 0 }
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// 3 MiB that are not zero and do not repeat within a block.
pub fn kernel() -> Vec<u8> {
    pattern(3 << 20)
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes as u64 / 8)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

/// Stand-in agents: an ELF header of the right machine, and that many bytes in all.
pub fn agents(sizes: &[(&str, usize)]) -> Agents {
    let folder = TempDir::with_prefix("pikube-test-").unwrap();
    write_agents(folder.path(), sizes);
    Agents::from_folder(folder.path()).unwrap()
}

/// The same, in a folder.
pub fn write_agents(folder: &Path, sizes: &[(&str, usize)]) {
    for (architecture, size) in sizes {
        let machine: u16 = match *architecture {
            "arm64" => 183,
            "armv7" => 40,
            _ => 62,
        };
        let mut elf = vec![0x5a; (*size).max(64)];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[18..20].copy_from_slice(&machine.to_le_bytes());
        std::fs::write(folder.join(format!("pikube-agent-{architecture}")), elf).unwrap();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn pipe(command: &mut Command, input: &str) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{command:?}");
}
