//! The story of one card, from its old partition table to its new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use super::buffer::AlignedBuffer;
use super::capacity;
use super::error::{CardState, Error, Failure, Result};
use super::events::{Event, Events, Phase};
use super::medium::Medium;
use super::read_back::{ReadBack, STEP_BYTES, Wanted, compare, mismatch};
use super::refusal::Refusal;
use super::stream::{Digests, Message};
use super::write::{Job, Options, Written};
use crate::image::{Head, Patch, SECTOR_BYTES, is_zero};

/// What is destroyed first and, at most, written last.
const START_BYTES: u64 = 1 << 20;
/// Where an old GPT may have its backup: header and 128 entries at the end of the card.
const BACKUP_TABLE_BYTES: u64 = 33 * SECTOR_BYTES;
/// The last of the last: the sector with the partition table and its surroundings.
const TABLE_BYTES: u64 = 4096;
/// What is given up between two looks at the cancellation flag.
const FORGET_BYTES: u64 = 1 << 30;
/// What has gathered before it is synced and read back while the decoder is the slower of the two.
const EARLY_BYTES: u64 = 64 << 20;

/// How far the card is, for what has to be said when something fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Untouched,
    Erasing,
    /// The start of the card is zeros, and that is synced.
    Erased,
    Finishing,
}

/// What all cards of a write share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) head: &'a Head,
    pub(super) digests: &'a Digests,
    pub(super) image_bytes: Option<u64>,
    pub(super) options: Options,
    pub(super) events: &'a dyn Events,
    pub(super) cancelled: &'a AtomicBool,
}

pub(super) struct OneCard<'a> {
    index: usize,
    medium: Medium,
    patch: Patch,
    shared: Shared<'a>,
    stage: Stage,
    /// How far the head is written.
    head_at: u64,
    /// How far the rest is written.
    stream_at: u64,
    /// How far everything is known to be on the card.
    synced: u64,
    read_back: ReadBack,
    step: AlignedBuffer,
}

impl<'a> OneCard<'a> {
    pub(super) fn new(index: usize, job: Job, shared: Shared<'a>) -> Self {
        let withheld = withheld_bytes(shared.head);
        Self {
            index,
            medium: Medium::new(job.destination),
            patch: job.patch,
            shared,
            stage: Stage::Untouched,
            head_at: withheld,
            stream_at: shared.head.len_bytes(),
            synced: withheld,
            read_back: ReadBack::new(withheld),
            step: AlignedBuffer::new(STEP_BYTES),
        }
    }

    /// Writes and verifies the card. After an error the start of the card is zeroed, again or still.
    pub(super) fn run(
        mut self,
        messages: Receiver<Message>,
    ) -> std::result::Result<Written, Failure> {
        let result = self.story(&messages);
        // A card that has failed does not hold the others up while it is cleaned up.
        drop(messages);
        result.map_err(|error| Failure { error, state: self.clean_up() })
    }

    fn story(&mut self, messages: &Receiver<Message>) -> Result<Written> {
        let begin = Instant::now();
        self.refuse_too_small()?;
        self.check_cancelled()?;
        self.erase()?;
        let image_bytes = self.write_stream(messages)?;
        self.write_head()?;
        self.medium.sync()?;
        let write_seconds = begin.elapsed().as_secs_f64();

        let verify = Instant::now();
        if self.shared.options.verify {
            self.verify(image_bytes)?;
        }
        let verified = self.shared.options.verify;
        let verify_seconds = verified.then(|| verify.elapsed().as_secs_f64());
        self.check_cancelled()?;
        let left_bytes = self.forget_rest(image_bytes)?;
        self.finish()?;
        let seconds = begin.elapsed().as_secs_f64();
        let bytes = image_bytes;
        Ok(Written { bytes, left_bytes, verified, seconds, write_seconds, verify_seconds })
    }

    /// Gives up what an earlier system left behind the image: a used card may have been a control plane's, with its
    /// cluster's keys. How much of it stays, since the device cannot.
    fn forget_rest(&mut self, image_bytes: u64) -> Result<u64> {
        let Some(card_bytes) = self.medium.size_bytes() else { return Ok(0) };
        let mut at = image_bytes.next_multiple_of(SECTOR_BYTES);
        while at < card_bytes {
            self.check_cancelled()?;
            let end = card_bytes.min(at + FORGET_BYTES);
            if !self.medium.forget(at..end) {
                return Ok(card_bytes - at);
            }
            at = end;
        }
        Ok(0)
    }

    /// The guard has done this already; a caller that did not ask it shall not find out half-way.
    fn refuse_too_small(&self) -> Result<()> {
        let needed = self.shared.image_bytes.unwrap_or(0).max(self.shared.head.len_bytes());
        match self.medium.size_bytes() {
            Some(card_bytes) if card_bytes < needed => {
                let (path, image_bytes) = (self.medium.path.clone(), needed);
                Err(Refusal::TooSmall { path, card_bytes, image_bytes }.into())
            }
            _ => Ok(()),
        }
    }

