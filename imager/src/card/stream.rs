//! One decode for all cards: chunks of the image, counted by reference, through a bounded queue per card.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use sha2::{Digest as _, Sha256};

use super::buffer::{Pool, Pooled};
use crate::image::{Error, Rest, SECTOR_BYTES};

/// Bytes of a chunk: large enough for the erase blocks of a card.
pub(super) const CHUNK_BYTES: usize = 4 << 20;
/// Chunks that wait for one card. All cards share their chunks and the decoder waits for the slowest, so that there
/// are never more than `QUEUE_CHUNKS` + 2 of them, for any number of cards: one is being decoded, one written.
pub(super) const QUEUE_CHUNKS: usize = 2;
/// Bytes that one digest stands for.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// SHA-256 of a block.
pub(super) type Digest = [u8; 32];

/// SHA-256 of a block.
pub(super) fn digest(block: &[u8]) -> Digest {
    Sha256::digest(block).into()
}

/// A piece of the image.
pub(super) struct Chunk {
    /// Where it belongs, from the start of the image.
    pub(super) offset: u64,
    len: usize,
    buffer: Pooled,
}

impl Chunk {
    /// Its bytes; with `padded`, zeros up to the end of the last sector, too.
    pub(super) fn bytes(&self, padded: bool) -> &[u8] {
        let len = if padded { self.len.next_multiple_of(SECTOR_BYTES as usize) } else { self.len };
        &self.buffer[..len]
    }
}

/// What a card has to know at the end.
pub(super) struct StreamEnd {
    /// Where the stream ended: the size of the image.
    pub(super) image_bytes: u64,
    /// A digest for each 64 KiB since the end of the head, the last one for what is left: 512 bytes per MiB, 4 MiB for
    /// an image of 8 GiB.
    pub(super) digests: Vec<Digest>,
}

/// What the decoder sends to each card.
pub(super) enum Message {
    /// More of the image.
    Chunk(Arc<Chunk>),
    /// That was all of it.
    End(Arc<StreamEnd>),
    /// The image cannot be read to its end.
    Failed(Arc<Error>),
}

/// Decodes the rest of an image and hands it to the cards. A card that has hung up is left out; when all have, or when
/// `cancelled` is set, the decoding ends and the remaining cards see their queue closed.
pub(super) fn decode(mut rest: Rest, mut cards: Vec<SyncSender<Message>>, cancelled: &AtomicBool) {
    let pool = Pool::new(CHUNK_BYTES);
    let mut digests = Vec::new();
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
        digests.extend(buffer[..len].chunks(BLOCK_BYTES).map(digest));
        let padded = len.next_multiple_of(SECTOR_BYTES as usize);
        buffer[len..padded].fill(0);
        if len > 0 {
            let chunk = Arc::new(Chunk { offset, len, buffer });
            send(&mut cards, || Message::Chunk(chunk.clone()));
        }
        if len < CHUNK_BYTES {
            let end = Arc::new(StreamEnd { image_bytes: rest.position_bytes(), digests });
            return send(&mut cards, || Message::End(end.clone()));
        }
    }
}

fn send(cards: &mut Vec<SyncSender<Message>>, message: impl Fn() -> Message) {
    cards.retain(|card| card.send(message()).is_ok());
}
