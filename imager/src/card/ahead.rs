//! Writes that are in flight while the card's own thread goes on: io_uring where there is one, else a second thread.

use std::sync::Arc;

use super::blank::Blank;
use super::destination::Destination;
use super::lane::Lane;
use super::medium::{PutError, pieces};
use super::ring::Ring;
use super::stream::Chunk;

pub(super) enum Ahead {
    Ring(Box<Ring>),
    Lane(Lane),
}

impl Ahead {
    /// `None` where one write at a time is all there is.
    pub(super) fn new(destination: &dyn Destination) -> Option<Self> {
        let ring = destination.queue().and_then(Ring::new);
        let ring = ring.map(|ring| Ahead::Ring(Box::new(ring)));
        ring.or_else(|| Self::without_ring(destination))
    }

    /// What works on every kernel.
    fn without_ring(destination: &dyn Destination) -> Option<Self> {
        destination.second_writer().and_then(Lane::new).map(Ahead::Lane)
    }

    /// Takes a chunk, unless there is no room: whether it did. Runs of zeros that the device makes by itself are made at
    /// once, through `destination`, and added to `blank`.
    ///
    /// # Errors
    /// What this chunk or an earlier one met.
    pub(super) fn offer(
        &mut self,
        chunk: &Arc<Chunk>,
        destination: &mut dyn Destination,
        blank: &mut Blank,
    ) -> Result<bool, PutError> {
        let ring = match self {
            Ahead::Lane(lane) => return lane.offer(chunk, blank),
            Ahead::Ring(ring) => ring,
        };
        for piece in pieces(chunk.bytes(destination.padded()), false, destination.zeroes()) {
            let (at, len) = (chunk.offset + piece.start as u64, piece.len as u64);
            match piece.zeros && destination.zero_at(at, len).is_ok() {
                true => blank.add(at..at + len),
                false => ring.write(chunk, piece.start..piece.start + piece.len)?,
            }
        }
        Ok(true)
    }

    /// Waits until nothing is in flight.
    ///
    /// # Errors
    /// What a write met.
    pub(super) fn drain(&mut self, blank: &mut Blank) -> Result<(), PutError> {
        match self {
            Ahead::Ring(ring) => ring.drain(),
            Ahead::Lane(lane) => lane.drain(blank),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use super::super::stream::CHUNK_BYTES;
    use super::*;

    /// Chunks that follow each other, with data, runs of zeros and a short end.
    pub(in super::super) fn chunks(count: usize) -> Vec<Arc<Chunk>> {
        let chunk = |n: usize| {
            let len = if n + 1 == count { 70_000 } else { CHUNK_BYTES };
            let zeros = 1 << 20..2 << 20;
            let byte = |at: usize| if zeros.contains(&at) { 0 } else { (at / 999 + n) as u8 | 1 };
            let data: Vec<u8> = (0..len).map(byte).collect();
            Arc::new(Chunk::of((n * CHUNK_BYTES) as u64, &data))
        };
        (0..count).map(chunk).collect()
    }

    pub(in super::super) fn wanted(chunks: &[Arc<Chunk>]) -> Vec<u8> {
        chunks.iter().flat_map(|chunk| chunk.bytes(true).to_vec()).collect()
    }

    /// A file with a device's manners: as root's loop devices have them, without root.
    struct Disk {
        file: File,
        with_ring: bool,
        zeroes: bool,
    }

    impl Disk {
        fn copy(&self) -> Self {
            Self { file: self.file.try_clone().unwrap(), ..*self }
        }
    }

    impl Destination for Disk {
        fn path(&self) -> &Path {
            Path::new("disk")
        }
        fn size_bytes(&self) -> Option<u64> {
            None
        }
        fn padded(&self) -> bool {
            true
        }
        fn unwritten_is_zero(&self) -> bool {
            false
        }
        fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<usize> {
            self.file.write_at(data, offset)
        }
        fn zeroes(&self) -> bool {
            self.zeroes
        }
        fn zero_at(&mut self, offset: u64, len: u64) -> io::Result<()> {
            self.file.write_all_at(&vec![0; len as usize], offset)
        }
        fn queue(&self) -> Option<File> {
            self.with_ring.then(|| self.file.try_clone().unwrap())
        }
        fn second_writer(&self) -> Option<Box<dyn Destination>> {
            Some(Box::new(self.copy()))
        }
        fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.file.read_at(buf, offset)
        }
        fn sync(&mut self) -> io::Result<()> {
            self.file.sync_all()
        }
        fn set_end(&mut self, _image_bytes: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn with_and_without_io_uring_the_same_arrives() {
        let chunks = chunks(9);
        for (with_ring, zeroes) in [(true, true), (true, false), (false, true), (false, false)] {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&vec![0xa5; wanted(&chunks).len()], 0).unwrap();
            let mut disk = Disk { file, with_ring, zeroes };
            let mut ahead = Ahead::new(&disk).unwrap();
            if !with_ring {
                assert!(matches!(ahead, Ahead::Lane(_)));
            }
            let mut blank = Blank::default();
            for chunk in &chunks {
                if !ahead.offer(chunk, &mut disk, &mut blank).ok().unwrap() {
                    disk.file.write_all_at(chunk.bytes(true), chunk.offset).unwrap();
                }
            }
            ahead.drain(&mut blank).ok().unwrap();
            assert!(zeroes || blank.next(0).is_none());
            if with_ring && zeroes {
                assert_eq!(blank.next(0), Some(1 << 20..2 << 20));
            }
            let mut read = vec![0; wanted(&chunks).len()];
            disk.file.read_exact_at(&mut read, 0).unwrap();
            assert!(read == wanted(&chunks), "ring {with_ring}, zeroes {zeroes}");
        }
    }
}
