//! xz as a [`Read`], decoded by liblzma as it comes: on several threads where the file's blocks allow it. What has an
//! index that is known beforehand is decoded by [`xz_blocks`](super::xz_blocks) instead, in less memory.

use std::io::{self, Read};
use std::path::PathBuf;

use liblzma::stream::{Action, Error as LzmaError, MtStreamBuilder, Status, Stream};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::error::Error;
use super::xz_index::Index;
use super::xz_plan::{Plan, plan};

/// Memory that several threads may use together, and never more than a quarter of what is free; where that is not enough
/// for all of them, there are fewer. It leaves the rest of the program as much, of the 96 MiB that the whole promises.
const THREADING_BYTES: u64 = 48 << 20;
/// Memory that one thread may use, which is more than promised: `xz -9` needs 65 MiB, and other ways to decode it there
/// are none.
pub(super) const LIMIT_BYTES: u64 = 104 << 20;
/// Most threads, whatever the machine has.
const MAX_THREADS: usize = 16;
/// Compressed bytes that are read at once.
const INPUT_BYTES: usize = 256 * 1024;
/// Name for messages.
pub(super) const FORMAT: &str = "xz";

/// Decodes one or more concatenated xz streams with padding between and after them, as `xz -dc` does. Data that ends
/// early, damage, and anything else after the last stream are errors: a half-decoded image must not be half-written.
///
/// One exception: of a stream that has no checksum (`xz --check=none`) damage is found only where it breaks the
/// format.
pub(super) struct XzReader<R> {
    input: R,
    path: PathBuf,
    threading_bytes: u64,
    buffer: Box<[u8]>,
    /// The part of `buffer` that is not consumed yet.
    pending: std::ops::Range<usize>,
    input_ended: bool,
    /// Compressed bytes consumed so far.
    consumed_bytes: u64,
    state: State,
}

enum State {
    /// Within a stream that began at `start`.
    Decoding { stream: Stream, start: u64 },
    /// After a stream; `zeros` bytes of padding were seen.
    Between { zeros: u64 },
    /// At the end.
    Done,
}

impl<R: Read> XzReader<R> {
    /// Decodes `input`, which is at its first byte; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::NeedsTooMuchMemory`] where there is not even memory for the decoder.
    pub(super) fn new(input: R, path: PathBuf) -> Result<Self, Error> {
        Self::within(input, path, threading_bytes(free_bytes()))
    }

    /// The same with so much memory for several threads, bytes.
    fn within(input: R, path: PathBuf, threading_bytes: u64) -> Result<Self, Error> {
        let stream = decoder(threading_bytes).map_err(|_| out_of_memory(&path))?;
        Ok(Self {
            input,
            path,
            threading_bytes,
            buffer: vec![0; INPUT_BYTES].into_boxed_slice(),
            pending: 0..0,
            input_ended: false,
            consumed_bytes: 0,
            state: State::Decoding { stream, start: 0 },
        })
    }

