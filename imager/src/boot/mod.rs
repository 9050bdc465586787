//! The boot partition: recognises the operating system, plans the edits, and applies them to each card's own copy.
//!
//! * [`recognise`]: what is there ► which [`Os`]; pure.
//! * `edits`: operating system + plan + what a person adds ► files; pure. Each kind of file has its module.
//! * [`prepare`]: files ► changed sectors of one card.

pub mod cmdline;
pub mod config_txt;
mod edits;
mod extras;
mod family;
mod fat;
mod firmware;
mod flags;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod meta_data;
mod os;
mod page_size;
mod prepare;
mod replace;
mod seed;
mod user_data;
mod wifi;

use pikube_config::{Problems, names};
use thiserror::Error;

use crate::image::{MapError, Patch, WithBoot};

pub use edits::{Edit, EditError, NodeFiles, Show};
pub use extras::{ExtraFile, Extras};
pub use family::{SUPPORTED, Signs, Unsupported, recognise};
pub use fat::{BootFs, FatError};
pub use os::{Bits, Family, Hook, Os, Release};
pub use prepare::{Prepared, existing, prepare};
pub use user_data::UserData;

/// Why a boot partition cannot be prepared. Nothing has been written to any card then.
#[derive(Debug, Error)]
pub enum BootError {
    /// See [`FatError`].
    #[error(transparent)]
    Fat(#[from] FatError),
    /// See [`MapError`].
    #[error(transparent)]
    Map(#[from] MapError),
    /// See [`Unsupported`].
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// See [`EditError`].
    #[error(transparent)]
    Edit(#[from] EditError),
    /// A plan on the card that cannot be read.
    #[error("the plan on the card, `{plan}`, cannot be read: {0}", plan = names::PLAN)]
    Plan(Problems),
    /// Secrets on the card that the node has not taken, and that cannot be read.
    #[error("the secrets on the card, `{secrets}`, cannot be read: {0}", secrets = names::SECRETS)]
    Secrets(Problems),
    /// No command line to hook into.
    #[error("the boot partition has no `{0}`")]
    NoCmdline(String),
    /// Not enough room.
    #[error("the boot partition is full: {needed} bytes are needed and {free} are free")]
    Full {
        /// Bytes in whole clusters, with the reserve.
        needed: u64,
        /// Bytes in free clusters.
        free: u64,
    },
    /// There is no agent to put there.
    #[error("this piflash has no agent for {0} systems built in")]
    NoAgent(Bits),
}

impl BootError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            BootError::Unsupported(error) => Some(error.help()),
            BootError::Edit(error) => error.help(),
            BootError::Plan(_) | BootError::Secrets(_) => Some(
                "write the card anew: `piflash --hostname NAME CARD`; a change would lose them"
                    .into(),
            ),
            BootError::Map(MapError::Read(_)) => None,
            BootError::NoCmdline(_) | BootError::Fat(_) | BootError::Map(MapError::TooLarge(_)) => {
                Some(format!("check the image; piflash prepares {SUPPORTED}"))
            }
            BootError::Map(_) => {
                Some("mend the boot partition with `fsck.vfat -r`, or write the card anew".into())
            }
            BootError::Full { .. } => Some(
                "add fewer or smaller files, and start from the image as its makers publish it"
                    .into(),
            ),
            BootError::NoAgent(_) => {
                Some("build it with `make install`, or name a folder with `--agent-dir`".into())
            }
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
    /// Whether a node has started from it.
    pub launched: bool,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
}

/// Reads the boot partition of an image, or of a card.
///
/// # Errors
/// [`BootError`]: not a FAT volume, or an operating system that piflash does not prepare.
pub fn survey(disk: &impl WithBoot) -> Result<Survey, BootError> {
    let mut patch = Patch::default();
    let map = disk.map(&patch)?;
    let fs = BootFs::open(disk, &map, &mut patch)?;
    let text = |name: &str| -> Result<Option<String>, FatError> {
        Ok(fs.read(name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let config = text("config.txt")?;
    let firmware = firmware::Config::new(config.as_deref().unwrap_or(""), text)?;
    let lines = firmware.command_lines(|path| fs.exists(path))?;
    let signs = Signs {
        label: fs.label(),
        cmdline: lines.paths.first().map(|path| text(path)).transpose()?.flatten(),
        cmdlines: lines.paths.clone(),
        config,
        issue: text("issue.txt")?,
        os_release: text("os-release")?,
        network_config: text("network-config")?,
        readme: text("README")?,
        cloud_init: fs.exists("user-data")? && fs.exists("meta-data")?,
        kernel_32: fs.exists("kernel.img")? || fs.exists("kernel7.img")?,
        user_config: fs.exists("usercfg.txt")?,
        launched: fs.exists(names::LAUNCH_LOG)?,
    };
    let os = recognise(&signs)?;
    if let ([], [(path, _), ..]) = (&lines.paths[..], &lines.missing[..]) {
        return Err(BootError::NoCmdline(path.clone()));
    }
    let (label, launched, notes) = (signs.label.clone(), signs.launched, lines.notes());
    Ok(Survey { os, label, fat: fs.kind(), free_bytes: map.free_bytes(), launched, notes })
}
