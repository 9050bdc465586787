//! What a file is, by its first bytes. Names lie: an `.img` may well be xz.

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// None of the others: a disk image as it is, or something that is no image at all.
    Plain,
    /// xz, one or more streams.
    Xz,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// zip archive.
    Zip,
    /// 7-Zip archive.
    SevenZip,
    /// LZ4 frame.
    Lz4,
    /// tar archive, uncompressed.
    Tar,
}

impl Format {
    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Xz => "xz",
            Format::Gzip => "gzip",
            Format::Zstd => "zstd",
            Format::Bzip2 => "bzip2",
            Format::Zip => "zip",
            Format::SevenZip => "7-Zip",
            Format::Lz4 => "lz4",
            Format::Tar => "tar",
        }
    }

    /// Whether the bytes are a container of an image, not the image itself.
    pub fn is_packed(self) -> bool {
        self != Format::Plain
    }

    /// Command that unpacks it, for the help line.
    pub(super) fn unpack_command(self) -> Option<&'static str> {
        Some(match self {
            Format::Plain | Format::Xz => return None,
            Format::Gzip => "gunzip -k",
            Format::Zstd => "unzstd",
            Format::Bzip2 => "bunzip2 -k",
            Format::Zip => "unzip",
            Format::SevenZip => "7z x",
            Format::Lz4 => "unlz4",
            Format::Tar => "tar -xf",
        })
    }
}

/// Number of bytes that [`sniff`] wants to see.
pub(super) const SNIFF_BYTES: usize = 512;

/// Recognises a format from the first bytes of a file (as many of the first 512 as there are).
pub fn sniff(start: &[u8]) -> Format {
    const MAGIC: [(&[u8], Format); 8] = [
        (b"\xfd7zXZ\0", Format::Xz),
        (b"\x1f\x8b", Format::Gzip),
        (b"\x28\xb5\x2f\xfd", Format::Zstd),
        (b"BZh", Format::Bzip2),
        (b"PK\x03\x04", Format::Zip),
        (b"PK\x05\x06", Format::Zip), // an empty archive
        (b"7z\xbc\xaf\x27\x1c", Format::SevenZip),
        (b"\x04\x22\x4d\x18", Format::Lz4),
    ];
    for (magic, format) in MAGIC {
        if start.starts_with(magic) {
            return format;
        }
    }
    // Zstandard that begins with a skippable frame, of any of the 16 kinds (RFC 8878, section 3.1.2).
    if matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
        return Format::Zstd;
    }
    if start.get(257..262) == Some(b"ustar") && start.get(510..512) != Some(&[0x55, 0xaa]) {
        return Format::Tar;
    }
    Format::Plain
}

/// What a file without a partition table looks like, for "it is not a disk image (…)".
pub(super) fn describe_non_image(start: &[u8]) -> &'static str {
    let text = &start[..start.len().min(SNIFF_BYTES)];
    let trimmed = text.trim_ascii_start();
    if trimmed.len() >= 5
        && (trimmed[0] == b'<' && trimmed[1..].starts_with(b"!DOC")
            || trimmed[..5].eq_ignore_ascii_case(b"<html"))
    {
        return "it is a web page: the download went wrong";
    }
    if !text.is_empty() && text.iter().all(|b| matches!(b, 9 | 10 | 13 | 32..=126)) {
        return "it is text";
    }
    if text.iter().all(|b| *b == 0) {
        return "it begins with zeros and has no partition table";
    }
    if text.starts_with(b"\x7fELF") {
        return "it is a program";
    }
    if text.get(3..8) == Some(b"MSDOS")
        || text.get(54..57) == Some(b"FAT")
        || text.get(82..85) == Some(b"FAT")
    {
        return "it is a bare FAT file system without a partition table";
    }
    "no partition table"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        assert_eq!(sniff(b"\xfd7zXZ\0\0\x04"), Format::Xz);
        assert_eq!(sniff(b"\x1f\x8b\x08"), Format::Gzip);
        assert_eq!(sniff(b"PK\x03\x04\x14"), Format::Zip);
        assert_eq!(sniff(b"\x28\xb5\x2f\xfd"), Format::Zstd);
        for kind in 0x50..=0x5f {
            assert_eq!(sniff(&[kind, 0x2a, 0x4d, 0x18, 4, 0, 0, 0]), Format::Zstd);
        }
        assert_eq!(sniff(b"BZh91AY&SY"), Format::Bzip2);
        assert_eq!(sniff(b"\xfd7zX"), Format::Plain);
        assert_eq!(sniff(b""), Format::Plain);
        let mut tar = [0u8; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(sniff(&tar), Format::Tar);
    }

    #[test]
    fn non_images_are_named() {
        assert!(describe_non_image(b"<!DOCTYPE html><title>404").contains("web page"));
        assert!(describe_non_image(b"  <html>").contains("web page"));
        assert_eq!(describe_non_image(b"hello\n"), "it is text");
        assert_eq!(describe_non_image(&[0xe5; 600]), "no partition table");
        assert!(describe_non_image(&[0; 512]).contains("zeros"));
        assert_eq!(describe_non_image(b""), "it begins with zeros and has no partition table");
    }
}
