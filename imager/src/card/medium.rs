//! A destination with the engine's manners: whole transfers, zeros the cheap way, errors that name card and place.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::ahead::Ahead;
use super::blank::Blank;
use super::buffer::AlignedBuffer;
use super::destination::{Destination, read_all, write_all};
use super::error::{Error, Result};
use super::stream::{BLOCK_BYTES, Chunk};
use crate::image::is_zero;

/// Shortest run of zeros that the device is asked to make: below that a write is as quick as asking.
const ZERO_RUN_BYTES: usize = 512 << 10;

/// A write that did not work, and where.
pub(super) struct PutError {
    pub(super) offset_bytes: u64,
    pub(super) source: io::Error,
}

pub(super) struct Medium {
    pub(super) path: PathBuf,
    /// What was never written reads as zeros, and nothing but the image has been written since: zeros may be left out.
    pub(super) zeros_are_there: bool,
    blank: Blank,
    /// First, so that nothing is in flight any more when the card is closed.
    ahead: Option<Ahead>,
    destination: Box<dyn Destination>,
}

impl Medium {
    pub(super) fn new(destination: Box<dyn Destination>) -> Self {
        let path = destination.path().to_owned();
        let ahead = Ahead::new(destination.as_ref());
        Self { path, zeros_are_there: false, blank: Blank::default(), ahead, destination }
    }

    pub(super) fn size_bytes(&self) -> Option<u64> {
        self.destination.size_bytes()
    }

    pub(super) fn padded(&self) -> bool {
        self.destination.padded()
    }

    pub(super) fn unwritten_is_zero(&self) -> bool {
        self.destination.unwritten_is_zero()
    }

    /// Writes `data`, without its zeros where they are there already.
    pub(super) fn put(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.blank.remove(offset..offset + data.len() as u64);
        let zeros = put(self.destination.as_mut(), offset, data, self.zeros_are_there)
            .map_err(|error| self.write_error(error))?;
        zeros.into_iter().for_each(|range| self.blank.add(range));
        Ok(())
    }

    /// Writes a chunk, or lets it be written: it is on its way when this returns. [`Medium::sync`] waits for it.
    pub(super) fn put_chunk(&mut self, chunk: &Arc<Chunk>) -> Result<()> {
        if let Some(ahead) = &mut self.ahead {
            let len = chunk.bytes(self.destination.padded()).len() as u64;
            self.blank.remove(chunk.offset..chunk.offset + len);
            let taken = ahead.offer(chunk, self.destination.as_mut(), &mut self.blank);
            if taken.map_err(|error| self.write_error(error))? {
                return Ok(());
            }
        }
        self.put(chunk.offset, chunk.bytes(self.padded()))
    }

    pub(super) fn get(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        read_all(self.destination.as_mut(), offset, buf).map_err(|(offset_bytes, source)| {
            let (path, source) = (self.path.clone(), Arc::new(source));
            Error::IoAt { action: "reading", path, offset_bytes, source }
        })
    }

    pub(super) fn set_end(&mut self, image_bytes: u64) -> Result<()> {
        self.drain()?;
        let result = self.destination.set_end(image_bytes);
        result.map_err(|error| Error::io("setting the size of card", &self.path, error))
    }

    /// Returns when everything that was put is on the card.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.drain()?;
        self.destination.sync().map_err(|error| Error::io("syncing card", &self.path, error))
    }

    /// Returns when no write is in flight any more.
    pub(super) fn drain(&mut self) -> Result<()> {
        let Some(ahead) = &mut self.ahead else { return Ok(()) };
        let drained = ahead.drain(&mut self.blank);
        drained.map_err(|error| self.write_error(error))
    }

    /// The first range that ends after `at` and is zeros without having been written. Complete after [`Medium::sync`].
    pub(super) fn next_blank(&self, at: u64) -> Option<Range<u64>> {
        self.blank.next(at)
    }

    pub(super) fn announce(&mut self) {
        self.destination.announce();
    }

    /// Gives up a range that nobody reads again; whether the device can.
    pub(super) fn forget(&mut self, range: Range<u64>) -> bool {
        self.destination.forget_at(range.start, range.end - range.start).is_ok()
    }

    /// Zeros `len` bytes at the start or at the end of the card.
    pub(super) fn put_zeros(&mut self, offset: u64, len: usize) -> Result<()> {
        self.put(offset, &AlignedBuffer::new(len))
    }

    fn write_error(&self, error: PutError) -> Error {
        let (path, source) = (self.path.clone(), Arc::new(error.source));
        Error::IoAt { action: "writing", path, offset_bytes: error.offset_bytes, source }
    }
}

/// Writes `data`; its zeros not at all where `zeros_are_there`, else in long runs by the device itself where it can. The
/// ranges of the card that are zeros so.
pub(super) fn put(
    to: &mut dyn Destination,
    offset: u64,
    data: &[u8],
    zeros_are_there: bool,
) -> std::result::Result<Vec<Range<u64>>, PutError> {
    let mut blank = Vec::new();
    for Piece { start, len, zeros } in pieces(data, zeros_are_there, to.zeroes()) {
        let (at, piece) = (offset + start as u64, &data[start..start + len]);
        if zeros && (zeros_are_there || to.zero_at(at, len as u64).is_ok()) {
            blank.push(at..at + len as u64);
            continue;
        }
        write(to, at, piece)?;
    }
    Ok(blank)
}

fn write(to: &mut dyn Destination, offset: u64, data: &[u8]) -> std::result::Result<(), PutError> {
    write_all(to, offset, data).map_err(|(offset_bytes, source)| PutError { offset_bytes, source })
}

/// Neighbouring blocks that are written, or that need not be: the device makes zeros of them, or they are zeros.
pub(super) struct Piece {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) zeros: bool,
}

/// `data` in pieces: one, where zeros are written like anything else.
pub(super) fn pieces(data: &[u8], zeros_are_there: bool, device_zeroes: bool) -> Vec<Piece> {
    if !zeros_are_there && !device_zeroes {
        return vec![Piece { start: 0, len: data.len(), zeros: false }];
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for (index, block) in data.chunks(BLOCK_BYTES).enumerate() {
        let zeros = is_zero(block);
        match pieces.last_mut() {
            Some(piece) if piece.zeros == zeros => piece.len += block.len(),
            _ => pieces.push(Piece { start: index * BLOCK_BYTES, len: block.len(), zeros }),
        }
    }
    if !zeros_are_there {
        for piece in &mut pieces {
            piece.zeros &= piece.len >= ZERO_RUN_BYTES;
        }
    }
    pieces
}
