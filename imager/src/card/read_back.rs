//! Reading back and comparing, in one pass from the end of the withheld start to the end of the image: while the decoder
//! is slower than the card, what is on the card already; the rest afterwards.
//!
//! What was written is read back whole. What the device has made zeros of is not: one place of every 4 MiB is looked at,
//! and both ends.

use super::buffer::AlignedBuffer;
use super::error::{Error, Result};
use super::medium::Medium;
use super::stream::{BLOCK_BYTES, Digest, Digests, digest};
use crate::image::{Head, Patch, SECTOR_BYTES, WithBoot as _, is_zero};

/// Bytes that are read at once.
pub(super) const STEP_BYTES: usize = 1 << 20;
/// What a look at a place costs, in bytes: what was found good early is looked at again at the end.
const SPOT_BYTES: usize = 4096;
/// One such look for so many bytes.
const SPOT_EVERY_BYTES: u64 = 4 << 20;

/// What a card shall hold: head, patch, and the digests of what follows.
pub(super) struct Wanted<'a> {
    pub(super) head: &'a Head,
    pub(super) patch: &'a Patch,
    pub(super) digests: &'a Digests,
}

impl Wanted<'_> {
    /// What shall be at a place of the head.
    pub(super) fn of_head(&self, medium: &Medium, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.patch
            .read_at(self.head.bytes(), offset, buf)
            .map_err(|error| Error::io("preparing card", &medium.path, error))
    }
}

/// How far the reading back is.
pub(super) struct ReadBack {
    at: u64,
    step: AlignedBuffer,
    wanted: Vec<u8>,
    spots: Vec<Spot>,
}

/// A place that was found good, and what was there.
struct Spot {
    offset: u64,
    digest: Digest,
}

impl ReadBack {
    pub(super) fn new(begin: u64) -> Self {
        let (step, wanted) = (AlignedBuffer::new(0), Vec::new());
        Self { at: begin, step, wanted, spots: Vec::new() }
    }

    /// Everything before this was read back and is right.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Reads back at most a MiB of what is before `synced`, and compares it; how many bytes were read. Of zeros that the
    /// device has made, 4 MiB at most, none of which count as read.
    pub(super) fn step(
        &mut self,
        medium: &mut Medium,
        wanted: &Wanted<'_>,
        synced: u64,
    ) -> Result<usize> {
        if self.step.is_empty() {
            (self.step, self.wanted) = (AlignedBuffer::new(STEP_BYTES), vec![0; STEP_BYTES]);
        }
        let head_end = wanted.head.len_bytes();
        let mut end = if self.at < head_end { synced.min(head_end) } else { synced };
        match medium.next_blank(self.at) {
            Some(blank) if blank.start <= self.at => {
                self.look_at_zeros(medium, blank.end.min(synced))?;
                return Ok(0);
            }
            Some(blank) => end = end.min(blank.start),
            None => {}
        }
        let len = end.saturating_sub(self.at).min(STEP_BYTES as u64) as usize;
        if self.at < head_end {
            medium.get(self.at, &mut self.step[..len])?;
            wanted.of_head(medium, self.at, &mut self.wanted[..len])?;
            compare(&self.step[..len], &self.wanted[..len])
                .map_err(|byte| mismatch(medium, self.at + byte as u64))?;
        } else {
            let digests = wanted.digests.of(self.at - head_end, len);
            let on_card = match medium.padded() {
                true => len.next_multiple_of(SECTOR_BYTES as usize),
                false => len,
            };
            medium.get(self.at, &mut self.step[..on_card])?;
            compare_digests(&self.step[..len], &digests).map_err(|block| {
                let begin = block * BLOCK_BYTES;
                let end = len.min(begin + BLOCK_BYTES);
                let found = Some(self.step[begin.min(end)..end].into());
                let (path, offset_bytes) = (medium.path.clone(), self.at + begin as u64);
                Error::Mismatch { path, offset_bytes, found }
            })?;
            if let Some(byte) = self.step[len..on_card].iter().position(|byte| *byte != 0) {
                return Err(mismatch(medium, self.at + (len + byte) as u64));
            }
        }
        self.at += len as u64;
        Ok(len)
    }

    /// Passes zeros that the device has made, up to `end` or for 4 MiB.
    fn look_at_zeros(&mut self, medium: &mut Medium, end: u64) -> Result<()> {
        let until = end.min(self.at + SPOT_EVERY_BYTES);
        // Whole sectors, where there is no less: the end of the image need not be one.
        let on_card = if medium.padded() { until.next_multiple_of(SECTOR_BYTES) } else { until };
        let last = on_card.saturating_sub(SPOT_BYTES as u64).max(self.at);
        for at in [self.at, last] {
            let len = (on_card - at).min(SPOT_BYTES as u64) as usize;
            medium.get(at, &mut self.step[..len])?;
            if let Some(byte) = self.step[..len].iter().position(|byte| *byte != 0) {
                return Err(mismatch(medium, at + byte as u64));
            }
        }
        self.at = until;
        Ok(())
    }

    /// The same while the image is still being written: what is written later must not land here again, as it does on
    /// a card that has less capacity than it says, so one place of every 4 MiB is remembered.
    pub(super) fn early_step(
        &mut self,
        medium: &mut Medium,
        wanted: &Wanted<'_>,
        synced: u64,
    ) -> Result<()> {
        let begin = self.at;
        let len = self.step(medium, wanted, synced)?;
        if self.spots.last().is_none_or(|spot| begin >= spot.offset + SPOT_EVERY_BYTES) {
            let read = &self.step[..len];
            // Zeros could be anybody's.
            let telling = |spot: &[u8]| spot.len() == SPOT_BYTES && !is_zero(spot);
            if let Some(index) = read.chunks(SPOT_BYTES).position(telling) {
                let digest = digest(&read[index * SPOT_BYTES..][..SPOT_BYTES]);
                self.spots.push(Spot { offset: begin + (index * SPOT_BYTES) as u64, digest });
            }
        }
        Ok(())
    }

    /// Looks again at what was found good while other things were still being written.
    pub(super) fn look_again(&mut self, medium: &mut Medium) -> Result<()> {
        for Spot { offset, digest: wanted } in &self.spots {
            let read = &mut self.step[..SPOT_BYTES];
            medium.get(*offset, read)?;
            if digest(read) != *wanted {
                return Err(Error::Overwritten {
                    path: medium.path.clone(),
                    offset_bytes: *offset,
                });
            }
        }
        Ok(())
    }
}

pub(super) fn mismatch(medium: &Medium, offset_bytes: u64) -> Error {
    Error::Mismatch { path: medium.path.clone(), offset_bytes, found: None }
}

/// Compares two runs of the same length; otherwise the index of the first byte that differs.
pub(super) fn compare(read: &[u8], wanted: &[u8]) -> std::result::Result<(), usize> {
    // The whole comparison is a memcmp; the search is only for a card that is bad anyway.
    if read == wanted {
        return Ok(());
    }
    Err(read.iter().zip(wanted).position(|(a, b)| a != b).unwrap_or(read.len().min(wanted.len())))
}

/// Compares a run with the digests of its blocks; otherwise the index of the first block that differs.
fn compare_digests(read: &[u8], digests: &[Digest]) -> std::result::Result<(), usize> {
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
