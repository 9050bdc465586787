//! Changes the files of a card's boot partition where they are, without touching anything else on the card.

use std::ops::Range;

use super::buffer::AlignedBuffer;
use super::destination::Destination;
use super::error::{Error, Result};
use super::medium::Medium;
use super::read_back::{STEP_BYTES, compare, mismatch};
use crate::image::{FatBootSector, FatMap, Patch, SECTOR_BYTES, WithBoot};

/// Writes the changed sectors, reads them back past the cache and compares them.
///
/// A FAT has no transactions; what a cut leaves depends on the order, which is that of [`Step`], with a sync after each:
/// what is new stands where no name leads to, then names lead to it, then what they led to before is cleared and given
/// back. So a cut leaves each file as it was or as it becomes. What it leaves without a name is cleared by the next
/// change.
///
/// # Errors
/// [`Error::IoAt`], [`Error::Mismatch`], [`Error::Map`].
pub fn amend(destination: Box<dyn Destination>, card: &impl WithBoot, patch: &Patch) -> Result<()> {
    let mut medium = Medium::new(destination);
    let order = Order::new(card, patch)?;
    let runs = runs(patch, |sector| order.step(sector));
    let offset = |run: &Run| run.sectors.start * SECTOR_BYTES;
    for step in [Step::New, Step::Taken, Step::Names, Step::Old, Step::Tables] {
        let mut now: Vec<&Run> = runs.iter().filter(|run| run.step.is_done_in(step)).collect();
        if step == Step::Names {
            // From the end: the names that a folder gains stand behind those that it has, and `cmdline.txt`, which starts
            // what they name, was there before them.
            now.reverse();
        }
        for run in now {
            let mut content = run.content(patch);
            if step == Step::Taken {
                order.keep(offset(run), &mut content);
            }
            medium.put(offset(run), &content)?;
            if step == Step::Names {
                medium.sync()?;
            }
        }
        medium.sync()?;
    }
    for run in &runs {
        let wanted = run.content(patch);
        let mut read = AlignedBuffer::new(wanted.len());
        medium.get(offset(run), &mut read)?;
        compare(&read, &wanted).map_err(|byte| mismatch(&medium, offset(run) + byte as u64))?;
    }
    medium.announce();
    Ok(())
}

/// What is done with a sector, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Content in clusters that no name leads to.
    New,
    /// The allocation table takes them, and gives none back yet.
    Taken,
    /// Folders: names lead to the new content.
    Names,
    /// What was given back becomes zeros.
    Old,
    /// The allocation table as it shall be.
    Tables,
}

impl Step {
    /// The allocation table is written twice.
    fn is_done_in(self, now: Step) -> bool {
        self == now || (self == Step::Tables && now == Step::Taken)
    }
}

/// Which sector is what, on a card and after the change.
struct Order<'a> {
    fat: &'a FatBootSector,
    /// Where the boot partition begins.
    start: u64,
    before: FatMap<'a>,
    after: FatMap<'a>,
}

impl<'a> Order<'a> {
    fn new(card: &'a impl WithBoot, patch: &Patch) -> Result<Self> {
        let map = |patch: &Patch| card.map(patch).map_err(Error::map);
        let (before, after) = (map(&Patch::new())?, map(patch)?);
        Ok(Self { fat: card.fat(), start: card.boot_partition().offset_bytes, before, after })
    }

    fn step(&self, sector: u64) -> Step {
        let at = (sector * SECTOR_BYTES).saturating_sub(self.start);
        match self.fat.cluster_at(at) {
            Some(cluster) if !self.before.is_owned(cluster) => Step::New,
            Some(cluster) if self.after.is_free(cluster) => Step::Old,
            Some(_) => Step::Names,
            None if self.fat.tables.contains(&at) => Step::Tables,
            // The root directory of FAT16 is in no cluster.
            None => Step::Names,
        }
    }

    /// Puts back into a piece of the allocation table what it has for clusters that are to be given back.
    fn keep(&self, offset: u64, content: &mut [u8]) {
        let width = self.fat.entry_bytes();
        for (number, entry) in content.chunks_exact_mut(width).enumerate() {
            let at = (offset - self.start) + (number * width) as u64;
            let Some(cluster) = self.fat.entry_at(at) else { continue };
            if self.before.is_owned(cluster) && self.after.is_free(cluster) {
                entry.copy_from_slice(&self.before.entry(cluster).to_le_bytes()[..width]);
            }
        }
    }
}

/// Changed sectors of one step that follow each other, a MiB at most; of names one, since a medium may write what it gets
/// in any order.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    step: Step,
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

fn runs(patch: &Patch, step: impl Fn(u64) -> Step) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (sector, _) in patch.sectors() {
        let step = step(sector);
        match runs.last_mut() {
            Some(Run { step: before, sectors })
                if *before == step
                    && step != Step::Names
                    && sectors.end == sector
                    && (sectors.end - sectors.start) * SECTOR_BYTES < STEP_BYTES as u64 =>
            {
                sectors.end += 1;
            }
            _ => runs.push(Run { step, sectors: sector..sector + 1 }),
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
        let step = |sector: u64| if sector == 2 { Step::Names } else { Step::New };
        let runs = runs(&patch, step);
        let expected = [
            (Step::New, 1..2),
            (Step::Names, 2..3),
            (Step::New, 3..4),
            (Step::New, 2048..4096),
            (Step::New, 4096..4097),
        ];
        assert_eq!(runs, expected.map(|(step, sectors)| Run { step, sectors }));
        assert!(runs[1].content(&patch).iter().all(|byte| *byte == 1));
    }
}
