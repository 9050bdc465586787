//! The engine against cards in memory that work: what is written where, when, and at which sizes.
//!
//! Rung 1: no root, no devices. A card that is reported as written holds the image with its patch, byte for byte.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/fake_card.rs"]
mod fake;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use fake::images::{MIB, Shape, head, xz};
use fake::{Card, Faults, OLD, Op, Source, Zeroing, assert_written, small};
use piflash::card::{CardState, Error, Event, Events, ExitClass, Options, Phase, Refusal, write};
use proptest::prelude::*;

#[test]
fn the_start_is_written_last_and_after_everything_was_read_back() {
    let source = Source::new(Shape::default());
    let card = Card::used(20 * MIB, true, Faults::default());
    let written = source.write_one(&card).unwrap();
    assert_eq!((written.bytes, written.verified), (source.image.len() as u64, true));
    assert_written(&card, &source, "plain");
    assert!(card.0.lock().unwrap().announced);

    let log = card.log();
    let is_start = |op: &Op| matches!(op, Op::Write(at, _) if *at < MIB as u64);
    // First the zeros, synced; then nothing at the start until the end: its body, a sync, its first page, a sync.
    assert_eq!(log[0], Op::Write(0, MIB));
    assert!(
        log[..log.iter().position(|op| *op == Op::Sync).unwrap()]
            .contains(&Op::Write(20 * MIB as u64 - 33 * 512, 33 * 512))
    );
    let finish = log.iter().skip(1).position(is_start).unwrap() + 1;
    let last =
        [Op::Write(4096, MIB - 4096), Op::Sync, Op::Write(0, 4096), Op::Sync, Op::Read(0, MIB)];
    assert_eq!(log[finish..], last);
    // Every byte behind the start was read before, after the sync that follows the last write.
    let last_write = log[..finish].iter().rposition(|op| matches!(op, Op::Write(..))).unwrap();
    assert_eq!(log[last_write + 1], Op::Sync);
    let mut at = MIB as u64;
    for op in &log[last_write + 2..finish] {
        match op {
            Op::Read(offset, len) => {
                assert_eq!(*offset, at);
                at += *len as u64;
            }
            other => panic!("{other:?} while reading back"),
        }
    }
    assert_eq!(at, source.image.len().next_multiple_of(512) as u64);
    // The padding of the last sector is zeros, and nothing behind it is touched but the old backup table.
    let bytes = card.bytes();
    assert!(bytes[source.image.len()..at as usize].iter().all(|byte| *byte == 0));
    assert!(bytes[at as usize..20 * MIB - 33 * 512].iter().all(|byte| *byte == OLD));
    // This device cannot erase, and that is known.
    assert_eq!(written.left_bytes, 20 * MIB as u64 - at);
}

#[test]
fn without_verification_nothing_is_read() {
    let source = Source::new(small());
    let card = Card::used(20 * MIB, true, Faults::default());
    let (head, rest) = head(&source.path).unwrap();
    let options = Options { verify: false };
    let jobs = vec![card.job(&source.patch)];
    let written =
        write(&head, rest, jobs, &options, &(), &AtomicBool::new(false)).remove(0).unwrap();
    assert!(!written.verified && written.verify_seconds.is_none());
    assert!(!card.log().iter().any(|op| matches!(op, Op::Read(..))));
    assert_written(&card, &source, "not verified");
}

#[test]
fn a_file_keeps_what_is_behind_the_image() {
    let source = Source::new(small());
    let card = Card::used(source.image.len() + 100, false, Faults::default());
    source.write_one(&card).unwrap();
    assert_written(&card, &source, "file");
    assert_eq!(card.bytes()[source.image.len()..], [OLD; 100]);
}

#[test]
fn a_new_file_gets_the_size_of_the_image_and_holes_for_its_zeros() {
    let source = Source::new(Shape::default());
    let card = Card::new_file();
    source.write_one(&card).unwrap();
    assert!(card.bytes() == source.wanted);
    let written: usize =
        card.log().iter().map(|op| if let Op::Write(_, len) = op { *len } else { 0 }).sum();
    assert!(written < source.image.len() - 3 * MIB, "{written} bytes were written, zeros included");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Sizes that are multiples of nothing, cards that just fit, transfers of any length.
    #[test]
    fn any_size_is_written(
        boot_sector in prop_oneof![Just(1usize), Just(9), Just(63), 64usize..2048, 2048usize..3000],
        boot_sectors in 4400usize..4700,
        root_sectors in 1usize..3000,
        tail_bytes in 0usize..2000,
        more in prop_oneof![Just(0usize), 1usize..200_000],
        padded in any::<bool>(),
        max_transfer in prop_oneof![Just(None), (2000usize..3_000_000).prop_map(Some)],
    ) {
        let source = Source::new(Shape { boot_sector, boot_sectors, root_sectors, tail_bytes });
        let size = source.image.len() + more;
        let size = if padded { size.next_multiple_of(512) } else { size };
        let faults = Faults { max_transfer, ..Faults::default() };
        let card = Card::used(size, padded, faults);
        let written = source.write_one(&card).unwrap();
        prop_assert_eq!(written.bytes, source.image.len() as u64);
        assert_written(&card, &source, "any size");
    }
}

