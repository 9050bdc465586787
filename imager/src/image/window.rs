//! One partition as one card sees it: a file-like view for a file system library.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::{Partition, Patch, ReadAt};

/// Something that holds a boot partition: the head of an image, or a card.
pub trait WithBoot {
    /// What is below the patch.
    type Bytes: ReadAt;

    /// The boot partition as a card with `patch` shall see it. What is written to it is in `patch` only.
    fn patched<'a>(&'a self, patch: &'a mut Patch) -> PatchedPartition<'a, Self::Bytes>;
}

/// A partition of `base` with a card's [`Patch`] over it. Reading gives both together, writing goes into the patch.
/// The window has the size of the partition and never grows: a write at its end writes nothing (`Ok(0)`).
pub struct PatchedPartition<'a, B: ReadAt + ?Sized> {
    base: &'a B,
    patch: &'a mut Patch,
    start_bytes: u64,
    size_bytes: u64,
    position: u64,
}

impl<'a, B: ReadAt + ?Sized> PatchedPartition<'a, B> {
    /// The view of `partition`, positioned at its first byte.
    pub fn new(base: &'a B, patch: &'a mut Patch, partition: &Partition) -> Self {
        Self {
            base,
            patch,
            start_bytes: partition.offset_bytes,
            size_bytes: partition.size_bytes,
            position: 0,
        }
    }

    /// Size of the partition in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// How much of a transfer of `wanted` bytes lies between the position and the end.
    fn available(&self, wanted: usize) -> usize {
        let left = self.size_bytes.saturating_sub(self.position);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }
}

impl<B: ReadAt + ?Sized> Read for PatchedPartition<'_, B> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.available(buf.len());
        self.patch.read_at(self.base, self.start_bytes + self.position, &mut buf[..len])?;
        self.position += len as u64;
        Ok(len)
    }
}

impl<B: ReadAt + ?Sized> Write for PatchedPartition<'_, B> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let len = self.available(data.len());
        self.patch.write_at(self.base, self.start_bytes + self.position, &data[..len])?;
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<B: ReadAt + ?Sized> Seek for PatchedPartition<'_, B> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PartitionKind, SparseBytes};
    use super::*;

    fn partition(offset_bytes: u64, size_bytes: u64) -> Partition {
        Partition {
            number: 1,
            offset_bytes,
            size_bytes,
            kind: PartitionKind::Mbr(0x0c),
            uuid: None,
        }
    }

    #[test]
    fn never_leaves_the_partition() {
        let mut base = SparseBytes::new();
        base.append(&[b'-'; 4096]);
        let mut patch = Patch::new();
        let mut window = PatchedPartition::new(&base, &mut patch, &partition(512, 1024));
        window.seek(SeekFrom::End(-3)).unwrap();
        assert_eq!(window.write(b"abcdef").unwrap(), 3);
        assert_eq!(window.write(b"d").unwrap(), 0);
        assert_eq!(window.read(&mut [0; 4]).unwrap(), 0);
        assert!(window.seek(SeekFrom::Current(-2000)).is_err());
        window.seek(SeekFrom::Start(0)).unwrap();
        let mut all = Vec::new();
        window.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 1024);
        assert!(all.ends_with(b"-abc"));
        assert_eq!(patch.sectors().map(|(n, _)| n).collect::<Vec<_>>(), [2]);
    }
}
