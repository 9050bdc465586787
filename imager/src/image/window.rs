//! One partition as one card sees it: a file-like view for a file system library.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fscommon::StreamSlice;

use super::{FatBootSector, FatMap, MapError, Partition, Patch, ReadAt};

/// Something that holds a boot partition: the head of an image, or a card.
pub trait WithBoot {
    /// What is below the patch.
    type Bytes: ReadAt;

    /// The image or the card.
    fn bytes(&self) -> &Self::Bytes;

    /// Its boot partition.
    fn boot_partition(&self) -> &Partition;

    /// What the boot sector there says.
    fn fat(&self) -> &FatBootSector;

    /// The boot partition as a card with `patch` shall see it. What is written to it is in `patch` only.
    fn patched<'a>(&'a self, patch: &'a mut Patch) -> PatchedPartition<'a, Self::Bytes> {
        PatchedDisk::partition(self.bytes(), patch, self.boot_partition())
    }

    /// Whose the clusters of the boot partition are on a card with `patch`.
    ///
    /// # Errors
    /// [`MapError`].
    fn map(&self, patch: &Patch) -> Result<FatMap<'_>, MapError> {
        FatMap::read(self.fat(), &self.reader(patch))
    }

    /// Reads the boot partition of a card with `patch`, from its start.
    fn reader<'a>(&'a self, patch: &'a Patch) -> impl Fn(u64, &mut [u8]) -> io::Result<()> + 'a {
        let (bytes, start) = (self.bytes(), self.boot_partition().offset_bytes);
        move |at, buf| patch.read_at(bytes, start + at, buf)
    }
}

/// A partition with a card's [`Patch`] over it. Reading gives both together, writing goes into the patch. It has the size
/// of the partition and never grows: a write at its end writes nothing (`Ok(0)`), a seek past its end is refused.
pub type PatchedPartition<'a, B> = StreamSlice<PatchedDisk<'a, B>>;

/// All of `base` with a card's [`Patch`] over it.
pub struct PatchedDisk<'a, B: ReadAt + ?Sized> {
    base: &'a B,
    patch: &'a mut Patch,
    position: u64,
}

impl<'a, B: ReadAt + ?Sized> PatchedDisk<'a, B> {
    /// The view of `partition`, positioned at its first byte.
    pub fn partition(
        base: &'a B,
        patch: &'a mut Patch,
        partition: &Partition,
    ) -> PatchedPartition<'a, B> {
        let disk = Self { base, patch, position: 0 };
        StreamSlice::new(disk, partition.offset_bytes, partition.end_bytes())
            .expect("a position counted from the start is always taken")
    }
}

impl<B: ReadAt + ?Sized> Read for PatchedDisk<'_, B> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.patch.read_at(self.base, self.position, buf)?;
        self.position += buf.len() as u64;
        Ok(buf.len())
    }
}

impl<B: ReadAt + ?Sized> Write for PatchedDisk<'_, B> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.patch.write_at(self.base, self.position, data)?;
        self.position += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<B: ReadAt + ?Sized> Seek for PatchedDisk<'_, B> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.base.len_bytes().checked_add_signed(by),
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
        let mut window = PatchedDisk::partition(&base, &mut patch, &partition(512, 1024));
        window.seek(SeekFrom::End(-3)).unwrap();
        assert_eq!(window.write(b"abcdef").unwrap(), 3);
        assert_eq!(window.write(b"d").unwrap(), 0);
        assert_eq!(window.read(&mut [0; 4]).unwrap(), 0);
        assert!(window.seek(SeekFrom::Current(-2000)).is_err());
        assert!(window.seek(SeekFrom::Current(1)).is_err());
        window.seek(SeekFrom::Start(0)).unwrap();
        let mut all = Vec::new();
        window.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 1024);
        assert!(all.ends_with(b"-abc"));
        assert_eq!(patch.sectors().map(|(n, _)| n).collect::<Vec<_>>(), [2]);
    }
}
