//! Changing a prepared card in place: what is written in which order, and what a failing card makes of it.
//!
//! Rung 1: no root, no devices.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/fake_card.rs"]
mod fake;
mod support;

use std::fs;

use fake::{Card, Faults, Op};
use piflash::boot::BootFs;
use piflash::card::{self, Error, ReadCard, amend};
use piflash::image::{Patch, WithBoot as _};
use support::{Fat, TestImage};

/// A card as a file and in memory, and a patch that puts a new file on it.
struct Desk {
    image: TestImage,
    read: ReadCard,
    patch: Patch,
}

impl Desk {
    fn new(fat: Fat) -> Self {
        let image = TestImage::raspberry_pi_os_trixie(fat);
        let read = card::read(image.path()).unwrap();
        let mut patch = Patch::new();
        let boot = BootFs::open(read.patched(&mut patch)).unwrap();
        boot.write("pikube.toml", &[7; 20_000]).unwrap();
        boot.close().unwrap();
        Self { image, read, patch }
    }

    fn amend(&self, card: &Card) -> Result<(), Error> {
        amend(Box::new(card.clone()), self.read.boot_partition(), self.read.fat(), &self.patch)
    }

    fn card(&self, faults: Faults) -> Card {
        let bytes = fs::read(self.image.path()).unwrap();
        let card = Card::used(bytes.len(), true, faults);
        card.0.lock().unwrap().bytes = bytes;
        card
    }

    /// What shall be on the card.
    fn wanted(&self) -> Vec<u8> {
        let mut wanted = fs::read(self.image.path()).unwrap();
        self.patch.apply(0, &mut wanted);
        wanted
    }
}

#[test]
fn files_come_before_tables_and_tables_before_names() {
    for fat in [Fat::Sixteen, Fat::ThirtyTwo] {
        let desk = Desk::new(fat);
        let card = desk.card(Faults::default());
        desk.amend(&card).unwrap();
        assert!(card.bytes() == desk.wanted(), "{fat:?}: nothing else is touched");
        let log = card.log();
        let syncs: Vec<usize> = (0..log.len()).filter(|at| matches!(log[*at], Op::Sync)).collect();
        let [files, tables, root] = syncs[..] else { panic!("{fat:?}: {log:?}") };
        let begin = desk.read.boot_partition().offset_bytes;
        let area = |op: &Op| match op {
            Op::Write(at, _) if desk.read.fat().root.contains(&(at - begin)) => 2,
            Op::Write(at, _) if desk.read.fat().tables.contains(&(at - begin)) => 1,
            Op::Write(..) => 0,
            _ => panic!("{op:?} between the writes"),
        };
        assert!(log[..files].iter().all(|op| area(op) == 0) && files > 0, "{fat:?}");
        assert!(log[files + 1..tables].iter().all(|op| area(op) == 1), "{fat:?}");
        assert!(log[tables + 1..root].iter().all(|op| area(op) == 2), "{fat:?}");
        let read: usize =
            log[root..].iter().map(|op| if let Op::Read(_, len) = op { *len } else { 0 }).sum();
        assert_eq!(read as u64, desk.patch.len_bytes(), "{fat:?}: all of it is read back");
        assert!(card.0.lock().unwrap().announced);
    }
}

#[test]
fn cut_at_any_operation_the_same_changes_mend_it() {
    let desk = Desk::new(Fat::Sixteen);
    let whole = desk.card(Faults::default());
    desk.amend(&whole).unwrap();
    for operation in 1..=whole.log().len() {
        let card = desk.card(Faults { gone_at: Some(operation), ..Faults::default() });
        assert!(desk.amend(&card).is_err(), "operation {operation}");
        card.0.lock().unwrap().faults = Faults::default();
        desk.amend(&card).unwrap();
        assert!(card.bytes() == desk.wanted(), "operation {operation}");
    }
}

#[test]
fn a_change_that_is_not_kept_is_a_mismatch_with_its_place() {
    let desk = Desk::new(Fat::ThirtyTwo);
    let changed: Vec<u64> = desk
        .patch
        .sectors()
        .map(|(sector, content)| {
            let byte = content.iter().position(|byte| *byte == 7).unwrap_or(0);
            sector * 512 + byte as u64
        })
        .collect();
    for place in changed.iter().step_by(7) {
        let card = desk.card(Faults { flipped: Some(*place), ..Faults::default() });
        let error = desk.amend(&card).unwrap_err();
        let Error::Mismatch { offset_bytes, found: None, .. } = error else { panic!("{error}") };
        assert_eq!(offset_bytes, *place);
    }
}
