//! The index at the end of an xz file: how large the file is once decoded, and where its blocks are (xz file format
//! 1.2.1, §2.1.2 and §4).
//!
//! For the progress bar, for saying early that a card is too small, and for decoding several blocks at once. Whatever
//! looks odd here is simply "unknown": the decoder that needs no index finds the error, or that there is none.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Largest index that is read: enough for a million blocks.
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// Most padding between and after all streams that is skipped.
const MAX_PADDING_BYTES: u64 = 1 << 20;
/// Padding that is looked at at once.
const PADDING_STEP_BYTES: u64 = 64 << 10;
/// Most streams: `pxz` makes one for some megabytes of the image.
const MAX_STREAMS: usize = 1 << 14;
/// Most blocks of all streams, each of which takes 16 bytes of memory.
const MAX_BLOCKS: usize = 1 << 20;
/// Fewest bytes that a block can have (liblzma's `UNPADDED_SIZE_MIN`).
const MIN_BLOCK_BYTES: u64 = 5;
/// Bytes of a stream header and of a stream footer.
pub(super) const FRAME_BYTES: u64 = 12;
/// Largest header of a block.
const MAX_BLOCK_HEADER_BYTES: usize = 1024;
/// The filter that all blocks end with.
const LZMA2: u64 = 0x21;
/// What a stream begins with.
const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";

/// The streams of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) streams: Vec<Stream>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// Where it begins.
    pub(super) start: u64,
    /// Its first bytes, which say how its blocks are checked.
    pub(super) header: [u8; FRAME_BYTES as usize],
    pub(super) blocks: Vec<Block>,
    /// Memory that the decoder of its first block wants for what was decoded before; the others are alike. `None` where
    /// the block is packed in an unusual way.
    pub(super) dictionary_bytes: Option<u64>,
    /// Bytes of its index, its footer and the padding behind them, and their CRC-32.
    pub(super) tail_bytes: u64,
    pub(super) tail_sum: u32,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Its bytes in the file without the padding behind it.
    pub(super) unpadded_bytes: u64,
    pub(super) decoded_bytes: u64,
}

impl Block {
    /// Its bytes in the file.
    pub(super) fn packed_bytes(self) -> u64 {
        self.unpadded_bytes.next_multiple_of(4)
    }
}

impl Index {
    /// Reads the index of an xz file of `file_bytes`; `None` where the file does not tell.
    pub(super) fn read(file: &File, file_bytes: u64) -> Option<Self> {
        let (mut end, mut streams) = (file_bytes, Vec::new());
        let mut left = Left { padding_bytes: MAX_PADDING_BYTES, blocks: MAX_BLOCKS };
        while end > 0 {
            let stream = last_stream(file, end, &mut left)?;
            end = stream.start;
            streams.push(stream);
            if streams.len() > MAX_STREAMS {
                return None;
            }
        }
        streams.reverse();
        let index = Self { streams };
        index.blocks().try_fold(0u64, |total, block| total.checked_add(block.decoded_bytes))?;
        Some(index)
    }

    /// Decoded size of all streams.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.blocks().map(|block| block.decoded_bytes).sum()
    }

    /// The blocks of all streams.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> {
        self.streams.iter().flat_map(|stream| stream.blocks.iter().copied())
    }
}

/// What may still be read of a file.
struct Left {
    padding_bytes: u64,
    blocks: usize,
}

/// The stream that ends at `end`, padding aside.
fn last_stream(file: &File, end: u64, left: &mut Left) -> Option<Stream> {
    let footer_end = without_padding(file, end, &mut left.padding_bytes)?;
    let footer_at = footer_end.checked_sub(FRAME_BYTES)?;
    let mut footer = [0; FRAME_BYTES as usize];
    file.read_exact_at(&mut footer, footer_at).ok()?;
    let u32_of = |at: usize| {
        u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]])
    };
    if &footer[10..] != b"YZ" || crc32fast::hash(&footer[4..10]) != u32_of(0) {
        return None;
    }
    let index_bytes = (u64::from(u32_of(4)) + 1) * 4;
    let index_at = footer_at.checked_sub(index_bytes)?;
    if index_bytes > MAX_INDEX_BYTES {
        return None;
    }
    let mut tail = vec![0; (end - index_at) as usize];
    file.read_exact_at(&mut tail, index_at).ok()?;
    let (fields, sum) = tail[..index_bytes as usize].split_last_chunk::<4>()?;
    if crc32fast::hash(fields) != u32::from_le_bytes(*sum) {
        return None;
    }
    let mut fields = Fields { bytes: fields.strip_prefix(&[0])? };
    let (mut packed_bytes, mut blocks) = (0u64, Vec::new());
    for _ in 0..fields.next()? {
        left.blocks = left.blocks.checked_sub(1)?;
        let block = Block { unpadded_bytes: fields.next()?, decoded_bytes: fields.next()? };
        if block.unpadded_bytes < MIN_BLOCK_BYTES {
            return None;
        }
        let padded = block.unpadded_bytes.checked_next_multiple_of(4)?;
        packed_bytes = packed_bytes.checked_add(padded)?;
        blocks.push(block);
    }
    let start = index_at.checked_sub(packed_bytes)?.checked_sub(FRAME_BYTES)?;
    let mut header = [0; FRAME_BYTES as usize];
    file.read_exact_at(&mut header, start).ok()?;
    // Header and footer say the same of the stream.
    let (tail_bytes, tail_sum) = (tail.len() as u64, crc32fast::hash(&tail));
    if !header.starts_with(MAGIC) || header[6..8] != footer[8..10] {
        return None;
    }
    let mut first = [0; MAX_BLOCK_HEADER_BYTES];
    let read = file.read_at(&mut first, start + FRAME_BYTES).ok()?;
    let dictionary_bytes = dictionary_bytes(&first[..read]);
    Some(Stream { start, header, blocks, dictionary_bytes, tail_bytes, tail_sum })
}