#[test]
fn one_byte_too_small_is_refused_untouched() {
    let source = Source::new(small());
    for padded in [false, true] {
        let size = source.image.len() - 1;
        let card =
            Card::used(if padded { size / 512 * 512 } else { size }, padded, Faults::default());
        let failure = source.write_one(&card).unwrap_err();
        assert!(matches!(failure.error, Error::Refused(Refusal::TooSmall { .. })), "{failure}");
        assert!(matches!(failure.state, CardState::Untouched));
        assert_eq!(failure.exit_class(), ExitClass::Refused);
        assert!(card.log().is_empty());
    }
}

#[test]
fn an_image_that_turns_out_too_large_leaves_no_bootable_card() {
    let shape = small();
    let image = shape.build();
    // Padding that hides the index: the size is known only at the end.
    let source = Source::packed(shape, &[xz(&image, None), vec![0; 2 * MIB]].concat(), image);
    let card = Card::used((source.image.len() - 1) / 512 * 512, true, Faults::default());
    let failure = source.write_one(&card).unwrap_err();
    assert!(matches!(failure.error, Error::ImageLarger { .. }), "{failure}");
    assert!(card.does_not_boot());
    let fits = Card::used(source.image.len().next_multiple_of(512), true, Faults::default());
    source.write_one(&fits).unwrap();
    assert_written(&fits, &source, "size unknown");
}

/// Keeps every event.
#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Events for Recorder {
    fn event(&self, card: usize, event: Event) {
        assert_eq!(card, 0);
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn progress_goes_through_all_phases_and_ends_at_its_total() {
    let source = Source::new(Shape::default());
    let card = Card::used(20 * MIB, true, Faults::default());
    let (head, rest) = head(&source.path).unwrap();
    let events = Recorder::default();
    let jobs = vec![card.job(&source.patch)];
    write(&head, rest, jobs, &Options::default(), &events, &AtomicBool::new(false))
        .remove(0)
        .unwrap();
    let mut phases: Vec<(Phase, u64, Option<u64>)> = Vec::new();
    for event in events.0.into_inner().unwrap() {
        match event {
            Event::Phase(phase) => phases.push((phase, 0, None)),
            Event::Bytes { done_bytes, total_bytes } => {
                let last = phases.last_mut().unwrap();
                assert!(done_bytes > last.1, "{:?} went back", last.0);
                (last.1, last.2) = (done_bytes, total_bytes);
            }
            other => panic!("{other:?}"),
        }
    }
    use Phase::{BootPartition, Erase, Finish, Verify, Write};
    let names: Vec<Phase> = phases.iter().map(|(phase, ..)| *phase).collect();
    assert_eq!(names, [Erase, Write, BootPartition, Verify, Finish]);
    for (phase, done, total) in &phases[1..4] {
        assert_eq!(Some(*done), *total, "{phase:?}");
    }
    assert_eq!(phases[3].1, (source.image.len() - MIB) as u64);
}

#[test]
fn what_a_card_zeroes_by_itself_is_looked_at_and_not_read_back_whole() {
    let zeros = 5 * MIB..11 * MIB;
    let mut image = Shape::default().build();
    image[zeros.clone()].fill(0);
    let source = Source::packed(Shape::default(), &image, image.clone());
    for zeroing in [Zeroing::Zeroes, Zeroing::Refuses] {
        let faults = Faults { zeroing: Some(zeroing), ..Faults::default() };
        let card = Card::used(20 * MIB, true, faults);
        source.write_one(&card).unwrap();
        assert_written(&card, &source, "zeroed");
        let read: usize =
            card.log().iter().map(|op| if let Op::Read(_, len) = op { *len } else { 0 }).sum();
        match zeroing {
            Zeroing::Zeroes => assert!(read < image.len() - 4 * MIB, "{read} bytes were read"),
            _ => assert!(read > image.len() - MIB, "{read} bytes were read"),
        }
    }
    let faults = Faults { zeroing: Some(Zeroing::Lies), ..Faults::default() };
    let card = Card::used(20 * MIB, true, faults);
    let failure = source.write_one(&card).unwrap_err();
    match failure.error {
        // There are zeros in the boot partition, too.
        Error::Mismatch { offset_bytes, .. } => assert_eq!(source.wanted[offset_bytes as usize], 0),
        other => panic!("{other}"),
    }
}
