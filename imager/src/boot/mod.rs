//! The boot partition: recognises the operating system, plans the edits, and applies them to each card's own copy.

pub mod cmdline;
mod edits;
mod family;
mod fat;

use thiserror::Error;

use crate::agents::Agents;
use crate::image::{Head, Patch};

pub use edits::{Edit, EditError, NodeFiles, Show};
pub use family::{Family, Os, SUPPORTED, Signs, Unsupported, recognise};
pub use fat::{BootFs, FatError};

/// Left free on the boot partition for what the OS and the agent write there, bytes.
const RESERVE_BYTES: u64 = 256 << 10;

/// Why a boot partition cannot be prepared. Nothing has been written to any card then.
#[derive(Debug, Error)]
pub enum BootError {
    /// See [`FatError`].
    #[error(transparent)]
    Fat(#[from] FatError),
    /// See [`Unsupported`].
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// See [`EditError`].
    #[error(transparent)]
    Edit(#[from] EditError),
    /// No command line to hook into.
    #[error("the boot partition has no `cmdline.txt`")]
    NoCmdline,
    /// Not enough room.
    #[error("the boot partition is full: {needed} bytes are needed and {free} are free")]
    Full {
        /// Bytes in whole clusters, with the reserve.
        needed: u64,
        /// Bytes in free clusters.
        free: u64,
    },
    /// There is no agent to put there.
    #[error("this piflash has no agent for 64-bit systems built in")]
    NoAgent,
}

impl BootError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            BootError::Unsupported(_) => Some(format!("use {SUPPORTED}")),
            BootError::Edit(EditError::Cmdline(cmdline::CmdlineError::ForeignHook(_))) => Some(
                "start from the image as its makers publish it, not customised by another tool"
                    .into(),
            ),
            BootError::NoCmdline | BootError::Fat(_) => {
                Some(format!("check the image; piflash prepares {SUPPORTED}"))
            }
            BootError::Full { .. } => Some("start from the image as its makers publish it".into()),
            BootError::NoAgent => {
                Some("build it with `make install`, or name a folder with `--agent-dir`".into())
            }
            BootError::Edit(_) => None,
        }
    }
}

/// What is on the image's boot partition.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The operating system.
    pub os: Os,
    /// Volume label.
    pub label: String,
    /// `FAT16` or `FAT32`.
    pub fat: &'static str,
    /// Free bytes.
    pub free_bytes: u64,
}

/// One node's boot partition: what changes, and the changed sectors.
pub struct Prepared {
    /// The files, in the order in which they are written.
    pub edits: Vec<Edit>,
    /// The changed sectors.
    pub patch: Patch,
}

/// Reads the boot partition of the image.
///
/// # Errors
/// [`BootError`]: not a FAT volume, or an operating system that piflash does not prepare.
pub fn survey(head: &Head) -> Result<Survey, BootError> {
    let mut patch = Patch::default();
    let fs = BootFs::open(head.patched(&mut patch))?;
    let text = |name: &str| -> Result<Option<String>, FatError> {
        Ok(fs.read(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let signs = Signs {
        label: fs.label(),
        config: text("config.txt")?,
        cmdline: text("cmdline.txt")?,
        issue: text("issue.txt")?,
        os_release: text("os-release")?,
        kernel_32: fs.exists("kernel.img")? || fs.exists("kernel7.img")?,
    };
    let os = recognise(&signs)?;
    if signs.cmdline.is_none() {
        return Err(BootError::NoCmdline);
    }
    Ok(Survey { os, label: signs.label.clone(), fat: fs.kind(), free_bytes: fs.free()?.0 })
}

/// Edits one node's copy of the boot partition.
///
/// # Errors
/// [`BootError`]; the copy is discarded then.
pub fn prepare(
    head: &Head,
    os: &Os,
    node: &NodeFiles,
    agents: &Agents,
) -> Result<Prepared, BootError> {
    let mut patch = Patch::default();
    let fs = BootFs::open(head.patched(&mut patch))?;
    let cmdline = fs.read("cmdline.txt")?.ok_or(BootError::NoCmdline)?;
    let (free, cluster) = fs.free()?;
    let mut edits = Vec::new();
    // All agents where they fit; else only those that the operating system can run.
    for choice in [agents.all(), agents.for_64_bit()] {
        if choice.is_empty() {
            return Err(BootError::NoAgent);
        }
        edits = edits::edits(os, node, &choice, &cmdline)?;
        for edit in &mut edits {
            if edit.show == Show::Text {
                edit.before = fs.read(&edit.name)?;
            }
        }
        let needed = needed(&edits, cluster);
        if needed <= free {
            break;
        }
        if choice.len() == agents.for_64_bit().len() {
            return Err(BootError::Full { needed, free });
        }
    }
    for edit in &edits {
        fs.write(&edit.name, &edit.after)?;
    }
    fs.close()?;
    Ok(Prepared { edits, patch })
}

/// Bytes in whole clusters that the edits take beyond what their predecessors hold, with a cluster per file for the
/// growth of the root directory, and the reserve.
fn needed(edits: &[Edit], cluster: u64) -> u64 {
    let clusters = |bytes: usize| (bytes as u64).div_ceil(cluster);
    let files: u64 = edits
        .iter()
        .map(|edit| {
            let before = edit.before.as_ref().map_or(0, |before| clusters(before.len()));
            (clusters(edit.after.len()) + 1).saturating_sub(before)
        })
        .sum();
    files * cluster + RESERVE_BYTES
}
