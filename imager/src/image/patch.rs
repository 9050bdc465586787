//! What one card changes in the image's head.

use std::collections::BTreeMap;
use std::io;

use super::{ReadAt, SECTOR_BYTES};

/// The bytes of one sector.
type Sector = [u8; SECTOR_BYTES as usize];

/// Changed sectors over an unchanged base, counted from the start of the image. Each card has its own; the base is
/// shared by all of them, so a further card costs only what it changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    sectors: BTreeMap<u64, Sector>,
}

impl Patch {
    /// A patch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.sectors.is_empty()
    }

    /// Changed sectors: number from the start of the image, and content; in ascending order.
    pub fn sectors(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.sectors.iter().map(|(number, sector)| (*number, &sector[..]))
    }

    /// Memory that the changed sectors take, in bytes, without the map around them.
    pub fn len_bytes(&self) -> u64 {
        self.sectors.len() as u64 * SECTOR_BYTES
    }

    /// Puts `data` at `offset` bytes from the start of the image. Sectors that are only partly covered are filled up
    /// from this patch, and from `base` where this patch has nothing for them yet.
    ///
    /// # Errors
    /// What reading `base` says; `UnexpectedEof` past its end. Sectors before the one that failed are changed.
    pub fn write_at<B: ReadAt + ?Sized>(
        &mut self,
        base: &B,
        offset: u64,
        data: &[u8],
    ) -> io::Result<()> {
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > base.len_bytes()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let number = at / SECTOR_BYTES;
            let within = (at % SECTOR_BYTES) as usize;
            let take = rest.len().min(SECTOR_BYTES as usize - within);
            let mut sector = [0; SECTOR_BYTES as usize];
            if let Some(old) = self.sectors.get(&number) {
                sector = *old;
            } else if take < sector.len() {
                let start = number * SECTOR_BYTES;
                // The base may end within its last sector.
                let there = (base.len_bytes() - start).min(SECTOR_BYTES) as usize;
                base.read_at(start, &mut sector[..there])?;
            }
            sector[within..within + take].copy_from_slice(&rest[..take]);
            self.sectors.insert(number, sector);
            at += take as u64;
            rest = &rest[take..];
        }
        Ok(())
    }

    /// Lays the changes over `buf`, which holds the base from `offset` bytes on.
    pub fn apply(&self, offset: u64, buf: &mut [u8]) {
        let end = offset.saturating_add(buf.len() as u64);
        for (number, sector) in
            self.sectors.range(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES))
        {
            let start = number * SECTOR_BYTES;
            let from = start.max(offset);
            let to = (start + SECTOR_BYTES).min(end);
            if from < to {
                buf[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&sector[(from - start) as usize..(to - start) as usize]);
            }
        }
    }

    /// Reads base and changes together.
    ///
    /// # Errors
    /// What reading `base` says.
    pub fn read_at<B: ReadAt + ?Sized>(
        &self,
        base: &B,
        offset: u64,
        buf: &mut [u8],
    ) -> io::Result<()> {
        base.read_at(offset, buf)?;
        self.apply(offset, buf);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::SparseBytes;
    use super::*;

    proptest! {
        #[test]
        fn equals_writing_in_place(
            len in 1usize..6000,
            writes in prop::collection::vec((0usize..6000, 0usize..1700, any::<u8>()), 0..12),
            window in (0usize..6000, 0usize..6000),
        ) {
            let mut plain: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut base = SparseBytes::new();
            base.append(&plain);
            let mut patch = Patch::new();
            for (offset, size, value) in writes {
                let result = patch.write_at(&base, offset as u64, &vec![value; size]);
                if offset + size <= len {
                    result.unwrap();
                    plain[offset..offset + size].fill(value);
                } else {
                    prop_assert!(result.is_err());
                }
            }
            let (a, b) = (window.0.min(len), window.1.min(len));
            let (a, b) = (a.min(b), a.max(b));
            let mut got = vec![0; b - a];
            patch.read_at(&base, a as u64, &mut got).unwrap();
            prop_assert_eq!(&got[..], &plain[a..b]);
        }
    }

    #[test]
    fn unchanged_sectors_are_not_stored() {
        let mut base = SparseBytes::new();
        base.append(&[1; 4096]);
        let mut patch = Patch::new();
        patch.write_at(&base, 513, b"x").unwrap();
        assert_eq!(patch.len_bytes(), 512);
        assert_eq!(patch.sectors().next().unwrap().0, 1);
    }
}
