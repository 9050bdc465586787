//! Free blocks of ext4, end to end, with file systems that mke2fs makes: what e2fsprogs says is free is zeros on the card,
//! everything else is the image's, and one doubt is enough for everything to be written. Rung 1: files, no root.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/ext4.rs"]
mod ext4;
#[path = "support/fake_card.rs"]
mod fake;
mod support;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use ext4::{JUNK, assert_clean, debugfs, disk, file_system, free_blocks};
use fake::images::head;
use proptest::prelude::*;
use support::{Fat, KUBERNETES, TestImage};
use tempfile::{NamedTempFile, TempDir};

const MIB: u64 = 1 << 20;

/// What is free can be told of these.
const UNDERSTOOD: [&[&str]; 9] = [
    &["-t", "ext4", "-b", "4096"],
    &["-t", "ext4", "-b", "1024"],
    &["-t", "ext4", "-b", "2048", "-G", "4"],
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"],
    &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg,^resize_inode"],
    &["-t", "ext4", "-b", "4096", "-O", "^64bit"],
    &["-t", "ext4", "-b", "1024", "-O", "^flex_bg,sparse_super2"],
    &["-t", "ext3", "-b", "1024"],
    &["-t", "ext2", "-b", "1024", "-O", "^sparse_super,^resize_inode"],
];

/// Of these it cannot, or is not.
const WRITTEN_WHOLE: [&[&str]; 3] = [
    &["-t", "ext4", "-O", "bigalloc"],
    &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"],
    &["-t", "ext4", "-b", "1024", "-O", "mmp"],
];

/// A folder with an image `os.img`, the second partition of which is this file system.
struct Desk {
    folder: TempDir,
    image: Vec<u8>,
    root: u64,
}

impl Desk {
    fn new(file_system: &Path) -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
        fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
        let base = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
        let path = folder.path().join("os.img");
        let root = disk(base.path(), file_system, &path);
        Self { image: fs::read(path).unwrap(), folder, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("PIKUBE_CACHE_DIR", self.path("cache"));
        command.env("PIKUBE_STATE_DIR", self.path("state")).env("PIKUBE_KUBERNETES", KUBERNETES);
        command
    }

    /// Writes `card.img`, and gives its root partition and the image's.
    fn write(&self) -> (Vec<u8>, Vec<u8>) {
        let mut command = self.command();
        command.args(["--agent-dir", ".", "--role", "master", "--hostname", "laperouse"]);
        command.args(["--user", "captain", "--ssh-key", "key.pub", "--timezone", "UTC"]);
        command.args(["--locale", "C.UTF-8", "--keyboard", "us", "--yes", "--image", "os.img"]);
        let output = command.arg("card.img").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let card = fs::read(self.path("card.img")).unwrap();
        assert_eq!(card.len(), self.image.len());
        let root = self.root as usize;
        (card[root..].to_vec(), self.image[root..].to_vec())
    }

    fn verify(&self) -> Output {
        self.command().args(["verify", "--image", "os.img", "card.img"]).output().unwrap()
    }

    fn change_card(&self, at: u64, data: &[u8]) {
        let card = OpenOptions::new().write(true).open(self.path("card.img")).unwrap();
        card.write_all_at(data, at).unwrap();
    }
}

#[test]
fn free_blocks_are_zeros_and_the_others_are_the_images() {
    for (n, options) in UNDERSTOOD.iter().enumerate() {
        let file_system = file_system(24 * MIB, options);
        let (block_bytes, free) = free_blocks(file_system.path());
        let desk = Desk::new(file_system.path());
        // A used card, and a new file.
        if n % 2 == 0 {
            fs::write(desk.path("card.img"), vec![0xa5; desk.image.len()]).unwrap();
        }
        let (card, image) = desk.write();
        let size = block_bytes as usize;
        for (block, (card, image)) in card.chunks(size).zip(image.chunks(size)).enumerate() {
            // The first 256 KiB are never taken for free.
            let is_free = free.contains(&(block as u64)) && (block * size) as u64 >= MIB / 4;
            let is_right = if is_free { card.iter().all(|byte| *byte == 0) } else { card == image };
            assert!(is_right, "{options:?}: block {block}, free: {is_free}");
        }
        let dirty = free.iter().filter(|block| {
            image[(**block * block_bytes) as usize..].iter().take(size).all(|byte| *byte == JUNK)
        });
        assert!(dirty.count() as u64 * block_bytes > 8 * MIB, "{options:?}: nothing to leave out");
        fs::write(desk.path("root"), &card).unwrap();
        assert_clean(&desk.path("root"));

        assert!(desk.verify().status.success(), "{options:?}");
        // Old data where it is free, damage where it is used, and the image's own left-overs.
        let in_middle = |block: &&u64| **block > free.len() as u64 / 2;
        let place = free.iter().find(in_middle).unwrap() * block_bytes;
        let used = (301..).find(|block| !free.contains(block)).unwrap() * block_bytes + 5;
        let own = &image[place as usize..][..size];
        for (at, data, exit) in
            [(place, &[0xa5; 100][..], 4), (place, own, 0), (used, &[0xee; 1][..], 4)]
        {
            desk.change_card(desk.root + at, data);
            assert_eq!(desk.verify().status.code(), Some(exit), "{options:?}: byte {at}");
        }
    }
}

