//! The head of an image in memory, without paying for its zeros.

use std::io;

use super::ReadAt;

/// Bytes of a block. Small enough that scattered files cost little, large enough that the index stays tiny.
const BLOCK_BYTES: usize = 64 * 1024;

/// A run of bytes that starts at offset 0 and grows at its end. Blocks of 64 KiB that hold only zeros are not
/// stored: a boot partition of 512 MiB costs about what is in it, plus 8 bytes for every 64 KiB.
#[derive(Debug, Clone, Default)]
pub struct SparseBytes {
    blocks: Vec<Option<Box<[u8]>>>,
    len_bytes: u64,
}

impl SparseBytes {
    /// An empty run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `data`.
    pub fn append(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let within = (self.len_bytes % BLOCK_BYTES as u64) as usize;
            let take = data.len().min(BLOCK_BYTES - within);
            let (now, later) = data.split_at(take);
            if within == 0 {
                self.blocks.push(None);
            }
            if now.iter().any(|b| *b != 0)
                && let Some(last) = self.blocks.last_mut()
            {
                let block = last.get_or_insert_with(|| vec![0; BLOCK_BYTES].into_boxed_slice());
                block[within..within + take].copy_from_slice(now);
            }
            self.len_bytes += take as u64;
            data = later;
        }
    }

    /// Bytes in the run, zeros included.
    pub fn len(&self) -> u64 {
        self.len_bytes
    }

    /// Whether nothing was appended yet.
    pub fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// Bytes that are really held in memory.
    pub fn stored_bytes(&self) -> u64 {
        (self.blocks.iter().flatten().count() * BLOCK_BYTES) as u64
    }

    /// Fills `buf` from `offset` bytes after the start.
    ///
    /// # Errors
    /// `UnexpectedEof` where the run ends first; `buf` is then unchanged.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let within = (at % BLOCK_BYTES as u64) as usize;
            let take = rest.len().min(BLOCK_BYTES - within);
            let (now, later) = rest.split_at_mut(take);
            match &self.blocks[(at / BLOCK_BYTES as u64) as usize] {
                Some(block) => now.copy_from_slice(&block[within..within + take]),
                None => now.fill(0),
            }
            at += take as u64;
            rest = later;
        }
        Ok(())
    }
}

impl ReadAt for SparseBytes {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        SparseBytes::read_at(self, offset, buf)
    }

    fn len_bytes(&self) -> u64 {
        self.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zeros_cost_nothing() {
        let mut bytes = SparseBytes::new();
        bytes.append(&vec![0; 10 << 20]);
        bytes.append(b"x");
        assert_eq!(bytes.len(), (10 << 20) + 1);
        assert_eq!(bytes.stored_bytes(), 64 << 10);
        let mut last = [9u8; 2];
        bytes.read_at((10 << 20) - 1, &mut last).unwrap();
        assert_eq!(&last, b"\0x");
        assert!(bytes.read_at(10 << 20, &mut last).is_err());
        assert!(bytes.read_at(u64::MAX, &mut last).is_err());
    }

    proptest! {
        #[test]
        fn reads_what_was_appended(
            pieces in prop::collection::vec((any::<u8>(), 0usize..150_000), 1..6),
            from in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let mut plain = Vec::new();
            let mut sparse = SparseBytes::new();
            for (value, len) in pieces {
                let piece = [value & 1, value].repeat(len / 2);
                plain.extend_from_slice(&piece);
                sparse.append(&piece);
            }
            prop_assert_eq!(sparse.len(), plain.len() as u64);
            let (a, b) = (from.index(plain.len() + 1), to.index(plain.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            let mut got = vec![7; b - a];
            sparse.read_at(a as u64, &mut got).unwrap();
            prop_assert_eq!(&got[..], &plain[a..b]);
        }
    }
}
