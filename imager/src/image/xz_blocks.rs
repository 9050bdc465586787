//! xz as a [`Read`], several blocks at once, in little memory: for files whose index says where the blocks are.
//!
//! liblzma's own threads hold all of each block, packed and decoded. Here the block whose turn it is passes through, and
//! only what is decoded ahead of it waits, up to a limit that does not depend on the size of the blocks. One thread
//! hands out the packed data in the order of the file, so that what is hashed on the way in is what is decoded.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::error::{Error, Result};
use super::read_ahead::spawn;
use super::xz::FORMAT;
use super::xz_block::BlockDecoder;
use super::xz_index::{Block, FRAME_BYTES, Index, Stream};
use super::xz_plan::Plan;

/// Bytes that change hands at once.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that the block whose turn it is may always have, in either direction.
const PIECES_OF_FIRST: usize = 2;

type Input = Box<dyn Read + Send>;

/// Decodes all streams of a file.
pub(super) struct XzBlocks {
    shared: Arc<Shared>,
    piece: Vec<u8>,
    position: usize,
    failed: bool,
}

/// What the reader, the thread that hands out, and those that decode have in common.
struct Shared {
    path: PathBuf,
    plan: Plan,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Number of the first job: the block whose turn it is.
    first: u64,
    jobs: VecDeque<Job>,
    /// Packed and decoded bytes that wait, of all jobs.
    input_bytes: u64,
    output_bytes: u64,
    /// Pieces for further use.
    spare: Vec<Vec<u8>>,
    /// How handing out ended.
    end: Option<Result<()>>,
    /// Nobody reads any more.
    stopped: bool,
}

/// A block on its way.
struct Job {
    header: [u8; FRAME_BYTES as usize],
    block: Block,
    start: u64,
    is_taken: bool,
    input: VecDeque<Vec<u8>>,
    /// All of it was handed out.
    is_whole: bool,
    output: VecDeque<Vec<u8>>,
    result: Option<Result<()>>,
}

impl XzBlocks {
    /// Decodes `input`, which is at its first byte and has this index; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Io`] where there can be no threads.
    pub(super) fn new(input: Input, path: &Path, index: Index, plan: Plan) -> Result<Self> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { path: path.to_owned(), plan, state, changed });
        // From here on, dropping it ends the threads.
        let reader = Self { shared: shared.clone(), piece: Vec::new(), position: 0, failed: false };
        for _ in 0..plan.threads {
            let shared = shared.clone();
            spawn("xz", path, move || while shared.decode_next() {})?;
        }
        spawn("xz-input", path, move || shared.hand_out(input, &index))?;
        Ok(reader)
    }
}

