//! The seam to the machine: files, commands, clock, sleep. Nothing outside this folder touches any of them.
//!
//! Paths are those of the node (`/etc/hostname`); the real host puts them under its root. [`Look`] is all that a
//! check may do, [`Host`] what an apply may do besides: that a check changes nothing is a matter of types.

mod command;
mod error;
mod files;
mod real;
#[cfg(test)]
pub(crate) mod scripted;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

pub use command::{Answer, Command};
pub use error::{Error, Fault};
pub use real::Real;

/// What a path is, without following a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// File, folder or link.
    pub kind: Kind,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Owner's user and group number.
    pub owner: (u32, u32),
    /// Length in bytes.
    pub size_bytes: u64,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Device, socket, pipe.
    Other,
}

/// Permission bits and owner of something that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Permission bits.
    pub mode: u32,
    /// Owner's user and group number.
    pub owner: (u32, u32),
}

impl Access {
    /// Root's own, with these permission bits.
    pub const fn root(mode: u32) -> Self {
        Self { mode, owner: (0, 0) }
    }

    /// As the file is now: an edited file keeps its permissions and owner.
    pub fn like(stat: &Stat) -> Self {
        Self { mode: stat.mode, owner: stat.owner }
    }
}

/// Held while one agent runs; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read")] Option<std::fs::File>);

/// How far a command is that runs beside everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// It runs.
    Running,
    /// It has ended, and said this.
    Ended(Answer),
}

/// What can be seen without changing anything.
pub trait Look {
    /// Whether this is the running system; under a test root its commands and its kernel say nothing.
    fn live(&self) -> bool;

    /// The contents; `None` where nothing is there. Follows symbolic links.
    ///
    /// # Errors
    /// Any other I/O error.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error>;

    /// What is there; does not follow a symbolic link.
    ///
    /// # Errors
    /// Any I/O error but "not found".
    fn stat(&self, path: &str) -> Result<Option<Stat>, Error>;

    /// Where a symbolic link points; `None` where there is no link.
    ///
    /// # Errors
    /// Any I/O error but "not found" and "not a link".
    fn read_link(&self, path: &str) -> Result<Option<String>, Error>;

    /// The names in a folder, sorted; none where there is no folder.
    ///
    /// # Errors
    /// Any other I/O error.
    fn list(&self, path: &str) -> Result<Vec<String>, Error>;

    /// `CLOCK_REALTIME`.
    fn now(&self) -> Timestamp;

    /// Time since the program started, of a clock that nobody sets.
    fn elapsed(&self) -> Duration;

    /// Runs a command that only asks. Its status is part of the answer.
    ///
    /// # Errors
    /// The command cannot be started, does not end in time, or this is not the running system.
    fn ask(&self, command: &Command) -> Result<Answer, Error>;

    /// Whether somebody takes a TCP connection at an address, within 5 s.
    ///
    /// # Errors
    /// Nobody does, and why.
    fn reach(&self, to: SocketAddr) -> Result<(), Error>;

    /// Says something over TCP and hears the answer: 64 KiB at most, up to the end of the connection or 5 s of silence.
    ///
    /// # Errors
    /// As [`Look::reach`]; or the connection breaks before there is any answer.
    fn converse(&self, to: SocketAddr, words: &[u8]) -> Result<Vec<u8>, Error>;

    /// How far the command is that [`Host::start`] has started under this name; `None` where there is none. One that
    /// has ended is told once.
    ///
    /// # Errors
    /// It has not ended in time, and is gone.
    fn job(&self, name: &str) -> Result<Option<Job>, Error>;

    /// Whether something is there.
    ///
    /// # Errors
    /// As [`Look::stat`].
    fn exists(&self, path: &str) -> Result<bool, Error> {
        Ok(self.stat(path)?.is_some())
    }

    /// The contents as text; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`Look::read`].
    fn text(&self, path: &str) -> Result<Option<String>, Error> {
        Ok(self.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// What changes the machine.
pub trait Host: Look {
    /// Puts a file in place atomically: temporary file beside it, mode, owner, fsync, rename, fsync of the folder.
    /// Folders above it are made (0755). Contents, mode and owner that are already right are not written again.
    ///
    /// # Errors
    /// Any I/O error; the file is then as it was.
    fn write(&self, path: &str, content: &[u8], access: Access) -> Result<(), Error>;

    /// As [`Host::write`], for the FAT, which has neither modes nor owners.
    ///
    /// # Errors
    /// Any I/O error.
    fn write_plain(&self, path: &str, content: &[u8]) -> Result<(), Error>;

    /// Adds to the end of a file (0644, made if absent) and waits until it is on the medium.
    ///
    /// # Errors
    /// Any I/O error; a part of the line may be there then.
    fn append(&self, path: &str, content: &[u8]) -> Result<(), Error>;

    /// Writes a value into a file of the kernel (`/proc/sys`), in place.
    ///
    /// # Errors
    /// Any I/O error, such as a value the kernel does not take.
    fn tune(&self, path: &str, value: &str) -> Result<(), Error>;

    /// Makes a symbolic link, atomically, in the place of whatever file or link is there.
    ///
    /// # Errors
    /// Any I/O error.
    fn link(&self, target: &str, path: &str) -> Result<(), Error>;

    /// Makes a folder if absent and gives it this mode and owner. Folders above it must exist.
    ///
    /// # Errors
    /// Any I/O error; something else has the name.
    fn folder(&self, path: &str, access: Access) -> Result<(), Error>;

    /// Removes a file or link; nothing there is fine.
    ///
    /// # Errors
    /// Any other I/O error.
    fn remove(&self, path: &str) -> Result<(), Error>;

    /// Overwrites a file with zeros in place, waits until they are on the medium, then removes it.
    ///
    /// # Errors
    /// Any I/O error; nothing there is fine.
    fn scrub(&self, path: &str) -> Result<(), Error>;

    /// Runs a command that changes something; a status other than 0 is an error.
    ///
    /// # Errors
    /// As [`Look::ask`], and the status with the end of what the command said.
    fn run(&self, command: &Command) -> Result<Answer, Error>;

    /// Starts a command that runs beside everything else; [`Look::job`] tells how far it is. It ends with the agent at
    /// the latest (systemd ends what is left in the unit's control group).
    ///
    /// # Errors
    /// It cannot be started.
    fn start(&self, name: &'static str, command: &Command) -> Result<(), Error>;

    /// Sets `CLOCK_REALTIME`.
    ///
    /// # Errors
    /// Not root.
    fn set_clock(&self, to: Timestamp) -> Result<(), Error>;

    /// Waits until everything written so far is on the medium (sync(2)): commands do not fsync what they write.
    fn sync(&self);

    /// Waits.
    fn sleep(&self, time: Duration);

    /// A number in `0.0..1.0`, for jitter.
    fn random(&self) -> f64;

    /// Takes the lock at `path`; `None` where another process holds it.
    ///
    /// # Errors
    /// Any I/O error.
    fn lock(&self, path: &str) -> Result<Option<Lock>, Error>;
}
