//! The engine against cards that do as they are told, which includes failing at any byte.
//!
//! Rung 1: no root, no devices. What must hold in every case: a card that is not reported as written does not boot (its
//! first MiB is zeros), and a card that is reported as written holds the image with its patch, byte for byte.

#[path = "card_images.rs"]
mod images;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use images::{MIB, Shape, head, xz};
use piflash::card::{
    CardState, Destination, Error, Event, Events, ExitClass, Failure, Job, Options, Phase, Refusal,
    Written, write,
};
use piflash::image::Patch;
use proptest::prelude::*;

/// What a card does wrong.
#[derive(Debug, Clone, Default)]
struct Faults {
    /// Most bytes that one call transfers.
    max_transfer: Option<usize>,
    /// A write that touches this byte fails, from the n-th such write on.
    write_error: Option<(u64, usize)>,
    /// A read that touches this byte fails.
    read_error: Option<u64>,
    /// Reads show this byte flipped.
    flipped: Option<u64>,
    /// This byte keeps what it had.
    stuck: Option<u64>,
    /// Capacity of a counterfeit card: what is written beyond lands at the beginning again.
    real_bytes: Option<u64>,
    /// From this operation on (writes, reads and syncs counted together) everything fails: pulled out.
    gone_at: Option<usize>,
    /// At this operation the user presses Ctrl-C.
    cancel_at: Option<(usize, Arc<AtomicBool>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Write(u64, usize),
    Read(u64, usize),
    Sync,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    grows: bool,
    padded: bool,
    faults: Faults,
    log: Vec<Op>,
    touched: BTreeMap<u64, usize>,
    announced: bool,
}

/// A card in memory; clones are the same card.
#[derive(Debug, Clone)]
struct Card(Arc<Mutex<Inner>>);

/// What a used card is full of.
const OLD: u8 = 0xa5;

impl Card {
    fn used(size: usize, padded: bool, faults: Faults) -> Self {
        let bytes = vec![OLD; size];
        Self(Arc::new(Mutex::new(Inner { bytes, padded, faults, ..Inner::default() })))
    }

    fn new_file() -> Self {
        Self(Arc::new(Mutex::new(Inner { grows: true, ..Inner::default() })))
    }

    fn job(&self, patch: &Patch) -> Job {
        Job::new(self.clone(), patch.clone())
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    fn log(&self) -> Vec<Op> {
        self.0.lock().unwrap().log.clone()
    }

    fn does_not_boot(&self) -> bool {
        let inner = self.0.lock().unwrap();
        inner.bytes.iter().take(MIB).all(|byte| *byte == 0)
    }
}

impl Inner {
    fn operation(&mut self, op: Op) -> io::Result<()> {
        self.log.push(op);
        if let Some((at, flag)) = &self.faults.cancel_at
            && self.log.len() == *at
        {
            flag.store(true, Ordering::Relaxed);
        }
        match self.faults.gone_at {
            Some(at) if self.log.len() >= at => Err(io::Error::from_raw_os_error(19)), // ENODEV
            _ => Ok(()),
        }
    }

    fn real(&self, offset: u64) -> usize {
        let wrapped = self.faults.real_bytes.map_or(offset, |real| offset % real);
        wrapped as usize
    }
}

impl Destination for Card {
    fn path(&self) -> &Path {
        Path::new("/dev/pretended")
    }

    fn size_bytes(&self) -> Option<u64> {
        let inner = self.0.lock().unwrap();
        (!inner.grows).then_some(inner.bytes.len() as u64)
    }

    fn padded(&self) -> bool {
        self.0.lock().unwrap().padded
    }