#[test]
fn what_is_not_understood_is_written_whole() {
    for options in WRITTEN_WHOLE {
        let desk = Desk::new(file_system(24 * MIB, options).path());
        let (card, image) = desk.write();
        assert!(card == image, "{options:?}");
        assert!(desk.verify().status.success(), "{options:?}");
    }
}

#[test]
fn a_file_system_in_a_doubtful_state_is_written_whole() {
    for request in [
        "feature needs_recovery",
        "set_super_value state 0",
        "set_super_value state 3",
        "set_super_value last_orphan 12",
        "set_super_value error_count 1",
        "set_super_value free_blocks_count 100",
        "set_super_value feature_incompat 0x80000242",
        "set_block_group 0 free_blocks_count 17",
        "set_block_group 1 checksum 17",
        "set_block_group 0 block_bitmap 5",
    ] {
        let file_system = file_system(24 * MIB, &["-t", "ext4", "-b", "1024"]);
        debugfs(file_system.path(), request);
        assert!(free(file_system.path()).is_empty(), "{request}");
    }
    // Older traces of something else in the same partition.
    for (at, trace) in
        [(4096, &[0xfc, 0x4e, 0x2b, 0xa9][..]), (131_072, &[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0])]
    {
        let file_system =
            file_system(24 * MIB, &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum"]);
        assert!(!free(file_system.path()).is_empty());
        file_system.as_file().write_all_at(trace, at).unwrap();
        assert!(free(file_system.path()).is_empty(), "trace at {at}");
    }
}

#[test]
fn the_portions_do_not_matter() {
    let file_system = file_system(24 * MIB, &["-t", "ext4", "-b", "1024"]);
    let whole = free_in_portions(file_system.path(), 32 << 20);
    assert!(whole.len() as u64 > 8 * MIB / 512);
    for portion in [512, 100_352, 1 << 20, 4 << 20] {
        assert!(free_in_portions(file_system.path(), portion) == whole, "{portion}");
    }
}

/// The sectors of a file system that are taken for free.
fn free(file_system: &Path) -> BTreeSet<u64> {
    free_in_portions(file_system, 1 << 20)
}

fn free_in_portions(file_system: &Path, portion: usize) -> BTreeSet<u64> {
    static BASE: OnceLock<TestImage> = OnceLock::new();
    let base = BASE.get_or_init(|| TestImage::raspberry_pi_os_trixie(Fat::Sixteen));
    let image = NamedTempFile::with_prefix("pikube-test-").unwrap();
    let root = disk(base.path(), file_system, image.path());
    let (_, mut rest) = head(image.path()).unwrap();
    let (mut sectors, mut buf) = (BTreeSet::new(), vec![0; portion]);
    loop {
        let at = rest.position_bytes() - root;
        let (len, free) = rest.fill_as_it_is(&mut buf).unwrap();
        for range in free {
            assert!(range.start.is_multiple_of(512) && range.end.is_multiple_of(512));
            sectors.extend((at + range.start as u64) / 512..(at + range.end as u64) / 512);
        }
        if len < portion {
            return sectors;
        }
    }
}

/// Two small file systems, with and without checksums, and what is free in them.
fn victims() -> &'static [(Vec<u8>, BTreeSet<u64>)] {
    static VICTIMS: OnceLock<Vec<(Vec<u8>, BTreeSet<u64>)>> = OnceLock::new();
    VICTIMS.get_or_init(|| {
        let of = |options: &[&str]| {
            let file_system = file_system(10 * MIB, options);
            let free = free(file_system.path());
            assert!(free.len() as u64 > 2 * MIB / 512);
            (fs::read(file_system.path()).unwrap(), free)
        };
        vec![
            of(&["-t", "ext4", "-b", "1024", "-g", "1024"]),
            of(&["-t", "ext4", "-b", "1024", "-g", "1024", "-O", "^metadata_csum,uninit_bg"]),
            of(&["-t", "ext4", "-b", "1024", "-g", "1024", "-O", "^metadata_csum"]),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 20, ..ProptestConfig::default() })]
    #[test]
    fn no_damage_makes_a_used_block_free(
        victim in 0usize..3,
        // Superblock, descriptors and bitmaps are in the first MiB, where the first bitmap is looked for.
        place in prop_oneof![1024u64..2048, 2048u64..3072, 3072u64..(1 << 20)],
        value in 1u8..,
        run in 1usize..40,
    ) {
        let (bytes, free_before) = &victims()[victim];
        // Where a bitmap has no checksum, no more than one wrong bit is sure to be found, by the counts.
        let (value, run) = match victim > 0 && place >= 3072 {
            true => (1 << (value % 8), 1),
            false => (value, run),
        };
        let mut damaged = bytes.clone();
        damaged[place as usize..place as usize + run].iter_mut().for_each(|byte| *byte ^= value);
        let file = NamedTempFile::with_prefix("pikube-test-").unwrap();
        fs::write(file.path(), &damaged).unwrap();
        let found = free(file.path());
        prop_assert!(found.is_subset(free_before), "{value} at {place}, {run} bytes");
    }
}
