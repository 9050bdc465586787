//! A node in memory, for tests: files, a clock that nobody waits for, commands that do to the files what the real ones
//! do. It can lose its power before any operation, and boot again with what was on the medium.

mod card;
pub(crate) mod kubernetes;
mod machine;
pub(crate) mod packages;
mod programs;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::files::TEMPORARY;
use super::{Access, Answer, Command, Error, Host, Job, Kind, Lock, Look, Stat};
use crate::report::{Level, Voice};
pub use card::{HASH, PLAN, SECRETS, TOKEN};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    File(Vec<u8>),
    Folder,
    Link(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub what: What,
    pub access: Access,
}

/// The node.
#[derive(Debug, Default)]
pub struct Node {
    pub(crate) entries: RefCell<BTreeMap<String, Entry>>,
    pub(crate) active: RefCell<BTreeSet<String>>,
    /// Units that are being started.
    pub(crate) activating: RefCell<BTreeSet<String>>,
    /// Size of the root file system.
    pub(crate) root_bytes: Cell<u64>,
    pub(crate) now: Cell<Timestamp>,
    /// Commands that are to fail: start of the line, status, what it says on stderr, how often.
    pub(crate) failing: RefCell<Vec<(String, i32, String, usize)>>,
    /// Paths that cannot be written, with the system's error number.
    unwritable: RefCell<Vec<(String, i32)>>,
    elapsed: Cell<Duration>,
    operations: Cell<usize>,
    power_for: Cell<Option<usize>>,
    /// Every command that was run or asked, and every sleep.
    pub log: RefCell<Vec<String>>,
    /// How many looks it takes until what runs beside everything else has ended.
    pub(crate) job_looks: Cell<usize>,
    /// What runs beside everything else.
    jobs: RefCell<BTreeMap<&'static str, Answer>>,
    /// Who answers over TCP, and what: address and port, or only the port behind a `:`.
    pub answering: RefCell<BTreeMap<String, Vec<u8>>>,
    /// As under `--root`.
    pub foreign: Cell<bool>,
    /// Every line that was said.
    pub said: RefCell<Vec<String>>,
}

impl Node {
    /// Nothing but a clock.
    pub fn bare() -> Self {
        Self::default()
    }

    /// Puts a file there, root's own (0644), as it came with the image.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        self.place(path, What::File(content.as_ref().to_vec()), Access::root(0o644));
    }

    /// Contents as text; empty if absent.
    pub fn get(&self, path: &str) -> String {
        self.text(path).unwrap().unwrap_or_default()
    }

    /// Access of what is there.
    pub fn access(&self, path: &str) -> Option<Access> {
        self.stat(path).unwrap().as_ref().map(Access::like)
    }

    /// Lets commands that start like this fail.
    pub fn fail(&self, line: &str, status: i32, stderr: &str, times: usize) {
        self.failing.borrow_mut().push((line.to_owned(), status, stderr.to_owned(), times));
    }

    /// Lets writing below a path fail with this error number.
    pub fn refuse(&self, path: &str, number: i32) {
        self.unwritable.borrow_mut().push((path.to_owned(), number));
    }

    /// The power goes at the n-th operation from now.
    pub fn power_for(&self, operations: usize) {
        self.power_for.set(Some(self.operations.get() + operations));
    }

    /// Operations so far.
    pub fn operations(&self) -> usize {
        self.operations.get()
    }

    /// What survives a power cut, but for what tells time.
    pub fn lasting(&self) -> BTreeMap<String, (String, u32, (u32, u32))> {
        const TELL_TIME: [&str; 5] = [
            // An init that a power cut has hidden is adopted, and nobody keeps its words.
            "/var/log/pikube/kubeadm.log",
            crate::journal::PATH,
            crate::report::PATH,
            "/boot/firmware/pikube-report.json",
            "/boot/firmware/pikube-report.txt",
        ];
        let volatile = ["/run/", "/proc/", "/sys/"];
        let entries = self.entries.borrow();
        let lasting = entries.iter().filter(|(path, _)| {
            !volatile.iter().any(|folder| path.starts_with(folder))
                && !TELL_TIME.contains(&path.as_str())
        });
        lasting
            .map(|(path, entry)| {
                let content = match &entry.what {
                    What::File(_) if path.ends_with("/done") => "marker".to_owned(),
                    What::File(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    What::Folder => "folder".to_owned(),
                    What::Link(target) => format!("-> {target}"),
                };
                (path.clone(), (content, entry.access.mode, entry.access.owner))
            })
            .collect()
    }

    pub(crate) fn place(&self, path: &str, what: What, access: Access) {
        self.entries.borrow_mut().insert(path.to_owned(), Entry { what, access });
    }

    pub(crate) fn drop_below(&self, folder: &str) {
        self.entries.borrow_mut().retain(|path, _| !path.starts_with(folder));
    }

    /// One operation on the medium; refused without power.
    pub(crate) fn tick(&self, path: &str) -> Result<(), Error> {
        let error = |number| {
            Err(Error::File {
                doing: "writing",
                path: path.to_owned(),
                source: std::io::Error::from_raw_os_error(number),
            })
        };
        self.operations.set(self.operations.get() + 1);
        self.elapsed.set(self.elapsed.get() + Duration::from_millis(10));
        if self.power_for.get().is_some_and(|last| self.operations.get() >= last) {
            return error(121);
        }
        match self.unwritable.borrow().iter().find(|(start, _)| path.starts_with(start)) {
            Some((_, number)) => error(*number),
            None => Ok(()),
        }
    }

    pub(crate) fn has_power(&self) -> bool {
        self.power_for.get().is_none_or(|last| self.operations.get() < last)
    }

    pub(crate) fn restore_power(&self) {
        self.power_for.set(None);
    }

    fn resolve(&self, path: &str) -> String {
        let mut path = path.to_owned();
        while let Some(Entry { what: What::Link(target), .. }) = self.entries.borrow().get(&path) {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            path = match target.strip_prefix("../") {
                Some(rest) => {
                    format!("{}/{rest}", folder.rsplit_once('/').map_or("", |(up, _)| up))
                }
                None if target.starts_with('/') => target.clone(),
                None => format!("{folder}/{target}"),
            };
        }
        path
    }
}

