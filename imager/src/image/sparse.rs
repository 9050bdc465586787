//! The head of an image: cheap where it is zeros, and never much memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ReadAt;

/// Bytes of a block. Small enough that scattered files cost little, large enough that the index stays tiny.
const BLOCK_BYTES: usize = 64 * 1024;
/// Bytes of blocks that stay in memory: the FAT, the root directory and what comes first. What is beyond goes to a
/// temporary file, so that a boot partition of 1 GiB full of data costs no more memory than a small one.
const MEMORY_BYTES: u64 = 16 << 20;

/// Whether there are only zeros; at the speed of `memcmp`, where a loop over the bytes would cost as much as decoding.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|piece| *piece == ZEROS[..piece.len()])
}

/// A run of bytes that starts at offset 0 and grows at its end. Blocks of 64 KiB that hold only zeros are not
/// stored; of the others the first 16 MiB are in memory, the rest in a temporary file without a name (in `$TMPDIR`,
/// else in `/var/tmp`, which unlike `/tmp` is no memory). Where there is no room for that file they stay in memory.
#[derive(Debug, Clone, Default)]
pub struct SparseBytes {
    blocks: Vec<Block>,
    len_bytes: u64,
    stored_bytes: u64,
    spill: Spill,
}

#[derive(Debug, Clone)]
enum Block {
    Zeros,
    InMemory(Box<[u8]>),
    /// At this place of the temporary file.
    Spilled(u64),
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
                self.blocks.push(Block::Zeros);
            }
            if let Some(last) = self.blocks.last_mut()
                && !is_zero(now)
            {
                if matches!(last, Block::Zeros) {
                    *last = Block::InMemory(vec![0; BLOCK_BYTES].into_boxed_slice());
                    self.stored_bytes += BLOCK_BYTES as u64;
                }
                if let Block::InMemory(block) = last {
                    block[within..within + take].copy_from_slice(now);
                }
            }
            self.len_bytes += take as u64;
            if self.len_bytes.is_multiple_of(BLOCK_BYTES as u64) {
                self.spill_last();
            }
            data = later;
        }
    }

    /// Moves the last block, which is complete, to the temporary file where enough is in memory already.
    fn spill_last(&mut self) {
        if self.stored_bytes <= MEMORY_BYTES {
            return;
        }
        if let Some(last @ Block::InMemory(_)) = self.blocks.last_mut()
            && let Block::InMemory(block) = &*last
            && let Some(at) = self.spill.append(block)
        {
            *last = Block::Spilled(at);
            self.stored_bytes -= BLOCK_BYTES as u64;
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
        self.stored_bytes
    }

    /// Fills `buf` from `offset` bytes after the start.
    ///
    /// # Errors
    /// `UnexpectedEof` where the run ends first, `buf` is then unchanged; what reading the temporary file says.
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
                Block::Zeros => now.fill(0),
                Block::InMemory(block) => now.copy_from_slice(&block[within..within + take]),
                Block::Spilled(start) => self.spill.read(start + within as u64, now)?,
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

/// The temporary file, made when it is needed first. Clones share it: what is in it never changes.
#[derive(Debug, Clone, Default)]
enum Spill {
    #[default]
    NotMade,
    Made {
        file: Arc<File>,
        end: Arc<AtomicU64>,
    },
    /// There is no room, or no folder: everything stays in memory.
    Impossible,
}

impl Spill {
    /// Where `block` is now; `None` where it could not be put there.
    fn append(&mut self, block: &[u8]) -> Option<u64> {
        if matches!(self, Spill::NotMade) {
            *self = match tempfile::tempfile_in(folder()) {
                Ok(file) => Spill::Made { file: Arc::new(file), end: Arc::default() },
                Err(_) => Spill::Impossible,
            };
        }
        let Spill::Made { file, end } = &*self else { return None };
        let at = end.fetch_add(block.len() as u64, Ordering::Relaxed);
        file.write_all_at(block, at).ok().map(|()| at)
    }

    fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Spill::Made { file, .. } => file.read_exact_at(buf, at),
            Spill::NotMade | Spill::Impossible => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn folder() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| "/var/tmp".into(), PathBuf::from)
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

    #[test]
    fn much_data_costs_no_more_memory_than_little() {
        let value = |at: usize| (at / 1000 % 255) as u8 + 1;
        let mut bytes = SparseBytes::new();
        let piece = 300_001;
        for start in (0..40 << 20).step_by(piece) {
            bytes.append(&(start..start + piece).map(value).collect::<Vec<_>>());
        }
        assert!(bytes.stored_bytes() <= MEMORY_BYTES + BLOCK_BYTES as u64);
        let copy = bytes.clone();
        let mut got = vec![0; 200_000];
        for offset in [0, 5_000_000, 15_999_999, 17_000_001, 39_000_000] {
            copy.read_at(offset as u64, &mut got).unwrap();
            assert!(got.iter().enumerate().all(|(at, byte)| *byte == value(offset + at)));
        }
    }

    #[test]
    fn zeros_are_told_from_other_bytes() {
        assert!(is_zero(&[]) && is_zero(&[0; 10_000]));
        for at in [0, 4095, 4096, 9_999] {
            let mut bytes = [0; 10_000];
            bytes[at] = 1;
            assert!(!is_zero(&bytes));
        }
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
