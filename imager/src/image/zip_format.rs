//! The records of a zip archive (PKWARE APPNOTE 6.3.10, chapters 4.3 to 4.5), and its directory where the archive is a
//! file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

/// Endings of the names of images; anything else in an archive is a read-me or a checksum.
const IMAGE_ENDINGS: [&str; 5] = [".img", ".raw", ".wic", ".sdcard", ".rpi-sdimg"];
/// Where the record at the end may begin: it is 22 bytes and a comment of at most 65535.
const MAX_END_BYTES: u64 = 22 + 65_535;
/// Largest directory that is read.
const MAX_DIRECTORY_BYTES: u64 = 4 << 20;

/// Whether a file in an archive is an image, by its name: its content is known only once it is decoded.
pub(super) fn is_image(name: &str) -> bool {
    let hidden = name.starts_with("__MACOSX/")
        || name.rsplit('/').next().is_some_and(|n| n.starts_with("._"));
    let name = name.to_ascii_lowercase();
    !hidden && IMAGE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Name of a compression method (APPNOTE 4.4.5).
pub(super) fn method_name(method: u16) -> String {
    let name = match method {
        1 => "shrink",
        2..=5 => "reduce",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "LZMA",
        93 => "zstd",
        95 => "xz",
        98 => "PPMd",
        other => return format!("method {other}"),
    };
    name.to_owned()
}

/// What stands before a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocalHeader {
    pub(super) name: String,
    pub(super) encrypted: bool,
    /// Checksum and sizes follow the data: the archive was written to a pipe.
    pub(super) streamed: bool,
    pub(super) method: u16,
    pub(super) crc: u32,
    pub(super) packed_bytes: u64,
    pub(super) bytes: u64,
}

/// What the directory says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectoryEntry {
    pub(super) name: String,
    pub(super) crc: u32,
    pub(super) bytes: u64,
}

/// One record of an archive.
pub(super) enum Record {
    /// A file follows.
    Local(Box<LocalHeader>),
    /// An entry of the directory at the end.
    Directory(Box<DirectoryEntry>),
    /// The last record.
    End,
    /// None of these.
    Other,
}

impl Record {
    /// Reads the next record.
    ///
    /// # Errors
    /// `UnexpectedEof`, `InvalidData`, and what reading says.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Record> {
        loop {
            return match u32::from_le_bytes(array(input)?) {
                0x0403_4b50 => Ok(Record::Local(Box::new(local(input)?))),
                0x0201_4b50 => Ok(Record::Directory(Box::new(directory(input)?))),
                0x0605_4b50 => {
                    let end: [u8; 18] = array(input)?;
                    bytes(input, u16_at(&end, 16).into())?;
                    Ok(Record::End)
                }
                // The 64-bit form of the last record, and the pointer to it: the short form follows in any case.
                0x0606_4b50 => {
                    let len = u64::from_le_bytes(array(input)?);
                    bytes(input, len)?;
                    continue;
                }
                0x0706_4b50 => {
                    let _: [u8; 16] = array(input)?;
                    continue;
                }
                // Data that helps with decrypting.
                0x0806_4b50 => {
                    let len = u32::from_le_bytes(array(input)?);
                    bytes(input, len.into())?;
                    continue;
                }
                _ => Ok(Record::Other),
            };
        }
    }
}

fn local(input: &mut impl Read) -> io::Result<LocalHeader> {
    let fixed: [u8; 26] = array(input)?;
    let name = bytes(input, u16_at(&fixed, 22).into())?;
    let extra = bytes(input, u16_at(&fixed, 24).into())?;
    let (packed, unpacked) = (u32_at(&fixed, 14), u32_at(&fixed, 18));
    let mut wide = Wide::new(&extra);
    let streamed = u16_at(&fixed, 2) & 8 != 0;
    Ok(LocalHeader {
        name: String::from_utf8_lossy(&name).into_owned(),
        encrypted: u16_at(&fixed, 2) & 1 != 0,
        streamed,
        method: u16_at(&fixed, 4),
        crc: u32_at(&fixed, 10),
        bytes: if streamed { 0 } else { wide.or(unpacked)? },
        packed_bytes: if streamed { 0 } else { wide.or(packed)? },
    })
}

