//! The process that is a machine: started in a group of its own, told to die with the test that started it, killed on
//! every way out.

use std::io::pipe;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tempfile::TempDir;

use super::console::{Console, Waited};

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The guest powered itself off.
    PowerOff,
    /// The guest wants to boot again.
    Reboot,
}

/// A machine that is switched on. Dropping it cuts its power.
#[derive(Debug)]
pub struct Running {
    child: Child,
    console: Console,
    /// Says from exit status and console how the boot ended; `None`: it crashed.
    ending: fn(ExitStatus, &str) -> Option<Ending>,
    /// Files of this boot, gone with it.
    _scratch: TempDir,
}

impl Running {
    /// Starts the machine. The child dies with the *thread* that calls this (`PR_SET_PDEATHSIG`), whatever kills that.
    pub(super) fn start(
        command: &Command,
        scratch: TempDir,
        log: PathBuf,
        ending: fn(ExitStatus, &str) -> Option<Ending>,
    ) -> Result<Self> {
        let (reader, writer) = pipe()?;
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL"]);
        if geteuid().is_root() {
            // The processes of User Mode Linux' guest would outlive it where the test itself is killed. In a namespace of
            // process ids all of them go with the first one, which is a shell: signals that UML sends to itself would not
            // reach it there.
            wrapped.args(["unshare", "--pid", "--fork", "--kill-child=KILL"]);
            wrapped.args(["bash", "-c", "\"$0\" \"$@\"; exit $?"]);
        }
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            wrapped.env(name, value.unwrap_or_default());
        }
        let child = wrapped
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        // the write end in `wrapped` would keep the console open for ever
        drop(wrapped);
        let console = Console::capture(reader, log)?;
        Ok(Self { child, console, ending, _scratch: scratch })
    }

    /// The console of this boot.
    #[must_use]
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Waits until the guest has written `needle` to its console.
    ///
    /// # Errors
    /// When the machine ends before, or `limit` has passed; with the tail of the console.
    pub fn wait_for_line(&mut self, needle: &str, limit: Duration) -> Result<()> {
        match self.console.wait_for(needle, limit) {
            Waited::Seen => Ok(()),
            Waited::Closed => {
                bail!("ended without {needle:?} on its console{}", self.where_it_was())
            }
            Waited::TimedOut => {
                bail!("no {needle:?} within {} s{}", limit.as_secs(), self.where_it_was())
            }
        }
    }

    /// Waits until the guest has written `needle` to its console, or has ended without it: then the ending.
    ///
    /// # Errors
    /// When it crashes, or `limit` has passed; with the tail of the console.
    pub fn wait_for_line_or_end(
        &mut self,
        needle: &str,
        limit: Duration,
    ) -> Result<Option<Ending>> {
        match self.console.wait_for(needle, limit) {
            Waited::Seen => Ok(None),
            Waited::Closed => self.wait_for_end(limit).map(Some),
            Waited::TimedOut => {
                bail!("no {needle:?} within {} s{}", limit.as_secs(), self.where_it_was())
            }
        }
    }

    /// Waits until the guest has powered off or asks for a reboot.
    ///
    /// # Errors
    /// When it crashes, or `limit` has passed; with the tail of the console.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<Ending> {
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                bail!("still running after {} s{}", limit.as_secs(), self.where_it_was());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        self.kill();
        self.console.finish();
        let text = self.console.text();
        match (self.ending)(status, &text) {
            Some(ending) => Ok(ending),
            None => bail!("crashed ({status}){}", self.where_it_was()),
        }
    }

    /// Whether the machine has ended by itself within `limit`: runs it for that long at most.
    ///
    /// # Errors
    /// When its state cannot be had.
    pub fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Cuts the power: SIGKILL. What the guest had not written to its card is gone.
    pub fn power_cut(mut self) {
        self.kill();
        self.console.finish();
    }

    fn kill(&mut self) {
        if let Ok(Some(group)) = i32::try_from(self.child.id()).map(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// For an error: the console's log file and how it ends.
    pub(crate) fn where_it_was(&self) -> String {
        let log = self.console.log().display();
        format!("; console in {log} ends:\n{}", self.console.tail(40))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        self.console.finish();
    }
}

/// A log file of its own for each boot: `<kind>-<n>.log`.
pub(super) fn new_log(directory: &Path, kind: &str) -> Result<PathBuf> {
    static BOOTS: AtomicU32 = AtomicU32::new(1);
    std::fs::create_dir_all(directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    let number = BOOTS.fetch_add(1, Ordering::Relaxed);
    Ok(directory.join(format!("{kind}-{number:03}.log")))
}
