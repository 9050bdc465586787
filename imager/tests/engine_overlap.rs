//! The engine where decoding is slower than the card: what is written is read back meanwhile, and a card that forgets
//! what it had is found out nevertheless. Rung 1: no root, no devices.
#![allow(clippy::print_stdout, reason = "it says what the scheduler made of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/fake_card.rs"]
mod fake;

use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use fake::images::{MIB, Shape, head};
use fake::{Card, Faults, Op, Source, assert_written};
use piflash::card::{CardState, Error, ExitClass, Options, write};

/// Behind the boot partition there is more than is gathered before the first reading back.
fn long() -> Shape {
    Shape { boot_sectors: 4400, root_sectors: 90 * 2048, ..Shape::default() }
}

/// The image, packed so that it takes longer to decode than to write it to memory.
fn slow_to_decode(shape: Shape) -> Source {
    let image = shape.build();
    let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 0);
    packer.write_all(&image).unwrap();
    Source::packed(shape, &packer.finish().unwrap(), image)
}

#[test]
fn everything_is_read_back_once_and_after_it_was_synced() {
    let source = slow_to_decode(long());
    let card = Card::used(128 * MIB, true, Faults::default());
    let written = source.write_one(&card).unwrap();
    assert!(written.verified);
    assert_written(&card, &source, "overlapped");

    // From the end of the withheld start on, in order, and never what was not synced since it was written.
    let (mut at, mut dirty) = (MIB as u64, Vec::new());
    let mut early = false;
    let log = card.log();
    let last_write = log.iter().rposition(|op| matches!(op, Op::Write(0, _))).unwrap();
    for (index, op) in log[..last_write].iter().enumerate() {
        match *op {
            Op::Write(offset, len) => dirty.push(offset..offset + len as u64),
            Op::Zero(offset, len) => dirty.push(offset..offset + len),
            Op::Sync => dirty.clear(),
            Op::Read(offset, len) => {
                let end = offset + len as u64;
                assert!(
                    dirty.iter().all(|range| range.end <= offset || range.start >= end),
                    "operation {index}: {op:?} reads what is not synced"
                );
                // The markers of the capacity probe, and the second looks, are shorter.
                if offset == at && len > 4096 {
                    at = end;
                    let writes_follow = |op: &Op| matches!(op, Op::Write(o, _) if *o >= MIB as u64);
                    early |= log[index..last_write].iter().any(writes_follow);
                }
            }
        }
    }
    assert_eq!(at, source.image.len().next_multiple_of(512) as u64);
    println!("read back while writing: {early}");
}

#[test]
fn a_card_that_is_smaller_than_it_says_is_named_with_what_it_has() {
    let source = Source::new(fake::small());
    for (real, told) in [(64, 64), (128, 128)] {
        let faults = Faults { real_bytes: Some(real * MIB as u64), ..Faults::default() };
        let card = Card::used(200 * MIB, true, faults);
        let failure = source.write_one(&card).unwrap_err();
        let Error::Counterfeit { claimed_bytes, real_bytes, .. } = failure.error else {
            panic!("{failure}")
        };
        assert_eq!((claimed_bytes, real_bytes), (200 * MIB as u64, told * MIB as u64));
        assert_eq!(failure.exit_class(), ExitClass::Mismatch);
        assert!(matches!(failure.state, CardState::NotBootable) && card.does_not_boot());
        assert!(failure.to_string().contains("it is counterfeit"), "{failure}");
    }
}

#[test]
fn the_markers_of_the_capacity_probe_are_gone_afterwards() {
    let source = Source::new(fake::small());
    let card = Card::used(200 * MIB, true, Faults::default());
    source.write_one(&card).unwrap();
    assert_written(&card, &source, "probed");
    let bytes = card.bytes();
    for place in [64 * MIB, 128 * MIB, 200 * MIB - 4096] {
        assert!(bytes[place..place + 4096].iter().all(|byte| *byte == 0), "byte {place}");
    }
}

#[test]
fn without_verification_the_capacity_is_not_probed() {
    let source = Source::new(fake::small());
    let card = Card::used(200 * MIB, true, Faults::default());
    let (head, rest) = head(&source.path).unwrap();
    let jobs = vec![card.job(&source.patch)];
    let options = Options { verify: false };
    write(&head, rest, jobs, &options, &(), &AtomicBool::new(false)).remove(0).unwrap();
    assert!(!card.log().iter().any(|op| matches!(op, Op::Read(..))));
}

#[test]
fn what_is_overwritten_after_it_was_read_back_is_found_out() {
    // It wraps around at no power of two, so the markers do not tell, and within the image.
    let source = slow_to_decode(long());
    let faults = Faults { real_bytes: Some(83 * MIB as u64), ..Faults::default() };
    let card = Card::used(120 * MIB, true, faults);
    let failure = source.write_one(&card).unwrap_err();
    assert_eq!(failure.exit_class(), ExitClass::Mismatch, "{failure}");
    assert!(card.does_not_boot());
}
