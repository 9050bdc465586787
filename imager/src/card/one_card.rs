//! The story of one card, from its old partition table to its new one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::buffer::AlignedBuffer;
use super::destination::{Destination, read_all, write_all};
use super::error::{CardState, Error, Failure, Result};
use super::events::{Event, Events, Phase};
use super::read_back::{compare, compare_digests};
use super::refusal::Refusal;
use super::stream::{BLOCK_BYTES, Message, StreamEnd};
use super::write::{Job, Options, Written};
use crate::image::{Head, Patch, SECTOR_BYTES};

/// What is destroyed first and, at most, written last.
const START_BYTES: u64 = 1 << 20;
/// Where an old GPT may have its backup: header and 128 entries at the end of the card.
const BACKUP_TABLE_BYTES: u64 = 33 * SECTOR_BYTES;
/// The last of the last: the sector with the partition table and its surroundings.
const TABLE_BYTES: u64 = 4096;
/// Bytes that are copied or read back at once.
const STEP_BYTES: usize = 1 << 20;

/// How far the card is, for what has to be said when something fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Untouched,
    Erasing,
    /// The start of the card is zeros, and that is synced.
    Erased,
    Finishing,
}

pub(super) struct OneCard<'a> {
    index: usize,
    destination: Box<dyn Destination>,
    path: PathBuf,
    patch: Patch,
    head: &'a Head,
    image_bytes: Option<u64>,
    options: Options,
    cancelled: &'a AtomicBool,
    events: &'a dyn Events,
    stage: Stage,
    step: AlignedBuffer,
}

impl<'a> OneCard<'a> {
    pub(super) fn new(
        index: usize,
        job: Job,
        head: &'a Head,
        image_bytes: Option<u64>,
        options: Options,
        events: &'a dyn Events,
        cancelled: &'a AtomicBool,
    ) -> Self {
        let path = job.destination.path().to_owned();
        Self {
            index,
            destination: job.destination,
            path,
            patch: job.patch,
            head,
            image_bytes,
            options,
            cancelled,
            events,
            stage: Stage::Untouched,
            step: AlignedBuffer::new(STEP_BYTES),
        }
    }

    /// Writes and verifies the card. After an error the start of the card is zeroed, again or still.
    pub(super) fn run(
        mut self,
        messages: &Receiver<Message>,
    ) -> std::result::Result<Written, Failure> {
        self.story(messages).map_err(|error| Failure { error, state: self.clean_up() })
    }

    fn story(&mut self, messages: &Receiver<Message>) -> Result<Written> {
        let begin = Instant::now();
        self.refuse_too_small()?;
        self.check_cancelled()?;
        self.erase()?;
        let end = self.write_stream(messages)?;
        self.write_head()?;
        self.sync()?;
        let write_seconds = begin.elapsed().as_secs_f64();

        let verify = Instant::now();
        if self.options.verify {
            self.verify(&end)?;
        }
        let verify_seconds = self.options.verify.then(|| verify.elapsed().as_secs_f64());
        self.check_cancelled()?;
        self.finish()?;
        Ok(Written {
            bytes: end.image_bytes,
            verified: self.options.verify,
            seconds: begin.elapsed().as_secs_f64(),
            write_seconds,
            verify_seconds,
        })
    }

    /// The guard has done this already; a caller that did not ask it shall not find out half-way.
    fn refuse_too_small(&self) -> Result<()> {
        let needed = self.image_bytes.unwrap_or(0).max(self.head.len_bytes());
        match self.destination.size_bytes() {
            Some(card_bytes) if card_bytes < needed => {
                let (path, image_bytes) = (self.path.clone(), needed);
                Err(Refusal::TooSmall { path, card_bytes, image_bytes }.into())
            }
            _ => Ok(()),
        }
    }

    /// Destroys the old partition table, so that what is half-written is never taken for what was there before.
    fn erase(&mut self) -> Result<()> {
        self.phase(Phase::Erase);
        self.stage = Stage::Erasing;
        if self.destination.unwritten_is_zero() {
            // At its full size from the beginning, so that what a power cut leaves is a card that can be written
            // again, not one that is too small.
            self.set_end(self.image_bytes.unwrap_or(0))?;
        } else {
            self.zero_start()?;
            // In a file, what lies behind the image is not ours.
            if self.destination.padded()
                && let Some(size) = self.destination.size_bytes()
            {
                let from = size.saturating_sub(BACKUP_TABLE_BYTES);
                let zeros = AlignedBuffer::new((size - from) as usize);
                self.put(from, &zeros)?;
            }
        }
        self.sync()?;
        self.stage = Stage::Erased;
        Ok(())
    }

