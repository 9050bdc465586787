//! Free space of the image's own file systems, found while the image goes by: a block of which ext4 says that it is
//! free is zeros on the card, whatever is left in it.
//!
//! Known is only what has gone by: a block bitmap tells about what comes after it, which is nearly everything, since
//! mke2fs puts the bitmaps of 16 groups (2 GiB) in front of them. Where a reason to doubt turns up, everything from
//! there on is written. Neither depends on the portions in which the image is seen, so that writing a card and
//! verifying it later come to the same ranges.

use std::collections::VecDeque;
use std::ops::Range;

use super::ext4::{Bitmap, Doubt, Groups, SUPERBLOCK_AT, SUPERBLOCK_BYTES, Superblock};
use super::partitions::{Partition, PartitionTable};

/// The start of a partition, which is looked at as a whole and never taken for free.
const START_BYTES: u64 = 256 << 10;
/// Most bytes of bitmaps that are kept: for 128 GiB of blocks of 4 KiB. What more there is, is written.
const MAX_BITMAP_BYTES: u64 = 4 << 20;
/// Most bitmaps that are kept, each of which is looked through for every piece of the image.
const MAX_BITMAPS: usize = 4096;

/// What is free on a whole disk.
#[derive(Debug, Default)]
pub(super) struct FreeSpace {
    volumes: Vec<Volume>,
    at: u64,
}

impl FreeSpace {
    /// For the partitions of a table that begin at `from` or later; `from` is where the bytes begin that
    /// [`FreeSpace::within`] sees.
    pub(super) fn of(table: &PartitionTable, from: u64) -> Self {
        let partitions = table.partitions.iter().filter(|p| p.offset_bytes >= from);
        let ext4 = partitions.filter(|partition| partition.kind.may_be_ext4());
        Self { volumes: ext4.map(Volume::new).collect(), at: from }
    }

    /// Takes the next bytes of the image; which of them are free, in order.
    pub(super) fn within(&mut self, data: &[u8]) -> Vec<Range<usize>> {
        let begin = self.at;
        self.at += data.len() as u64;
        let mut free = Vec::new();
        for volume in &mut self.volumes {
            let (first, end) = (volume.begin.max(begin), volume.end.min(self.at));
            if first >= end {
                continue;
            }
            let part = &data[(first - begin) as usize..(end - begin) as usize];
            let place = |at: u64| (volume.begin + at - begin) as usize;
            let found = volume.reader.within(part);
            free.extend(found.into_iter().map(|range| place(range.start)..place(range.end)));
        }
        free.sort_unstable_by_key(|range: &Range<usize>| range.start);
        free
    }
}

/// A partition, in bytes of the disk.
#[derive(Debug)]
struct Volume {
    begin: u64,
    end: u64,
    reader: Reader,
}

impl Volume {
    fn new(partition: &Partition) -> Self {
        let reader = Reader::new(partition.size_bytes);
        Self { begin: partition.offset_bytes, end: partition.end_bytes(), reader }
    }
}

/// Reads the file system of a partition as it goes by. All places are from the start of the partition.
#[derive(Debug)]
struct Reader {
    size_bytes: u64,
    at: u64,
    start: Vec<u8>,
    stage: Stage,
    /// The bytes of what the stage wants, as far as they went by.
    piece: Vec<u8>,
    known: Vec<Known>,
    /// Where a reason to doubt turned up, and which.
    doubt: Option<(u64, Doubt)>,
}

/// What is wanted next.
#[derive(Debug)]
enum Stage {
    Superblock,
    Descriptors(Superblock),
    /// The bitmaps that are still to come: where, and of which group.
    Bitmaps(Groups, VecDeque<(u64, usize)>),
    Nothing,
}

/// A bitmap, and where it was known.
#[derive(Debug)]
struct Known {
    from: u64,
    bitmap: Bitmap,
}

