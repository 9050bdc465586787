//! One node's boot partition: what changes, written to its own copy.

use pikube_config::{FirstbootPlan, Secrets, names};
use zeroize::Zeroizing;

use super::BootError;
use super::edits::{self, Edit, Found, NodeFiles, Show};
use super::extras::Extras;
use super::fat::{BootFs, FatError};
use super::os::{Bits, Os};
use super::page_size;
use super::replace::replace;
use crate::agents::{Agent, Agents};
use crate::image::{Patch, ReadAt, WithBoot, is_zero};

/// Left free on the boot partition for what the OS and the agent write there, bytes.
const RESERVE_BYTES: u64 = 256 << 10;

/// One node's boot partition: what changes, and the changed sectors.
pub struct Prepared {
    /// The files, in the order in which they are written; those that are there already are not among them.
    pub edits: Vec<Edit>,
    /// The changed sectors.
    pub patch: Patch,
    /// What a person should know, a line each.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Whether everything is on the boot partition already; not a single sector changes then.
    pub fn is_unchanged(&self) -> bool {
        self.patch.is_empty()
    }
}

/// Edits one node's copy of a boot partition: an image's, or that of a card which was prepared before. What is there
/// already is not written again. The launcher is started again only where there is something new for it to install: a
/// plan that differs in more than its date, secrets, or another agent.
///
/// # Errors
/// [`BootError`]; the copy is discarded then.
pub fn prepare(
    disk: &impl WithBoot,
    os: &Os,
    node: &NodeFiles,
    agents: &Agents,
    extras: &Extras,
) -> Result<Prepared, BootError> {
    let mut patch = Patch::default();
    let map = disk.map(&patch)?;
    let (free, cluster) = (map.free_bytes(), disk.fat().cluster_bytes);
    let (lost, is_whole) = (map.lost().count() as u64 * cluster, map.is_whole());
    let fs = BootFs::open(disk, &map, &mut patch)?;
    let found = found(&fs, os)?;
    let choices = choices(agents, os);
    let mut last = None;
    for choice in &choices {
        let (edits, mut warnings) = changes(&fs, os, node, choice, extras, &found)?;
        if edits.is_empty() && is_whole {
            return Ok(Prepared { edits, patch: Patch::default(), warnings });
        }
        let needed = needed(&edits, cluster);
        if needed <= free + lost {
            drop(fs);
            let mut patch = Patch::default();
            let files: Vec<(&str, &[u8])> =
                edits.iter().map(|edit| (&*edit.name, &edit.after[..])).collect();
            replace(disk, &map, &files, &mut patch)?;
            if !is_whole {
                warnings.push(
                    "an earlier change of this boot partition was interrupted; this one clears what it left".into(),
                );
            }
            return Ok(Prepared { edits, patch, warnings });
        }
        last = Some(BootError::Full { needed, free });
    }
    Err(last.unwrap_or(BootError::NoAgent(os.bits)))
}

/// Which agents are tried: on 64 bit all of them where they fit, else those that the operating system can run; on
/// 32 bit only those.
fn choices<'a>(agents: &'a Agents, os: &Os) -> Vec<Vec<&'a Agent>> {
    let able = agents.for_bits(os.bits);
    match os.bits {
        _ if able.is_empty() => Vec::new(),
        Bits::SixtyFour => vec![agents.all(), able],
        Bits::ThirtyTwo => vec![able],
    }
}

/// The edits without those that are there already.
fn changes<B: ReadAt>(
    fs: &BootFs<'_, B>,
    os: &Os,
    node: &NodeFiles,
    agents: &[&Agent],
    extras: &Extras,
    found: &Found,
) -> Result<(Vec<Edit>, Vec<String>), BootError> {
    let mut edits = only_new(fs, edits::payload(node, agents, found)?)?;
    let armed = !edits.is_empty();
    let (settings, warnings) = edits::settings(os, node, extras, found, armed)?;
    edits.extend(only_new(fs, settings)?);
    for edit in &mut edits {
        edit.replaces = fs.exists(&edit.name)?;
        if edit.show == Show::Text {
            edit.before = fs.read(&edit.name)?;
        }
    }
    Ok((edits, warnings))
}

fn only_new<B: ReadAt>(fs: &BootFs<'_, B>, edits: Vec<Edit>) -> Result<Vec<Edit>, FatError> {
    let mut new = Vec::new();
    for edit in edits {
        if !fs.holds(&edit.name, &edit.after)? {
            new.push(edit);
        }
    }
    Ok(new)
}

fn found<B: ReadAt>(fs: &BootFs<'_, B>, os: &Os) -> Result<Found, BootError> {
    let mut cmdlines = Vec::new();
    for path in &os.cmdlines {
        let line = fs.read(path)?.ok_or_else(|| BootError::NoCmdline(path.clone()))?;
        cmdlines.push((path.clone(), line));
    }
    Ok(Found {
        cmdlines,
        config: fs.read("config.txt")?,
        user_data: fs.read("user-data")?,
        meta_data: fs.read("meta-data")?,
        plan: plan_on(fs)?,
        both_page_sizes: fs.exists(page_size::SMALL)? && fs.exists(page_size::LARGE)?,
        launched: fs.exists(names::LAUNCH_LOG)?,
    })
}

/// The plan that lies there; one that cannot be read is as good as none, and is written anew.
fn plan_on<B: ReadAt>(fs: &BootFs<'_, B>) -> Result<Option<FirstbootPlan>, FatError> {
    let text = fs.read(names::PLAN)?;
    let text = text.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok(text.and_then(|text| FirstbootPlan::from_toml(text).ok()))
}

/// What a card that was prepared before has for its node: the plan, and the secrets that the node has not taken yet;
/// `None` where piflash has not been.
///
/// # Errors
/// [`BootError::Plan`], [`BootError::Secrets`], and what reading the volume says.
pub fn existing(disk: &impl WithBoot) -> Result<Option<NodeFiles>, BootError> {
    let mut patch = Patch::default();
    let map = disk.map(&patch)?;
    let fs = BootFs::open(disk, &map, &mut patch)?;
    let Some(bytes) = fs.read(names::PLAN)? else { return Ok(None) };
    let plan =
        FirstbootPlan::from_toml(&String::from_utf8_lossy(&bytes)).map_err(BootError::Plan)?;
    let bytes = Zeroizing::new(fs.read(names::SECRETS)?.unwrap_or_default());
    // The launcher overwrites them before it removes them: a cut between the two leaves zeros.
    if is_zero(&bytes) {
        return Ok(Some(NodeFiles { plan, secrets: Secrets::default() }));
    }
    // As none they would be lost with the next change.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let secrets = Secrets::from_toml(&text).map_err(BootError::Secrets)?;
    Ok(Some(NodeFiles { plan, secrets }))
}

/// Bytes in whole clusters that the edits take, with a cluster per file for the growth of its folder, and the reserve. What
/// they replace stays until the new content stands beside it.
fn needed(edits: &[Edit], cluster: u64) -> u64 {
    let clusters: u64 =
        edits.iter().map(|edit| (edit.after.len() as u64).div_ceil(cluster) + 1).sum();
    if clusters == 0 { 0 } else { clusters * cluster + RESERVE_BYTES }
}
