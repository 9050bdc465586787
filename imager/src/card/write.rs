//! One image to any number of cards.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;

use super::destination::Destination;
use super::error::Failure;
use super::events::Events;
use super::one_card::{OneCard, Shared};
use super::stream::{Digests, QUEUE_CHUNKS, decode};
use crate::image::{Head, Patch, Rest};

/// One card to be written.
pub struct Job {
    /// Where to.
    pub destination: Box<dyn Destination>,
    /// What this card changes in the head of the image: its boot partition, its identity.
    pub patch: Patch,
}

impl Job {
    /// A card and its patch.
    pub fn new(destination: impl Destination + 'static, patch: Patch) -> Self {
        Self { destination: Box::new(destination), patch }
    }
}

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Read back what was written and compare it.
    pub verify: bool,
}

impl Default for Options {
    /// With verification.
    fn default() -> Self {
        Self { verify: true }
    }
}

/// A card that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Size of the image, all of which is on the card.
    pub bytes: u64,
    /// Bytes behind the image that still hold what the card held before, as the device cannot discard.
    pub left_bytes: u64,
    /// Whether what was written was read back and compared.
    pub verified: bool,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds of that for writing, until the card had everything but its start.
    pub write_seconds: f64,
    /// Seconds of that for reading back; `None` without verification.
    pub verify_seconds: Option<f64>,
}

/// Writes an image to every card, reads it back, and makes the cards bootable last. One result per job, in order.
///
/// For each card: its old partition table is destroyed; the rest of the image, decoded once for all, is written, and
/// the head with the card's patch, except for the *withheld start*, the bytes before the first partition (at most
/// 1 MiB); all of it is synced, read back past the cache and compared; and only then the withheld start is written,
/// synced and compared. Whatever fails before that leaves a card whose first MiB is zeros: it does not boot.
///
/// Long runs of zeros, blocks that ext4 says are free among them, are made by the device itself where it has a command for
/// that. What it has made is zeros, never what the card had before; a place of every 4 MiB of it is read back.
///
/// Where decoding is slower than the card, what has been written and synced is read back meanwhile. What is found good
/// so is looked at once more at the end, at one place of every 4 MiB, since a card that has less capacity than it says
/// overwrites what it already has. Such a card is looked for before the long write, too.
///
/// What a block device holds behind the image is discarded, where the device can.
///
/// A card that fails does so alone. `cancelled` is looked at between chunks and not any more when a card is being
/// made bootable.
///
/// Memory: 24 MiB of chunks (6 of 4 MiB) for any number of cards, 1 MiB (3 with verification) and a thread (two without io_uring) for each
/// card, 256 bytes of digests per MiB of image, beside `head` and the decoder.
pub fn write(
    head: &Head,
    rest: Rest,
    jobs: Vec<Job>,
    options: &Options,
    events: &dyn Events,
    cancelled: &AtomicBool,
) -> Vec<Result<Written, Failure>> {
    let digests = Digests::default();
    let image_bytes = rest.size_bytes();
    let shared =
        Shared { head, digests: &digests, image_bytes, options: *options, events, cancelled };
    std::thread::scope(|scope| {
        let mut queues = Vec::new();
        let mut cards = Vec::new();
        for (index, job) in jobs.into_iter().enumerate() {
            let (queue, messages) = sync_channel(QUEUE_CHUNKS);
            queues.push(queue);
            cards.push(scope.spawn(move || OneCard::new(index, job, shared).run(messages)));
        }
        decode(rest, queues, &digests, cancelled);
        cards
            .into_iter()
            .map(|card| card.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
