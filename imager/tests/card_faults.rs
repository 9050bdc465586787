//! The engine against cards that fail: at any byte, at any operation, by any kind of lie.
//!
//! Rung 1: no root, no devices. In every case a card that is not reported as written does not boot (its first MiB is
//! zeros), and where that cannot be had, the message says so.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/fake_card.rs"]
mod fake;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fake::images::{MIB, Shape, head, xz};
use fake::{Card, Faults, OLD, Op, Source, assert_written, small};
use piflash::card::{CardState, Error, ExitClass, Failure, Options, write};
use piflash::image::{Patch, WithBoot as _};

/// Places of every kind: table, gap, boot sector, boot partition, its end, stream, its last byte.
fn places(source: &Source) -> Vec<u64> {
    let shape = &source.shape;
    let places = [
        0,
        510,
        4095,
        4096,
        9000,
        MIB - 1,
        shape.boot_start(),
        shape.boot_start() + MIB,
        shape.boot_end() - 1,
        shape.boot_end(),
        shape.boot_end() + 300_000,
        source.image.len() - 1,
    ];
    places.map(|at| at as u64).to_vec()
}

#[test]
fn a_write_error_anywhere_leaves_no_bootable_card() {
    let source = Source::new(small());
    for place in places(&source) {
        for from in [1, 2, 3] {
            let faults = Faults { write_error: Some((place, from)), ..Faults::default() };
            let card = Card::used(8 * MIB, true, faults);
            match source.write_one(&card) {
                Ok(_) => {
                    assert!(from > 1, "byte {place}: the error was overlooked");
                    assert_written(&card, &source, "the error never came");
                }
                Err(failure) => {
                    let Error::IoAt { action: "writing", offset_bytes, .. } = failure.error else {
                        panic!("byte {place}: {failure}")
                    };
                    assert!(offset_bytes <= place, "byte {place}: {failure}");
                    // Where zeros cannot be written either, it says so; elsewhere they are there.
                    match &failure.state {
                        CardState::NotBootable => assert!(card.does_not_boot(), "byte {place}"),
                        CardState::Unknown(_) => {
                            assert!(place < MIB as u64, "byte {place}");
                            assert!(failure.to_string().contains("do not boot it"), "{failure}");
                        }
                        other => panic!("byte {place}: {other:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_read_error_anywhere_leaves_no_bootable_card() {
    let source = Source::new(small());
    for place in places(&source) {
        let card =
            Card::used(8 * MIB, true, Faults { read_error: Some(place), ..Faults::default() });
        let failure = source.write_one(&card).unwrap_err();
        assert!(
            matches!(failure.error, Error::IoAt { action: "reading", .. }),
            "{place}: {failure}"
        );
        assert!(card.does_not_boot(), "byte {place}");
    }
}

#[test]
fn wrong_data_anywhere_is_a_mismatch_with_its_place() {
    let source = Source::new(small());
    for place in places(&source) {
        let flipped = Faults { flipped: Some(place), ..Faults::default() };
        let stuck = Faults { stuck: Some(place), ..Faults::default() };
        for faults in [flipped, stuck] {
            let what = format!("{faults:?}");
            let card = Card::used(8 * MIB, true, faults);
            let failure = source.write_one(&card).unwrap_err();
            assert_eq!(failure.exit_class(), ExitClass::Mismatch);
            let Error::Mismatch { offset_bytes, ref found, .. } = failure.error else {
                panic!("{what}: {failure}")
            };
            let exact = found.is_none();
            let begin = source.shape.boot_end() as u64;
            let block = begin + (place.max(begin) - begin) / 65536 * 65536;
            match place < begin {
                true => assert_eq!((offset_bytes, exact), (place, true), "{what}"),
                false => assert_eq!((offset_bytes, exact), (block, false), "{what}"),
            }
            let sharp = failure.error.sharpen(|offset, found| source.differs(offset, found));
            assert!(
                matches!(sharp, Error::Mismatch { offset_bytes, found: None, .. } if offset_bytes == place),
                "{what}: {sharp}"
            );
            let start_but_stuck = card.bytes()[..MIB]
                .iter()
                .enumerate()
                .all(|(at, b)| *b == 0 || (at as u64 == place && *b == OLD));
            assert!(start_but_stuck, "{what}: the start was not cleared");
        }
    }
}

#[test]
fn a_counterfeit_card_is_found_out() {
    let source = Source::new(small());
    let faults = Faults { real_bytes: Some(2 * MIB as u64), ..Faults::default() };
    let card = Card::used(8 * MIB, true, faults);
    let failure = source.write_one(&card).unwrap_err();
    assert_eq!(failure.exit_class(), ExitClass::Mismatch, "{failure}");
    assert!(card.does_not_boot());
}

#[test]
fn a_card_that_is_pulled_out_fails_at_every_operation() {
    let source = Source::new(small());
    let whole = Card::used(8 * MIB, true, Faults::default());
    source.write_one(&whole).unwrap();
    let operations = whole.log().len();
    assert!(operations > 15);
    let finish = whole.log().iter().rposition(|op| matches!(op, Op::Write(0, _))).unwrap();
    for gone_at in 1..=operations {
        let card =
            Card::used(8 * MIB, true, Faults { gone_at: Some(gone_at), ..Faults::default() });
        let failure = source.write_one(&card).unwrap_err();
        assert!(matches!(failure.error, Error::IoAt { .. } | Error::Io { .. }), "{failure}");
        assert!(failure.to_string().contains("/dev/pretended"));
        match failure.state {
            // Said only where it is so.
            CardState::NotBootable => assert!(card.does_not_boot(), "gone at {gone_at}"),
            CardState::Unknown(_) => {
                let erased = whole.log().iter().position(|op| *op == Op::Sync).unwrap();
                assert!(gone_at <= erased + 1 || gone_at >= finish - 1, "gone at {gone_at}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn interrupted_at_every_operation() {
    // Several chunks, so that it is interrupted between them, too.
    for shape in [small(), Shape::default()] {
        let source = Source::new(shape);
        let whole = Card::used(20 * MIB, true, Faults::default());
        source.write_one(&whole).unwrap();
        let log = whole.log();
        let finish = log.iter().rposition(|op| matches!(op, Op::Write(4096, _))).unwrap();
        for at in 1..=log.len() {
            let flag = Arc::new(AtomicBool::new(false));
            let faults = Faults { cancel_at: Some((at, flag.clone())), ..Faults::default() };
            let card = Card::used(20 * MIB, true, faults);
            let result = source.write(&[&card], &flag).remove(0);
            if at <= finish {
                let failure = result.unwrap_err();
                assert!(matches!(failure.error, Error::Interrupted { .. }), "{at}: {failure}");
                assert!(card.does_not_boot(), "interrupted at {at} of {}", log.len());
                let text = failure.to_string();
                assert!(
                    text.contains("does not boot half-written and must be written again"),
                    "{text}"
                );
                assert_eq!(failure.exit_class(), ExitClass::Failed);
            } else {
                // Everything was proven; a card that is being made bootable is finished.
                result.unwrap();
                assert_written(&card, &source, "finished");
            }
        }
    }
}

#[test]
fn interrupted_before_the_start_touches_nothing() {
    let source = Source::new(small());
    let card = Card::used(8 * MIB, true, Faults::default());
    let failure = source.write(&[&card], &AtomicBool::new(true)).remove(0).unwrap_err();
    assert!(failure.to_string().ends_with("interrupted; nothing was written"), "{failure}");
    assert!(card.log().is_empty());
}

#[test]
fn a_damaged_image_leaves_no_bootable_card() {
    let shape = Shape::default();
    let image = shape.build();
    let packed = xz(&image, Some(1 << 18));
    for keep in [packed.len() - 1, packed.len() * 4 / 5] {
        let source = Source::packed(shape.clone(), &packed[..keep], image.clone());
        let cards = [0, 1].map(|_| Card::used(20 * MIB, true, Faults::default()));
        for result in source.write(&[&cards[0], &cards[1]], &AtomicBool::new(false)) {
            let failure = result.unwrap_err();
            assert!(failure.to_string().contains("truncated"), "{failure}");
            assert!(failure.help().unwrap().contains("fetch the image again"));
        }
        assert!(cards.iter().all(Card::does_not_boot));
    }
}

#[test]
fn each_card_fails_alone_and_has_its_own_patch() {
    let source = Source::new(Shape::default());
    let at = source.shape.boot_end() as u64 + 5 * MIB as u64;
    let good = [0, 1].map(|_| Card::used(20 * MIB, true, Faults::default()));
    let broken =
        Card::used(20 * MIB, true, Faults { write_error: Some((at, 1)), ..Faults::default() });
    let lying = Card::used(20 * MIB, true, Faults { flipped: Some(at), ..Faults::default() });
    let small = Card::used(2 * MIB, true, Faults::default());
    let (head, rest) = head(&source.path).unwrap();
    let mut other = Patch::new();
    other.write_at(head.bytes(), 2_000_000, b"the other card").unwrap();
    let jobs = vec![
        good[0].job(&source.patch),
        broken.job(&source.patch),
        lying.job(&source.patch),
        small.job(&source.patch),
        good[1].job(&other),
    ];
    let results = write(&head, rest, jobs, &Options::default(), &(), &AtomicBool::new(false));
    let classes: Vec<Option<ExitClass>> =
        results.iter().map(|result| result.as_ref().err().map(Failure::exit_class)).collect();
    use ExitClass::{Failed, Mismatch, Refused};
    assert_eq!(classes, [None, Some(Failed), Some(Mismatch), Some(Refused), None]);
    assert_written(&good[0], &source, "first card");
    let mut wanted = source.image.clone();
    wanted[2_000_000..2_000_014].copy_from_slice(b"the other card");
    assert!(good[1].bytes()[..wanted.len()] == wanted, "the last card has another's patch");
    assert!(broken.does_not_boot() && lying.does_not_boot());
    assert!(small.bytes().iter().all(|byte| *byte == OLD));
}

#[test]
fn a_new_file_that_failed_can_be_written_again() {
    let source = Source::new(small());
    let at = source.shape.boot_end() as u64 + 1000;
    let card = Card::new_file();
    card.0.lock().unwrap().faults.write_error = Some((at, 1));
    let failure = source.write_one(&card).unwrap_err();
    assert!(matches!(failure.state, CardState::NotBootable), "{failure}");
    assert!(card.does_not_boot());
    assert_eq!(card.bytes().len(), source.image.len(), "it would be too small the next time");
}
