//! Changes the files of a card's boot partition where they are, without touching anything else on the card.

use std::ops::Range;

use super::buffer::AlignedBuffer;
use super::destination::Destination;
use super::error::Result;
use super::medium::Medium;
use super::read_back::{STEP_BYTES, compare, mismatch};
use crate::image::{FatBootSector, Partition, Patch, SECTOR_BYTES};

/// Writes the changed sectors, syncs, reads them back past the cache and compares them.
///
/// A FAT has no transactions; what a cut leaves depends on the order. First come the contents of files, which nobody
/// finds yet where they are in new clusters; then the tables, then the directory that names them. So a name never leads
/// to clusters that are not its own. Writing the same changes again mends whatever a cut left.
///
/// # Errors
/// [`Error::IoAt`](super::Error::IoAt), [`Error::Mismatch`](super::Error::Mismatch).
pub fn amend(
    destination: Box<dyn Destination>,
    boot: &Partition,
    fat: &FatBootSector,
    patch: &Patch,
) -> Result<()> {
    let mut medium = Medium::new(destination);
    let runs =
        runs(patch, |sector| match (sector * SECTOR_BYTES).saturating_sub(boot.offset_bytes) {
            at if fat.root.contains(&at) => Area::Root,
            at if fat.tables.contains(&at) => Area::Tables,
            _ => Area::Files,
        });
    for now in [Area::Files, Area::Tables, Area::Root] {
        for run in runs.iter().filter(|run| run.area == now) {
            medium.put(run.sectors.start * SECTOR_BYTES, &run.content(patch))?;
        }
        medium.sync()?;
    }
    for run in &runs {
        let wanted = run.content(patch);
        let mut read = AlignedBuffer::new(wanted.len());
        let offset = run.sectors.start * SECTOR_BYTES;
        medium.get(offset, &mut read)?;
        compare(&read, &wanted).map_err(|byte| mismatch(&medium, offset + byte as u64))?;
    }
    medium.announce();
    Ok(())
}

/// What a sector is to the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    Files,
    Tables,
    Root,
}

/// Changed sectors of one area that follow each other, a MiB at most.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    area: Area,
    sectors: Range<u64>,
}

impl Run {
    fn content(&self, patch: &Patch) -> AlignedBuffer {
        let count = (self.sectors.end - self.sectors.start) as usize;
        let mut content = AlignedBuffer::new(count * SECTOR_BYTES as usize);
        patch.apply(self.sectors.start * SECTOR_BYTES, &mut content);
        content
    }
}

fn runs(patch: &Patch, area: impl Fn(u64) -> Area) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (sector, _) in patch.sectors() {
        let area = area(sector);
        match runs.last_mut() {
            Some(Run { area: before, sectors })
                if *before == area
                    && sectors.end == sector
                    && (sectors.end - sectors.start) * SECTOR_BYTES < STEP_BYTES as u64 =>
            {
                sectors.end += 1;
            }
            _ => runs.push(Run { area, sectors: sector..sector + 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::SparseBytes;

    #[test]
    fn runs_are_what_follows_each_other() {
        let mut base = SparseBytes::new();
        base.append(&vec![0; 4 << 20]);
        let mut patch = Patch::new();
        patch.write_at(&base, 512, &[1; 1536]).unwrap();
        patch.write_at(&base, 1 << 20, &vec![2; (1 << 20) + 512]).unwrap();
        let area = |sector: u64| if sector == 2 { Area::Root } else { Area::Files };
        let runs = runs(&patch, area);
        let expected = [
            (Area::Files, 1..2),
            (Area::Root, 2..3),
            (Area::Files, 3..4),
            (Area::Files, 2048..4096),
            (Area::Files, 4096..4097),
        ];
        assert_eq!(runs, expected.map(|(area, sectors)| Run { area, sectors }));
        assert!(runs[1].content(&patch).iter().all(|byte| *byte == 1));
    }
}