fn directory(input: &mut impl Read) -> io::Result<DirectoryEntry> {
    let fixed: [u8; 42] = array(input)?;
    let name = bytes(input, u16_at(&fixed, 24).into())?;
    let extra = bytes(input, u16_at(&fixed, 26).into())?;
    bytes(input, u16_at(&fixed, 28).into())?;
    Ok(DirectoryEntry {
        name: String::from_utf8_lossy(&name).into_owned(),
        crc: u32_at(&fixed, 12),
        bytes: Wide::new(&extra).or(u32_at(&fixed, 20))?,
    })
}

/// The 64-bit numbers of a header (4.5.3), each of which stands in for a 32-bit one that is all ones.
struct Wide<'a> {
    numbers: &'a [u8],
}

impl<'a> Wide<'a> {
    fn new(mut extra: &'a [u8]) -> Self {
        while extra.len() >= 4 {
            let (kind, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
            let end = (4 + len).min(extra.len());
            if kind == 1 {
                return Self { numbers: &extra[4..end] };
            }
            extra = &extra[end..];
        }
        Self { numbers: &[] }
    }

    fn or(&mut self, short: u32) -> io::Result<u64> {
        if short != u32::MAX {
            return Ok(short.into());
        }
        let (first, rest) =
            self.numbers.split_first_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
        self.numbers = rest;
        Ok(u64::from_le_bytes(*first))
    }
}

/// Length of the record behind a file that was written to a pipe (4.3.9), where it says what was found; `tail` is what
/// follows the data. Its signature is optional, and its sizes have 32 or 64 bits without a sign of which.
pub(super) fn descriptor_bytes(tail: &[u8], crc: u32, packed: u64, unpacked: u64) -> Option<usize> {
    let mut long = crc.to_le_bytes().to_vec();
    let mut short = long.clone();
    long.extend([packed.to_le_bytes(), unpacked.to_le_bytes()].concat());
    short.extend([(packed as u32).to_le_bytes(), (unpacked as u32).to_le_bytes()].concat());
    for record in [long, short] {
        let signed = [b"PK\x07\x08".as_slice(), &record].concat();
        for record in [signed, record] {
            if tail.starts_with(&record) {
                return Some(record.len());
            }
        }
    }
    None
}

/// The files of an archive and their decoded sizes, from the directory at its end; `None` where it cannot be found.
pub(super) fn files(archive: &File, archive_bytes: u64) -> Option<Vec<(String, u64)>> {
    let tail_at = archive_bytes.saturating_sub(MAX_END_BYTES);
    let mut tail = vec![0; (archive_bytes - tail_at) as usize];
    archive.read_exact_at(&mut tail, tail_at).ok()?;
    let end = tail.windows(4).rposition(|four| four == b"PK\x05\x06")?;
    let end = tail.get(end..end + 22)?;
    let (len, at) = (u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
    if len > MAX_DIRECTORY_BYTES {
        return None;
    }
    let mut records = vec![0; len as usize];
    archive.read_exact_at(&mut records, at).ok()?;
    let mut records = records.as_slice();
    let mut files = Vec::new();
    while !records.is_empty() {
        match Record::read(&mut records).ok()? {
            Record::Directory(entry) => files.push((entry.name, entry.bytes)),
            _ => return None,
        }
    }
    Some(files)
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    input.read_exact(&mut array)?;
    Ok(array)
}

/// A name, an extra field, a comment. Not allocated ahead: a damaged length could be anything.
fn bytes(input: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    if len > MAX_DIRECTORY_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    input.take(len).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == len {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
