//! The machine itself, or files under a test root.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::FlockOperation;
use rustix::time::{ClockId, Timespec};

use super::command::{self, Begun};
use super::{Access, Answer, Command, Error, Host, Job, Kind, Lock, Look, Stat, files, wire};

/// Largest file that is read, in bytes: far more than any text of a system that a step reads.
const MOST_READ_BYTES: u64 = 16 << 20;

/// The machine, with every path under one root.
#[derive(Debug)]
pub struct Real {
    root: PathBuf,
    started: Instant,
    jobs: RefCell<BTreeMap<&'static str, Begun>>,
}

impl Real {
    /// The running system with `/`, else a test root.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), started: Instant::now(), jobs: RefCell::default() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn file<T>(
        &self,
        doing: &'static str,
        path: &str,
        act: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T, Error> {
        act(&self.at(path)).map_err(|source| Error::File { doing, path: path.to_owned(), source })
    }
}

/// `None` for what is not there (also below something that is not a folder).
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MOST_READ_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 > MOST_READ_BYTES {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB")),
        false => Ok(content),
    }
}

fn stat(path: &Path) -> io::Result<Stat> {
    let found = fs::symlink_metadata(path)?;
    let kind = match found.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    };
    Ok(Stat {
        kind,
        mode: found.mode() & 0o7777,
        owner: (found.uid(), found.gid()),
        size_bytes: found.len(),
    })
}

impl Look for Real {
    fn live(&self) -> bool {
        self.root == Path::new("/")
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.file("reading", path, |path| there(read(path)))
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.file("looking at", path, |path| there(stat(path)))
    }

    fn read_link(&self, path: &str) -> Result<Option<String>, Error> {
        self.file("reading the link", path, |path| match fs::read_link(path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            other => there(other.map(|target| target.to_string_lossy().into_owned())),
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.file("listing", path, |path| {
            let Some(entries) = there(fs::read_dir(path))? else { return Ok(Vec::new()) };
            let mut names = entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn ask(&self, command: &Command) -> Result<Answer, Error> {
        if !self.live() {
            return Err(Error::NotLive { line: command.to_string() });
        }
        command::run(command)
    }

    fn reach(&self, to: SocketAddr) -> Result<(), Error> {
        wire::reach(to)
    }

    fn converse(&self, to: SocketAddr, words: &[u8]) -> Result<Vec<u8>, Error> {
        wire::converse(to, words)
    }

    fn job(&self, name: &str) -> Result<Option<Job>, Error> {
        let mut jobs = self.jobs.borrow_mut();
        let Some(begun) = jobs.get_mut(name) else { return Ok(None) };
        let answer = begun.answer();
        if !matches!(answer, Ok(None)) {
            jobs.remove(name);
        }
        Ok(Some(answer?.map_or(Job::Running, Job::Ended)))
    }
}

impl Host for Real {
    fn write(&self, path: &str, content: &[u8], access: Access) -> Result<(), Error> {
        self.file("writing", path, |path| files::replace(path, content, Some(access)))
    }

    fn write_plain(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.file("writing", path, |path| files::replace(path, content, None))
    }

    fn append(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.file("appending to", path, |path| files::append(path, content))
    }

    fn tune(&self, path: &str, value: &str) -> Result<(), Error> {
        self.file("writing", path, |path| {
            OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
        })
    }

    fn link(&self, target: &str, path: &str) -> Result<(), Error> {
        self.file("linking", path, |path| files::link(target, path))
    }

    fn folder(&self, path: &str, access: Access) -> Result<(), Error> {
        self.file("making the folder", path, |path| {
            match fs::DirBuilder::new().mode(access.mode).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
            if !fs::symlink_metadata(path)?.is_dir() {
                return Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "something that is not a folder has this name",
                ));
            }
            let folder = File::open(path)?;
            files::give(&folder, access)?;
            folder.sync_all()
        })
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.file("removing", path, |path| there(fs::remove_file(path)).map(|_| ()))
    }

    fn scrub(&self, path: &str) -> Result<(), Error> {
        self.file("overwriting and removing", path, files::scrub)
    }

    fn run(&self, command: &Command) -> Result<Answer, Error> {
        self.ask(command)?.ok(command)
    }

    fn start(&self, name: &'static str, command: &Command) -> Result<(), Error> {
        if !self.live() {
            return Err(Error::NotLive { line: command.to_string() });
        }
        self.jobs.borrow_mut().insert(name, Begun::new(command)?);
        Ok(())
    }

    fn set_clock(&self, to: Timestamp) -> Result<(), Error> {
        let time = Timespec { tv_sec: to.as_second(), tv_nsec: to.subsec_nanosecond().into() };
        rustix::time::clock_settime(ClockId::Realtime, time)
            .map_err(|error| Error::Clock { to, source: error.into() })
    }

    fn sync(&self) {
        rustix::fs::sync();
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    fn random(&self) -> f64 {
        let mut bytes = [0_u8; 4];
        // Without randomness several nodes wait in step: harmless.
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
        if read.is_ok() {
            f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
        } else {
            0.5
        }
    }

    fn lock(&self, path: &str) -> Result<Option<Lock>, Error> {
        self.file("locking", path, |path| {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(Lock(Some(file)))),
                Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_under_the_root_and_commands_are_refused_there() {
        let root = tempfile::tempdir().unwrap();
        let host = Real::new(root.path());
        host.write_plain("/etc/hostname", b"pi\n").unwrap();
        assert_eq!(fs::read(root.path().join("etc/hostname")).unwrap(), b"pi\n");
        assert_eq!(host.text("/etc/hostname/below").unwrap(), None);
        assert_eq!(host.list("/nowhere").unwrap(), Vec::<String>::new());
        assert!(matches!(host.ask(&Command::new("true", [""; 0])), Err(Error::NotLive { .. })));
        assert!(!host.live() && Real::new(Path::new("/")).live());
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = Real::new(Path::new("/")).read("/dev/zero").unwrap_err();
        assert_eq!(error.to_string(), "reading `/dev/zero`: it is larger than 16 MiB");
    }

    #[test]
    fn a_command_beside_everything_else_is_told_once_it_has_ended() {
        let host = Real::new(Path::new("/"));
        assert_eq!(host.job("x").unwrap(), None);
        host.start("x", &Command::new("sh", ["-c", "echo out; exit 3"])).unwrap();
        let answer = loop {
            match host.job("x").unwrap() {
                Some(Job::Running) => host.sleep(Duration::from_millis(5)),
                Some(Job::Ended(answer)) => break answer,
                None => panic!("lost"),
            }
        };
        assert_eq!((answer.status, answer.stdout.as_str()), (3, "out\n"));
        assert_eq!(host.job("x").unwrap(), None);
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let host = Real::new(root.path());
        let first = host.lock("/run/lock").unwrap();
        assert!(first.is_some() && host.lock("/run/lock").unwrap().is_none());
        drop(first);
        assert!(host.lock("/run/lock").unwrap().is_some());
    }

    #[test]
    fn randomness_is_a_fraction() {
        let host = Real::new(Path::new("/"));
        assert!((0..50).all(|_| (0.0..1.0).contains(&host.random())));
    }
}
