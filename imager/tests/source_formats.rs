//! Every format: the same image packed in every way is the same image, and what is damaged is never taken for one.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/source.rs"]
mod source;

use piflash::image::{Error, Wanted};
use source::images::{Shape, xz};
use source::{World, bzip2, gzip, shown, text, zip, zstd};

fn image() -> Vec<u8> {
    Shape { root_sectors: 2048, ..Shape::default() }.build()
}

/// The image in every format that is decoded.
fn packed(image: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("xz", xz(image, None)),
        ("gzip", gzip(image)),
        ("bzip2", bzip2(image)),
        ("zstd", zstd(image)),
        ("zip", zip(&[("README.txt", b"read me"), ("os.img", image)], 8, false)),
        ("zip, stored", zip(&[("os.img", image)], 0, false)),
        ("zip, streamed", zip(&[("a.txt", b"a"), ("os.img", image)], 8, true)),
    ]
}

#[test]
fn the_same_image_comes_out_of_every_format() {
    let (world, image) = (World::new(), image());
    for (format, bytes) in packed(&image) {
        // Names lie.
        let path = world.put("os.img", &bytes);
        let decoded = world.read(&shown(&path), &Wanted::default());
        assert!(decoded.unwrap() == image, "{format}");
    }
}

#[test]
fn members_may_follow_one_another() {
    let (world, image) = (World::new(), image());
    let (first, second) = image.split_at(2_000_001);
    for (format, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("bzip2", bzip2), ("zstd", zstd)]
    {
        let mut bytes = pack(first);
        if format == "zstd" {
            // As pzstd: a skippable frame.
            bytes.extend(b"\x50\x2a\x4d\x18\x04\x00\x00\x00size");
        }
        bytes.extend(pack(second));
        bytes.extend([0; 4096]);
        let path = world.put("os.img", &bytes);
        let decoded = world.read(&shown(&path), &Wanted::default());
        assert!(decoded.unwrap() == image, "{format}");
    }
}

#[test]
fn what_ends_early_is_truncated() {
    let (world, image) = (World::new(), image());
    for (format, bytes) in packed(&image) {
        let points =
            (1..20).map(|n| bytes.len() * n / 20).chain([bytes.len() - 1, bytes.len() - 9]);
        for point in points {
            let path = world.put("os.img", &bytes[..point]);
            let error = world.read(&shown(&path), &Wanted::default()).unwrap_err();
            let truncated = matches!(error, Error::Truncated { .. } | Error::ImageTooShort { .. });
            assert!(truncated, "{format} cut at {point}: {error}");
        }
    }
}

#[test]
fn what_follows_is_garbage() {
    let (world, image) = (World::new(), image());
    for (format, mut bytes) in packed(&image) {
        let end = bytes.len() as u64;
        bytes.extend(b"<html>");
        let path = world.put("os.img", &bytes);
        match world.read(&shown(&path), &Wanted::default()).unwrap_err() {
            Error::TrailingGarbage { offset_bytes, .. } => {
                assert_eq!(offset_bytes, end, "{format}")
            }
            error => panic!("{format}: {error}"),
        }
    }
}

#[test]
fn a_flipped_bit_is_never_a_wrong_image() {
    let (world, image) = (World::new(), image());
    for (format, bytes) in packed(&image) {
        let mut ignored = 0;
        for n in 0..30 {
            let at = (bytes.len() - 1) * n / 29;
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (n % 8);
            let path = world.put("os.img", &damaged);
            // A bit that means nothing (a date, an operating system) may be flipped.
            if let Ok(decoded) = world.read(&shown(&path), &Wanted::default()) {
                assert!(decoded == image, "{format}: bit {n} of byte {at}");
                ignored += 1;
            }
        }
        assert!(ignored < 6, "{format}: {ignored} flips were not noticed");
    }
}

#[test]
fn an_archive_has_one_image() {
    let (world, image) = (World::new(), image());
    let refused = |files: &[(&str, &[u8])], words: &[&str]| {
        for streamed in [false, true] {
            let path = world.put("os.zip", &zip(files, 8, streamed));
            let error = world.read(&shown(&path), &Wanted::default()).unwrap_err();
            assert!(matches!(error, Error::NotOneImage { .. }), "{error}");
            for word in words {
                assert!(error.to_string().contains(word), "`{word}` not in: {error}");
            }
        }
    };
    refused(&[("a.img", &image), ("b.img", &image)], &["several", "`a.img`, `b.img`"]);
    refused(&[("a.txt", b"text"), ("b.img.xz", b"x")], &["none", "`a.txt`, `b.img.xz`"]);
    refused(&[], &["none", "nothing"]);
    let mac = zip(&[("os.img", &image), ("__MACOSX/._os.img", b"junk")], 8, false);
    let path = world.put("os.zip", &mac);
    assert!(world.read(&shown(&path), &Wanted::default()).unwrap() == image);
}

#[test]
fn an_archive_with_a_second_image_that_its_directory_hides_is_refused() {
    let (world, image) = (World::new(), image());
    let one = zip(&[("a.img", &image)], 8, false);
    let two = zip(&[("a.img", &image), ("b.img", b"x")], 8, false);
    let find = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let mut both = two[..find(&two)].to_vec();
    let mut directory = one[find(&one)..].to_vec();
    let at = directory.len() - 6;
    directory[at..at + 4].copy_from_slice(&(both.len() as u32).to_le_bytes());
    both.extend(directory);
    let path = world.put("os.zip", &both);
    let error = world.read(&shown(&path), &Wanted::default()).unwrap_err();
    assert!(error.to_string().contains("several"), "{error}");
}

#[test]
fn an_archive_of_an_unsupported_kind_is_not_damaged() {
    let (world, image) = (World::new(), image());
    let with = |method: u16, flags: u16| {
        let mut bytes = zip(&[("os.img", &image)], 0, false);
        bytes[6..8].copy_from_slice(&flags.to_le_bytes());
        bytes[8..10].copy_from_slice(&method.to_le_bytes());
        bytes
    };
    for (bytes, word) in [
        (with(14, 0), "compressed with LZMA"),
        (with(9, 0), "compressed with deflate64"),
        (with(77, 0), "compressed with method 77"),
        (with(8, 1), "encrypted"),
        (with(0, 8), "how long its files are"),
    ] {
        let path = world.put("os.zip", &bytes);
        let error = world.read(&shown(&path), &Wanted::default()).unwrap_err();
        assert!(error.to_string().contains(word), "`{word}` not in: {error}");
        let help = error.help().unwrap();
        assert!(help.contains("unpack it") && !help.contains("fetch"), "{help}");
    }
}

#[test]
fn a_window_that_needs_too_much_memory_is_refused() {
    let world = World::new();
    // A frame header that asks for a window of 2 GiB (RFC 8878, 3.1.1.1.2), and a raw block.
    let bytes = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00".to_vec();
    let path = world.put("os.img.zst", &bytes);
    let error = world.read(&shown(&path), &Wanted::default()).unwrap_err();
    assert!(matches!(error, Error::NeedsTooMuchMemory { .. }), "{}", text(&error));
}

#[test]
fn a_packed_page_is_no_image() {
    let world = World::new();
    for (format, bytes) in packed(b"<!DOCTYPE html><title>404</title>") {
        let path = world.put("os.img", &bytes);
        let error = world.read(&shown(&path), &Wanted::default()).unwrap_err();
        assert!(error.to_string().contains("web page"), "{format}: {error}");
    }
}
