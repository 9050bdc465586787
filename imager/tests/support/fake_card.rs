//! A card in memory that does as it is told, which includes failing at any byte; and an image to write to it. Included
//! as a module by the tests of the engine.
#![allow(dead_code, missing_docs, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "images.rs"]
pub mod images;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use images::{MIB, Shape, head};
use piflash::card::{Destination, Failure, Job, Options, Written, write};
use piflash::image::Patch;

/// What a card does wrong.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Most bytes that one call transfers.
    pub max_transfer: Option<usize>,
    /// A write that touches this byte fails, from the n-th such write on.
    pub write_error: Option<(u64, usize)>,
    /// A read that touches this byte fails.
    pub read_error: Option<u64>,
    /// Reads show this byte flipped.
    pub flipped: Option<u64>,
    /// This byte keeps what it had.
    pub stuck: Option<u64>,
    /// Capacity of a counterfeit card: what is written beyond lands at the beginning again.
    pub real_bytes: Option<u64>,
    /// From this operation on (writes, reads and syncs counted together) everything fails: pulled out.
    pub gone_at: Option<usize>,
    /// It has a command that zeroes.
    pub zeroing: Option<Zeroing>,
    /// At this operation the user presses Ctrl-C.
    pub cancel_at: Option<(usize, Arc<AtomicBool>)>,
}

/// What a card's command that zeroes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeroing {
    Zeroes,
    /// It says that it has, and leaves what was there.
    Lies,
    /// It says that it cannot.
    Refuses,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Zero(u64, u64),
    Write(u64, usize),
    Read(u64, usize),
    Sync,
}

#[derive(Debug, Default)]
pub struct Inner {
    pub bytes: Vec<u8>,
    pub grows: bool,
    pub padded: bool,
    pub faults: Faults,
    pub log: Vec<Op>,
    pub touched: BTreeMap<u64, usize>,
    pub announced: bool,
}

/// A card in memory; clones are the same card.
#[derive(Debug, Clone)]
pub struct Card(pub Arc<Mutex<Inner>>);

/// What a used card is full of.
pub const OLD: u8 = 0xa5;

impl Card {
    pub fn used(size: usize, padded: bool, faults: Faults) -> Self {
        let bytes = vec![OLD; size];
        Self(Arc::new(Mutex::new(Inner { bytes, padded, faults, ..Inner::default() })))
    }

    pub fn new_file() -> Self {
        Self(Arc::new(Mutex::new(Inner { grows: true, ..Inner::default() })))
    }

    pub fn job(&self, patch: &Patch) -> Job {
        Job::new(self.clone(), patch.clone())
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    pub fn log(&self) -> Vec<Op> {
        self.0.lock().unwrap().log.clone()
    }

    pub fn does_not_boot(&self) -> bool {
        let inner = self.0.lock().unwrap();
        inner.bytes.iter().take(MIB).all(|byte| *byte == 0)
    }
}

impl Inner {
    pub fn operation(&mut self, op: Op) -> io::Result<()> {
        self.log.push(op);
        if let Some((at, flag)) = &self.faults.cancel_at
            && self.log.len() == *at
        {
            flag.store(true, Ordering::Relaxed);
        }
        match self.faults.gone_at {
            Some(at) if self.log.len() >= at => Err(io::Error::from_raw_os_error(19)), // ENODEV
            _ => Ok(()),
        }
    }

    /// A transfer, cut where a counterfeit card begins again from the start; relative to the transfer.
    pub fn runs(&self, offset: u64, len: usize) -> Vec<std::ops::Range<usize>> {
        let Some(real) = self.faults.real_bytes else { return std::iter::once(0..len).collect() };
        let (mut runs, mut at) = (Vec::new(), 0);
        while at < len {
            let left = real - (offset + at as u64) % real;
            let end = len.min(at + left as usize);
            runs.push(at..end);
            at = end;
        }
        runs
    }

    pub fn real(&self, offset: u64) -> usize {
        let wrapped = self.faults.real_bytes.map_or(offset, |real| offset % real);
        wrapped as usize
    }
}

impl Destination for Card {
    fn path(&self) -> &Path {
        Path::new("/dev/pretended")
    }

    fn size_bytes(&self) -> Option<u64> {
        let inner = self.0.lock().unwrap();
        (!inner.grows).then_some(inner.bytes.len() as u64)
    }

    fn padded(&self) -> bool {
        self.0.lock().unwrap().padded
    }

