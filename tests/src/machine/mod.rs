//! Computers to put a card into. Each boot reads the card's command line, initrd and kernel from its FAT anew, as the
//! Pi's firmware does; a guest that reboots ends the process, so that the next boot does so again.

mod config_txt;
mod console;
pub mod pc;
mod power;
mod process;
pub mod qemu;
pub mod uml;

use std::time::Duration;

use anyhow::{Result, bail};

pub use console::Console;
pub use power::Powered;
pub use process::{Ending, Running};

use crate::card::Card;

/// On a busy computer a machine may take minutes for what a Pi does in seconds; systemd would give up on the boot
/// partition after 90 s and stop in emergency mode.
const PATIENCE: &str =
    "systemd.default_timeout_start_sec=900 systemd.default_device_timeout_sec=900";

/// A kind of computer.
pub trait Machine {
    /// Switches the power on with this card inside.
    ///
    /// # Errors
    /// When the card lacks what a boot needs, or the machine cannot be started.
    fn boot(&self, card: &Card) -> Result<Running>;

    /// Boots, and boots again whenever the guest reboots, until it powers itself off. Returns how many boots that took.
    ///
    /// # Errors
    /// When one boot does not end within `limit`, or there are more than `most` of them.
    fn run_until_power_off(&self, card: &Card, limit: Duration, most: u32) -> Result<u32> {
        for boots in 1..=most {
            let mut running = self.boot(card)?;
            if running.wait_for_end(limit)? == Ending::PowerOff {
                return Ok(boots);
            }
        }
        bail!("still rebooting after {most} boots");
    }
}
