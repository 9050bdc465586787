//! How large an xz file is once decoded, from the index at its end (xz file format 1.2.1, §2.1.2 and §4).
//!
//! For the progress bar and for saying early that a card is too small. The decoder checks the same index again when
//! it gets there, so whatever looks odd here is simply "unknown".

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Largest index that is read: enough for a million blocks.
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// Most padding between streams that is skipped.
const MAX_PADDING_BYTES: u64 = 1 << 20;
/// Bytes of a stream header and of a stream footer.
const FRAME_BYTES: u64 = 12;

/// Decoded size of all streams of an xz file of `file_bytes`; `None` where the file does not tell.
pub(super) fn decoded_bytes(file: &File, file_bytes: u64) -> Option<u64> {
    let (mut end, mut total) = (file_bytes, 0u64);
    while end > 0 {
        let stream = last_stream(file, end)?;
        total = total.checked_add(stream.decoded_bytes)?;
        end = stream.start;
    }
    Some(total)
}

struct Stream {
    start: u64,
    decoded_bytes: u64,
}

/// The stream that ends at `end`, padding aside.
fn last_stream(file: &File, end: u64) -> Option<Stream> {
    let footer_end = without_padding(file, end)?;
    let footer_at = footer_end.checked_sub(FRAME_BYTES)?;
    let mut footer = [0; FRAME_BYTES as usize];
    file.read_exact_at(&mut footer, footer_at).ok()?;
    let u32_at = |at: usize| {
        u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]])
    };
    if &footer[10..] != b"YZ" || crc32fast::hash(&footer[4..10]) != u32_at(0) {
        return None;
    }
    let index_bytes = (u64::from(u32_at(4)) + 1) * 4;
    let index_at = footer_at.checked_sub(index_bytes)?;
    if index_bytes > MAX_INDEX_BYTES {
        return None;
    }
    let mut index = vec![0; index_bytes as usize];
    file.read_exact_at(&mut index, index_at).ok()?;
    let mut fields = Fields { bytes: index.strip_prefix(&[0])? };
    let (mut packed_bytes, mut decoded_bytes) = (0u64, 0u64);
    for _ in 0..fields.next()? {
        packed_bytes = packed_bytes.checked_add(fields.next()?.checked_next_multiple_of(4)?)?;
        decoded_bytes = decoded_bytes.checked_add(fields.next()?)?;
    }
    let start = index_at.checked_sub(packed_bytes)?.checked_sub(FRAME_BYTES)?;
    let mut magic = [0; 6];
    file.read_exact_at(&mut magic, start).ok()?;
    (&magic == b"\xfd7zXZ\0").then_some(Stream { start, decoded_bytes })
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