    /// Everything behind the boot partition.
    fn write_stream(&mut self, messages: &Receiver<Message>) -> Result<Arc<StreamEnd>> {
        self.phase(Phase::Write);
        let begin = self.head.len_bytes();
        let total_bytes = self.image_bytes.map(|size| size.saturating_sub(begin));
        loop {
            self.check_cancelled()?;
            match messages.recv() {
                Ok(Message::Chunk(chunk)) => {
                    self.check_cancelled()?;
                    let data = chunk.bytes(self.destination.padded());
                    let end = chunk.offset + data.len() as u64;
                    if let Some(card_bytes) = self.destination.size_bytes()
                        && end > card_bytes
                    {
                        return Err(Error::ImageLarger { path: self.path.clone(), card_bytes });
                    }
                    self.put(chunk.offset, data)?;
                    // Without the padding, which is not of the image.
                    let image_end = chunk.offset + chunk.bytes(false).len() as u64;
                    self.bytes(image_end - begin, total_bytes);
                }
                Ok(Message::End(end)) => {
                    self.set_end(end.image_bytes)?;
                    return Ok(end);
                }
                Ok(Message::Failed(error)) => return Err(Error::Image(error)),
                // The decoder stops without a word only where it was told to.
                Err(_) => return Err(Error::Interrupted { path: self.path.clone() }),
            }
        }
    }

    /// The head behind the withheld start, with this card's patch.
    fn write_head(&mut self) -> Result<()> {
        self.phase(Phase::BootPartition);
        let (begin, end) = (self.withheld_bytes(), self.head.len_bytes());
        let mut step = std::mem::replace(&mut self.step, AlignedBuffer::new(0));
        let mut at = begin;
        while at < end {
            self.check_cancelled()?;
            let len = (end - at).min(STEP_BYTES as u64) as usize;
            self.expected(at, &mut step[..len])?;
            self.put(at, &step[..len])?;
            at += len as u64;
            self.bytes(at - begin, Some(end - begin));
        }
        self.step = step;
        Ok(())
    }

    /// Reads back and compares everything but the withheld start.
    fn verify(&mut self, end: &StreamEnd) -> Result<()> {
        self.phase(Phase::Verify);
        let (begin, head_end) = (self.withheld_bytes(), self.head.len_bytes());
        let total_bytes = Some(end.image_bytes - begin);
        let mut step = std::mem::replace(&mut self.step, AlignedBuffer::new(0));
        let mut wanted = vec![0; STEP_BYTES];
        let mut at = begin;
        while at < head_end {
            self.check_cancelled()?;
            let len = (head_end - at).min(STEP_BYTES as u64) as usize;
            self.get(at, &mut step[..len])?;
            self.expected(at, &mut wanted[..len])?;
            compare(&step[..len], &wanted[..len])
                .map_err(|byte| self.mismatch(at + byte as u64, true))?;
            at += len as u64;
            self.bytes(at - begin, total_bytes);
        }
        drop(wanted);
        let blocks_per_step = STEP_BYTES / BLOCK_BYTES;
        for digests in end.digests.chunks(blocks_per_step) {
            self.check_cancelled()?;
            let len = (end.image_bytes - at).min(STEP_BYTES as u64) as usize;
            let on_card = match self.destination.padded() {
                true => len.next_multiple_of(SECTOR_BYTES as usize),
                false => len,
            };
            self.get(at, &mut step[..on_card])?;
            compare_digests(&step[..len], digests)
                .map_err(|block| self.mismatch(at + (block * BLOCK_BYTES) as u64, false))?;
            if let Some(byte) = step[len..on_card].iter().position(|byte| *byte != 0) {
                return Err(self.mismatch(at + (len + byte) as u64, true));
            }
            at += len as u64;
            self.bytes(at - begin, total_bytes);
        }
        self.step = step;
        Ok(())
    }

