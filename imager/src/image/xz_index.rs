//! The index at the end of an xz file: how large the file is once decoded, and where its blocks are (xz file format
//! 1.2.1, §2.1.2 and §4).
//!
//! For the progress bar, for saying early that a card is too small, and for decoding several blocks at once. Whatever
//! looks odd here is simply "unknown": the decoder that needs no index finds the error, or that there is none.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Largest index that is read: enough for a million blocks.
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// Most padding between streams that is skipped.
const MAX_PADDING_BYTES: u64 = 1 << 20;
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
        while end > 0 {
            let stream = last_stream(file, end)?;
            end = stream.start;
            streams.push(stream);
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

/// The stream that ends at `end`, padding aside.
fn last_stream(file: &File, end: u64) -> Option<Stream> {
    let footer_end = without_padding(file, end)?;
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
        let block = Block { unpadded_bytes: fields.next()?, decoded_bytes: fields.next()? };
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

/// Where the stream before `end` really ends: padding is zeros, in fours.
fn without_padding(file: &File, end: u64) -> Option<u64> {
    let mut at = end;
    while end - at <= MAX_PADDING_BYTES {
        let mut four = [0; 4];
        file.read_exact_at(&mut four, at.checked_sub(4)?).ok()?;
        if four != [0; 4] {
            return Some(at);
        }
        at -= 4;
    }
    None
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
