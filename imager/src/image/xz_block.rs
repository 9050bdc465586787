//! One block of an xz file, decoded by itself: as a stream that has no other block.

use std::path::Path;

use liblzma::stream::{Action, Error as LzmaError, Status, Stream};

use super::error::Error;
use super::xz::{LIMIT_BYTES, out_of_memory};
use super::xz_index::{Block, FRAME_BYTES};

/// Decodes a block. liblzma gets the header of the block's stream, the block, and an index and a footer for this block
/// only: so it compares the checksum and the sizes as well.
pub(super) struct BlockDecoder {
    stream: Stream,
    block: Block,
    /// Where the block begins in the file.
    start: u64,
    tail: Vec<u8>,
    ended: bool,
}

impl BlockDecoder {
    /// A decoder for the block at `start` of a stream with this header.
    pub(super) fn new(
        header: &[u8; FRAME_BYTES as usize],
        block: Block,
        start: u64,
        path: &Path,
    ) -> Result<Self, Error> {
        let stream = Stream::new_stream_decoder(LIMIT_BYTES, 0).map_err(|_| out_of_memory(path))?;
        let mut decoder = Self { stream, block, start, tail: tail(header, block), ended: false };
        decoder.step(header, &mut [], path)?;
        Ok(decoder)
    }

    /// Takes some of `input` and gives some output: how many bytes of each.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::NeedsTooMuchMemory`].
    pub(super) fn step(
        &mut self,
        input: &[u8],
        out: &mut [u8],
        path: &Path,
    ) -> Result<(usize, usize), Error> {
        let (in_before, out_before) = (self.stream.total_in(), self.stream.total_out());
        let result = self.stream.process(input, out, Action::Run);
        let taken = (self.stream.total_in() - in_before) as usize;
        let given = (self.stream.total_out() - out_before) as usize;
        match result {
            Ok(Status::StreamEnd) => self.ended = true,
            // It can go on neither with this input nor with this room: the caller finds out by what was taken.
            Ok(_) => {}
            Err(LzmaError::Mem | LzmaError::MemLimit) => return Err(out_of_memory(path)),
            Err(LzmaError::Options) => {
                return Err(self.corrupt("xz features that this decoder lacks", path));
            }
            Err(_) => return Err(self.corrupt("the xz data is damaged", path)),
        }
        Ok((taken, given))
    }

    /// After all of the block: whether it is what the index says.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub(super) fn finish(mut self, path: &Path) -> Result<(), Error> {
        let tail = std::mem::take(&mut self.tail);
        let mut rest = tail.as_slice();
        while !rest.is_empty() {
            match self.step(rest, &mut [], path)? {
                (0, _) => break,
                (taken, _) => rest = &rest[taken..],
            }
        }
        match self.ended && rest.is_empty() && self.stream.total_out() == self.block.decoded_bytes {
            true => Ok(()),
            false => Err(self.corrupt("the xz data is damaged", path)),
        }
    }

    fn corrupt(&self, problem: &'static str, path: &Path) -> Error {
        let within = self.stream.total_in().saturating_sub(FRAME_BYTES);
        let offset_bytes = self.start + within.min(self.block.packed_bytes());
        Error::Corrupt { path: path.to_owned(), problem, offset_bytes }
    }
}

/// Index and footer of a stream with one block.
fn tail(header: &[u8; FRAME_BYTES as usize], block: Block) -> Vec<u8> {
    let mut tail = vec![0, 1];
    number(&mut tail, block.unpadded_bytes);
    number(&mut tail, block.decoded_bytes);
    tail.resize(tail.len().next_multiple_of(4), 0);
    tail.extend(crc32fast::hash(&tail).to_le_bytes());
    let mut footer = ((tail.len() / 4 - 1) as u32).to_le_bytes().to_vec();
    footer.extend(&header[6..8]);
    tail.extend(crc32fast::hash(&footer).to_le_bytes());
    tail.extend(footer);
    tail.extend(b"YZ");
    tail
}

/// A variable-length integer: seven bits per byte, the lowest first.
fn number(to: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
