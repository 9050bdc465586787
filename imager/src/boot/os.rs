//! The operating systems that piflash prepares, and what differs between them.
//!
//! The table with its sources is `os-families` of the design's reference, §1.

use std::fmt;

/// An operating system, as its boot partition shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Os {
    /// Who makes it.
    pub family: Family,
    /// Which release.
    pub release: Release,
    /// Version of the image, where it has one beside the release (HypriotOS): major, minor, patch.
    pub version: Option<(u32, u32, u32)>,
    /// Where the booted system mounts the boot partition.
    pub mount: &'static str,
    /// Word size of its programs; the kernel's may be larger.
    pub bits: Bits,
    /// Files of the kernel command line on the boot partition, that of most boards first: which of them the firmware takes
    /// depends on board and conditions (see [`super::firmware`]).
    pub cmdlines: Vec<String>,
    /// How the launcher gets started.
    pub hook: Hook,
    /// Whether cloud-init reads `user-data` there.
    pub cloud_init: bool,
    /// Whether the first boot has been: what it removes from the boot partition is gone.
    pub booted: bool,
}

/// Who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// HypriotOS.
    Hypriot,
    /// Raspberry Pi OS, once Raspbian.
    RaspberryPiOs,
    /// Ubuntu Server.
    Ubuntu,
    /// Debian's own Pi images, made with raspi-firmware.
    Debian,
}

/// Which release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 8.
    Jessie,
    /// Debian 9.
    Stretch,
    /// Debian 10.
    Buster,
    /// Debian 11.
    Bullseye,
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
    /// Ubuntu 22.04.
    Jammy,
    /// Ubuntu 24.04, or a later one with the same boot partition.
    Noble,
    /// A later Ubuntu, with two sets of boot files side by side (`os_prefix=current/`).
    TwoBootSets,
    /// Not told by the boot partition, and it makes no difference.
    Any,
}

/// Word size of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// armhf.
    ThirtyTwo,
    /// arm64.
    SixtyFour,
}

/// How the launcher gets started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// `systemd.run=` on the kernel command line, systemd 240 and later.
    SystemdRun,
    /// cloud-init's `user-data`.
    CloudInit,
}

impl Os {
    /// For people: `Raspberry Pi OS trixie, 64 bit`.
    pub fn name(&self) -> String {
        let (family, bits) = (self.family.name(), self.bits);
        match (self.version, self.release.name()) {
            (Some((major, minor, patch)), Some(release)) => {
                format!("{family} {major}.{minor}.{patch} ({release}), {bits}")
            }
            (None, Some(release)) => format!("{family} {release}, {bits}"),
            (_, None) => format!("{family}, {bits}"),
        }
    }

    /// One of the family, 64 bit, as its image is.
    #[cfg(test)]
    pub(crate) fn example(family: Family, release: Release) -> Self {
        Self {
            family,
            release,
            version: None,
            mount: "/boot/firmware",
            bits: Bits::SixtyFour,
            cmdlines: vec!["cmdline.txt".into()],
            hook: Hook::SystemdRun,
            cloud_init: false,
            booted: false,
        }
    }

    /// Whether its image brings the packages `locales` and `console-setup`. Debian's own and HypriotOS do not: a
    /// locale or a keyboard that nobody asked for must not stop the agent there.
    pub fn has_locales(&self) -> bool {
        matches!(self.family, Family::RaspberryPiOs | Family::Ubuntu)
    }
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Family::Hypriot => "HypriotOS",
            Family::RaspberryPiOs => "Raspberry Pi OS",
            Family::Ubuntu => "Ubuntu Server",
            Family::Debian => "Debian for Raspberry Pi",
        }
    }
}

impl Release {
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Release::Jessie => "jessie",
            Release::Stretch => "stretch",
            Release::Buster => "buster",
            Release::Bullseye => "bullseye",
            Release::Bookworm => "bookworm",
            Release::Trixie => "trixie",
            Release::Jammy => "22.04",
            Release::Noble => "24.04 or later",
            Release::TwoBootSets => "with A/B boot",
            Release::Any => return None,
        })
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bits::ThirtyTwo => "32 bit",
            Bits::SixtyFour => "64 bit",
        })
    }
}
