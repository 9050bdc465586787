//! `piflash verify --image IMAGE CARD`: reads a card back and compares it with an image.
//!
//! What piflash changes when it prepares a card lies within the boot partition, and a first boot grows the last
//! partition, which changes the partition table: on a prepared card, differences there are expected. Anywhere else,
//! and anywhere on a card that was not prepared, they are not.
//!
//! A block that ext4 says is free may be zeros, as piflash writes it, or as the image has it, as a plain copy has it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pikube_config::names;

use super::images;
use crate::boot::BootFs;
use crate::card::{self, Event, Events as _, Phase, ReadCard};
use crate::cli::VerifyArgs;
use crate::failure::{Exit, Failure};
use crate::image::{ByteSize, Head, Patch, ReadAt, Rest, SECTOR_BYTES, WithBoot as _, is_zero};
use crate::progress::json::{Message, Outcome};
use crate::progress::{Console, Followed};

/// Bytes that are compared at once.
const STEP_BYTES: usize = 1 << 20;

/// Compares.
///
/// # Errors
/// Reading the image or the card; a card that is smaller than the image. A card that differs is told on the console.
pub fn run(
    args: &VerifyArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let image = images::open(&args.image, console, interrupted)?;
    let card = card::read(&args.card)?;
    card.forget_cached();
    let is_prepared = is_prepared(&card);
    console.note(&format!("reading {}", image.path().display()));
    let (head, rest) = image.into_head(interrupted, &mut |_| {})?;
    let name = args.card.display().to_string();
    let progress = console.follow(vec![Followed { card: name.clone(), node: String::new() }]);
    progress.event(0, Event::Phase(Phase::Verify));
    let mut comparison =
        Comparison { card: &card, path: &args.card, regions: regions(&head), at: 0 };
    let total_bytes = rest.size_bytes();
    let compared = comparison.all(&head, rest, interrupted, |done_bytes| {
        progress.event(0, Event::Bytes { done_bytes, total_bytes });
    });
    drop(progress);
    compared?;
    let (bytes, regions) = (comparison.at, comparison.regions);
    let mut exit = Exit::Done;
    for region in regions.iter().filter(|region| region.differing > 0) {
        let expected = is_prepared && region.is_expected;
        exit = exit.max(if expected { Exit::Done } else { Exit::Mismatch });
        console.result(&region.describe(expected));
        console.emit(&Message::Difference {
            card: name.clone(),
            partition: region.number,
            bytes: region.differing,
            first_byte: region.first_byte,
            expected,
        });
    }
    if exit != Exit::Done {
        let message = format!("verifying card `{name}`: it does not hold the image");
        let failure = Failure::new(exit, message)
            .help("write it again; a node that has run on it has changed it, too");
        console.fail_card(&name, "", &failure);
        return Ok(exit);
    }
    let prepared = if is_prepared { "prepared by piflash" } else { "not prepared" };
    console.result(&format!("{name}: {} compared, {prepared}", ByteSize(bytes).short()));
    let outcome = Outcome::Plain {};
    console.emit(&Message::Result { card: name, node: "", ok: true, exit: 0, outcome });
    Ok(exit)
}

/// Whether piflash has been there. A boot partition that cannot be read was not prepared.
fn is_prepared(card: &ReadCard) -> bool {
    let mut patch = Patch::new();
    let Ok(map) = card.map(&patch) else { return false };
    let boot = BootFs::open(card, &map, &mut patch);
    boot.is_ok_and(|boot| boot.exists(names::PLAN).unwrap_or(false))
}

/// A part of the disk, and what differs in it.
#[derive(Debug, PartialEq, Eq)]
struct Region {
    /// Partition; `None` for what lies between and around them.
    number: Option<u32>,
    begin: u64,
    end: u64,
    /// The boot partition, and the start of the disk with its partition table.
    is_expected: bool,
    differing: u64,
    first_byte: u64,
}

impl Region {
    fn describe(&self, expected: bool) -> String {
        let place = match self.number {
            Some(number) => format!("partition {number}"),
            None if self.begin == 0 => "the start of the disk".into(),
            None => format!("between partitions, from byte {}", self.begin),
        };
        let why = if expected { "expected: the card was prepared" } else { "NOT expected" };
        format!(
            "{place}: {} bytes differ, the first at byte {} ({why})",
            self.differing, self.first_byte
        )
    }
}

