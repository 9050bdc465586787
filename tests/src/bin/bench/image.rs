//! The image to measure with: the boot partition and the files of real systems, with as much free space as a Lite
//! image has, packed as its makers pack it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pikube_tests::images;

use crate::programs::shell;

const MIB: usize = 1 << 20;
/// The systems whose files fill the root partition.
const SYSTEMS: [&str; 5] = [
    "raspios-trixie-arm64",
    "debian-amd64",
    "raspios-bookworm-arm64",
    "debian-arm64",
    "raspios-bookworm-amd64",
];

/// The same image in several packings.
pub struct Images {
    /// Not packed; holes where nothing is.
    pub plain: PathBuf,
    /// `xz -T0 -3`: blocks of 12 MiB.
    pub xz: PathBuf,
    /// `gzip -6`, and `zstd -3`.
    pub others: [PathBuf; 2],
    /// Block map of it.
    pub bmap: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// A small one, for slow cards.
    pub small_xz: PathBuf,
    /// Size of that.
    pub small_bytes: u64,
}

impl Images {
    /// Makes them, where an earlier run has not.
    pub fn make(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let path = |name: &str| folder.join(name);
        let (plain, small) = (path("bench.img"), path("small.img"));
        once(&plain, |to| build(to, 1536 * MIB))?;
        once(&small, |to| build(to, 24 * MIB))?;
        let packed = |from: &Path, command: &str, suffix: &str| -> Result<PathBuf> {
            let packed = PathBuf::from(format!("{}.{suffix}", from.display()));
            once(&packed, |to| {
                shell(&format!("{command} < {} > {}", from.display(), to.display()))
            })?;
            Ok(packed)
        };
        let bmap = path("bench.bmap");
        once(&bmap, |to| {
            shell(&format!("bmaptool -q create -o {} {}", to.display(), plain.display()))
        })?;
        Ok(Self {
            xz: packed(&plain, "xz -T0 -3 -c", "xz")?,
            others: [packed(&plain, "gzip -6 -c", "gz")?, packed(&plain, "zstd -q -3 -c", "zst")?],
            small_xz: packed(&small, "xz -T0 -3 -c", "xz")?,
            bytes: fs::metadata(&plain)?.len(),
            small_bytes: fs::metadata(&small)?.len(),
            bmap,
            plain,
        })
    }
}

/// Makes a file under another name first, so that what an interrupted run left is not taken for one.
fn once(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let part = path.with_extension("part");
    make(&part).with_context(|| format!("making {}", path.display()))?;
    Ok(fs::rename(part, path)?)
}

/// Partition table and boot partition of the first system, then what is in the root partitions of all, four parts of
/// data to one of free space.
fn build(to: &Path, root_bytes: usize) -> Result<()> {
    let out = File::create(to)?;
    let first = File::open(images::image(SYSTEMS[0])?)?;
    let mut table = [0; 512];
    first.read_exact_at(&mut table, 0)?;
    let root_at = root_start(&table);
    let total = root_at + root_bytes as u64;
    out.set_len(total)?;
    copy_data(&first, 512..root_at, 0, &mut |at, data| Ok(out.write_all_at(data, at)?))?;
    let sectors = (root_bytes / 512) as u32;
    table[462 + 12..462 + 16].copy_from_slice(&sectors.to_le_bytes());
    out.write_all_at(&table, 0)?;

    let (mut at, mut count) = (root_at, 0);
    for system in SYSTEMS {
        let file = File::open(images::image(system)?)?;
        let mut table = [0; 512];
        file.read_exact_at(&mut table, 0)?;
        let range = root_start(&table)..file.metadata()?.len();
        copy_data(&file, range, 10, &mut |_, data| {
            if at + data.len() as u64 <= total {
                out.write_all_at(data, at)?;
                count += 1;
                at += data.len() as u64 * if count % 4 == 0 { 2 } else { 1 };
            }
            Ok(())
        })?;
    }
    ensure!(at + (64 << 20) > total, "the systems have too few files to fill the image");
    Ok(())
}

/// First byte of the second partition.
fn root_start(table: &[u8; 512]) -> u64 {
    let entry = &table[462 + 8..462 + 12];
    u64::from(u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]])) * 512
}

/// Calls for every MiB (counted from the beginning of the range) of which more than so many percent are not zeros.
fn copy_data(
    file: &File,
    range: std::ops::Range<u64>,
    percent: usize,
    each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut piece = vec![0; MIB];
    for at in range.clone().step_by(MIB) {
        let len = (range.end - at).min(MIB as u64) as usize;
        file.read_exact_at(&mut piece[..len], at)?;
        let data = piece[..len].iter().filter(|byte| **byte != 0).count();
        if data * 100 > len * percent {
            each(at, &piece[..len])?;
        }
    }
    Ok(())
}
