//! One decode for all cards: chunks of the image, counted by reference, through a bounded queue per card.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use twox_hash::XxHash3_128;

use super::buffer::{Pool, Pooled};
use crate::image::{Error, Rest, SECTOR_BYTES};

/// Bytes of a chunk: large enough for the erase blocks of a card.
pub(super) const CHUNK_BYTES: usize = 4 << 20;
/// Chunks that wait for one card. All cards share their chunks and the decoder waits for the slowest, so that there
/// are never more than `QUEUE_CHUNKS` + 4 of them, for any number of cards: one is being decoded, one handed over, two
/// are being written.
pub(super) const QUEUE_CHUNKS: usize = 2;
/// Bytes that one digest stands for.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// XXH3-128 of a block. The adversary is a broken or lying card, which does not know the digests and has 2^-128 per
/// block on its side; a cryptographic hash would protect against nobody here and cost many times as much for each
/// further card. (Whether the image is the right one is another question, and SHA-256 answers it.)
pub(super) type Digest = u128;

/// The digest of a block.
pub(super) fn digest(block: &[u8]) -> Digest {
    XxHash3_128::oneshot(block)
}

/// A digest for each 64 KiB since the end of the head, the last one for what is left: 256 bytes per MiB. The decoder
/// adds, the cards look up: what is in a chunk that was received is here.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<Vec<Digest>>);

impl Digests {
    fn append(&self, data: &[u8]) {
        let new: Vec<Digest> = data.chunks(BLOCK_BYTES).map(digest).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
    }

    /// Those of `len` bytes at `offset` from the end of the head, which is a multiple of the block.
    pub(super) fn of(&self, offset: u64, len: usize) -> Vec<Digest> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = usize::try_from(offset / BLOCK_BYTES as u64).unwrap_or(usize::MAX);
        all.iter().skip(first).take(len.div_ceil(BLOCK_BYTES)).copied().collect()
    }
}

/// A piece of the image.
pub(super) struct Chunk {
    /// Where it belongs, from the start of the image.
    pub(super) offset: u64,
    len: usize,
    buffer: Pooled,
}

impl Chunk {
    /// A chunk of its own, outside of any pool.
    #[cfg(test)]
    pub(super) fn of(offset: u64, data: &[u8]) -> Self {
        let mut buffer = Pool::new(CHUNK_BYTES).take();
        buffer.fill(0);
        buffer[..data.len()].copy_from_slice(data);
        Self { offset, len: data.len(), buffer }
    }

    /// Its bytes; with `padded`, zeros up to the end of the last sector, too.
    pub(super) fn bytes(&self, padded: bool) -> &[u8] {
        let len = if padded { self.len.next_multiple_of(SECTOR_BYTES as usize) } else { self.len };
        &self.buffer[..len]
    }
}

/// What the decoder sends to each card.
pub(super) enum Message {
    /// More of the image.
    Chunk(Arc<Chunk>),
    /// That was all of it: so many bytes.
    End(u64),
    /// The image cannot be read to its end.
    Failed(Arc<Error>),
}

/// Decodes the rest of an image and hands it to the cards. A card that has hung up is left out; when all have, or when
/// `cancelled` is set, the decoding ends and the remaining cards see their queue closed.
pub(super) fn decode(
    mut rest: Rest,
    mut cards: Vec<SyncSender<Message>>,
    digests: &Digests,
    cancelled: &AtomicBool,
) {
    let pool = Pool::new(CHUNK_BYTES);
    while !cards.is_empty() && !cancelled.load(Ordering::Relaxed) {
        let offset = rest.position_bytes();
        let mut buffer = pool.take();
        let len = match rest.fill(&mut buffer) {
            Ok(len) => len,
            Err(error) => {
                let error = Arc::new(error);
                return send(&mut cards, || Message::Failed(error.clone()));
            }
        };
        digests.append(&buffer[..len]);
        let padded = len.next_multiple_of(SECTOR_BYTES as usize);
        buffer[len..padded].fill(0);
        if len > 0 {
            let chunk = Arc::new(Chunk { offset, len, buffer });
            send(&mut cards, || Message::Chunk(chunk.clone()));
        }
        if len < CHUNK_BYTES {
            return send(&mut cards, || Message::End(rest.position_bytes()));
        }
    }
}

fn send(cards: &mut Vec<SyncSender<Message>>, message: impl Fn() -> Message) {
    cards.retain(|card| card.send(message()).is_ok());
}
