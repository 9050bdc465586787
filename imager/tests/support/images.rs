//! Images for the tests of `image` and `card`: real MBR and FAT, made here, small and different at every byte that
//! matters. Included as a module by the other `card_*` tests.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(dead_code, missing_docs, reason = "each test program uses a part of it")]

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use liblzma::stream::{Check, MtStreamBuilder};
use piflash::image::{self, Head, Rest, WithBoot as _};

pub const MIB: usize = 1 << 20;

/// How an image shall look.
#[derive(Debug, Clone)]
pub struct Shape {
    /// First sector of the boot partition.
    pub boot_sector: usize,
    /// Sectors of the boot partition.
    pub boot_sectors: usize,
    /// Sectors of the root partition behind it.
    pub root_sectors: usize,
    /// Bytes behind the root partition; need not be whole sectors.
    pub tail_bytes: usize,
}

impl Default for Shape {
    /// A FAT16 boot partition at 1 MiB, a root partition of 9 MiB and 12345 bytes: 13 MiB that end nowhere special.
    fn default() -> Self {
        Self { boot_sector: 2048, boot_sectors: 5120, root_sectors: 18432, tail_bytes: 12345 }
    }
}

impl Shape {
    pub fn boot_start(&self) -> usize {
        self.boot_sector * 512
    }

    pub fn boot_end(&self) -> usize {
        (self.boot_sector + self.boot_sectors) * 512
    }

    /// The image. Long runs of zeros are in it, as in every image.
    pub fn build(&self) -> Vec<u8> {
        let root = self.boot_sector + self.boot_sectors;
        let mut bytes = vec![0; (root + self.root_sectors) * 512 + self.tail_bytes];
        bytes[..440].fill(0xb0);
        bytes[440..444].copy_from_slice(&0x1234_5678_u32.to_le_bytes());
        let entries =
            [(0x0c, self.boot_sector, self.boot_sectors), (0x83, root, self.root_sectors)];
        for (index, (kind, first, count)) in entries.into_iter().enumerate() {
            let entry = &mut bytes[446 + index * 16..][..16];
            entry[4] = kind;
            entry[8..12].copy_from_slice(&(first as u32).to_le_bytes());
            entry[12..16].copy_from_slice(&(count as u32).to_le_bytes());
        }
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        // Between table and boot partition: boot loaders of other boards live there.
        if self.boot_sector > 24 {
            bytes[8192..12288].fill(0xb1);
        }
        bytes[self.boot_start()..self.boot_end()].copy_from_slice(&fat(self.boot_sectors * 512));
        let mut value = 0x9e37_79b9_u32;
        for (index, byte) in bytes.iter_mut().enumerate().skip(self.boot_end()) {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Every third 256 KiB is zeros.
            *byte = if (index >> 18) % 3 == 2 { 0 } else { (value >> 24) as u8 | 1 };
        }
        bytes
    }
}

/// A FAT file system of that size with two files.
pub fn fat(size: usize) -> Vec<u8> {
    let mut disk = Cursor::new(vec![0; size]);
    let options =
        fatfs::FormatVolumeOptions::new().volume_label(*b"BOOTFS     ").bytes_per_cluster(512);
    fatfs::format_volume(&mut disk, options).unwrap();
    {
        let volume = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new()).unwrap();
        let root = volume.root_dir();
        let mut file = root.create_file("cmdline.txt").unwrap();
        file.write_all(b"console=tty1 root=PARTUUID=12345678-02\n").unwrap();
        drop(file);
        let mut file = root.create_file("kernel.img").unwrap();
        file.write_all(&vec![0xcd; 700_001]).unwrap();
        drop(file);
        drop(root);
        volume.unmount().unwrap();
    }
    disk.into_inner()
}

/// One xz stream with blocks of `block_bytes`, or as one block.
pub fn xz(data: &[u8], block_bytes: Option<u64>) -> Vec<u8> {
    let mut builder = MtStreamBuilder::new();
    builder.threads(2).preset(0).check(Check::Crc64);
    if let Some(bytes) = block_bytes {
        builder.block_size(bytes);
        let stream = builder.encoder().unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(data).unwrap();
        return encoder.finish().unwrap();
    }
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Opens an image and decodes its head.
pub fn head(path: &Path) -> Result<(Head, Rest), image::Error> {
    image::open(path)?.into_head(&AtomicBool::new(false), &mut |_| {})
}

/// Everything that an image decodes to.
pub fn decode(path: &Path) -> Result<Vec<u8>, image::Error> {
    let (head, mut rest) = head(path)?;
    let mut all = vec![0; head.len_bytes() as usize];
    head.bytes().read_at(0, &mut all).unwrap();
    let mut piece = vec![0; 100_003];
    loop {
        let len = rest.fill(&mut piece)?;
        all.extend_from_slice(&piece[..len]);
        if len < piece.len() {
            assert_eq!(rest.position_bytes(), all.len() as u64);
            return Ok(all);
        }
    }
}
