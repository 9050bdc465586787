//! Puts files onto a boot partition so that an interruption leaves the file as it was or as it becomes, and nothing of
//! what was there before.
//!
//! A FAT has no transactions. What makes one of them here: the new content of a file goes into clusters that were free,
//! and then one directory entry of 32 bytes changes from the old clusters to the new ones. `card::amend` writes the
//! parts in that order. Clusters that are given back become zeros, and so do those that new files will take: they hold
//! keys and tokens.

use std::io;

use super::fat::BootFs;
use super::{BootError, FatError};
use crate::image::{FatEntry, FatMap, Patch, WithBoot, is_zero};

/// Bytes that are looked at, and made zeros, at a time.
const STEP_BYTES: u64 = 64 << 10;

/// Writes the files, each a path and its content, into `patch`, which has changed nothing yet. Clusters that no name
/// leads to, as an interrupted change leaves them, become free and are cleared.
///
/// # Errors
/// [`BootError::Map`], [`BootError::Fat`]; the patch is to be thrown away then.
pub fn replace(
    disk: &impl WithBoot,
    before: &FatMap<'_>,
    files: &[(&str, &[u8])],
    patch: &mut Patch,
) -> Result<(), BootError> {
    let mut change = Change { disk, patch };
    change.forget_counts()?;
    change.mirror()?;
    for cluster in before.lost() {
        change.free(cluster)?;
    }
    change.make_room(before, files)?;
    let exchanged = change.write(before, files)?;
    change.exchange(&exchanged)?;
    change.remove(before, &exchanged)?;
    change.clear(before)
}

/// A change in the making.
struct Change<'a, D> {
    disk: &'a D,
    patch: &'a mut Patch,
}

impl<D: WithBoot> Change<'_, D> {
    /// The count of free clusters is a hint that other programs leave wrong. Unknown, it is counted.
    fn forget_counts(&mut self) -> Result<(), BootError> {
        let Some(at) = self.disk.fat().info else { return Ok(()) };
        // Free clusters, and where to look for the next one (offsets 488 and 492).
        self.put(at + 488, &[0xff; 8])
    }

    /// An interrupted change may leave copies of the allocation table that differ.
    fn mirror(&mut self) -> Result<(), BootError> {
        let mut at = 0;
        while at < self.disk.fat().entries_bytes() {
            let len = STEP_BYTES.min(self.disk.fat().entries_bytes() - at) as usize;
            let copies = self.disk.fat().copies(at);
            let [mut active, mut copy] = [vec![0; len], vec![0; len]];
            self.get(copies[0], &mut active)?;
            for other in &copies[1..] {
                self.get(*other, &mut copy)?;
                if copy != active {
                    self.put(*other, &active)?;
                }
            }
            at += len as u64;
        }
        Ok(())
    }

    fn free(&mut self, cluster: u32) -> Result<(), BootError> {
        let fat = self.disk.fat();
        let zero = &[0; 4][..fat.entry_bytes()];
        let places = fat.copies(u64::from(cluster) * zero.len() as u64);
        places.into_iter().try_for_each(|at| self.put(at, zero))
    }

    /// Writes every file: one that is there already beside itself, under a name of its own. The short paths of both.
    fn write(
        &mut self,
        before: &FatMap<'_>,
        files: &[(&str, &[u8])],
    ) -> Result<Vec<(String, String)>, BootError> {
        let fs = BootFs::open(self.disk, before, self.patch)?;
        let mut exchanged = Vec::new();
        for (number, (name, content)) in files.iter().enumerate() {
            match fs.short_path(name)? {
                None => fs.write(name, content)?,
                Some(short) => {
                    let folder = short.rfind('/').map_or("", |end| &short[..=end]);
                    let new = format!("{folder}PIKUBE{number:02}.NEW");
                    fs.write(&new, content)?;
                    exchanged.push((short, new));
                }
            }
        }
        fs.close()?;
        Ok(exchanged)
    }

    /// Gives each file the content of the new one, and the new one that of the file.
    fn exchange(&mut self, exchanged: &[(String, String)]) -> Result<(), BootError> {
        // Only entries of folders change here, so that one look at the table serves all.
        let map = self.disk.map(self.patch)?;
        for (name, new) in exchanged {
            let (old, new) = (self.content_of(&map, name)?, self.content_of(&map, new)?);
            let (a, b) = (self.content(old)?, self.content(new)?);
            self.put(old, &b)?;
            self.put(new, &a)?;
        }
        Ok(())
    }

    fn remove(
        &mut self,
        before: &FatMap<'_>,
        exchanged: &[(String, String)],
    ) -> Result<(), BootError> {
        let fs = BootFs::open(self.disk, before, self.patch)?;
        for (_, new) in exchanged {
            fs.remove(new)?;
        }
        Ok(fs.close()?)
    }

    /// Zeros in the clusters that the files will take, so that nothing of what a used card has there is behind their ends,
    /// or among the names of a folder that grows: `fatfs` takes the first that are free, and leaves them as they are.
    fn make_room(&mut self, before: &FatMap<'_>, files: &[(&str, &[u8])]) -> Result<(), BootError> {
        let cluster_bytes = self.disk.fat().cluster_bytes;
        let clusters =
            |(_, content): &(&str, &[u8])| (content.len() as u64).div_ceil(cluster_bytes) + 1;
        let count: u64 = files.iter().map(clusters).sum();
        let unowned = before.clusters().filter(|cluster| !before.is_owned(*cluster));
        for cluster in unowned.take(usize::try_from(count).unwrap_or(usize::MAX)) {
            self.zero(self.disk.fat().cluster(cluster))?;
        }
        Ok(())
    }

    /// Zeros in what is free now and was not.
    fn clear(&mut self, before: &FatMap<'_>) -> Result<(), BootError> {
        let after = self.disk.map(self.patch)?;
        let given_back =
            after.clusters().filter(|now| after.is_free(*now) && !before.is_free(*now));
        for cluster in given_back {
            self.zero(self.disk.fat().cluster(cluster))?;
        }
        Ok(())
    }

    /// Makes zeros of what is none.
    fn zero(&mut self, place: std::ops::Range<u64>) -> Result<(), BootError> {
        let mut at = place.start;
        while at < place.end {
            let end = (at - at % STEP_BYTES + STEP_BYTES).min(place.end);
            let mut bytes = vec![0; (end - at) as usize];
            self.get(at, &mut bytes)?;
            if !is_zero(&bytes) {
                bytes.fill(0);
                self.put(at, &bytes)?;
            }
            at = end;
        }
        Ok(())
    }

    /// Where the entry of a file says what its content is.
    fn content_of(&self, map: &FatMap<'_>, short: &str) -> Result<u64, BootError> {
        let found = map.find(short, &self.disk.reader(self.patch))?;
        let entry = found.ok_or_else(|| FatError::Open(io::ErrorKind::NotFound.into()))?;
        Ok(entry.at + FatEntry::CONTENT.start as u64)
    }

    fn content(&self, at: u64) -> Result<[u8; 12], BootError> {
        let mut bytes = [0; 12];
        self.get(at, &mut bytes)?;
        Ok(bytes)
    }

    fn get(&self, at: u64, bytes: &mut [u8]) -> Result<(), BootError> {
        (self.disk.reader(self.patch))(at, bytes).map_err(|error| FatError::Open(error).into())
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), BootError> {
        let place = self.disk.boot_partition().offset_bytes + at;
        let put = self.patch.write_at(self.disk.bytes(), place, bytes);
        put.map_err(|error| FatError::Open(error).into())
    }
}
