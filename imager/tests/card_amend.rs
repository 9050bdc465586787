//! Changing a prepared card in place: what is written in which order, and what a failing card makes of it.
//!
//! Rung 1: no root, no devices.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/fake_card.rs"]
mod fake;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fake::{Card, Faults};
use piflash::boot::{self, BootFs, Extras, NodeFiles};
use piflash::card::{self, Error, ReadCard, amend};
use piflash::image::{Patch, WithBoot as _};
use pikube_config::{FirstbootPlan, Secrets, names};
use support::{Fat, TestImage};
use tempfile::TempDir;

fn node(hostname: &str, word: &str) -> NodeFiles {
    let plan = format!("schema = 1\n[node]\nhostname = '{hostname}'\nrole = 'worker'\n");
    let secrets = format!(
        "schema = 1\n[wifi]\nnetworks = [{{ ssid = 'Atelier', password = '{}' }}]\n",
        &format!("{word} ").repeat(60)[..60]
    );
    NodeFiles {
        plan: FirstbootPlan::from_toml(&plan).unwrap(),
        secrets: Secrets::from_toml(&secrets).unwrap(),
    }
}

/// A card that was written for one node, and a change to what another shall be.
struct Desk {
    folder: TempDir,
    image: TestImage,
    /// The card before the change.
    before: Vec<u8>,
    /// What is on it then.
    files: BTreeMap<&'static str, Vec<u8>>,
    patch: Patch,
    read: ReadCard,
}

/// What a change writes, and one file that it does not.
const FILES: [&str; 8] = [
    names::PLAN,
    names::SECRETS,
    names::LAUNCHER,
    names::UNIT,
    "pikube-agent-arm64",
    "pikube-agent-armv7",
    "cmdline.txt",
    "config.txt",
];

/// The change that `node` asks for on a card, with agents of that size.
fn change(read: &ReadCard, node: &NodeFiles, agent_bytes: usize) -> Patch {
    let agents = support::agents(&[("arm64", agent_bytes), ("armv7", 9_000)]);
    let os = boot::survey(read).unwrap().os;
    boot::prepare(read, &os, node, &agents, &Extras::default()).unwrap().patch
}

fn read_files(card: &ReadCard) -> BTreeMap<&'static str, Vec<u8>> {
    let mut patch = Patch::new();
    let map = card.map(&patch).unwrap();
    let boot = BootFs::open(card, &map, &mut patch).unwrap();
    FILES.iter().filter_map(|name| Some((*name, boot.read(name).unwrap()?))).collect()
}

