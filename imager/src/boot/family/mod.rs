//! Which operating system is on a boot partition, told from its files alone, by structure before dates.
//!
//! The map of families with their sources is `os-families` of the design's reference, §1 and §3.

mod hypriot;
mod raspberry;
#[cfg(test)]
mod tests;
mod ubuntu;

use thiserror::Error;

use super::os::{Bits, Family, Hook, Os, Release};

/// What a boot partition shows of its operating system: a few small files and names.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// Volume label.
    pub label: String,
    /// Text of `config.txt`.
    pub config: Option<String>,
    /// Files of the kernel command line, that of most boards first.
    pub cmdlines: Vec<String>,
    /// Text of the first of them.
    pub cmdline: Option<String>,
    /// Text of `issue.txt` (Raspberry Pi OS).
    pub issue: Option<String>,
    /// Text of `os-release` (HypriotOS).
    pub os_release: Option<String>,
    /// Text of `network-config` (cloud-init).
    pub network_config: Option<String>,
    /// Text of `README` (Ubuntu).
    pub readme: Option<String>,
    /// Whether `user-data` and `meta-data` are there, without which cloud-init reads neither.
    pub cloud_init: bool,
    /// Whether a kernel for 32-bit boards lies there (`kernel.img`, `kernel7.img`).
    pub kernel_32: bool,
    /// Whether `usercfg.txt` is there (Ubuntu before 20.10).
    pub user_config: bool,
    /// Whether the launcher's log is there: it has run.
    pub launched: bool,
}

/// What is supported, for the help line of a refusal.
pub const SUPPORTED: &str = "Raspberry Pi OS buster to trixie, Ubuntu Server 22.04 or later, HypriotOS 1.7 to 1.12, or Debian's own \
     Raspberry Pi image";

/// Why an operating system is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unsupported {
    /// Known, and why it is not prepared.
    #[error("the boot partition holds {0}, which piflash does not prepare: {1}")]
    Known(String, &'static str),
    /// Nothing that is known.
    #[error("the boot partition `{0}` holds no operating system that piflash knows")]
    Unknown(String),
    /// One of several that are prepared differently, and what would tell them apart.
    #[error("the boot partition holds {0}, and {1} does not tell which")]
    Unclear(&'static str, &'static str),
}

impl Unsupported {
    /// What would work.
    pub fn help(&self) -> String {
        match self {
            Unsupported::Unclear(..) => {
                "write the card anew, from the image as its makers publish it".to_owned()
            }
            _ => format!("use {SUPPORTED}"),
        }
    }
}

/// Recognises the operating system.
///
/// # Errors
/// [`Unsupported`], by name where it has one.
pub fn recognise(signs: &Signs) -> Result<Os, Unsupported> {
    if let Some(os_release) = signs.os_release.as_deref()
        && let Some(version) = hypriot::version_of(os_release)
    {
        return hypriot::recognise(signs, os_release, version);
    }
    if ubuntu::is_it(signs) {
        return ubuntu::recognise(signs);
    }
    if signs.config().starts_with("# Do not modify this file!") && signs.has("upstream_kernel=1") {
        return Ok(debian(signs));
    }
    let pi_os = |text: &str| text.contains("pi-gen") || text.contains("Raspberry Pi reference");
    if signs.issue.as_deref().is_some_and(pi_os) {
        return raspberry::recognise(signs);
    }
    Err(Unsupported::Unknown(signs.label.clone()))
}

/// Made with raspi-firmware; its release makes no difference and is not on the boot partition.
fn debian(signs: &Signs) -> Os {
    Os {
        family: Family::Debian,
        release: Release::Any,
        version: None,
        mount: "/boot/firmware",
        bits: signs.bits_by_setting(),
        cmdlines: signs.cmdlines.clone(),
        hook: Hook::SystemdRun,
        cloud_init: false,
        booted: signs.launched,
    }
}

impl Signs {
    fn config(&self) -> &str {
        self.config.as_deref().unwrap_or("")
    }

    /// Whether the firmware finds its files in this folder.
    fn boots_from(&self, folder: &str) -> bool {
        self.cmdlines.iter().any(|path| path.starts_with(folder))
    }

    /// Whether `config.txt` has this setting on a line of its own, not commented out.
    fn has(&self, setting: &str) -> bool {
        self.config().lines().any(|line| line.trim() == setting)
    }

    /// The makers say it: `arm_64bit=1` where the kernel is a 64-bit one.
    fn bits_by_setting(&self) -> Bits {
        if self.has("arm_64bit=1") { Bits::SixtyFour } else { Bits::ThirtyTwo }
    }
}

/// The value of `KEY="value"` or `KEY=value` in a file such as os-release(5).
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
        Some(value.trim_matches('"'))
    })
}
