//! Block maps (`.bmap`): which blocks of an image hold data, and their checksums. Versions 1.x and 2.0 of the format of
//! bmap-tools.
//!
//! A map says which blocks matter. The others are zeros on the card, whatever the image has there (deleted files, as a
//! rule): what the card had before is never left.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};
use sha2::{Digest as _, Sha256};

use super::error::{Error, Result};
use super::fetch;
use super::location::Location;
use super::notice::Notice;
use super::opening::Surroundings;

/// Most blocks of an image: far more than any card has.
const MAX_BLOCKS: u64 = 1 << 32;

/// Largest block: far more than any file system has.
const MAX_BLOCK_BYTES: u64 = 1 << 24;
/// Most elements and texts of a map; bmaptool writes four for each range.
const MAX_NODES: u32 = 1 << 20;
/// Most attributes of an element: a range has one.
const MAX_ATTRIBUTES: usize = 16;

/// What packing and imaging add to the name of a file.
const EXTENSIONS: [&str; 9] = ["img", "raw", "iso", "wic", "xz", "gz", "zst", "bz2", "zip"];

/// A map that was read and found consistent.
#[derive(Debug, Clone)]
pub struct Bmap {
    pub(super) path: PathBuf,
    pub(super) image_bytes: u64,
    pub(super) ranges: Vec<Range>,
}

/// Blocks with data that follow each other, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) begin: u64,
    pub(super) end: u64,
    pub(super) checksum: Option<Checksum>,
}