/// The whole disk in order: start, partitions, gaps.
fn regions(head: &Head) -> Vec<Region> {
    let mut partitions = head.table().partitions.clone();
    partitions.sort_by_key(|partition| partition.offset_bytes);
    let boot = head.boot_partition().number;
    let mut regions = Vec::new();
    let mut add = |number: Option<u32>, begin: u64, end: u64, is_expected| {
        regions.push(Region { number, begin, end, is_expected, differing: 0, first_byte: 0 });
    };
    let mut at = 0;
    for partition in partitions {
        if partition.offset_bytes > at {
            add(None, at, partition.offset_bytes, at == 0);
        }
        at = partition.end_bytes();
        add(Some(partition.number), partition.offset_bytes, at, partition.number == boot);
    }
    add(None, at, u64::MAX, false);
    regions
}

struct Comparison<'a> {
    card: &'a ReadCard,
    path: &'a Path,
    regions: Vec<Region>,
    at: u64,
}

impl Comparison<'_> {
    fn all(
        &mut self,
        head: &Head,
        mut rest: Rest,
        interrupted: &AtomicBool,
        mut done: impl FnMut(u64),
    ) -> Result<(), Failure> {
        let mut wanted = vec![0; STEP_BYTES];
        let mut read = vec![0; STEP_BYTES];
        loop {
            if interrupted.load(Ordering::Relaxed) {
                let message = format!("verifying card `{}`: interrupted", self.path.display());
                return Err(Failure::new(Exit::Failed, message));
            }
            let left = head.len_bytes().saturating_sub(self.at);
            let (len, free) = match left.min(STEP_BYTES as u64) as usize {
                0 => rest.fill_as_it_is(&mut wanted)?,
                len => {
                    let copied = head.bytes().read_at(self.at, &mut wanted[..len]);
                    copied.map_err(|error| self.failed(&error.to_string()))?;
                    (len, Vec::new())
                }
            };
            if len == 0 {
                return Ok(());
            }
            self.step(&mut wanted[..len], &free, &mut read[..len])?;
            done(self.at);
        }
    }

    fn step(
        &mut self,
        wanted: &mut [u8],
        free: &[Range<usize>],
        read: &mut [u8],
    ) -> Result<(), Failure> {
        let end = self.at + wanted.len() as u64;
        if end > self.card.size_bytes() {
            let size = ByteSize(self.card.size_bytes());
            let path = self.path.display();
            let message = format!("verifying card `{path}`: it has {size} and the image is larger");
            return Err(Failure::new(Exit::Mismatch, message));
        }
        let result = self.card.read_at(self.at, read);
        result.map_err(|error| self.failed(&error.to_string()))?;
        for range in free {
            let sectors = wanted[range.clone()].chunks_mut(SECTOR_BYTES as usize);
            let read = read[range.clone()].chunks(SECTOR_BYTES as usize);
            for (wanted, _) in sectors.zip(read).filter(|(_, read)| is_zero(read)) {
                wanted.fill(0);
            }
        }
        // Equal in one comparison, nearly always.
        if wanted != read {
            for region in &mut self.regions {
                let (begin, end) = (region.begin.max(self.at), region.end.min(end));
                if begin < end {
                    let range = (begin - self.at) as usize..(end - self.at) as usize;
                    region.count(begin, &wanted[range.clone()], &read[range]);
                }
            }
        }
        self.at = end;
        Ok(())
    }

    fn failed(&self, why: &str) -> Failure {
        let (path, at) = (self.path.display(), self.at);
        Failure::new(Exit::Failed, format!("reading card `{path}` at byte {at}: {why}"))
    }
}

impl Region {
    fn count(&mut self, begin: u64, wanted: &[u8], read: &[u8]) {
        let mut differing = wanted.iter().zip(read).enumerate().filter(|(_, (a, b))| a != b);
        let Some((first, _)) = differing.next() else { return };
        if self.differing == 0 {
            self.first_byte = begin + first as u64;
        }
        self.differing += 1 + differing.count() as u64;
    }
}
