//! User Mode Linux: a kernel that is a process of this computer. Boots the amd64 twin of a card from its own two
//! partitions; needs neither root nor KVM.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result};
use rustix::fs::{FsWord, StatVfsMountFlags};

use super::process::{Ending, Running};
use super::{Machine, PATIENCE, config_txt};
use crate::card::Card;
use crate::needs::{self, Missing};
use crate::switch::Cable;

/// What UML prints when it cannot start itself anew; see [`Uml::boot`].
const REBOOT_REFUSED: &str = "Failed to exec kernel";

/// `f_type` of a file system in memory, statfs(2).
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// A User Mode Linux computer.
#[derive(Debug, Clone)]
pub struct Uml {
    kernel: PathBuf,
    memory_mib: u32,
    /// Where the console logs go, one per boot.
    logs: PathBuf,
    cable: Option<Cable>,
}

impl Uml {
    /// A computer with `memory_mib` of memory that writes its console logs into the directory `logs`.
    ///
    /// # Errors
    /// When User Mode Linux is not installed.
    pub fn new(memory_mib: u32, logs: impl Into<PathBuf>) -> Result<Self, Missing> {
        let kernel = needs::command("linux.uml", "user-mode-linux")?;
        needs::command("setpriv", "util-linux")?;
        Ok(Self { kernel, memory_mib, logs: logs.into(), cable: None })
    }

    /// The same computer with a network card, which is `eth0` in the test images, and this cable in it.
    #[must_use]
    pub fn plugged_into(mut self, cable: Cable) -> Self {
        self.cable = Some(cable);
        self
    }
}

impl Uml {
    /// Where the guest's memory lies, a file that UML removes as it opens it: on a disk the kernel would write all of it
    /// there, again and again. `None`: not in the memory of this computer, which has no room for it or runs no code from
    /// there.
    fn place_of_memory(&self) -> Option<&'static Path> {
        let shared = Path::new("/dev/shm");
        let is_memory = rustix::fs::statfs(shared).ok()?.f_type == TMPFS_MAGIC;
        let state = rustix::fs::statvfs(shared).ok()?;
        let runs_code = !state.f_flag.contains(StatVfsMountFlags::NOEXEC);
        let free_mib = (state.f_bavail * state.f_frsize) >> 20;
        (is_memory && runs_code && free_mib > u64::from(self.memory_mib)).then_some(shared)
    }
}

impl Machine for Uml {
    fn boot(&self, card: &Card) -> Result<Running> {
        let scratch = tempfile::Builder::new().prefix("pikube-test-uml").tempdir()?;
        let files = config_txt::boot_files(card)?;
        let initrd = card.boot_file(&files.initrd)?;
        let initrd = initrd.with_context(|| format!("no {} on the card", files.initrd))?;
        std::fs::write(scratch.path().join("initrd"), initrd)?;

        let path = scratch.path().display();
        let mut arguments = vec![
            format!("mem={}M", self.memory_mib),
            format!("ubd0={}", card.path().display()),
            format!("initrd={path}/initrd"),
            // its control directory: of this boot, not in the user's home
            format!("uml_dir={path}/"),
        ];
        // tty1 and ttyS1 are what the cards' command lines name last, so /dev/console is one of them. Both show here;
        // everything else leads nowhere. An input would have to stay open, and nobody types.
        arguments.extend(
            ["con=null", "con0=null", "con1=null,fd:1", "ssl=null", "ssl1=null,fd:1"]
                .map(Into::into),
        );
        // 512 pseudo terminals of old, each an event for udev; SELinux, which Debian does not use either
        arguments.extend(["pty.legacy_count=0", "selinux=0"].map(Into::into));
        // Nobody logs in here, and this kernel's console driver now and then trips over a getty.
        let gettys = ["systemd.mask=getty@tty1.service", "systemd.mask=serial-getty@ttyS1.service"];
        arguments.extend(gettys.map(Into::into));
        arguments.extend(self.cable.iter().map(Cable::uml_argument));
        arguments.extend(PATIENCE.split_whitespace().map(str::to_owned));
        // last, as on a Pi: what the card says wins
        let line = config_txt::command_line(card, "ttyS1")?;
        arguments.extend(line.split_whitespace().map(str::to_owned));

        // UML reboots by starting its own argv[0] again, with the command line of before. A name that does not exist
        // makes it give up instead, and the next boot is ours.
        let mut command = match &self.cable {
            Some(cable) => cable.command("bash"),
            None => Command::new("bash"),
        };
        command
            .args(["-c", "exec -a pikube-test-uml \"$0\" \"$@\""])
            .arg(&self.kernel)
            .args(arguments)
            .env("TMPDIR", self.place_of_memory().unwrap_or(scratch.path()));
        let log = super::process::new_log(&self.logs, "uml")?;
        Running::start(&command, scratch, log, ending)
    }
}

/// What the guest's kernel says last, when everything is synced and unmounted: from here on only UML itself can stumble.
const REBOOTS: &str = "reboot: Restarting system";

fn ending(status: ExitStatus, console: &str) -> Option<Ending> {
    if console.contains(REBOOT_REFUSED) || console.contains(REBOOTS) {
        Some(Ending::Reboot)
    } else if status.success() {
        Some(Ending::PowerOff)
    } else {
        None
    }
}