impl Reader {
    fn new(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            at: 0,
            start: Vec::new(),
            stage: Stage::Superblock,
            piece: Vec::new(),
            known: Vec::new(),
            doubt: None,
        }
    }

    /// Takes the next bytes; which of them are free, in order.
    fn within(&mut self, data: &[u8]) -> Vec<Range<u64>> {
        let begin = self.at;
        self.at += data.len() as u64;
        if begin < START_BYTES {
            let missing = (START_BYTES - begin).min(data.len() as u64) as usize;
            self.start.extend_from_slice(&data[..missing]);
            if self.start.len() as u64 == START_BYTES {
                let start = std::mem::take(&mut self.start);
                match foreign(&start) {
                    Some(doubt) => self.doubt_at(START_BYTES, doubt),
                    None => self.read(0, &start),
                }
                self.read(START_BYTES, &data[missing..]);
            }
        } else {
            self.read(begin, data);
        }
        self.known.retain(|known| known.bitmap.end_bytes() > begin);
        let until = self.doubt.map_or(self.at, |(at, _)| at.min(self.at));
        let free_of = |known: &Known| {
            let from = begin.max(known.from).max(START_BYTES);
            known.bitmap.free_within(from.min(until)..until)
        };
        let mut free: Vec<Range<u64>> = self.known.iter().flat_map(free_of).collect();
        free.sort_unstable_by_key(|range| range.start);
        free
    }

    /// Looks at bytes that begin at `begin` for what is wanted.
    fn read(&mut self, begin: u64, data: &[u8]) {
        let end = begin + data.len() as u64;
        while let Some(wanted) = self.wanted() {
            let from = wanted.start + self.piece.len() as u64;
            let until = wanted.end.min(end);
            if from < until {
                self.piece
                    .extend_from_slice(&data[(from - begin) as usize..(until - begin) as usize]);
            }
            if (self.piece.len() as u64) < wanted.end - wanted.start {
                return;
            }
            let piece = std::mem::take(&mut self.piece);
            if let Err(doubt) = self.advance(wanted.end, &piece) {
                self.doubt_at(wanted.end, doubt);
            }
        }
    }

    fn doubt_at(&mut self, at: u64, doubt: Doubt) {
        (self.stage, self.doubt) = (Stage::Nothing, Some((at, doubt)));
    }

    fn wanted(&self) -> Option<Range<u64>> {
        match &self.stage {
            Stage::Superblock => Some(SUPERBLOCK_AT..SUPERBLOCK_AT + SUPERBLOCK_BYTES as u64),
            Stage::Descriptors(superblock) => Some(superblock.descriptors()),
            Stage::Bitmaps(groups, places) => {
                places.front().map(|(at, _)| *at..at + groups.block_bytes())
            }
            Stage::Nothing => None,
        }
    }

    /// What was wanted is there, and ends at `at`.
    fn advance(&mut self, at: u64, piece: &[u8]) -> Result<(), Doubt> {
        match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Superblock => {
                let bytes = piece.try_into().map_err(|_| Doubt("it has no superblock"))?;
                let superblock = Superblock::parse(bytes, self.size_bytes)?;
                self.stage = Stage::Descriptors(superblock);
            }
            Stage::Descriptors(superblock) => {
                let groups = Groups::parse(superblock, piece)?;
                for group in groups.without_bitmap() {
                    self.know(at, Bitmap::without(&groups, group)?);
                }
                let places = groups.bitmaps().into();
                self.stage = Stage::Bitmaps(groups, places);
            }
            Stage::Bitmaps(groups, mut places) => {
                if let Some((_, group)) = places.pop_front() {
                    self.know(at, Bitmap::parse(&groups, group, piece)?);
                }
                self.stage = Stage::Bitmaps(groups, places);
            }
            Stage::Nothing => {}
        }
        Ok(())
    }

    /// Keeps a bitmap for what comes after `at`, where that is not too much.
    fn know(&mut self, at: u64, bitmap: Bitmap) {
        let ahead = self.known.iter().filter(|known| known.bitmap.end_bytes() > at);
        let (mut count, mut bytes) = (0, bitmap.memory_bytes());
        for known in ahead {
            (count, bytes) = (count + 1, bytes + known.bitmap.memory_bytes());
        }
        if bitmap.end_bytes() > at && count < MAX_BITMAPS && bytes <= MAX_BITMAP_BYTES {
            self.known.push(Known { from: at, bitmap });
        }
    }
}