impl Look for Node {
    fn live(&self) -> bool {
        !self.foreign.get()
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.resolve(path);
        Ok(match self.entries.borrow().get(&path).map(|entry| &entry.what) {
            Some(What::File(bytes)) => Some(bytes.clone()),
            _ => None,
        })
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        let entries = self.entries.borrow();
        let below = format!("{path}/");
        let Some(entry) = entries.get(path) else {
            let first = entries.range(below.clone()..).next();
            let is_folder = first.is_some_and(|(other, _)| other.starts_with(&below));
            return Ok(is_folder.then_some(Stat {
                kind: Kind::Folder,
                mode: 0o755,
                owner: (0, 0),
                size_bytes: 0,
            }));
        };
        let (kind, size) = match &entry.what {
            What::File(bytes) => (Kind::File, bytes.len()),
            What::Folder => (Kind::Folder, 0),
            What::Link(_) => (Kind::Link, 0),
        };
        Ok(Some(Stat {
            kind,
            mode: entry.access.mode,
            owner: entry.access.owner,
            size_bytes: size as u64,
        }))
    }

    fn read_link(&self, path: &str) -> Result<Option<String>, Error> {
        Ok(match self.entries.borrow().get(path).map(|entry| &entry.what) {
            Some(What::Link(target)) => Some(target.clone()),
            _ => None,
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        let below = format!("{path}/");
        let entries = self.entries.borrow();
        let names: BTreeSet<String> = entries
            .range(below.clone()..)
            .map_while(|(other, _)| other.strip_prefix(&below))
            .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }

    fn ask(&self, command: &Command) -> Result<Answer, Error> {
        let line = command.to_string();
        if self.foreign.get() {
            return Err(Error::NotLive { line });
        }
        self.log.borrow_mut().push(line.clone());
        let mut failing = self.failing.borrow_mut();
        if let Some(failure) = failing.iter_mut().find(|f| f.3 > 0 && line.starts_with(&f.0)) {
            failure.3 -= 1;
            let stderr = failure.2.clone();
            return Ok(Answer { status: failure.1, stdout: String::new(), stderr });
        }
        drop(failing);
        programs::run(self, command)
    }

    fn reach(&self, to: SocketAddr) -> Result<(), Error> {
        self.converse(to, b"").map(|_| ())
    }

    fn converse(&self, to: SocketAddr, _: &[u8]) -> Result<Vec<u8>, Error> {
        let answering = self.answering.borrow();
        let answer =
            answering.get(&to.to_string()).or_else(|| answering.get(&format!(":{}", to.port())));
        // A pod that is there refuses (ECONNREFUSED), one that is cut off says nothing (ETIMEDOUT).
        let cut_off = self.get("/run/cut-off") == to.ip().to_string();
        let number = if cut_off { 110 } else { 111 };
        let refused = || Error::Reach { to, source: std::io::Error::from_raw_os_error(number) };
        answer.cloned().ok_or_else(refused)
    }

    fn job(&self, name: &str) -> Result<Option<Job>, Error> {
        if self.job_looks.get() > 0 && self.jobs.borrow().contains_key(name) {
            self.job_looks.set(self.job_looks.get() - 1);
            return Ok(Some(Job::Running));
        }
        Ok(self.jobs.borrow_mut().remove(name).map(Job::Ended))
    }
}

impl Host for Node {
    fn write(&self, path: &str, content: &[u8], access: Access) -> Result<(), Error> {
        let new = What::File(content.to_vec());
        let same = |entry: &Entry| entry.what == new && entry.access == access;
        if self.entries.borrow().get(path).is_some_and(same) {
            return Ok(());
        }
        let (folder, name) = path.rsplit_once('/').unwrap();
        let temporary = format!("{folder}/.{name}{TEMPORARY}");
        self.tick(path)?;
        self.place(&temporary, new, access);
        self.tick(path)?;
        let entry = self.entries.borrow_mut().remove(&temporary).unwrap();
        self.entries.borrow_mut().insert(path.to_owned(), entry);
        Ok(())
    }

    fn write_plain(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.write(path, content, Access::root(0o755))
    }

    fn append(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        let outcome = self.tick(path);
        let mut bytes = self.read(path)?.unwrap_or_default();
        // A power cut leaves a part of the line.
        bytes.extend(&content[..if outcome.is_ok() { content.len() } else { content.len() / 2 }]);
        if outcome.is_ok() || self.operations.get() == self.power_for.get().unwrap_or(0) {
            self.place(path, What::File(bytes), Access::root(0o644));
        }
        outcome
    }

    fn tune(&self, path: &str, value: &str) -> Result<(), Error> {
        self.tick(path)?;
        self.put(path, format!("{value}\n"));
        Ok(())
    }

    fn link(&self, target: &str, path: &str) -> Result<(), Error> {
        self.tick(path)?;
        self.place(path, What::Link(target.to_owned()), Access::root(0o777));
        Ok(())
    }

    fn folder(&self, path: &str, access: Access) -> Result<(), Error> {
        self.tick(path)?;
        self.place(path, What::Folder, access);
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.tick(path)?;
        self.entries.borrow_mut().remove(path);
        Ok(())
    }

    fn scrub(&self, path: &str) -> Result<(), Error> {
        self.tick(path)?;
        if let Some(bytes) = self.read(path)? {
            self.put(path, vec![0; bytes.len()]);
        }
        self.remove(path)
    }

    fn run(&self, command: &Command) -> Result<Answer, Error> {
        self.ask(command)?.ok(command)
    }

    fn start(&self, name: &'static str, command: &Command) -> Result<(), Error> {
        let answer = self.ask(command)?;
        self.jobs.borrow_mut().insert(name, answer);
        Ok(())
    }

    fn set_clock(&self, to: Timestamp) -> Result<(), Error> {
        self.tick("clock")?;
        self.now.set(to);
        Ok(())
    }

    fn sync(&self) {}

    fn sleep(&self, time: Duration) {
        self.log.borrow_mut().push(format!("sleep {:.2}", time.as_secs_f64()));
        self.elapsed.set(self.elapsed.get() + time);
    }

    fn random(&self) -> f64 {
        0.5
    }

    fn lock(&self, path: &str) -> Result<Option<Lock>, Error> {
        Ok((!self.exists(&format!("{path}-held"))?).then_some(Lock(None)))
    }
}

impl Voice for Node {
    fn line(&self, level: Level, line: &str) {
        self.said.borrow_mut().push(format!("<{}>{line}", level as u8));
    }

    fn status(&self, text: &str) {
        self.said.borrow_mut().push(format!("STATUS={text}"));
    }

    fn ready(&self) {
        self.said.borrow_mut().push("READY".to_owned());
    }
}