    fn unwritten_is_zero(&self) -> bool {
        self.0.lock().unwrap().grows
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        inner.operation(Op::Write(offset, data.len()))?;
        if inner.padded {
            assert!(
                offset.is_multiple_of(512) && data.len().is_multiple_of(512),
                "part of a sector"
            );
            assert!(data.as_ptr().align_offset(512) == 0, "unaligned memory");
        }
        let len = data.len().min(inner.faults.max_transfer.unwrap_or(usize::MAX));
        if let Some((byte, from)) = inner.faults.write_error
            && (offset..offset + len as u64).contains(&byte)
        {
            let times = inner.touched.entry(byte).or_default();
            *times += 1;
            if *times >= from {
                return Err(io::Error::from_raw_os_error(5)); // EIO
            }
        }
        let end = offset as usize + len;
        if inner.grows && inner.bytes.len() < end {
            inner.bytes.resize(end, 0);
        }
        if end > inner.bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        for run in inner.runs(offset, len) {
            let (from, to) = (run.start, run.end);
            let real = inner.real(offset + from as u64);
            let kept =
                inner.faults.stuck.filter(|byte| (offset..offset + len as u64).contains(byte));
            let before = kept.map(|byte| inner.bytes[byte as usize]);
            inner.bytes[real..real + to - from].copy_from_slice(&data[from..to]);
            if let Some((byte, value)) = kept.zip(before) {
                inner.bytes[byte as usize] = value;
            }
        }
        Ok(len)
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap();
        inner.operation(Op::Read(offset, buf.len()))?;
        let left = inner.bytes.len().saturating_sub(offset as usize);
        let len = buf.len().min(left).min(inner.faults.max_transfer.unwrap_or(usize::MAX));
        let range = offset..offset + len as u64;
        if inner.faults.read_error.is_some_and(|byte| range.contains(&byte)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        for run in inner.runs(offset, len) {
            let real = inner.real(offset + run.start as u64);
            let run_len = run.len();
            buf[run].copy_from_slice(&inner.bytes[real..real + run_len]);
        }
        if let Some(byte) = inner.faults.flipped.filter(|byte| range.contains(byte)) {
            buf[(byte - offset) as usize] ^= 0x40;
        }
        Ok(len)
    }

    fn zeroes(&self) -> bool {
        self.0.lock().unwrap().faults.zeroing.is_some()
    }

    fn zero_at(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.operation(Op::Zero(offset, len))?;
        match inner.faults.zeroing {
            Some(Zeroing::Zeroes) => inner.bytes[offset as usize..][..len as usize].fill(0),
            Some(Zeroing::Lies) => {}
            Some(Zeroing::Refuses) | None => {
                inner.faults.zeroing = None;
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().operation(Op::Sync)
    }

    fn set_end(&mut self, image_bytes: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        if inner.grows {
            inner.bytes.resize(image_bytes as usize, 0);
        }
        Ok(())
    }

    fn announce(&mut self) {
        self.0.lock().unwrap().announced = true;
    }
}

/// An image file, and a patch that changes its boot partition.
pub struct Source {
    pub _folder: tempfile::TempDir,
    pub path: PathBuf,
    pub image: Vec<u8>,
    pub patch: Patch,
    /// The image with the patch.
    pub wanted: Vec<u8>,
    pub shape: Shape,
}

impl Source {
    pub fn new(shape: Shape) -> Self {
        let image = shape.build();
        Self::packed(shape, &image.clone(), image)
    }

    /// `file` is what lies on the disk, `image` what it decodes to.
    pub fn packed(shape: Shape, file: &[u8], image: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, file).unwrap();
        let mut wanted = image.clone();
        let mut patch = Patch::new();
        let mut base = piflash::image::SparseBytes::new();
        base.append(&image[..shape.boot_end()]);
        for (offset, text) in
            [(shape.boot_end() - 7, &b"changed"[..]), (shape.boot_start() + 3, b"pi")]
        {
            patch.write_at(&base, offset as u64, text).unwrap();
            wanted[offset..offset + text.len()].copy_from_slice(text);
        }
        Self { _folder: folder, path, image, patch, wanted, shape }
    }

    pub fn write(&self, cards: &[&Card], cancelled: &AtomicBool) -> Vec<Result<Written, Failure>> {
        let (head, rest) = head(&self.path).unwrap();
        let jobs = cards.iter().map(|card| card.job(&self.patch)).collect();
        write(&head, rest, jobs, &Options::default(), &(), cancelled)
    }

    /// What decoding the image once more finds.
    pub fn differs(&self, offset: u64, found: &[u8]) -> Option<u64> {
        piflash::image::open(&self.path).unwrap().first_difference(offset, found).unwrap()
    }

    pub fn write_one(&self, card: &Card) -> Result<Written, Failure> {
        self.write(&[card], &AtomicBool::new(false)).remove(0)
    }
}

/// Small enough for a debug build to hash it many times.
pub fn small() -> Shape {
    Shape { boot_sectors: 4400, root_sectors: 1000, ..Shape::default() }
}

pub fn assert_written(card: &Card, source: &Source, what: &str) {
    let bytes = card.bytes();
    let image = &source.wanted;
    assert!(bytes[..image.len()] == image[..], "{what}: the card does not hold the image");
}
