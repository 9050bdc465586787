//! Opening an image from anywhere and reading it to its end, in a world that a test controls.
#![allow(dead_code, missing_docs, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "images.rs"]
pub mod images;
#[path = "web.rs"]
pub mod web;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use piflash::image::http::Patience;
use piflash::image::{
    self, Cache, Error, Expected, Location, Notice, S3, Sha256Sum, Surroundings, Wanted,
};
use piflash::person::Person;
use tempfile::TempDir;

/// A whole image, which nobody wants to see in the message of a failed test.
pub struct Decoded(Vec<u8>);

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an image of {} bytes", self.0.len())
    }
}

impl PartialEq<Vec<u8>> for Decoded {
    fn eq(&self, other: &Vec<u8>) -> bool {
        self.0 == *other
    }
}

/// A folder, a cache in it, and what was told.
pub struct World {
    pub folder: TempDir,
    pub surroundings: Surroundings,
    pub told: Arc<Mutex<Vec<Notice>>>,
}

impl World {
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let told: Arc<Mutex<Vec<Notice>>> = Arc::default();
        let taking = told.clone();
        let surroundings = Surroundings {
            cache: Some(Cache::new(
                folder.path().join("cache"),
                1 << 30,
                Person::of_this_process(),
            )),
            s3: S3::from_environment(|_| None),
            patience: Patience {
                connect: Duration::from_secs(20),
                stall: Duration::from_secs(20),
                first_delay: Duration::from_millis(10),
                max_delay: Duration::from_millis(200),
                attempts: 4,
                resumes: 8,
            },
            cancelled: Arc::default(),
            tell: Arc::new(move |notice| taking.lock().unwrap().push(notice)),
        };
        Self { folder, surroundings, told }
    }

    pub fn without_cache() -> Self {
        let mut world = Self::new();
        world.surroundings.cache = None;
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// Whether one of the notices since the last look has this in it.
    pub fn was_told(&self, part: &str) -> bool {
        self.notices().iter().any(|notice| notice.to_string().contains(part))
    }

    /// Everything that an image decodes to.
    pub fn read(&self, location: &str, wanted: &Wanted) -> Result<Decoded, Error> {
        let location = Location::parse(location).map_err(Error::from)?;
        let image = image::open_from(&location, wanted, &self.surroundings)?;
        let fingerprint = image.fingerprint();
        let (head, mut rest) = image.into_head(&self.surroundings.cancelled, &mut |_| {})?;
        let mut all = vec![0; head.len_bytes() as usize];
        image::ReadAt::read_at(image::WithBoot::bytes(&head), 0, &mut all).unwrap();
        let mut piece = vec![0; 100_003];
        loop {
            let len = rest.fill(&mut piece)?;
            all.extend_from_slice(&piece[..len]);
            if len < piece.len() {
                assert!(fingerprint.get().is_some(), "read to its end, but not hashed");
                return Ok(Decoded(all));
            }
        }
    }

    pub fn cancel(&self) {
        self.surroundings.cancelled.store(true, Ordering::Relaxed);
    }
}

pub fn sum(bytes: &[u8]) -> Wanted {
    let sum = Some(Expected { sum: Sha256Sum::of(bytes), origin: "--sha256".into() });
    Wanted { sum, ..Wanted::default() }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive as `zip` writes it, or, streamed, as `zip -` does into a pipe.
pub fn zip(files: &[(&str, &[u8])], method: u16, streamed: bool) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let packed = match method {
            0 => bytes.to_vec(),
            _ => {
                let level = flate2::Compression::fast();
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        };
        let crc = crc32fast::hash(bytes);
        let numbers = [crc, packed.len() as u32, bytes.len() as u32];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let flags: u16 = if streamed { 8 } else { 0 };
        let fixed = |numbers: &[u8]| {
            let mut fixed = Vec::new();
            fixed.extend(20u16.to_le_bytes());
            fixed.extend(flags.to_le_bytes());
            fixed.extend(method.to_le_bytes());
            fixed.extend([0; 4]);
            fixed.extend(numbers);
            fixed.extend((name.len() as u16).to_le_bytes());
            fixed.extend([0; 2]);
            fixed
        };
        let at = archive.len() as u32;
        archive.extend(b"PK\x03\x04");
        archive.extend(fixed(if streamed { &[0; 12] } else { &numbers }));
        archive.extend(name.as_bytes());
        archive.extend(packed);
        if streamed {
            archive.extend(b"PK\x07\x08");
            archive.extend(&numbers);
        }
        directory.extend(b"PK\x01\x02");
        directory.extend(20u16.to_le_bytes());
        directory.extend(fixed(&numbers));
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06");
    archive.extend([0; 4]);
    archive.extend((files.len() as u16).to_le_bytes().repeat(2));
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0; 2]);
    archive
}

/// The message and its causes, as a person sees them.
pub fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
