//! QEMU without KVM: the arm64 card as a Raspberry Pi 3B, or in QEMU's own `virt` board. Kernel, initrd, device tree
//! and command line come from the card's FAT. Slow: minutes for a boot.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};

use super::process::{Ending, Running};
use super::{Machine, PATIENCE, config_txt};
use crate::card::Card;
use crate::needs::{self, Missing};

/// The board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Board {
    /// Raspberry Pi 3B: 1 GiB, card in the SD slot.
    Pi3b,
    /// QEMU's own: card as a virtio disk.
    Virt,
}

/// A QEMU computer.
#[derive(Debug, Clone)]
pub struct Qemu {
    program: PathBuf,
    board: Board,
    /// Where the console logs go, one per boot.
    logs: PathBuf,
}

impl Qemu {
    /// A computer with this board that writes its console logs into the directory `logs`.
    ///
    /// # Errors
    /// When QEMU is not installed.
    pub fn new(board: Board, logs: impl Into<PathBuf>) -> Result<Self, Missing> {
        let program = needs::command("qemu-system-aarch64", "qemu-system-arm")?;
        needs::command("setpriv", "util-linux")?;
        Ok(Self { program, board, logs: logs.into() })
    }
}

impl Machine for Qemu {
    fn boot(&self, card: &Card) -> Result<Running> {
        let scratch = tempfile::Builder::new().prefix("pikube-test-qemu").tempdir()?;
        let files = config_txt::boot_files(card)?;
        let take = |name: &str, to: &str| -> Result<PathBuf> {
            let path = scratch.path().join(to);
            let bytes = card.boot_file(name)?.with_context(|| format!("no {name} on the card"))?;
            std::fs::write(&path, bytes)?;
            Ok(path)
        };
        let mut command = Command::new(&self.program);
        command.arg("-kernel").arg(take(&files.kernel, "kernel")?);
        command.arg("-initrd").arg(take(&files.initrd, "initrd")?);
        let drive = format!("file={},format=raw", card.path().display());
        // What the guest flushes is in the file when QEMU dies: that is enough for a power cut.
        let serial = match self.board {
            Board::Pi3b => {
                let size_bytes = std::fs::metadata(card.path())?.len();
                ensure!(
                    size_bytes.is_power_of_two(),
                    "an SD card in QEMU has a power of two bytes"
                );
                command.args(["-M", "raspi3b", "-serial", "null", "-serial", "stdio"]);
                command.arg("-dtb").arg(take("bcm2837-rpi-3-b.dtb", "dtb")?);
                command.arg("-drive").arg(format!("{drive},if=sd"));
                "ttyS1"
            }
            Board::Virt => {
                command.args([
                    "-M",
                    "virt",
                    "-cpu",
                    "cortex-a53",
                    "-m",
                    "1024",
                    "-serial",
                    "stdio",
                ]);
                command.arg("-drive").arg(format!("{drive},if=virtio"));
                "ttyAMA0"
            }
        };
        let line = config_txt::command_line(card, serial)?;
        // Raspberry Pi OS ends on console=tty1, a screen that is not here: the journal comes with the kernel's messages.
        // QEMU's Pi has no watchdog timer: systemd arming it for a reboot is a reset on the spot, half way down.
        let harness = format!(
            "console={serial},115200 systemd.journald.forward_to_kmsg=1 \
             systemd.journald.max_level_kmsg=info \
             systemd.watchdog_device=/dev/null {PATIENCE}"
        );
        command.arg("-append").arg(format!("{harness} {line}"));
        command.args(["-display", "none", "-monitor", "none", "-no-reboot"]);
        let log = super::process::new_log(&self.logs, "qemu")?;
        Running::start(&command, scratch, log, ending)
    }
}

/// How QEMU ended, told by what the kernel said last: it exits with 0 for a reboot (`-no-reboot`) and for power-off alike.
pub(super) fn ending(status: ExitStatus, console: &str) -> Option<Ending> {
    if !status.success() {
        None
    } else if console.contains("reboot: Restarting system") {
        Some(Ending::Reboot)
    } else if console.contains("reboot: Power down") {
        Some(Ending::PowerOff)
    } else {
        None
    }
}