/// What the header of a block says of LZMA2, whatever other filters there are (§3.1, §5.3.1).
fn dictionary_bytes(header: &[u8]) -> Option<u64> {
    let flags = *header.get(1)?;
    let mut fields = Fields { bytes: &header[2..] };
    for size in [0x40, 0x80] {
        if flags & size != 0 {
            fields.next()?;
        }
    }
    let mut found = None;
    for _ in 0..=(flags & 3) {
        let (filter, len) = (fields.next()?, usize::try_from(fields.next()?).ok()?);
        let (properties, rest) = fields.bytes.split_at_checked(len)?;
        fields.bytes = rest;
        if filter == LZMA2 {
            found = properties.first().map(|bits| u64::from(bits & 0x3f));
        }
    }
    found.map(|bits| (2 | (bits & 1)) << (bits / 2 + 11))
}

/// Where the stream before `end` really ends: padding is zeros, in fours, and no more than `left`.
fn without_padding(file: &File, end: u64, left: &mut u64) -> Option<u64> {
    let mut at = end;
    loop {
        // One more than the rest, so that too much of it is seen.
        let len = at.min(PADDING_STEP_BYTES).min(*left + 4) / 4 * 4;
        let mut piece = vec![0; len as usize];
        file.read_exact_at(&mut piece, at - len).ok()?;
        let zeros = piece.iter().rev().take_while(|byte| **byte == 0).count() as u64 / 4 * 4;
        *left = left.checked_sub(zeros)?;
        at -= zeros;
        match zeros {
            _ if zeros < len => return Some(at),
            // Nothing but padding.
            0 => return None,
            _ => {}
        }
    }
}

/// The variable-length integers of an index: seven bits per byte, at most nine bytes.
struct Fields<'a> {
    bytes: &'a [u8],
}

impl Fields<'_> {
    fn next(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let (first, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn index_of(file: &[u8]) -> Option<Index> {
        let mut on_disk = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
        on_disk.write_all(file).unwrap();
        Index::read(on_disk.as_file(), file.len() as u64)
    }

    /// A stream with one block.
    fn stream() -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(b"pikube").unwrap();
        encoder.finish().unwrap()
    }

    /// A stream without a block, the shortest there is.
    fn empty_stream() -> Vec<u8> {
        liblzma::write::XzEncoder::new(Vec::new(), 1).finish().unwrap()
    }

    #[test]
    fn padding_between_and_after_streams_is_skipped() {
        let zeros = |len: u64| vec![0; len as usize];
        let most = MAX_PADDING_BYTES;
        for (between, after) in [(0, 0), (4, 8), (PADDING_STEP_BYTES, 4), (most - 4, 4), (0, most)]
        {
            let file = [stream(), zeros(between), stream(), zeros(after)].concat();
            let index = index_of(&file).unwrap();
            assert_eq!((index.streams.len(), index.decoded_bytes()), (2, 12), "{between} {after}");
        }
        // Of both together it is too much, and in other numbers than four it is none.
        assert_eq!(index_of(&[stream(), zeros(most), stream(), zeros(4)].concat()), None);
        assert_eq!(index_of(&[stream(), zeros(3), stream()].concat()), None);
        assert_eq!(index_of(&[stream(), zeros(2)].concat()), None);
        assert_eq!(index_of(&zeros(4)), None);
        assert_eq!(index_of(&zeros(2 * PADDING_STEP_BYTES)), None);
    }

    #[test]
    fn more_streams_than_any_program_makes_are_not_listed() {
        let streams = |count: usize| empty_stream().repeat(count);
        assert_eq!(index_of(&streams(MAX_STREAMS)).unwrap().streams.len(), MAX_STREAMS);
        assert_eq!(index_of(&streams(MAX_STREAMS + 1)), None);
    }

    /// An index in which each block takes two bytes and none has any in the file: eight million of them would fit.
    #[test]
    fn blocks_of_no_bytes_are_not_listed() {
        let mut index = vec![0, 2, 0, 0, 0, 0, 0, 0];
        index.extend(crc32fast::hash(&index).to_le_bytes());
        let mut footer = vec![];
        footer.extend((index.len() as u32 / 4 - 1).to_le_bytes());
        footer.extend([0, 1]);
        let sum = crc32fast::hash(&footer).to_le_bytes();
        let file = [&empty_stream()[..12], &index, &sum, &footer, b"YZ"].concat();
        assert_eq!(index_of(&file), None);
    }
}
