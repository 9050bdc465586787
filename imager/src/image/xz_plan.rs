//! How many blocks of an xz file are decoded at once within so much memory.

use super::xz_index::{Block, Index};

/// Memory of a decoder beside its dictionary, bytes, rounded up.
const DECODER_BYTES: u64 = 1 << 20;
/// What a second thread has to be able to do ahead to be worth it, bytes.
const WORTH_BYTES: u64 = 8 << 20;
/// Most blocks of a file that is decoded so; beyond it even their list would be large.
const MAX_BLOCKS: usize = 1 << 16;

/// Threads, and what they may decode ahead of the block whose turn it is, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) threads: usize,
    /// Of packed data.
    pub(super) input_bytes: u64,
    /// Of decoded data.
    pub(super) output_bytes: u64,
}

/// As many threads, up to `threads`, as have room each for the block that it decodes ahead; where the blocks are too
/// large for that, two, the second of which stops where the room ends. `None` where one thread is all there can be.
pub(super) fn plan(index: &Index, threads: usize, budget_bytes: u64) -> Option<Plan> {
    let (mut blocks, mut packed, mut decoded) = (0, 0, 0);
    for block in index.blocks() {
        blocks += 1;
        packed = packed.max(Block::packed_bytes(block));
        decoded = decoded.max(block.decoded_bytes);
    }
    let filled = index.streams.iter().filter(|stream| !stream.blocks.is_empty());
    let dictionaries: Option<Vec<u64>> = filled.map(|stream| stream.dictionary_bytes).collect();
    let own = dictionaries?.into_iter().max()? + DECODER_BYTES;
    if !(2..=MAX_BLOCKS).contains(&blocks) {
        return None;
    }
    let ahead = packed.checked_add(decoded)?;
    let left = |threads: u64| budget_bytes.checked_sub(own * threads);
    let fits = |threads: &usize| {
        let threads = *threads as u64;
        left(threads).is_some_and(|left| ahead.saturating_mul(threads - 1) <= left)
    };
    let most = threads.min(blocks);
    let chosen = (2..=most).rev().find(fits).unwrap_or(2);
    let left = left(chosen as u64).filter(|left| most >= 2 && *left >= WORTH_BYTES)?;
    let ahead_bytes = left.min(ahead.saturating_mul(chosen as u64 - 1).max(WORTH_BYTES));
    let share = packed as f64 / ahead.max(1) as f64;
    let input_bytes = (ahead_bytes as f64 * share) as u64;
    Some(Plan { threads: chosen, input_bytes, output_bytes: ahead_bytes - input_bytes })
}

#[cfg(test)]
mod tests {
    use super::super::xz_index::Stream;
    use super::*;

    const MIB: u64 = 1 << 20;

    fn index(blocks: usize, decoded_mib: u64, dictionary_mib: u64) -> Index {
        let block =
            Block { unpadded_bytes: decoded_mib * MIB / 4, decoded_bytes: decoded_mib * MIB };
        let stream = Stream {
            start: 0,
            header: [0; 12],
            blocks: vec![block; blocks],
            dictionary_bytes: Some(dictionary_mib * MIB),
            tail_bytes: 0,
            tail_sum: 0,
        };
        Index { streams: vec![stream] }
    }

    #[test]
    fn the_budget_holds_whatever_the_blocks_are() {
        for decoded_mib in [1, 4, 12, 24, 96, 192, 4000] {
            for dictionary_mib in [1, 4, 8, 32, 64] {
                for threads in 1..=16 {
                    let index = index(50, decoded_mib, dictionary_mib);
                    let Some(plan) = plan(&index, threads, 48 * MIB) else { continue };
                    assert!((2..=threads).contains(&plan.threads));
                    let own = plan.threads as u64 * (dictionary_mib + 1) * MIB;
                    assert!(own + plan.input_bytes + plan.output_bytes <= 48 * MIB);
                }
            }
        }
    }

    #[test]
    fn blocks_of_usual_sizes_are_decoded_by_two() {
        let of = |decoded_mib, dictionary_mib| {
            plan(&index(50, decoded_mib, dictionary_mib), 2, 48 * MIB).map(|plan| plan.output_bytes)
        };
        // `xz -3` and `xz -6` as they are.
        assert_eq!(of(12, 4), Some(12 * MIB));
        assert_eq!(of(24, 8), Some(24 * MIB));
        // Too large to be decoded ahead as a whole.
        assert_eq!(of(192, 8), Some(24 * MIB));
        // `xz -9`.
        assert_eq!(of(192, 64), None);
        assert_eq!(plan(&index(1, 12, 4), 2, 48 * MIB), None);
        assert_eq!(plan(&index(50, 12, 4), 8, 48 * MIB).map(|plan| plan.threads), Some(3));
    }
}