impl Drop for XzBlocks {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

impl Read for XzBlocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::other("decoding has failed before"));
        }
        while self.position == self.piece.len() && !out.is_empty() {
            let used = std::mem::take(&mut self.piece);
            self.position = 0;
            match self.shared.next(used) {
                Ok(Some(piece)) => self.piece = piece,
                Ok(None) => return Ok(0),
                Err(error) => {
                    self.failed = true;
                    return Err(error.into_read());
                }
            }
        }
        let pending = &self.piece[self.position..];
        let len = pending.len().min(out.len());
        out[..len].copy_from_slice(&pending[..len]);
        self.position += len;
        Ok(len)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next decoded piece of the file, in order, in exchange for one that is used; `None` at the end.
    fn next(&self, used: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let mut state = self.lock();
        state.spare.push(used);
        loop {
            if let Some(piece) = state.jobs.front_mut().and_then(|job| job.output.pop_front()) {
                state.output_bytes -= piece.len() as u64;
                self.changed.notify_all();
                return Ok(Some(piece));
            }
            // A block that will never be whole fails as well, and less to the point.
            let is_missing = state.jobs.front().is_none_or(|job| !job.is_whole);
            if is_missing && let Some(end) = state.end.take_if(|end| end.is_err()) {
                end?;
            }
            if let Some(result) = state.jobs.front_mut().and_then(|job| job.result.take()) {
                result?;
                state.jobs.pop_front();
                state.first += 1;
                self.changed.notify_all();
                continue;
            }
            if state.jobs.is_empty() && state.end.is_some() {
                return Ok(None);
            }
            state = self.wait(state);
        }
    }

    /// Reads the file in order, and makes a job of each block.
    fn hand_out(&self, mut input: Input, index: &Index) {
        let result =
            index.streams.iter().try_for_each(|stream| self.hand_out_stream(&mut input, stream));
        let result = result.and_then(|()| self.read_end(&mut input));
        self.lock().end = Some(result);
        self.changed.notify_all();
    }

    fn hand_out_stream(&self, input: &mut Input, stream: &Stream) -> Result<()> {
        let mut header = [0; FRAME_BYTES as usize];
        self.fill(input, &mut header, stream.start)?;
        if header != stream.header {
            return Err(self.changed_meanwhile());
        }
        let mut at = stream.start + FRAME_BYTES;
        for block in &stream.blocks {
            if !self.add_job(header, *block, at) {
                return Ok(());
            }
            let end = at + block.packed_bytes();
            while at < end {
                let Some(mut piece) = self.room_for_input() else { return Ok(()) };
                piece.resize(((end - at) as usize).min(PIECE_BYTES), 0);
                self.fill(input, &mut piece, at)?;
                at += piece.len() as u64;
                self.give_input(piece, at == end);
            }
        }
        let (mut left, mut sum) = (stream.tail_bytes, crc32fast::Hasher::new());
        let mut piece = [0; 4096];
        while left > 0 {
            let len = left.min(piece.len() as u64) as usize;
            self.fill(input, &mut piece[..len], at)?;
            sum.update(&piece[..len]);
            (at, left) = (at + len as u64, left - len as u64);
        }
        match sum.finalize() == stream.tail_sum {
            true => Ok(()),
            false => Err(self.changed_meanwhile()),
        }
    }

    /// The file has been read to the end of its last stream. Whether that is its end; what is demanded of the file is
    /// looked at there.
    fn read_end(&self, input: &mut Input) -> Result<()> {
        loop {
            match input.read(&mut [0; 16]) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(self.changed_meanwhile()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from_read(error, &self.path)),
            }
        }
    }

    fn fill(&self, input: &mut Input, buf: &mut [u8], at: u64) -> Result<()> {
        input.read_exact(buf).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::Truncated { path: self.path.clone(), format: FORMAT, offset_bytes: at }
            }
            _ => Error::from_read(error, &self.path),
        })
    }

    /// The file is not the one whose index was read.
    fn changed_meanwhile(&self) -> Error {
        Error::ChangedMeanwhile { path: self.path.clone() }
    }

    /// Adds a job, when fewer than one per thread wait; whether anybody still reads.
    fn add_job(&self, header: [u8; FRAME_BYTES as usize], block: Block, start: u64) -> bool {
        let mut state = self.lock();
        while state.jobs.len() > self.plan.threads && !state.stopped {
            state = self.wait(state);
        }
        let (input, output) = (VecDeque::new(), VecDeque::new());
        let (is_taken, is_whole, result) = (false, false, None);
        state.jobs.push_back(Job {
            header,
            block,
            start,
            is_taken,
            input,
            is_whole,
            output,
            result,
        });
        self.changed.notify_all();
        !state.stopped
    }

    /// A piece for packed data of the last job, when there is room; `None` where nobody reads any more.
    fn room_for_input(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            let is_first = state.jobs.len() == 1;
            let has_few = state.jobs.back().is_some_and(|job| job.input.len() < PIECES_OF_FIRST);
            let fits = state.input_bytes + PIECE_BYTES as u64 <= self.plan.input_bytes;
            match state.stopped {
                true => return None,
                false if fits || (is_first && has_few) => {
                    return Some(state.spare.pop().unwrap_or_default());
                }
                false => state = self.wait(state),
            }
        }
    }

    fn give_input(&self, piece: Vec<u8>, is_whole: bool) {
        let mut state = self.lock();
        state.input_bytes += piece.len() as u64;
        if let Some(job) = state.jobs.back_mut() {
            job.input.push_back(piece);
            job.is_whole = is_whole;
        }
        self.changed.notify_all();
    }

    /// Takes a job and does it; whether there may be more.
    fn decode_next(&self) -> bool {
        let mut state = self.lock();
        let number = loop {
            if let Some(place) = state.jobs.iter().position(|job| !job.is_taken) {
                break state.first + place as u64;
            }
            if state.stopped || state.end.is_some() {
                return false;
            }
            state = self.wait(state);
        };
        let Some(job) = state.job(number) else { return false };
        job.is_taken = true;
        let (header, block, start) = (job.header, job.block, job.start);
        drop(state);
        let result = BlockDecoder::new(&header, block, start, &self.path)
            .and_then(|decoder| self.decode(number, decoder));
        let mut state = self.lock();
        if let Some(job) = state.job(number) {
            job.result = Some(result);
        }
        self.changed.notify_all();
        true
    }

    fn decode(&self, number: u64, mut decoder: BlockDecoder) -> Result<()> {
        let mut out = Vec::new();
        let mut filled = 0;
        while let Some(input) = self.take_input(number) {
            let mut taken = 0;
            loop {
                if out.is_empty() {
                    let Some(piece) = self.room_for_output(number) else { return Ok(()) };
                    out = piece;
                    out.resize(PIECE_BYTES, 0);
                }
                let (took, gave) = decoder.step(&input[taken..], &mut out[filled..], &self.path)?;
                (taken, filled) = (taken + took, filled + gave);
                let is_full = filled == out.len();
                if is_full {
                    self.give_output(number, std::mem::take(&mut out));
                    filled = 0;
                }
                // Nothing more comes of this input, unless there was no room.
                if took == 0 && gave == 0 || taken == input.len() && !is_full {
                    break;
                }
            }
            let is_stuck = taken < input.len();
            self.lock().spare.push(input);
            if is_stuck {
                break;
            }
        }
        out.truncate(filled);
        self.give_output(number, out);
        decoder.finish(&self.path)
    }

    /// The next packed data of a job; `None` after the last, and where there will be no more.
    fn take_input(&self, number: u64) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            let is_over = state.stopped || state.end.is_some();
            let job = state.job(number)?;
            if let Some(piece) = job.input.pop_front() {
                state.input_bytes -= piece.len() as u64;
                self.changed.notify_all();
                return Some(piece);
            }
            if job.is_whole || is_over {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// A piece for decoded data of a job, when there is room; `None` where nobody reads any more.
    fn room_for_output(&self, number: u64) -> Option<Vec<u8>> {
        let mut state = self.lock();
        loop {
            let is_first = number == state.first;
            let fits = state.output_bytes + PIECE_BYTES as u64 <= self.plan.output_bytes;
            let stopped = state.stopped;
            let has_few = state.job(number)?.output.len() < PIECES_OF_FIRST;
            match stopped {
                true => return None,
                false if fits || (is_first && has_few) => {
                    return Some(state.spare.pop().unwrap_or_default());
                }
                false => state = self.wait(state),
            }
        }
    }

    fn give_output(&self, number: u64, piece: Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.output_bytes += piece.len() as u64;
        if let Some(job) = state.job(number) {
            job.output.push_back(piece);
        }
        self.changed.notify_all();
    }
}

impl State {
    fn job(&mut self, number: u64) -> Option<&mut Job> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.jobs.get_mut(place)
    }
}

#[cfg(test)]
mod tests;