    fn refill(&mut self) -> io::Result<()> {
        while self.pending.is_empty() && !self.input_ended {
            match self.input.read(&mut self.buffer) {
                Ok(0) => self.input_ended = true,
                Ok(len) => self.pending = 0..len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// One step within a stream; how many bytes came out.
    fn decode(&mut self, out: &mut [u8]) -> Result<usize, Error> {
        let State::Decoding { stream, start } = &mut self.state else {
            return Ok(0);
        };
        let start = *start;
        let (in_before, out_before) = (stream.total_in(), stream.total_out());
        let action = if self.input_ended { Action::Finish } else { Action::Run };
        let result = stream.process(&self.buffer[self.pending.clone()], out, action);
        let taken = stream.total_in() - in_before;
        let produced = (stream.total_out() - out_before) as usize;
        self.pending.start += taken as usize;
        self.consumed_bytes += taken;

        let (path, offset_bytes) = (&self.path, self.consumed_bytes);
        let corrupt = |problem| Error::Corrupt { path: path.clone(), problem, offset_bytes };
        let garbage =
            || Error::TrailingGarbage { path: path.clone(), format: FORMAT, offset_bytes: start };
        match result {
            Ok(Status::StreamEnd) => self.state = State::Between { zeros: 0 },
            // liblzma says this (it is LZMA_BUF_ERROR) when it can go neither forward nor finish.
            Ok(Status::MemNeeded) if self.input_ended && produced == 0 => {
                // What is shorter than a stream header was never a stream.
                let is_garbage = start > 0 && offset_bytes - start < 12;
                let path = path.clone();
                return Err(match is_garbage {
                    true => garbage(),
                    false => Error::Truncated { path, format: FORMAT, offset_bytes },
                });
            }
            Ok(_) => {}
            Err(LzmaError::Format) if start > 0 => return Err(garbage()),
            Err(LzmaError::Mem | LzmaError::MemLimit) => return Err(out_of_memory(path)),
            Err(LzmaError::Options) => {
                let what = "it uses xz features that this decoder lacks".into();
                return Err(Error::Undecodable { path: path.clone(), what });
            }
            Err(_) => return Err(corrupt("the xz data is damaged")),
        }
        Ok(produced)
    }

    /// Skips padding and finds out what comes after it.
    fn between(&mut self) -> Result<(), Error> {
        let State::Between { zeros } = &mut self.state else {
            return Ok(());
        };
        let pending = &self.buffer[self.pending.clone()];
        let padding = pending.iter().take_while(|byte| **byte == 0).count();
        let next = pending.get(padding).copied();
        *zeros += padding as u64;
        let zeros = *zeros;
        self.pending.start += padding;
        self.consumed_bytes += padding as u64;

        let garbage = |offset_bytes| Error::TrailingGarbage {
            path: self.path.clone(),
            format: FORMAT,
            offset_bytes,
        };
        match next {
            // Padding comes in fours.
            Some(_) | None if (next.is_some() || self.input_ended) && zeros % 4 != 0 => {
                Err(garbage(self.consumed_bytes - zeros))
            }
            Some(0xfd) => {
                let stream =
                    decoder(self.threading_bytes).map_err(|_| out_of_memory(&self.path))?;
                self.state = State::Decoding { stream, start: self.consumed_bytes };
                Ok(())
            }
            Some(_) => Err(garbage(self.consumed_bytes)),
            None if self.input_ended => {
                self.state = State::Done;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl<R: Read> Read for XzReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() {
            self.refill()?;
            match self.state {
                State::Done => break,
                State::Between { .. } => self.between().map_err(Error::into_read)?,
                State::Decoding { .. } => match self.decode(out).map_err(Error::into_read)? {
                    0 => {}
                    produced => return Ok(produced),
                },
            }
        }
        Ok(0)
    }
}

/// How to decode several blocks of a file with this index at once; `None` where that cannot be.
pub(super) fn plan_for(index: Index) -> Option<(Index, Plan)> {
    let plan = plan(&index, threads(), threading_bytes(free_bytes()))?;
    Some((index, plan))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
}

/// A decoder for one stream. (Several streams are ours to handle: the builder cannot set LZMA_CONCATENATED, and it
/// would not tell where garbage begins.)
fn decoder(threading_bytes: u64) -> Result<Stream, LzmaError> {
    MtStreamBuilder::new()
        .threads(threads() as u32)
        .memlimit_threading(threading_bytes)
        .memlimit_stop(LIMIT_BYTES)
        .decoder()
}

/// Memory for several threads where this much is free, bytes.
fn threading_bytes(free_bytes: u64) -> u64 {
    (free_bytes / 4).min(THREADING_BYTES)
}

/// Memory that this program may still take, bytes: the machine's, or its control group's where that has less (a
/// container). Of a group everything but its processes' own memory counts as free, as its page cache gives way.
fn free_bytes() -> u64 {
    let ram = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(ram));
    if system.total_memory() == 0 {
        // No /proc: nothing is known, and sysinfo would panic at the next question.
        return 0;
    }
    let group = system.cgroup_limits().map(|limits| limits.total_memory.saturating_sub(limits.rss));
    system.available_memory().min(group.unwrap_or(u64::MAX))
}

pub(super) fn out_of_memory(path: &std::path::Path) -> Error {
    Error::NeedsTooMuchMemory { path: path.to_owned(), format: FORMAT, limit_bytes: LIMIT_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_no_more_than_a_quarter_of_what_is_free() {
        assert_eq!(threading_bytes(16 << 30), THREADING_BYTES);
        assert_eq!(threading_bytes(64 << 20), 16 << 20);
        assert_eq!(threading_bytes(0), 0);
        assert!(free_bytes() > 0);
    }

    #[test]
    fn blocks_for_several_threads_are_decoded_without_memory_for_them() {
        let text = b"pikube ".repeat(100_000);
        let mut packed = Vec::new();
        let blocks = MtStreamBuilder::new().threads(2).block_size(64 << 10).encoder().unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(&mut packed, blocks);
        io::Write::write_all(&mut encoder, &text).unwrap();
        encoder.finish().unwrap();
        let mut reader = XzReader::within(packed.as_slice(), PathBuf::from("test.xz"), 0).unwrap();
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        assert!(out == text);
    }
}
