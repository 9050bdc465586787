//! Decoding images: whatever they are packed in they give the same bytes, and what is broken is found.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "support/images.rs"]
mod images;

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use images::{MIB, Shape, decode, head, xz};
use piflash::image::{self, Error, FatType, Format, Patch, WithBoot as _};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file whose name says nothing true about its content.
    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("picture.jpg");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn every_packing_gives_the_same_bytes() {
    let folder = Folder::new();
    let image = Shape::default().build();
    let halves = image.split_at(5_000_001);
    let concatenated =
        [xz(halves.0, Some(300_000)), vec![0; 8], xz(halves.1, None), vec![0; 4]].concat();
    let three = [xz(&image, None), xz(b"", None), vec![0; 400_000]].concat();
    for (name, packed) in [
        ("plain", image.clone()),
        ("one block", xz(&image, None)),
        ("many blocks", xz(&image, Some(1 << 18))),
        ("two streams with padding", concatenated),
        ("an empty stream and more padding than a buffer", three),
    ] {
        let path = folder.file(&packed);
        let opened = image::open(&path).unwrap();
        assert_eq!(opened.size_bytes(), Some(image.len() as u64), "{name}");
        assert_eq!(opened.format(), if name == "plain" { Format::Plain } else { Format::Xz });
        assert!(decode(&path).unwrap() == image, "{name}: other bytes");
    }
}

#[test]
fn an_unknown_size_is_unknown_and_no_error() {
    let folder = Folder::new();
    let image = Shape::default().build();
    // More padding than is searched for the index.
    let path = folder.file(&[xz(&image, None), vec![0; 2 * MIB]].concat());
    assert_eq!(image::open(&path).unwrap().size_bytes(), None);
    assert!(decode(&path).unwrap() == image);
}

#[test]
fn the_head_ends_with_the_boot_partition() {
    let folder = Folder::new();
    let shape = Shape::default();
    let image = shape.build();
    let (head, rest) = head(&folder.file(&xz(&image, Some(1 << 18)))).unwrap();
    assert_eq!(head.len_bytes(), shape.boot_end() as u64);
    assert_eq!(rest.position_bytes(), head.len_bytes());
    assert_eq!(head.boot_partition().offset_bytes, 1 << 20);
    assert_eq!((head.fat().kind, head.fat().label.as_deref()), (FatType::Fat16, Some("BOOTFS")));
    assert_eq!(head.table().describe(), "1 FAT32 2.5 MiB, 2 Linux 9 MiB");
    // Zeros are not stored.
    assert!(head.bytes().stored_bytes() < 2 * MIB as u64, "{}", head.bytes().stored_bytes());

    // What a file system library writes goes to the patch, and is read through it.
    let mut patch = Patch::new();
    {
        let volume =
            fatfs::FileSystem::new(head.patched(&mut patch), fatfs::FsOptions::new()).unwrap();
        let mut file = volume.root_dir().create_file("ssh").unwrap();
        file.write_all(b"here").unwrap();
        drop(file);
        volume.unmount().unwrap();
    }
    assert!(!patch.is_empty() && patch.len_bytes() < 20_000);
    let first = patch.sectors().next().unwrap().0;
    assert!(first >= 2048, "sector {first} is outside the boot partition");
    let mut text = String::new();
    let volume = fatfs::FileSystem::new(head.patched(&mut patch), fatfs::FsOptions::new()).unwrap();
    volume.root_dir().open_file("ssh").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "here");
    drop(volume);
    let mut untouched = Patch::new();
    let volume =
        fatfs::FileSystem::new(head.patched(&mut untouched), fatfs::FsOptions::new()).unwrap();
    assert!(volume.root_dir().open_file("ssh").is_err(), "the head itself was changed");
}