    /// Destroys the old partition table, so that what is half-written is never taken for what was there before.
    fn erase(&mut self) -> Result<()> {
        self.phase(Phase::Erase);
        self.set_stage(Stage::Erasing);
        if self.medium.unwritten_is_zero() {
            // At its full size from the beginning, so that what a power cut leaves is a card that can be written
            // again, not one that is too small.
            self.medium.set_end(self.shared.image_bytes.unwrap_or(0))?;
        } else {
            self.zero_start()?;
            // In a file, what lies behind the image is not ours.
            if self.medium.padded()
                && let Some(size) = self.medium.size_bytes()
            {
                let from = size.saturating_sub(BACKUP_TABLE_BYTES);
                self.medium.put_zeros(from, (size - from) as usize)?;
            }
        }
        self.medium.sync()?;
        self.set_stage(Stage::Erased);
        match self.medium.size_bytes() {
            Some(size) if self.medium.padded() && self.shared.options.verify => {
                capacity::check(&mut self.medium, size)
            }
            _ => Ok(()),
        }
    }

    /// Everything behind the boot partition; while nothing of it is there, whatever else there is to do.
    fn write_stream(&mut self, messages: &Receiver<Message>) -> Result<u64> {
        self.phase(Phase::Write);
        let begin = self.shared.head.len_bytes();
        let total_bytes = self.shared.image_bytes.map(|size| size.saturating_sub(begin));
        loop {
            self.check_cancelled()?;
            let message = match messages.try_recv() {
                Err(TryRecvError::Empty) if self.use_the_time()? => continue,
                Err(TryRecvError::Empty) => messages.recv().ok(),
                other => other.ok(),
            };
            match message {
                Some(Message::Chunk(chunk)) => {
                    self.check_cancelled()?;
                    let data = chunk.bytes(self.medium.padded());
                    let end = chunk.offset + data.len() as u64;
                    if let Some(card_bytes) = self.medium.size_bytes()
                        && end > card_bytes
                    {
                        let path = self.medium.path.clone();
                        return Err(Error::ImageLarger { path, card_bytes });
                    }
                    self.medium.put_chunk(&chunk)?;
                    // Without the padding, which is not of the image.
                    self.stream_at = chunk.offset + chunk.bytes(false).len() as u64;
                    self.bytes(self.stream_at - begin, total_bytes);
                }
                Some(Message::End(image_bytes)) => {
                    self.medium.set_end(image_bytes)?;
                    return Ok(image_bytes);
                }
                Some(Message::Failed(error)) => return Err(Error::Image(error)),
                // The decoder stops without a word only where it was told to.
                None => {
                    return Err(Error::Interrupted { path: self.medium.path.clone() });
                }
            }
        }
    }

    /// A MiB of what would have to be done afterwards: the head first, then the reading back. Whether there was any.
    ///
    /// With a card that is slower than the decoder, as SD cards are, there never is time: reading between the writes
    /// would gain nothing there, since one card does one thing at a time.
    fn use_the_time(&mut self) -> Result<bool> {
        if self.head_at < self.shared.head.len_bytes() {
            self.head_step()?;
            return Ok(true);
        }
        // A new file of unknown size ends where something was written last: what follows cannot be read yet.
        let readable = self.shared.image_bytes.is_some() || !self.medium.unwritten_is_zero();
        if !self.shared.options.verify || !readable {
            return Ok(false);
        }
        if self.read_back.at() < self.synced {
            let wanted =
                Wanted { head: self.shared.head, patch: &self.patch, digests: self.shared.digests };
            self.read_back.early_step(&mut self.medium, &wanted, self.synced)?;
            return Ok(true);
        }
        if self.stream_at - self.read_back.at() < EARLY_BYTES {
            return Ok(false);
        }
        self.medium.sync()?;
        self.synced = self.stream_at;
        Ok(true)
    }

    /// The head behind the withheld start, with this card's patch: what is not written yet.
    fn write_head(&mut self) -> Result<()> {
        self.phase(Phase::BootPartition);
        let (begin, end) = (withheld_bytes(self.shared.head), self.shared.head.len_bytes());
        while self.head_at < end {
            self.check_cancelled()?;
            self.head_step()?;
            if self.head_at < end {
                self.bytes(self.head_at - begin, Some(end - begin));
            }
        }
        self.bytes(end - begin, Some(end - begin));
        Ok(())
    }

