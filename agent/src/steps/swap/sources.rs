//! What would bring swap back at the next boot.

use std::fmt;

use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::{DPHYS, RPI_SWAP, RPI_SWAP_UNITS, fstab, variables};
use crate::steps::{edit, in_place, put, units};

const FSTAB: &str = "/etc/fstab";
const DPHYS_UNIT: &str = "dphys-swapfile.service";
/// Services that make swap of their own at boot: Raspberry Pi OS to bookworm, zram-tools, Ubuntu's zram-config.
const SERVICES: [&str; 3] = [DPHYS_UNIT, "zramswap.service", "zram-config.service"];
/// Where rpi-swap is to be seen.
const RPI_SIGNS: [&str; 3] = [
    "/etc/rpi/swap.conf",
    "/usr/lib/systemd/system-generators/rpi-swap-generator",
    "/lib/systemd/system-generators/rpi-swap-generator",
];
/// The file of dphys-swapfile and rpi-swap, where their settings do not say otherwise.
const SWAP_FILE: &str = "/var/swap";

/// One thing that would bring it back.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// A unit that is not masked.
    Unit(String),
    /// A `.swap` unit of whatever origin.
    SwapUnit(String),
    /// dphys-swapfile's settings.
    Dphys,
    /// rpi-swap's settings.
    RpiSwap,
    /// Lines of fstab.
    Fstab,
    /// The swap file itself.
    File(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) | Self::SwapUnit(unit) => write!(f, "`{unit}` is not masked"),
            Self::Dphys => write!(f, "`{DPHYS}` does not say `CONF_SWAPSIZE=0`"),
            Self::RpiSwap => write!(f, "`{RPI_SWAP}` does not say `Mechanism=none`"),
            Self::Fstab => write!(f, "`{FSTAB}` has swap"),
            Self::File(path) => write!(f, "the swap file `{path}` is there"),
        }
    }
}

/// All of them, in the order in which they are switched off.
pub fn all(context: &Context, host: &dyn Look) -> Result<Vec<Source>, Error> {
    let mut found = Vec::new();
    if has_rpi_swap(host)? {
        if let Some(file) = context.file(RPI_SWAP)
            && !in_place(host, file)?
        {
            found.push(Source::RpiSwap);
        }
        for unit in RPI_SWAP_UNITS {
            push_unmasked(host, &mut found, unit, Source::Unit)?;
        }
    }
    let dphys = host.text(DPHYS)?;
    if dphys
        .as_ref()
        .is_some_and(|text| variables::get(text, "CONF_SWAPSIZE").as_deref() != Some("0"))
    {
        found.push(Source::Dphys);
    }
    for unit in SERVICES {
        if units::is_installed(host, unit)? || host.exists(&init_script(unit))? {
            push_unmasked(host, &mut found, unit, Source::Unit)?;
        }
    }
    if !fstab::swap_lines(&host.text(FSTAB)?.unwrap_or_default()).is_empty() {
        found.push(Source::Fstab);
    }
    for unit in units::named(host, ".swap")? {
        if !RPI_SWAP_UNITS.contains(&unit.as_str()) || !has_rpi_swap(host)? {
            push_unmasked(host, &mut found, &unit, Source::SwapUnit)?;
        }
    }
    if let Some(path) = swap_file(host, dphys.as_deref())? {
        found.push(Source::File(path));
    }
    Ok(found)
}

impl Source {
    /// Switches it off.
    pub fn switch_off(&self, context: &Context, host: &dyn Host) -> Result<(), Error> {
        match self {
            Self::Unit(unit) | Self::SwapUnit(unit) => units::mask(host, unit),
            Self::RpiSwap => context.file(RPI_SWAP).map_or(Ok(()), |file| put(host, file)),
            Self::Dphys => {
                let now = host.text(DPHYS)?.unwrap_or_default();
                edit(host, DPHYS, &variables::merge(&now, &[("CONF_SWAPSIZE", "0")]))
            }
            Self::Fstab => {
                let now = host.text(FSTAB)?.unwrap_or_default();
                edit(host, FSTAB, &fstab::without_swap(&now))
            }
            Self::File(path) => host.remove(path),
        }
    }
}

fn push_unmasked(
    host: &dyn Look,
    found: &mut Vec<Source>,
    unit: &str,
    source: fn(String) -> Source,
) -> Result<(), Error> {
    if !units::is_masked(host, unit)? {
        found.push(source(unit.to_owned()));
    }
    Ok(())
}

fn has_rpi_swap(host: &dyn Look) -> Result<bool, Error> {
    for sign in RPI_SIGNS {
        if host.exists(sign)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// buster's dphys-swapfile may come as a script only, which systemd wraps.
fn init_script(unit: &str) -> String {
    format!("/etc/init.d/{}", unit.trim_end_matches(".service"))
}

/// The swap file that the OS made itself; anything else is the owner's.
fn swap_file(host: &dyn Look, dphys: Option<&str>) -> Result<Option<String>, Error> {
    if dphys.is_none() && !has_rpi_swap(host)? {
        return Ok(None);
    }
    let path = dphys
        .and_then(|text| variables::get(text, "CONF_SWAPFILE"))
        .filter(|path| path.starts_with('/'))
        .unwrap_or_else(|| SWAP_FILE.to_owned());
    Ok(host.exists(&path)?.then_some(path))
}