/// The signatures of what leaves an older ext4 lying in the same partition: its superblock, descriptors and first
/// bitmaps are where ZFS, RAID and the like have nothing of their own. `start` has [`START_BYTES`].
fn foreign(start: &[u8]) -> Option<Doubt> {
    let signatures: [(usize, &[u8]); 8] = [
        (0, b"LUKS\xba\xbe"),
        (0, b"LABELONE"),
        (512, b"LABELONE"),
        (0, &[0xfc, 0x4e, 0x2b, 0xa9]),
        (4096, &[0xfc, 0x4e, 0x2b, 0xa9]),
        (4096 - 10, b"SWAPSPACE2"),
        ((64 << 10) + 0x40, b"_BHRfS_M"),
        // The list of a ZFS label: reserved bytes, version 0, unique names.
        ((16 << 10) + 2, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ];
    let found = signatures.into_iter().any(|(at, wanted)| start[at..].starts_with(wanted));
    // Uberblocks of ZFS, in either byte order.
    let uberblock = |slot: &[u8]| {
        slot.starts_with(&[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0])
            || slot.starts_with(&[0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c])
    };
    let is_zfs = start[128 << 10..].chunks(1 << 10).any(uberblock);
    (found || is_zfs).then_some(Doubt("there is something else in its partition"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 1024;

    /// A file system of so many small groups without checksums. All of it is in use; the metadata of all groups is in front.
    fn many_groups(groups: usize, blocks_per_group: usize) -> (u64, Vec<u8>) {
        let blocks = groups * blocks_per_group + 1;
        let table = 2 * BLOCK;
        let first = (table + groups * 32).div_ceil(BLOCK);
        let mut bytes = vec![0; (first + groups) * BLOCK];
        let mut put = |at: usize, value: usize| {
            bytes[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
        };
        for (at, value) in [
            (0, groups * 8),
            (0x4, blocks),
            (0x14, 1),
            (0x20, blocks_per_group),
            (0x24, blocks_per_group),
            (0x28, 8),
            (0x38, 0x0001_ef53),
            (0x4c, 1),
            (0x58, 128),
        ] {
            put(BLOCK + at, value);
        }
        for group in 0..groups {
            for (kind, at) in [0x0, 0x4, 0x8].into_iter().enumerate() {
                put(table + group * 32 + at, first + kind * groups + group);
            }
        }
        bytes[first * BLOCK..].fill(0xff);
        ((blocks * BLOCK) as u64, bytes)
    }

    fn reader(groups: usize, blocks_per_group: usize) -> Reader {
        let (size_bytes, mut bytes) = many_groups(groups, blocks_per_group);
        bytes.resize(bytes.len().max(START_BYTES as usize), 0);
        let mut reader = Reader::new(size_bytes);
        bytes.chunks(1 << 20).for_each(|piece| assert!(reader.within(piece).is_empty()));
        reader
    }

    /// Each of them is looked through for every piece of the image.
    #[test]
    fn so_many_bitmaps_are_kept_and_no_more() {
        // Those of the first groups are dropped on the way: their groups have gone by.
        let few = reader(1000, 256);
        assert!((900..=1000).contains(&few.known.len()) && few.doubt.is_none());
        let many = reader(MAX_BITMAPS + 2000, 256);
        assert!((MAX_BITMAPS - 100..MAX_BITMAPS + 100).contains(&many.known.len()));
        assert_eq!(many.doubt, None);
        let tiny = reader(1000, 128);
        assert_eq!(tiny.doubt.map(|(_, doubt)| doubt.0), Some("its groups have an unusual size"));
    }
}
