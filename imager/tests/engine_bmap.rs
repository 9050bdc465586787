//! Block maps, end to end: what is mapped is checked, what is not is zeros on the card, and a map that does not fit is
//! refused before anything is written. Rung 1: files, no root.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/source.rs"]
mod source;
mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use sha2::{Digest as _, Sha256};
use source::web::{Reply, Web, file};
use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

const BLOCK: usize = 4096;
const MIB: usize = 1 << 20;

struct Desk {
    folder: TempDir,
    image: Vec<u8>,
}

impl Desk {
    /// The image is `os.img`.
    fn new() -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
        fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
        let made = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
        let image = fs::read(made.path()).unwrap();
        fs::write(folder.path().join("os.img"), &image).unwrap();
        Self { folder, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A map as `bmaptool create` makes it, with everything mapped but a hole.
    fn map(&self, hole: std::ops::Range<usize>) -> String {
        let blocks = self.image.len() / BLOCK;
        let range = |first: usize, end: usize| {
            let sum = hex(&Sha256::digest(&self.image[first * BLOCK..end * BLOCK]));
            format!("        <Range chksum=\"{sum}\"> {first}-{} </Range>\n", end - 1)
        };
        let (first, end) = (hole.start / BLOCK, hole.end / BLOCK);
        let ranges = range(0, first) + &range(end, blocks);
        let zeros = "0".repeat(64);
        let text = format!(
            "<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">\n    <ImageSize> {} </ImageSize>\n\
             <BlockSize> {BLOCK} </BlockSize>\n<BlocksCount> {blocks} </BlocksCount>\n\
             <MappedBlocksCount> {} </MappedBlocksCount>\n<ChecksumType> sha256 </ChecksumType>\n\
             <BmapFileChecksum> {zeros} </BmapFileChecksum>\n<BlockMap>\n{ranges}</BlockMap>\n</bmap>\n",
            self.image.len(),
            blocks - (end - first),
        );
        let sum = hex(&Sha256::digest(&text));
        text.replace(&zeros, &sum)
    }

    fn piflash(&self, more: &[&str]) -> Output {
        self.piflash_from("os.img", more)
    }

    fn piflash_from(&self, image: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.args(["--agent-dir", ".", "--role", "master", "--hostname", "laperouse"]);
        command.args(["--user", "captain", "--ssh-key", "key.pub", "--timezone", "UTC"]);
        command.args(["--locale", "C.UTF-8", "--keyboard", "us", "--yes", "--image", image]);
        command.env("PIKUBE_CACHE_DIR", self.path("cache"));
        command.env("PIKUBE_STATE_DIR", self.path("state")).env("PIKUBE_KUBERNETES", KUBERNETES);
        command.args(more).arg("card.img").output().unwrap()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_not_mapped_is_zeros_on_a_used_card() {
    for given in [true, false] {
        let desk = Desk::new();
        let len = desk.image.len();
        let hole = len - 3 * MIB..len - MIB;
        assert!(desk.image[hole.clone()].iter().any(|byte| *byte != 0));
        fs::write(desk.path("card.img"), vec![0xa5; len]).unwrap();
        // As an option, and beside the image.
        let name = if given { "map" } else { "os.bmap" };
        fs::write(desk.path(name), desk.map(hole.clone())).unwrap();
        let output = desk.piflash(if given { &["--bmap", "map"] } else { &[] });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let card = fs::read(desk.path("card.img")).unwrap();
        assert!(card[hole.clone()].iter().all(|byte| *byte == 0), "old data, or the image's");
        let root = 20 * MIB;
        assert!(card[root..hole.start] == desk.image[root..hole.start]);
        assert!(card[hole.end..] == desk.image[hole.end..]);
    }
}

#[test]
fn a_map_beside_the_image_on_a_server_is_found() {
    let desk = Desk::new();
    let len = desk.image.len();
    let hole = len - 3 * MIB..len - MIB;
    let (map, image) = (desk.map(hole.clone()), desk.image.clone());
    let web = Web::start(move |request| match request.path.as_str() {
        "/os.img" => file(request, &image, "\"v1\""),
        "/os.bmap" => Reply::new(200, map.clone()),
        _ => Reply::new(404, ""),
    });
    let output = desk.piflash_from(&web.url("/os.img"), &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("/os.bmap: "), "{text}");
    let card = fs::read(desk.path("card.img")).unwrap();
    assert!(card[hole].iter().all(|byte| *byte == 0));
}

#[test]
fn another_image_than_the_maps_leaves_no_bootable_card() {
    let desk = Desk::new();
    let len = desk.image.len();
    fs::write(desk.path("os.bmap"), desk.map(len - 2 * MIB..len - MIB)).unwrap();
    let image = OpenOptions::new().write(true).open(desk.path("os.img")).unwrap();
    image.write_all_at(b"other", len as u64 - 100).unwrap();
    fs::write(desk.path("card.img"), vec![0xa5; len]).unwrap();
    let output = desk.piflash(&[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("os.bmap") && text.contains("another checksum"), "{text}");
    assert!(fs::read(desk.path("card.img")).unwrap()[..MIB].iter().all(|byte| *byte == 0));
}

#[test]
fn a_map_that_cannot_be_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    let len = desk.image.len();
    let good = desk.map(len - 2 * MIB..len - MIB);
    let changed = good.replace("<BlockSize> 4096", "<BlockSize> 8192");
    fs::write(desk.path("card.img"), vec![0xa5; len]).unwrap();
    let image = OpenOptions::new().write(true).open(desk.path("os.img")).unwrap();
    for (map, longer, word) in [
        (good.as_str(), MIB, "it is for another image"),
        (&changed, 0, "its own checksum does not match"),
        ("<html></html>", 0, "XML of another kind"),
    ] {
        image.set_len((len + longer) as u64).unwrap();
        fs::write(desk.path("map"), map).unwrap();
        let output = desk.piflash(&["--bmap", "map"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(word) && text.contains("help: "), "`{word}` is not in: {text}");
        assert!(fs::read(desk.path("card.img")).unwrap().iter().all(|byte| *byte == 0xa5));
    }
}

#[test]
fn a_page_in_place_of_a_map_or_a_list_is_passed_over() {
    const PAGE: &str = "<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n";
    let desk = Desk::new();
    for name in ["os.img.bmap", "os.bmap", "os.img.sha256"] {
        fs::write(desk.path(name), PAGE).unwrap();
    }
    let output = desk.piflash(&[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("is a web page, not a block map").count(), 1, "{text}");
    assert_eq!(text.matches("is a web page, not a list of sums").count(), 1, "{text}");
    fs::remove_file(desk.path("card.img")).unwrap();
    // A server that has a page for everything.
    let image = desk.image.clone();
    let web = Web::start(move |request| match request.path.as_str() {
        "/os.img" => file(request, &image, "\"v1\""),
        _ => Reply::new(200, PAGE),
    });
    let output = desk.piflash_from(&web.url("/os.img"), &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("not a block map"), "{text}");
    assert!(fs::read(desk.path("card.img")).unwrap()[20 * MIB..] == desk.image[20 * MIB..]);
}

#[test]
fn no_map_is_used_where_none_is_wanted() {
    let desk = Desk::new();
    let len = desk.image.len();
    let hole = len - 3 * MIB..len - MIB;
    fs::write(desk.path("os.bmap"), desk.map(hole.clone())).unwrap();
    let output = desk.piflash(&["--no-bmap"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("block map"), "{text}");
    assert!(fs::read(desk.path("card.img")).unwrap()[hole.clone()] == desk.image[hole]);
    let output = desk.piflash(&["--no-bmap", "--bmap", "os.bmap"]);
    assert_eq!(output.status.code(), Some(2));
}
