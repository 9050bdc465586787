//! The fuzz targets of this folder (`crate::fuzzing`). Checksums are made right where a format has them: no mutation
//! would ever get past them.

use std::io::{Cursor, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::bmap::Bmap;
use super::decode::decoded;
use super::free_space::FreeSpace;
use super::location::Location;
use super::partitions::{DiskId, Partition, PartitionKind, PartitionTable, Scheme};
use super::signature::Signed;
use super::sniff::{Format, describe_non_image, sniff};
use super::xz_index::Index;
use super::{sha256, zip_format};
use crate::fuzzing::volume;

/// Most that is decoded of an image, bytes.
const MOST_BYTES: u64 = 4 << 20;
/// Seconds since 1970: a day in 2026.
const NOW: u64 = 1_795_000_000;

/// An MBR or a GPT.
pub(crate) fn partition_table(data: &[u8]) {
    let _ = (sniff(data), describe_non_image(data));
    let mut data = data.to_vec();
    for total in [None, Some(1 << 30)] {
        if let Ok(table) = PartitionTable::parse(&data, total) {
            let _ = (table.describe(), table.end_bytes(), table.first_offset_bytes());
            table.partitions.iter().for_each(|partition| drop(table.partuuid(partition)));
        }
        // The second time with right checksums: of the entries where they say they are, then of the header.
        let Some(header) = data.get(512..1024) else { return };
        let field = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let (size, begin) = (field(12).min(512), field(72).saturating_mul(512));
        let entries = begin..begin.saturating_add(field(80).saturating_mul(field(84)));
        if let Some(entries) = data.get(entries) {
            let sum = crc32fast::hash(entries).to_le_bytes();
            data[512 + 88..512 + 92].copy_from_slice(&sum);
        }
        data[512 + 16..512 + 20].fill(0);
        let sum = crc32fast::hash(&data[512..512 + size]).to_le_bytes();
        data[512 + 16..512 + 20].copy_from_slice(&sum);
    }
}

/// An ext4, of which free blocks are left out. It comes to the same in portions of any size.
pub(crate) fn ext4(data: &[u8]) {
    let bytes = volume(data, 2 << 20);
    let kind = PartitionKind::Mbr(0x83);
    let partition =
        Partition { number: 1, offset_bytes: 0, size_bytes: 64 << 30, kind, uuid: None };
    let (scheme, disk_id) = (Scheme::Mbr, DiskId::Mbr(0));
    let table = PartitionTable { scheme, disk_id, partitions: vec![partition] };
    let free = |portion: usize| {
        let (mut space, mut free) = (FreeSpace::of(&table, 0), Vec::new());
        for (number, piece) in bytes.chunks(portion).enumerate() {
            for range in space.within(piece) {
                free.extend(
                    (range.start / 1024..range.end / 1024)
                        .map(|block| block + number * portion / 1024),
                );
            }
        }
        free
    };
    assert_eq!(free(96 << 10), free(1 << 20));
}

/// A block map.
pub(crate) fn bmap(data: &[u8]) {
    let path = Path::new("os.bmap");
    let _ = Bmap::parse(path, data);
    let tag = b"<BmapFileChecksum>";
    let mut data = data.to_vec();
    let Some(at) = data.windows(tag.len()).position(|window| window == tag) else { return };
    let start = at + tag.len() + data[at + tag.len()..].iter().take_while(|b| **b == b' ').count();
    let Some(digits) = data.get_mut(start..start + 64) else { return };
    digits.fill(b'0');
    let sum: String = Sha256::digest(&data).iter().map(|byte| format!("{byte:02x}")).collect();
    data[start..start + 64].copy_from_slice(sum.as_bytes());
    if let Ok(map) = Bmap::parse(path, &data) {
        assert!(map.mapped_bytes() <= map.image_bytes());
    }
}

/// A list of checksums.
pub(crate) fn sums(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (sha256::find(&text, "os.img.xz", true), sha256::find(&text, "os.img.xz", false));
}

/// A detached signature and a key: the length of the first in two bytes, then both.
pub(crate) fn signature(data: &[u8]) {
    let Some((len, rest)) = data.split_first_chunk::<2>() else { return };
    let (signature, keys) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
    let _ = Signed::new(signature, keys, NOW);
}

/// Where an image is.
pub(crate) fn location(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(location) = Location::parse(text) {
        let _ = (location.file_name(), location.sibling("SHA256SUMS"), location.to_string());
    }
}

pub(crate) fn gzip(data: &[u8]) {
    decode(Format::Gzip, data, None);
}

pub(crate) fn bzip2(data: &[u8]) {
    decode(Format::Bzip2, data, None);
}

pub(crate) fn zstd(data: &[u8]) {
    decode(Format::Zstd, data, None);
}

/// A zip archive, and its directory as that of a file.
pub(crate) fn zip(data: &[u8]) {
    decode(Format::Zip, data, None);
    let _ = zip_format::files(&file(data), data.len() as u64);
}

/// xz as it comes, and as a file whose index is read first.
pub(crate) fn xz(data: &[u8]) {
    let mut data = data.to_vec();
    for _ in 0..2 {
        let plain = decode(Format::Xz, &data, None);
        if let Some(index) = Index::read(&file(&data), data.len() as u64) {
            let by_blocks = decode(Format::Xz, &data, Some(index));
            if let (Some(plain), Some(by_blocks)) = (&plain, &by_blocks) {
                assert!(plain == by_blocks, "two ways to decode it differ");
            }
        }
        with_right_sums(&mut data);
    }
}

/// Makes the checksums of the last index and footer right.
fn with_right_sums(data: &mut [u8]) {
    let Some(footer_at) = data.len().checked_sub(12) else { return };
    let footer = &mut data[footer_at..];
    let sum = crc32fast::hash(&footer[4..10]).to_le_bytes();
    footer[..4].copy_from_slice(&sum);
    let index_bytes = (u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]) as usize)
        .saturating_add(1)
        .saturating_mul(4);
    let Some(index_at) = footer_at.checked_sub(index_bytes) else { return };
    let sum = crc32fast::hash(&data[index_at..footer_at - 4]).to_le_bytes();
    data[footer_at - 4..footer_at].copy_from_slice(&sum);
}

/// The first decoded bytes, where there was no error.
fn decode(format: Format, data: &[u8], index: Option<Index>) -> Option<Vec<u8>> {
    let input = Box::new(Cursor::new(data.to_vec()));
    let mut reader = decoded(format, input, Path::new("os.img"), index).ok()?.take(MOST_BYTES);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).ok().map(|_| bytes)
}

fn file(data: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(data).expect("writing to it");
    file.seek(SeekFrom::Start(0)).expect("its start");
    file
}