    fn head_step(&mut self) -> Result<()> {
        let left = self.shared.head.len_bytes() - self.head_at;
        let len = left.min(STEP_BYTES as u64) as usize;
        let wanted =
            Wanted { head: self.shared.head, patch: &self.patch, digests: self.shared.digests };
        wanted.of_head(&self.medium, self.head_at, &mut self.step[..len])?;
        self.medium.put(self.head_at, &self.step[..len])?;
        self.head_at += len as u64;
        Ok(())
    }

    /// Reads back and compares everything but the withheld start, as far as that is not done.
    fn verify(&mut self, image_bytes: u64) -> Result<()> {
        self.phase(Phase::Verify);
        let begin = withheld_bytes(self.shared.head);
        self.synced = image_bytes;
        self.read_back.look_again(&mut self.medium)?;
        let wanted =
            Wanted { head: self.shared.head, patch: &self.patch, digests: self.shared.digests };
        while self.read_back.at() < image_bytes {
            self.check_cancelled()?;
            self.read_back.step(&mut self.medium, &wanted, image_bytes)?;
            self.bytes(self.read_back.at() - begin, Some(image_bytes - begin));
        }
        Ok(())
    }

    /// The withheld start: from here on the card boots.
    fn finish(&mut self) -> Result<()> {
        self.phase(Phase::Finish);
        self.set_stage(Stage::Finishing);
        let mut start = AlignedBuffer::new(withheld_bytes(self.shared.head) as usize);
        let wanted =
            Wanted { head: self.shared.head, patch: &self.patch, digests: self.shared.digests };
        wanted.of_head(&self.medium, 0, &mut start)?;
        // The sector with the table goes last, so that a cut between the two writes leaves no table either.
        let table = start.len().min(TABLE_BYTES as usize);
        if table < start.len() {
            self.medium.put(table as u64, &start[table..])?;
            self.medium.sync()?;
        }
        self.medium.put(0, &start[..table])?;
        self.medium.sync()?;
        if self.shared.options.verify {
            let mut read = AlignedBuffer::new(start.len());
            self.medium.get(0, &mut read)?;
            compare(&read, &start).map_err(|byte| mismatch(&self.medium, byte as u64))?;
        }
        self.medium.announce();
        Ok(())
    }

    /// Leaves a card that does not boot, and says whether that worked.
    fn clean_up(&mut self) -> CardState {
        if self.stage == Stage::Untouched {
            return CardState::Untouched;
        }
        // A write that is still in flight shall not come after the zeros; what it met is known, or does not matter now.
        let _ = self.medium.drain();
        // A fresh file may hold what was written a moment ago.
        self.medium.zeros_are_there = false;
        let mut zeroed = self.zero_start();
        if self.medium.unwritten_is_zero() {
            // A file of unknown size becomes an empty one, which is as good as new.
            let end = self.shared.image_bytes.unwrap_or(0);
            zeroed = zeroed.and_then(|()| self.medium.set_end(end));
        }
        let zeroed = zeroed.and_then(|()| self.medium.sync());
        match zeroed {
            Ok(()) if self.start_remains() => {
                CardState::Unknown(Arc::new(std::io::Error::other("it reads as before")))
            }
            Ok(()) => CardState::NotBootable,
            // It is zeros already, and nothing has been written there since.
            Err(_) if self.stage == Stage::Erased => CardState::NotBootable,
            Err(Error::Io { source, .. } | Error::IoAt { source, .. }) => {
                CardState::Unknown(source)
            }
            Err(other) => CardState::Unknown(Arc::new(std::io::Error::other(other.to_string()))),
        }
    }

    fn zero_start(&mut self) -> Result<()> {
        let len = self.medium.size_bytes().unwrap_or(START_BYTES).min(START_BYTES);
        self.medium.put_zeros(0, len as usize)
    }

    /// Whether the start is seen not to be zeros, as on a card that takes writes and does not keep them.
    fn start_remains(&mut self) -> bool {
        let len = self.medium.size_bytes().unwrap_or(0).min(START_BYTES);
        let mut start = AlignedBuffer::new(len as usize);
        self.shared.options.verify && self.medium.get(0, &mut start).is_ok() && !is_zero(&start)
    }

    fn set_stage(&mut self, stage: Stage) {
        self.stage = stage;
        self.medium.zeros_are_there = stage == Stage::Erased && self.medium.unwritten_is_zero();
    }

    fn check_cancelled(&self) -> Result<()> {
        match self.shared.cancelled.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted { path: self.medium.path.clone() }),
            false => Ok(()),
        }
    }

    fn phase(&self, phase: Phase) {
        self.shared.events.event(self.index, Event::Phase(phase));
    }

    fn bytes(&self, done_bytes: u64, total_bytes: Option<u64>) {
        self.shared.events.event(self.index, Event::Bytes { done_bytes, total_bytes });
    }
}

/// Bytes before the first partition, 1 MiB at most.
fn withheld_bytes(head: &Head) -> u64 {
    head.table().first_offset_bytes().min(START_BYTES)
}
