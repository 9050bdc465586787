//! Which cluster of a FAT volume belongs to what (Microsoft FAT specification 1.03, sections 4 and 6): the chains of the
//! allocation table, and the files and folders that lead to them.

use std::io;
use std::ops::Range;

use super::FatBootSector;
use thiserror::Error;

/// Bytes of one directory entry.
const ENTRY_BYTES: usize = 32;
/// Most clusters of a volume that is looked at: what 1 GiB, the largest boot partition of an image, has of the smallest.
const MAX_CLUSTERS: u32 = 1 << 21;
/// Attributes of an entry that holds a piece of a long name.
const LONG_NAME: u8 = 0x0f;
const FOLDER: u8 = 0x10;
const LABEL: u8 = 0x08;
/// The first byte of an entry that was removed.
const REMOVED: u8 = 0xe5;

/// What is wrong with a volume that cannot be changed safely.
#[derive(Debug, Error)]
pub enum MapError {
    /// Reading it.
    #[error("reading the FAT file system")]
    Read(#[from] io::Error),
    /// More clusters than any boot partition has.
    #[error(
        "the FAT file system has {0} clusters, and a boot partition has at most {MAX_CLUSTERS}"
    )]
    TooLarge(u32),
    /// A chain that leads to a cluster that is free, or does not exist.
    #[error("the FAT file system is damaged: cluster {0} is part of a file and is marked as free")]
    Broken(u32),
    /// A chain that leads to a cluster twice: two files share it, or a chain is a circle.
    #[error("the FAT file system is damaged: cluster {0} belongs to more than one file")]
    Shared(u32),
}

/// The clusters of a volume.
#[derive(Debug)]
pub struct FatMap<'a> {
    fat: &'a FatBootSector,
    /// What the allocation table has for each cluster, the two at the beginning that are none included.
    entries: Vec<u32>,
    /// Those that a file, a folder or the table of bad clusters has.
    owned: Vec<bool>,
    /// Whether the copies of the allocation table are the same.
    mirrored: bool,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatEntry {
    /// Where its 32 bytes are, from the start of the volume.
    pub at: u64,
    /// The first cluster of its content; `None` of an empty file.
    pub cluster: Option<u32>,
    name: [u8; 11],
    attributes: u8,
}

/// Reads at a place counted from the start of the volume.
pub type ReadVolume<'a> = dyn Fn(u64, &mut [u8]) -> io::Result<()> + 'a;

impl<'a> FatMap<'a> {
    /// Reads the allocation table and every directory. Memory: 13 bytes for each cluster, 26 MiB at most.
    ///
    /// # Errors
    /// [`MapError`]; a volume whose chains are circles ends here and not in a loop.
    pub fn read(fat: &'a FatBootSector, read: &ReadVolume<'_>) -> Result<Self, MapError> {
        if fat.clusters > MAX_CLUSTERS {
            return Err(MapError::TooLarge(fat.clusters));
        }
        let copies = fat.copies(0);
        let mut bytes = vec![0; fat.entries_bytes() as usize];
        read(copies[0], &mut bytes)?;
        let mut mirrored = true;
        for copy in &copies[1..] {
            let mut other = vec![0; bytes.len()];
            read(*copy, &mut other)?;
            mirrored &= other == bytes;
        }
        let width = fat.entry_bytes();
        let entries: Vec<u32> = bytes.chunks_exact(width).map(|entry| fat.entry(entry)).collect();
        let mut map = Self { fat, owned: vec![false; entries.len()], entries, mirrored };
        map.walk(read)?;
        Ok(map)
    }

    /// Whether a name leads to this cluster, or it is marked as bad.
    pub fn is_owned(&self, cluster: u32) -> bool {
        self.owned.get(cluster as usize).copied().unwrap_or(false)
    }

    /// Whether the allocation table has it as free.
    pub fn is_free(&self, cluster: u32) -> bool {
        self.entries.get(cluster as usize) == Some(&0)
    }

    /// What the allocation table has for a cluster.
    pub fn entry(&self, cluster: u32) -> u32 {
        self.entries.get(cluster as usize).copied().unwrap_or(0)
    }

    /// All clusters, free or not.
    pub fn clusters(&self) -> Range<u32> {
        2..self.entries.len() as u32
    }

    /// Whether nothing of an interrupted change is left: no cluster is lost, and the copies of the table are the same.
    pub fn is_whole(&self) -> bool {
        self.mirrored && self.lost().next().is_none()
    }

    /// Clusters that are in use by the table, and that no name leads to: what an interrupted change leaves.
    pub fn lost(&self) -> impl Iterator<Item = u32> {
        self.clusters().filter(|cluster| !self.is_free(*cluster) && !self.is_owned(*cluster))
    }

    /// Bytes in free clusters, counted: the volume's own count is a hint that may be wrong.
    pub fn free_bytes(&self) -> u64 {
        let free = self.clusters().filter(|cluster| self.is_free(*cluster)).count();
        free as u64 * self.fat.cluster_bytes
    }