impl Desk {
    fn new(fat: Fat) -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let image = TestImage::raspberry_pi_os_trixie(fat);
        let path = folder.path().join("card.img");
        let mut before = fs::read(image.path()).unwrap();
        let written =
            change(&card::read(image.path()).unwrap(), &node("laperouse", "swordfish"), 20_000);
        written.apply(0, &mut before);
        fs::write(&path, &before).unwrap();
        let read = card::read(&path).unwrap();
        let files = read_files(&read);
        let patch = change(&read, &node("fregate", "marlin"), 20_000);
        Self { folder, image, before, files, patch, read }
    }

    fn amend(&self, card: &Card) -> Result<(), Error> {
        amend(Box::new(card.clone()), &self.read, &self.patch)
    }

    fn card(&self, faults: Faults) -> Card {
        let card = Card::used(self.before.len(), true, faults);
        card.0.lock().unwrap().bytes = self.before.clone();
        card
    }

    /// What shall be on the card.
    fn wanted(&self) -> Vec<u8> {
        let mut wanted = self.before.clone();
        self.patch.apply(0, &mut wanted);
        wanted
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn assert_clean(&self, bytes: &[u8], what: &str) {
        let begin = self.image.boot_offset_bytes as usize;
        let volume = &bytes[begin..begin + self.image.boot_size_bytes as usize];
        let output = Command::new("fsck.fat").arg("-n").arg(self.put("volume", volume)).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{what}: {said}");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

fn opened(path: &Path) -> ReadCard {
    card::read(path).unwrap()
}

#[test]
fn what_is_replaced_leaves_nothing() {
    for fat in [Fat::Sixteen, Fat::ThirtyTwo] {
        let desk = Desk::new(fat);
        assert!(contains(&desk.before, "swordfish") && !contains(&desk.before, "marlin"));
        let card = desk.card(Faults::default());
        desk.amend(&card).unwrap();
        let bytes = card.bytes();
        assert!(bytes == desk.wanted(), "{fat:?}: nothing else is touched");
        assert!(!contains(&bytes, "swordfish"), "{fat:?}: the old secret is in free space");
        assert!(contains(&bytes, "marlin"), "{fat:?}");
        assert!(card.0.lock().unwrap().announced);
        desk.assert_clean(&bytes, "changed");
    }
}

#[test]
fn behind_the_end_of_a_new_file_there_is_nothing() {
    for fat in [Fat::Sixteen, Fat::ThirtyTwo] {
        let image = TestImage::raspberry_pi_os_trixie(fat);
        // A card that was used before: old keys everywhere in its free space.
        let read = card::read(image.path()).unwrap();
        let mut bytes = fs::read(image.path()).unwrap();
        let map = read.map(&Patch::new()).unwrap();
        for cluster in map.clusters().filter(|cluster| map.is_free(*cluster)).take(200) {
            let place = read.fat().cluster(cluster);
            let begin = image.boot_offset_bytes as usize;
            bytes[begin + place.start as usize..begin + place.end as usize].fill(b'k');
        }
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let path = folder.path().join("card.img");
        fs::write(&path, &bytes).unwrap();
        let read = opened(&path);
        let patch = change(&read, &node("laperouse", "swordfish"), 1000);
        let map = read.map(&patch).unwrap();
        patch.apply(0, &mut bytes);
        let begin = image.boot_offset_bytes as usize;
        let before = read.map(&Patch::new()).unwrap();
        for cluster in map.clusters().filter(|now| !map.is_free(*now) && before.is_free(*now)) {
            let place = read.fat().cluster(cluster);
            let content = &bytes[begin + place.start as usize..begin + place.end as usize];
            assert!(!contains(content, "kkkk"), "{fat:?}: cluster {cluster}");
        }
    }
}

/// Cut at every write, read and sync; also on a card that takes a little at a time, so that a write ends half done.
#[test]
fn cut_at_any_operation_each_file_is_old_or_new_and_the_next_change_mends_the_rest() {
    for (fat, max_transfer) in
        [(Fat::Sixteen, None), (Fat::Sixteen, Some(2048)), (Fat::ThirtyTwo, None)]
    {
        let desk = Desk::new(fat);
        let whole = desk.card(Faults { max_transfer, ..Faults::default() });
        desk.amend(&whole).unwrap();
        let new = read_files(&opened(&desk.put("new.img", &whole.bytes())));
        assert!(new[names::PLAN] != desk.files[names::PLAN]);
        for operation in 1..=whole.log().len() {
            let faults = Faults { gone_at: Some(operation), max_transfer, ..Faults::default() };
            let card = desk.card(faults);
            let at = format!("{fat:?}, operation {operation}, {max_transfer:?}");
            assert!(desk.amend(&card).is_err(), "{at}");
            let path = desk.put("cut.img", &card.bytes());
            let cut = opened(&path);
            let files = read_files(&cut);
            assert_eq!(files.len(), new.len(), "{at}: a file is missing");
            for (name, content) in &files {
                assert!(*content == desk.files[name] || *content == new[name], "{at}: {name}");
            }
            boot::existing(&cut).unwrap().unwrap();

            let patch = change(&cut, &node("fregate", "marlin"), 20_000);
            let again = card.clone();
            again.0.lock().unwrap().faults = Faults::default();
            if !patch.is_empty() {
                amend(Box::new(again.clone()), &cut, &patch).unwrap();
            }
            let bytes = again.bytes();
            assert_eq!(read_files(&opened(&desk.put("mended.img", &bytes))), new, "{at}");
            assert!(!contains(&bytes, "swordfish"), "{at}: the old secret is in free space");
            desk.assert_clean(&bytes, &at);
        }
    }
}

#[test]
fn a_change_that_is_not_kept_is_a_mismatch_with_its_place() {
    let desk = Desk::new(Fat::ThirtyTwo);
    let changed: Vec<u64> = desk.patch.sectors().map(|(sector, _)| sector * 512 + 7).collect();
    for place in changed.iter().step_by(7) {
        let card = desk.card(Faults { flipped: Some(*place), ..Faults::default() });
        let error = desk.amend(&card).unwrap_err();
        let Error::Mismatch { offset_bytes, found: None, .. } = error else { panic!("{error}") };
        assert_eq!(offset_bytes, *place);
    }
}

/// Chains that are circles, or lead where there is nothing, are told and not followed for ever.
#[test]
fn a_damaged_allocation_table_is_refused() {
    for fat in [Fat::Sixteen, Fat::ThirtyTwo] {
        for (value, says) in [(None, "more than one file"), (Some(0), "marked as free")] {
            let desk = Desk::new(fat);
            let map = desk.read.map(&Patch::new()).unwrap();
            let chained = map.clusters().filter(|now| map.entry(*now) == now + 1);
            let cluster = chained.max().unwrap();
            let mut bytes = desk.before.clone();
            let width = desk.read.fat().entry_bytes();
            for at in desk.read.fat().copies(u64::from(cluster) * width as u64) {
                let at = (desk.image.boot_offset_bytes + at) as usize;
                let value: u32 = value.unwrap_or(cluster);
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            let damaged = opened(&desk.put("damaged.img", &bytes));
            let error = boot::survey(&damaged).unwrap_err();
            assert!(error.to_string().contains(says), "{fat:?}: {error}");
            assert!(error.help().unwrap().contains("fsck.vfat"), "{error:?}");
        }
    }
}

/// A root folder that is a circle, full of removed names: whoever looks for a name in it goes round and round.
#[test]
fn looking_at_a_card_ends_where_its_chains_do_not() {
    let desk = Desk::new(Fat::ThirtyTwo);
    let (mut bytes, fat) = (desk.before.clone(), desk.read.fat().clone());
    let start = desk.image.boot_offset_bytes;
    let root = fat.root_cluster.unwrap();
    for at in fat.copies(u64::from(root) * 4) {
        let at = (start + at) as usize;
        bytes[at..at + 4].copy_from_slice(&root.to_le_bytes());
    }
    let folder = fat.cluster(root);
    let folder = (start + folder.start) as usize..(start + folder.end) as usize;
    bytes[folder].chunks_mut(32).for_each(|name| name[0] = 0xe5);
    let damaged = desk.put("damaged.img", &bytes);
    let piflash = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        let output = command.args(args).arg(&damaged).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, says) = piflash(&["diagnose"]);
    assert_eq!(code, Some(1), "{says}");
    assert!(says.contains("more than one file") && says.contains("fsck.vfat"), "{says}");
    let (code, says) = piflash(&["verify", "--image", desk.image.path().to_str().unwrap()]);
    assert_eq!(code, Some(4), "{says}");
}