    /// The withheld start: from here on the card boots.
    fn finish(&mut self) -> Result<()> {
        self.phase(Phase::Finish);
        self.stage = Stage::Finishing;
        let mut start = AlignedBuffer::new(self.withheld_bytes() as usize);
        self.expected(0, &mut start)?;
        // The sector with the table goes last, so that a cut between the two writes leaves no table either.
        let table = start.len().min(TABLE_BYTES as usize);
        if table < start.len() {
            self.put(table as u64, &start[table..])?;
            self.sync()?;
        }
        self.put(0, &start[..table])?;
        self.sync()?;
        if self.options.verify {
            let mut read = AlignedBuffer::new(start.len());
            self.get(0, &mut read)?;
            compare(&read, &start).map_err(|byte| self.mismatch(byte as u64, true))?;
        }
        self.destination.announce();
        Ok(())
    }

    /// Leaves a card that does not boot, and says whether that worked.
    fn clean_up(&mut self) -> CardState {
        if self.stage == Stage::Untouched {
            return CardState::Untouched;
        }
        let mut zeroed = self.zero_start();
        if self.destination.unwritten_is_zero() {
            // A file of unknown size becomes an empty one, which is as good as new.
            zeroed = zeroed.and_then(|()| self.set_end(self.image_bytes.unwrap_or(0)));
        }
        let zeroed = zeroed.and_then(|()| self.sync());
        match zeroed {
            Ok(()) => CardState::NotBootable,
            // It is zeros already, and nothing has been written there since.
            Err(_) if self.stage == Stage::Erased => CardState::NotBootable,
            Err(Error::Io { source, .. } | Error::IoAt { source, .. }) => {
                CardState::Unknown(source)
            }
            Err(other) => CardState::Unknown(Arc::new(std::io::Error::other(other.to_string()))),
        }
    }

    /// Bytes before the first partition, 1 MiB at most.
    fn withheld_bytes(&self) -> u64 {
        self.head.table().first_offset_bytes().min(START_BYTES)
    }

    fn zero_start(&mut self) -> Result<()> {
        let len = self.destination.size_bytes().unwrap_or(START_BYTES).min(START_BYTES);
        self.put(0, &AlignedBuffer::new(len as usize))
    }

    /// What shall be at a place of the head.
    fn expected(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.patch
            .read_at(self.head.bytes(), offset, buf)
            .map_err(|error| Error::io("preparing card", &self.path, error))
    }

    /// Writes `data`, without its zeros where they are there already.
    fn put(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        // While cleaning up, a fresh file may hold what was written a moment ago.
        let skip_zeros =
            self.destination.unwritten_is_zero() && self.stage == Stage::Erased && !data.is_empty();
        let pieces = if skip_zeros { BLOCK_BYTES } else { data.len().max(1) };
        for (at, piece) in (offset..).step_by(pieces).zip(data.chunks(pieces)) {
            if skip_zeros && piece.iter().all(|byte| *byte == 0) {
                continue;
            }
            write_all(self.destination.as_mut(), at, piece).map_err(|(offset_bytes, source)| {
                let (path, source) = (self.path.clone(), Arc::new(source));
                Error::IoAt { action: "writing", path, offset_bytes, source }
            })?;
        }
        Ok(())
    }

    fn get(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        read_all(self.destination.as_mut(), offset, buf).map_err(|(offset_bytes, source)| {
            let (path, source) = (self.path.clone(), Arc::new(source));
            Error::IoAt { action: "reading", path, offset_bytes, source }
        })
    }

    fn set_end(&mut self, image_bytes: u64) -> Result<()> {
        let result = self.destination.set_end(image_bytes);
        result.map_err(|error| Error::io("setting the size of card", &self.path, error))
    }

    fn sync(&mut self) -> Result<()> {
        self.destination.sync().map_err(|error| Error::io("syncing card", &self.path, error))
    }

    fn mismatch(&self, offset_bytes: u64, exact: bool) -> Error {
        Error::Mismatch { path: self.path.clone(), offset_bytes, exact }
    }

    fn check_cancelled(&self) -> Result<()> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted { path: self.path.clone() }),
            false => Ok(()),
        }
    }

    fn phase(&self, phase: Phase) {
        self.events.event(self.index, Event::Phase(phase));
    }

    fn bytes(&self, done_bytes: u64, total_bytes: Option<u64>) {
        self.events.event(self.index, Event::Bytes { done_bytes, total_bytes });
    }
}