#[test]
fn a_tiny_boot_partition_gives_its_surplus_back() {
    let folder = Folder::new();
    // FAT16 has at least 2 MiB, so the surplus comes from a candidate that is further out and is not FAT.
    let shape = Shape { boot_sector: 63, ..Shape::default() };
    let mut image = shape.build();
    let (boot, root) = (image[446..462].to_vec(), image[462..478].to_vec());
    image[446..462].copy_from_slice(&root);
    image[446 + 4] = 0x0c;
    image[462..478].copy_from_slice(&boot);
    let (head, rest) = head(&folder.file(&image)).unwrap();
    assert_eq!(head.boot_partition().number, 2);
    assert_eq!(rest.position_bytes(), shape.boot_end() as u64);
    assert!(decode(&folder.file(&xz(&image, None))).unwrap() == image);
}

#[test]
fn fat32_is_recognised() {
    let folder = Folder::new();
    let shape = Shape { boot_sectors: 34 * 2048, ..Shape::default() };
    let (head, _) = head(&folder.file(&shape.build())).unwrap();
    assert_eq!(head.fat().kind, FatType::Fat32);
    assert!(head.bytes().stored_bytes() < 4 * MIB as u64);
}

#[test]
fn xz_that_ends_early_is_truncated_wherever_it_ends() {
    let folder = Folder::new();
    let image = Shape { root_sectors: 400, ..Shape::default() }.build();
    for block_bytes in [None, Some(1 << 18)] {
        let packed = xz(&image, block_bytes);
        let cuts = (0..20).map(|i| 12 + i * (packed.len() - 13) / 19);
        for cut in cuts.chain(packed.len() - 15..packed.len()).chain([1, 6, 11]) {
            match decode(&folder.file(&packed[..cut])) {
                Err(Error::Truncated { offset_bytes, .. }) => assert_eq!(offset_bytes, cut as u64),
                // With fewer than the six magic bytes it is not recognisably xz.
                Err(Error::NotADiskImage { .. }) if cut < 6 => {}
                other => panic!("cut at {cut} of {}: {:?}", packed.len(), other.map(|d| d.len())),
            }
        }
    }
}

#[test]
fn what_follows_xz_is_garbage_with_its_place() {
    let folder = Folder::new();
    let image = Shape { root_sectors: 400, ..Shape::default() }.build();
    let packed = xz(&image, Some(1 << 18));
    let len = packed.len() as u64;
    let long = vec![b'x'; 3 * MIB];
    for (garbage, offset) in [
        (&b"x"[..], len),
        (b"<html>", len),
        (&long, len),
        (b"\xfd", len),
        (b"\xfd7zXY\0 but not really", len),
        (b"\0", len),
        (b"\0\0\0x", len),
        (b"\0\0\0\0\0", len),
        (b"\0\0\0\0x", len + 4),
    ] {
        match decode(&folder.file(&[&packed, garbage].concat())) {
            Err(Error::TrailingGarbage { offset_bytes, .. }) => {
                assert_eq!(offset_bytes, offset, "{garbage:?}")
            }
            other => panic!("{garbage:?}: {:?}", other.map(|data| data.len())),
        }
    }
}

#[test]
fn no_flipped_bit_goes_through() {
    let folder = Folder::new();
    let image = Shape { root_sectors: 400, ..Shape::default() }.build();
    let packed = xz(&image, Some(1 << 18));
    for step in 0..60 {
        let mut bad = packed.clone();
        let at = 6 + step * (packed.len() - 7) / 59;
        bad[at] ^= 0x20;
        let result = decode(&folder.file(&bad));
        assert!(result.is_err(), "byte {at} of {}", packed.len());
    }
}

