//! Disk images with a real ext4, made by mke2fs, every free block of which has something in it.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::{NamedTempFile, TempDir};

/// What is in the free blocks.
pub const JUNK: u8 = 0x4a;

/// A file system of so many bytes, with files, after some were deleted.
pub fn file_system(bytes: u64, options: &[&str]) -> NamedTempFile {
    let file = NamedTempFile::with_prefix("pikube-test-").unwrap();
    let junk = vec![JUNK; 1 << 20];
    for at in (0..bytes).step_by(junk.len()) {
        file.as_file().write_all_at(&junk[..(bytes - at).min(1 << 20) as usize], at).unwrap();
    }
    let folder = TempDir::with_prefix("pikube-test-").unwrap();
    for n in 0..40u32 {
        let content: Vec<u8> =
            (0..20_000 + n * 3_001).map(|at| ((at + n) % 251) as u8 | 1).collect();
        fs::write(folder.path().join(format!("file{n}")), content).unwrap();
    }
    run(Command::new("mke2fs")
        .args(["-q", "-F", "-E", "nodiscard", "-d"])
        .arg(folder.path())
        .args(options)
        .arg(file.path()));
    for n in (0..40).step_by(3) {
        debugfs(file.path(), &format!("rm file{n}"));
    }
    file
}

/// Lets debugfs change a file system.
pub fn debugfs(file_system: &Path, request: &str) {
    run(Command::new("debugfs").args(["-w", "-R", request]).arg(file_system));
}

/// A disk image as `base` has it, which has an MBR and two partitions, with a file system as the second.
pub fn disk(base: &Path, file_system: &Path, to: &Path) -> u64 {
    let mut bytes = fs::read(base).unwrap();
    let entry = 446 + 16;
    let first = u32::from_le_bytes(bytes[entry + 8..entry + 12].try_into().unwrap());
    let size = fs::metadata(file_system).unwrap().len();
    bytes[entry + 12..entry + 16].copy_from_slice(&((size / 512) as u32).to_le_bytes());
    let offset = u64::from(first) * 512;
    bytes.truncate(offset as usize);
    File::open(file_system).unwrap().read_to_end(&mut bytes).unwrap();
    fs::write(to, bytes).unwrap();
    offset
}

/// What `dumpe2fs` says: bytes of a block, and the free blocks.
pub fn free_blocks(file_system: &Path) -> (u64, BTreeSet<u64>) {
    let output = run(Command::new("dumpe2fs").arg(file_system));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let size = text.lines().find_map(|line| line.strip_prefix("Block size:")).unwrap();
    let mut free = BTreeSet::new();
    for list in text.lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
        for range in list.split(", ").filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            free.extend(first.parse::<u64>().unwrap()..=last.parse().unwrap());
        }
    }
    (size.trim().parse().unwrap(), free)
}

/// `e2fsck` finds nothing to complain of.
pub fn assert_clean(file_system: &Path) {
    run(Command::new("e2fsck").args(["-f", "-n"]).arg(file_system));
}

pub fn run(command: &mut Command) -> Output {
    // They live in sbin, which an ordinary user does not have.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = command.env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