/// What the data of a range shall hash to. (SHA-1 is what maps before version 1.4 have.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl Bmap {
    /// Reads a map, wherever it is.
    ///
    /// # Errors
    /// What reading it says; [`Error::Bmap`] for what is no map, contradicts itself, or was changed.
    pub fn open(location: &Location, surroundings: &Surroundings) -> Result<Self> {
        let path = PathBuf::from(location.to_string());
        Self::parse(&path, &fetch::read_small(location, surroundings)?)
    }

    /// Reads a map; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Bmap`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let bad = |problem: String| bad(path, problem);
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not text".into()))?;
        check_costs(text).map_err(bad)?;
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options)
            .map_err(|error| bad(format!("it is no XML: {error}")))?;
        let root = document.root_element();
        if !root.has_tag_name("bmap") {
            return Err(bad("it is XML of another kind".into()));
        }
        let version = root.attribute("version").unwrap_or_default();
        if !matches!(version.split_once('.'), Some(("1" | "2", _))) {
            return Err(bad(format!("its version `{version}` is not 1.x or 2.x")));
        }
        let kind = value(root, "ChecksumType").unwrap_or("sha1");
        if !matches!(kind, "sha1" | "sha256") {
            return Err(bad(format!("its checksums are `{kind}`, not sha256 or sha1")));
        }
        check_own_checksum(root, text, kind).map_err(bad)?;
        let image_bytes = number(root, "ImageSize").map_err(bad)?;
        let block_bytes = number(root, "BlockSize").map_err(bad)?;
        let blocks = number(root, "BlocksCount").map_err(bad)?;
        let plausible = (1..=MAX_BLOCK_BYTES).contains(&block_bytes)
            && blocks <= MAX_BLOCKS
            && block_bytes.is_multiple_of(512)
            && image_bytes.div_ceil(block_bytes) == blocks;
        if !plausible {
            return Err(bad("its sizes contradict each other".into()));
        }
        let map = child(root, "BlockMap").ok_or_else(|| bad("it has no `BlockMap`".into()))?;
        let mut ranges: Vec<Range> = Vec::new();
        for node in map.children().filter(|node| node.has_tag_name("Range")) {
            let text = node.text().unwrap_or_default().trim();
            let (first, last) =
                blocks_of(text).ok_or_else(|| bad(format!("its range `{text}` is none")))?;
            let begin = first * block_bytes;
            if last < first
                || last >= blocks
                || ranges.last().is_some_and(|range| begin < range.end)
            {
                return Err(bad(format!("its range `{text}` is out of order or out of the image")));
            }
            let end = ((last + 1) * block_bytes).min(image_bytes);
            let checksum = checksum(node, kind).map_err(bad)?;
            ranges.push(Range { begin, end, checksum });
        }
        let mapped: u64 =
            ranges.iter().map(|range| (range.end - range.begin).div_ceil(block_bytes)).sum();
        if number(root, "MappedBlocksCount").is_ok_and(|count| count != mapped) {
            return Err(bad("its ranges are not as many blocks as it says".into()));
        }
        Ok(Self { path: path.to_owned(), image_bytes, ranges })
    }

    /// Size of the image that it is for.
    pub fn image_bytes(&self) -> u64 {
        self.image_bytes
    }

    /// Bytes of the image that hold data.
    pub fn mapped_bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.begin).sum()
    }

    /// The map beside an image, and where it is; `None` where there is none.
    ///
    /// # Errors
    /// As [`Bmap::open`]. A server that does not answer, or that sends a web page, is as good as one that has no map.
    pub fn beside(
        image: &Location,
        surroundings: &Surroundings,
    ) -> Result<Option<(Location, Self)>> {
        let mut told = false;
        for name in image.file_name().iter().flat_map(|name| names_beside(name)) {
            let Some(place) = image.sibling(&name) else { continue };
            match fetch::small(&place, surroundings) {
                Ok(Some(bytes)) if fetch::is_web_page(&bytes) => {
                    // A server that has a page for everything has one for each of the names.
                    if !std::mem::replace(&mut told, true) {
                        let notice =
                            Notice::WebPage { name: place.to_string(), wanted: "a block map" };
                        (surroundings.tell)(notice);
                    }
                }
                Ok(Some(bytes)) => {
                    let bmap = Self::parse(&PathBuf::from(place.to_string()), &bytes)?;
                    return Ok(Some((place, bmap)));
                }
                Ok(None) => {}
                Err(Error::Http(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// What a map beside an image may be called, most specific first: `os.img.xz` may have `os.img.xz.bmap`, `os.img.bmap`
/// and `os.bmap`. Only what packing and imaging add is taken off: a version is not.
fn names_beside(image: &str) -> Vec<String> {
    let mut names = vec![format!("{image}.bmap")];
    let mut stem = image;
    while let Some((shorter, extension)) = stem.rsplit_once('.') {
        if !EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) {
            break;
        }
        stem = shorter;
        names.push(format!("{stem}.bmap"));
    }
    names
}

pub(super) fn bad(path: &Path, problem: impl Into<String>) -> Error {
    Error::Bmap { path: path.to_owned(), problem: problem.into() }
}

fn child<'a>(root: Node<'a, 'a>, name: &str) -> Option<Node<'a, 'a>> {
    root.children().find(|node| node.has_tag_name(name))
}

fn value<'a>(root: Node<'a, 'a>, name: &str) -> Option<&'a str> {
    child(root, name).and_then(|node| node.text()).map(str::trim)
}

fn number(root: Node<'_, '_>, name: &str) -> std::result::Result<u64, String> {
    value(root, name)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("its `{name}` is missing or no number"))
}

/// Refuses what costs the XML reader more than its length: it compares each attribute of an element with the others, and
/// each element takes over the name spaces of those around it. No map has either.
fn check_costs(text: &str) -> std::result::Result<(), String> {
    if text.contains("xmlns") {
        return Err("it is XML of another kind: it has name spaces".into());
    }
    // In a tag there is no `<`, and no attribute without `=` and a quotation mark.
    let is_crowded = |tag: &str| {
        let values = tag.split('=').skip(1);
        values
            .filter(|value| value.trim_start().starts_with(['"', '\'']))
            .nth(MAX_ATTRIBUTES)
            .is_some()
    };
    match text.split('<').any(is_crowded) {
        true => Err(format!("it has an element with more than {MAX_ATTRIBUTES} attributes")),
        false => Ok(()),
    }
}

/// `7` or `3-9`.
fn blocks_of(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let block = |text: &str| text.trim().parse().ok().filter(|block| *block < MAX_BLOCKS);
    Some((block(first)?, block(last)?))
}

fn checksum(range: Node<'_, '_>, kind: &str) -> std::result::Result<Option<Checksum>, String> {
    let Some(text) = range.attribute("chksum").or_else(|| range.attribute("sha1")) else {
        return Ok(None);
    };
    let checksum = match kind {
        "sha1" => from_hex(text).map(Checksum::Sha1),
        _ => from_hex(text).map(Checksum::Sha256),
    };
    checksum.map(Some).ok_or_else(|| format!("its checksum `{text}` is none"))
}

fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The map's checksum of itself: of its text with the checksum's own digits as zeros.
fn check_own_checksum(
    root: Node<'_, '_>,
    text: &str,
    kind: &str,
) -> std::result::Result<(), String> {
    let node = child(root, "BmapFileChecksum").or_else(|| child(root, "BmapFileSHA1"));
    let Some((node, digits)) = node.and_then(|node| Some((node, node.text()?.trim()))) else {
        return match root.attribute("version") {
            // Before version 1.3 there was none.
            Some("1.0" | "1.1" | "1.2") => Ok(()),
            _ => Err("it has no checksum of itself".into()),
        };
    };
    let all = node.range();
    let at = text[all.clone()].find(digits).map(|at| all.start + at);
    let Some(at) = at else { return Err("its checksum of itself cannot be read".into()) };
    let parts =
        [&text.as_bytes()[..at], &vec![b'0'; digits.len()], &text.as_bytes()[at + digits.len()..]];
    let right = match kind {
        "sha1" => from_hex(digits) == Some(sha1::Sha1::digest(parts.concat()).into()),
        _ => from_hex(digits) == Some(Sha256::digest(parts.concat()).into()),
    };
    if right {
        Ok(())
    } else {
        Err("it was changed after it was made: its own checksum does not match".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &str, mapped: u64) -> String {
        let zeros = "0".repeat(64);
        let text = format!(
            "<?xml version=\"1.0\" ?>\n<!-- a comment -->\n<bmap version=\"2.0\">\n<ImageSize> 40000 </ImageSize>\n\
             <BlockSize> 4096 </BlockSize>\n<BlocksCount> 10 </BlocksCount>\n\
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n<ChecksumType> sha256 </ChecksumType>\n\
             <BmapFileChecksum> {zeros} </BmapFileChecksum>\n<BlockMap>\n{ranges}\n</BlockMap>\n</bmap>\n"
        );
        summed(&text)
    }

    /// The text with its sum in the place of what stands there.
    fn summed(text: &str) -> String {
        let tag = "<BmapFileChecksum> ";
        let at = text.find(tag).unwrap() + tag.len();
        let with = |sum: &str| format!("{}{sum}{}", &text[..at], &text[at + 64..]);
        let sum: [u8; 32] = Sha256::digest(with(&"0".repeat(64))).into();
        with(&sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn parse(text: &str) -> std::result::Result<Bmap, String> {
        Bmap::parse(Path::new("os.bmap"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_map_is_read() {
        let sum = "ab".repeat(32);
        let map = map(
            &format!("<Range chksum=\"{sum}\"> 0-1 </Range><Range> 3 </Range><Range> 9 </Range>"),
            4,
        );
        let map = parse(&map).unwrap();
        let bytes: Vec<(u64, u64)> =
            map.ranges.iter().map(|range| (range.begin, range.end)).collect();
        assert_eq!(bytes, [(0, 8192), (12288, 16384), (36864, 40000)]);
        assert_eq!(map.ranges[0].checksum, Some(Checksum::Sha256([0xab; 32])));
        assert_eq!((map.image_bytes(), map.mapped_bytes()), (40000, 8192 + 4096 + 3136));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let good = map("<Range> 0-1 </Range>", 2);
        let refused = |text: &str| parse(text).unwrap_err();
        assert!(refused(&good.replace("0-1", "0-2")).contains("its own checksum does not match"));
        assert!(refused(&map("<Range> 0-10 </Range>", 11)).contains("out of the image"));
        assert!(refused(&map("<Range> 4 </Range><Range> 4 </Range>", 2)).contains("out of order"));
        assert!(refused(&map("<Range> 5-4 </Range>", 0)).contains("out of order"));
        assert!(refused(&map("<Range> x </Range>", 1)).contains("its range `x` is none"));
        assert!(refused(&map("<Range> 0 </Range>", 2)).contains("not as many blocks"));
        assert!(refused(&map("<Range chksum=\"12\"> 0 </Range>", 1)).contains("its checksum `12`"));
        assert!(refused("hello").contains("it is no XML"));
        let huge = map("<Range> 1-1 </Range>", 1).replace(" 40000 ", &format!(" {} ", u64::MAX));
        let huge = huge.replace(" 4096 ", &format!(" {} ", 1u64 << 63)).replace(" 10 ", " 2 ");
        assert!(refused(&summed(&huge)).contains("its sizes contradict"));
        assert!(refused("<html/>").contains("another kind"));
        assert!(refused("<bmap version=\"3.0\"/>").contains("its version `3.0`"));
    }

    /// Each of these takes hours without the bounds.
    #[test]
    fn what_costs_more_than_its_length_is_refused() {
        let attributes: String = (0..400_000).map(|n| format!(" a{n}=\"\"")).collect();
        let refused = parse(&format!("<bmap version=\"2.0\"{attributes}/>")).unwrap_err();
        assert!(refused.contains("more than 16 attributes"), "{refused}");
        let spaces: String = (0..100_000).map(|n| format!("<a xmlns:n{n}='u'>")).collect();
        assert!(parse(&spaces).unwrap_err().contains("name spaces"));
        // Deep, and many: each costs what its length does.
        let deep = "<a>".repeat(1 << 20);
        assert!(parse(&deep).unwrap_err().contains("it is no XML"));
        let many = format!("<bmap version=\"2.0\">{}</bmap>", "<a/>".repeat(1 << 20));
        assert!(parse(&many).unwrap_err().contains("nodes limit"));
    }

    #[test]
    fn maps_lie_beside_images() {
        let wanted = ["os-1.2.img.xz.bmap", "os-1.2.img.bmap", "os-1.2.bmap"];
        assert_eq!(names_beside("os-1.2.img.xz"), wanted);
        assert_eq!(names_beside("os"), ["os.bmap"]);
    }
}
