//! Comparing what was read back.

use super::stream::{BLOCK_BYTES, Digest, digest};

/// Compares two runs of the same length; otherwise the index of the first byte that differs.
pub(super) fn compare(read: &[u8], wanted: &[u8]) -> Result<(), usize> {
    // The whole comparison is a memcmp; the search is only for a card that is bad anyway.
    if read == wanted {
        return Ok(());
    }
    Err(read.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(read.len().min(wanted.len())))
}

/// Compares a run with the digests of its blocks; otherwise the index of the first block that differs.
pub(super) fn compare_digests(read: &[u8], digests: &[Digest]) -> Result<(), usize> {
    let blocks = read.chunks(BLOCK_BYTES);
    if blocks.len() != digests.len() {
        return Err(blocks.len().min(digests.len()));
    }
    match blocks.zip(digests).position(|(block, wanted)| digest(block) != *wanted) {
        Some(block) => Err(block),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found() {
        assert_eq!(compare(b"abc", b"abc"), Ok(()));
        assert_eq!(compare(b"abc", b"aXX"), Err(1));
        let data: Vec<u8> = (0..BLOCK_BYTES * 2 + 5).map(|i| (i / 7) as u8).collect();
        let digests: Vec<Digest> = data.chunks(BLOCK_BYTES).map(digest).collect();
        assert_eq!(compare_digests(&data, &digests), Ok(()));
        let mut bad = data.clone();
        bad[BLOCK_BYTES] ^= 1;
        assert_eq!(compare_digests(&bad, &digests), Err(1));
        assert_eq!(compare_digests(&data[..BLOCK_BYTES * 2 + 4], &digests), Err(2));
        assert_eq!(compare_digests(&data[..BLOCK_BYTES], &digests), Err(1));
    }
}