    fn unwritten_is_zero(&self) -> bool {
        self.0.lock().unwrap().grows
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        inner.operation(Op::Write(offset, data.len()))?;
        if inner.padded {
            assert!(offset.is_multiple_of(512) && data.len().is_multiple_of(512), "part of a sector");
            assert!(data.as_ptr().align_offset(512) == 0, "unaligned memory");
        }
        let len = data.len().min(inner.faults.max_transfer.unwrap_or(usize::MAX));
        if let Some((byte, from)) = inner.faults.write_error
            && (offset..offset + len as u64).contains(&byte)
        {
            let times = inner.touched.entry(byte).or_default();
            *times += 1;
            if *times >= from {
                return Err(io::Error::from_raw_os_error(5)); // EIO
            }
        }
        let end = offset as usize + len;
        if inner.grows && inner.bytes.len() < end {
            inner.bytes.resize(end, 0);
        }
        if end > inner.bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        for (index, byte) in data[..len].iter().enumerate() {
            let at = offset + index as u64;
            if inner.faults.stuck != Some(at) {
                let real = inner.real(at);
                inner.bytes[real] = *byte;
            }
            if inner.faults.real_bytes.is_none() && inner.faults.stuck.is_none() {
                // The quick way for cards without such faults.
                inner.bytes[offset as usize..end].copy_from_slice(&data[..len]);
                break;
            }
        }
        Ok(len)
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        inner.operation(Op::Read(offset, buf.len()))?;
        let left = inner.bytes.len().saturating_sub(offset as usize);
        let len = buf.len().min(left).min(inner.faults.max_transfer.unwrap_or(usize::MAX));
        let range = offset..offset + len as u64;
        if inner.faults.read_error.is_some_and(|byte| range.contains(&byte)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        if inner.faults.real_bytes.is_some() {
            for (index, byte) in buf[..len].iter_mut().enumerate() {
                *byte = inner.bytes[inner.real(offset + index as u64)];
            }
        } else {
            buf[..len].copy_from_slice(&inner.bytes[offset as usize..][..len]);
        }
        if let Some(byte) = inner.faults.flipped.filter(|byte| range.contains(byte)) {
            buf[(byte - offset) as usize] ^= 0x40;
        }
        Ok(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().operation(Op::Sync)
    }

    fn set_end(&mut self, image_bytes: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.grows {
            inner.bytes.resize(image_bytes as usize, 0);
        }
        Ok(())
    }

    fn announce(&mut self) {
        self.0.lock().unwrap().announced = true;
    }
}

/// An image file, and a patch that changes its boot partition.
struct Source {
    _folder: tempfile::TempDir,
    path: PathBuf,
    image: Vec<u8>,
    patch: Patch,
    /// The image with the patch.
    wanted: Vec<u8>,
    shape: Shape,
}

impl Source {
    fn new(shape: Shape) -> Self {
        let image = shape.build();
        Self::packed(shape, &image.clone(), image)
    }

    /// `file` is what lies on the disk, `image` what it decodes to.
    fn packed(shape: Shape, file: &[u8], image: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, file).unwrap();
        let mut wanted = image.clone();
        let mut patch = Patch::new();
        let mut base = piflash::image::SparseBytes::new();
        base.append(&image[..shape.boot_end()]);
        for (offset, text) in [(shape.boot_end() - 7, &b"changed"[..]), (shape.boot_start() + 3, b"pi")] {
            patch.write_at(&base, offset as u64, text).unwrap();
            wanted[offset..offset + text.len()].copy_from_slice(text);
        }
        Self { _folder: folder, path, image, patch, wanted, shape }
    }

    fn write(&self, cards: &[&Card], cancelled: &AtomicBool) -> Vec<Result<Written, Failure>> {
        let (head, rest) = head(&self.path).unwrap();
        let jobs = cards.iter().map(|card| card.job(&self.patch)).collect();
        write(&head, rest, jobs, &Options::default(), &(), cancelled)
    }

    fn write_one(&self, card: &Card) -> Result<Written, Failure> {
        self.write(&[card], &AtomicBool::new(false)).remove(0)
    }
}

/// Small enough for a debug build to hash it many times.
fn small() -> Shape {
    Shape { boot_sectors: 4400, root_sectors: 1000, ..Shape::default() }
}

fn assert_written(card: &Card, source: &Source, what: &str) {
    let bytes = card.bytes();
    let image = &source.wanted;
    assert!(bytes[..image.len()] == image[..], "{what}: the card does not hold the image");
}

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
    assert!(log[..log.iter().position(|op| *op == Op::Sync).unwrap()].contains(&Op::Write(
        20 * MIB as u64 - 33 * 512,
        33 * 512
    )));
    let finish = log.iter().skip(1).position(is_start).unwrap() + 1;
    let last = [
        Op::Write(4096, MIB - 4096),
        Op::Sync,
        Op::Write(0, 4096),
        Op::Sync,
        Op::Read(0, MIB),
    ];
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
}

#[test]
fn without_verification_nothing_is_read() {
    let source = Source::new(small());
    let card = Card::used(20 * MIB, true, Faults::default());
    let (head, rest) = head(&source.path).unwrap();
    let options = Options { verify: false };
    let jobs = vec![card.job(&source.patch)];
    let written = write(&head, rest, jobs, &options, &(), &AtomicBool::new(false)).remove(0).unwrap();
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
        let card = Card::used(if padded { size / 512 * 512 } else { size }, padded, Faults::default());
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
        let card = Card::used(8 * MIB, true, Faults { read_error: Some(place), ..Faults::default() });
        let failure = source.write_one(&card).unwrap_err();
        assert!(matches!(failure.error, Error::IoAt { action: "reading", .. }), "{place}: {failure}");
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
            let Error::Mismatch { offset_bytes, exact, .. } = failure.error else {
                panic!("{what}: {failure}")
            };
            assert_eq!(failure.exit_class(), ExitClass::Mismatch);
            let begin = source.shape.boot_end() as u64;
            let block = begin + (place.max(begin) - begin) / 65536 * 65536;
            match place < begin {
                true => assert_eq!((offset_bytes, exact), (place, true), "{what}"),
                false => assert_eq!((offset_bytes, exact), (block, false), "{what}"),
            }
            let start_but_stuck =
                card.bytes()[..MIB].iter().enumerate().all(|(at, b)| *b == 0 || (at as u64 == place && *b == OLD));
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
        let card = Card::used(8 * MIB, true, Faults { gone_at: Some(gone_at), ..Faults::default() });
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
                assert!(text.contains("does not boot half-written and must be written again"), "{text}");
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
    write(&head, rest, jobs, &Options::default(), &events, &AtomicBool::new(false)).remove(0).unwrap();
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