#[test]
fn what_is_no_image_is_named() {
    let folder = Folder::new();
    let error = |bytes: &[u8]| decode(&folder.file(bytes)).unwrap_err().to_string();
    assert!(error(b"").ends_with("the file is empty"));
    assert!(error(b"hello\n").ends_with("it is not a disk image (it is text)"));
    assert!(error(b"<!DOCTYPE html>").contains("web page"));
    assert!(error(&[0; 4096]).contains("begins with zeros"));
    assert!(error(&[0xe5; 4096]).contains("no partition table"));
    for start in
        [b"\x1f\x8b\x08\0".as_slice(), b"PK\x03\x04\x14\0", b"\x28\xb5\x2f\xfd\0", b"BZh91AY&SY"]
    {
        assert!(error(start).contains("truncated"), "{}", error(start));
    }
    assert!(error(b"7z\xbc\xaf\x27\x1c").ends_with("7-Zip is not supported yet"));
    assert!(error(&xz(b"hello", None)).contains("it is text"));
    assert!(error(&xz(&xz(&[7; 9000], None), None)).contains("packed twice"));
    assert!(error(&images::fat(5120 * 512)).contains("bare FAT"));
    let directory = image::open(folder.0.path()).unwrap_err();
    assert!(directory.to_string().contains("a directory"), "{directory}");
}

#[test]
fn partitions_that_cannot_be_are_refused() {
    let folder = Folder::new();
    let image = Shape::default().build();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = image.clone();
        change(&mut image);
        decode(&folder.file(&image)).unwrap_err()
    };
    let short = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 12345 - 1);
    assert!(matches!(changed(&|b| short(b)), Error::ImageTooShort { .. }));
    // The same where only decoding shows the size.
    let mut cut = image.clone();
    short(&mut cut);
    let packed = [xz(&cut, None), vec![0; 2 * MIB]].concat();
    assert!(matches!(decode(&folder.file(&packed)), Err(Error::ImageTooShort { .. })));
    assert!(matches!(changed(&|b| b[446 + 4] = 0x83), Error::NoFatPartition { .. }));
    assert!(matches!(changed(&|b| b[1 << 20] = 0), Error::NoFatPartition { .. }));
    // One sector earlier than the boot partition ends.
    let earlier = (2048 + 5120 - 1_u32).to_le_bytes();
    assert!(matches!(
        changed(&|b| b[462 + 8..462 + 12].copy_from_slice(&earlier)),
        Error::Table { .. }
    ));
}

#[test]
fn a_huge_boot_partition_is_refused_before_it_is_read() {
    let folder = Folder::new();
    let image = Shape::default().build();
    let path = folder.0.path().join("huge.img");
    let file = std::fs::File::create(&path).unwrap();
    file.write_all_at(&image[..2 * MIB], 0).unwrap();
    let sectors = (1 << 21) + 1u32;
    file.write_all_at(&sectors.to_le_bytes(), 446 + 12).unwrap();
    file.write_all_at(&[0; 16], 462).unwrap();
    file.set_len(2 << 30).unwrap();
    let error = head(&path).unwrap_err();
    assert!(matches!(error, Error::BootPartitionTooLarge { .. }), "{error}");
}

#[test]
fn decoding_the_head_can_be_interrupted() {
    let folder = Folder::new();
    let path = folder.file(&Shape::default().build());
    let result = image::open(&path).unwrap().into_head(&AtomicBool::new(true), &mut |_| {});
    assert!(matches!(result, Err(Error::Interrupted { .. })));
}

#[test]
fn a_plain_image_that_shrinks_is_too_short() {
    let folder = Folder::new();
    let path = folder.file(&Shape::default().build());
    let (_head, mut rest) = head(&path).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(6 << 20).unwrap();
    let mut buffer = vec![0; 64 * MIB];
    assert!(matches!(rest.fill(&mut buffer), Err(Error::ImageTooShort { .. })));
}

#[test]
fn the_window_seeks_like_a_file() {
    let folder = Folder::new();
    let shape = Shape::default();
    let image = shape.build();
    let (head, _) = head(&folder.file(&image)).unwrap();
    let mut patch = Patch::new();
    let mut window = head.patched(&mut patch);
    assert_eq!(window.seek(SeekFrom::End(0)).unwrap(), shape.boot_sectors as u64 * 512);
    window.seek(SeekFrom::Start(3)).unwrap();
    let mut bytes = [0; 5];
    window.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, image[shape.boot_start() + 3..][..5]);
}