    /// The clusters of a file, in order.
    ///
    /// # Errors
    /// [`MapError::Broken`], [`MapError::Shared`].
    pub fn chain(&self, first: Option<u32>) -> Result<Vec<u32>, MapError> {
        let mut chain = Vec::new();
        let mut next = first;
        while let Some(cluster) = next {
            if !self.clusters().contains(&cluster) || self.is_free(cluster) {
                return Err(MapError::Broken(cluster));
            }
            if chain.len() >= self.entries.len() {
                return Err(MapError::Shared(cluster));
            }
            chain.push(cluster);
            next = Some(self.entry(cluster)).filter(|entry| *entry < self.fat.last_values());
        }
        Ok(chain)
    }

    /// The entry of a file by the name that it has in a listing of 8.3 names (`PIKUBE~1.TOM`); folders are separated by
    /// `/`.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn find(
        &self,
        short_path: &str,
        read: &ReadVolume<'_>,
    ) -> Result<Option<FatEntry>, MapError> {
        let mut folder = None;
        let mut found = None;
        for name in short_path.split('/') {
            let entries = self.folder(folder, read)?;
            found = entries.into_iter().find(|entry| entry.short_name() == name);
            folder = found.as_ref().and_then(|entry| entry.cluster);
            if found.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// Marks what every name leads to.
    fn walk(&mut self, read: &ReadVolume<'_>) -> Result<(), MapError> {
        let bad = self.fat.last_values() - 1;
        for cluster in self.clusters() {
            self.owned[cluster as usize] = self.entry(cluster) == bad;
        }
        let mut folders = vec![None];
        if let Some(root) = self.fat.root_cluster {
            self.own(Some(root))?;
        }
        while let Some(folder) = folders.pop() {
            for entry in self.folder(folder, read)? {
                self.own(entry.cluster)?;
                if entry.attributes & FOLDER != 0 && entry.cluster.is_some() {
                    folders.push(entry.cluster);
                }
            }
        }
        Ok(())
    }

    fn own(&mut self, first: Option<u32>) -> Result<(), MapError> {
        for cluster in self.chain(first)? {
            let owned = &mut self.owned[cluster as usize];
            if std::mem::replace(owned, true) {
                return Err(MapError::Shared(cluster));
            }
        }
        Ok(())
    }

    /// Files and folders of a folder; `None` is the root.
    fn folder(&self, first: Option<u32>, read: &ReadVolume<'_>) -> Result<Vec<FatEntry>, MapError> {
        let places: Vec<Range<u64>> = match first.or(self.fat.root_cluster) {
            None => vec![self.fat.root.clone()],
            first => {
                self.chain(first)?.into_iter().map(|cluster| self.fat.cluster(cluster)).collect()
            }
        };
        let mut entries = Vec::new();
        for place in places {
            let mut bytes = vec![0; (place.end - place.start) as usize];
            read(place.start, &mut bytes)?;
            for (number, slot) in bytes.chunks_exact(ENTRY_BYTES).enumerate() {
                if slot[0] == 0 {
                    return Ok(entries);
                }
                let at = place.start + (number * ENTRY_BYTES) as u64;
                entries.extend(FatEntry::parse(at, slot, self.fat.root_cluster.is_some()));
            }
        }
        Ok(entries)
    }
}

impl FatEntry {
    /// What in its 32 bytes belongs to the content: the first cluster, the time of the last change, the size.
    pub const CONTENT: Range<usize> = 20..32;

    fn parse(at: u64, slot: &[u8], wide: bool) -> Option<Self> {
        let (attributes, short) = (slot[11], &slot[..11]);
        let is_dots = short[0] == b'.';
        if slot[0] == REMOVED
            || attributes & LONG_NAME == LONG_NAME
            || attributes & LABEL != 0
            || is_dots
        {
            return None;
        }
        let word = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
        let cluster = if wide { word(20) << 16 | word(26) } else { word(26) };
        let mut name = [0; 11];
        name.copy_from_slice(short);
        Some(Self { at, cluster: (cluster != 0).then_some(cluster), name, attributes })
    }

    /// `PIKUBE~1.TOM`
    fn short_name(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let (name, extension) = (text(&self.name[..8]), text(&self.name[8..]));
        if extension.is_empty() { name } else { format!("{name}.{extension}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_clusters_than_a_boot_partition_has_are_not_read() {
        let mut sector = [0; 512];
        let fat_sectors = (MAX_CLUSTERS + 3).div_ceil(128);
        let sectors = 32 + fat_sectors + MAX_CLUSTERS + 1;
        sector[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
        sector[11..17].copy_from_slice(&[0, 2, 1, 32, 0, 1]);
        sector[21] = 0xf8;
        sector[32..36].copy_from_slice(&sectors.to_le_bytes());
        sector[36..40].copy_from_slice(&fat_sectors.to_le_bytes());
        sector[44] = 2;
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        let fat = FatBootSector::parse(&sector, u64::MAX).unwrap();
        let error = FatMap::read(&fat, &|_, _| panic!("nothing is read")).unwrap_err();
        assert_eq!(fat.clusters, MAX_CLUSTERS + 1);
        assert!(matches!(error, MapError::TooLarge(_)), "{error}");
    }
}
