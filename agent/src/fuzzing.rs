//! The readers of texts from outside, each as a function of bytes: for the fuzz targets in `tests/fuzz`, and for the test
//! below, which reads what they found again. In no program: only under `cfg(fuzzing)` and `cfg(test)`.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::Timestamp;
use pikube_config::{FirstbootPlan, Secrets};

use crate::host::{Access, Answer, Command, Error, Host, Job, Kind, Lock, Look, Stat};
use crate::journal::{self, Journal};
use crate::plan::{Context, Facts, steps};
use crate::render::apt_sources;
use crate::step::Check;

/// Reads bytes, whatever they are: it may refuse them, and neither panics nor takes long.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: &[(&str, Target)] =
    &[("apt_sources", apt_sources), ("journal", journal), ("node", node)];

/// Reads bytes as a target does.
///
/// # Panics
/// There is no such target; the reader has a fault.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.unwrap_or_else(|| panic!("there is no target `{target}`")).1(data);
}

/// Operations after which nothing works any more: all steps together need a third of them.
const MOST_OPERATIONS: usize = 4000;

/// The plan of the node, a master: every step that reads something is in it.
const PLAN: &str = include_str!("../tests/plan.toml");

/// A machine of texts: `@@ PATH` or `@@ COMMAND` begins each, and a command's text answers all that begin like it.
struct Texts {
    texts: RefCell<BTreeMap<String, Vec<u8>>>,
    operations: Cell<usize>,
    elapsed: Cell<Duration>,
}

impl Texts {
    fn new(data: &[u8]) -> Self {
        let text = String::from_utf8_lossy(data);
        let texts = text.split("@@ ").skip(1).filter_map(|section| {
            let (name, content) = section.split_once('\n')?;
            Some((name.trim().to_owned(), content.as_bytes().to_vec()))
        });
        Self {
            texts: RefCell::new(texts.collect()),
            operations: Cell::new(0),
            elapsed: Cell::new(Duration::ZERO),
        }
    }

    /// Counts an operation.
    fn operate(&self, path: &str) -> Result<(), Error> {
        self.operations.set(self.operations.get() + 1);
        self.elapsed.set(self.elapsed.get() + Duration::from_millis(10));
        if self.operations.get() < MOST_OPERATIONS {
            return Ok(());
        }
        let source = io::Error::from_raw_os_error(30);
        Err(Error::File { doing: "writing", path: path.to_owned(), source })
    }

    fn put(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.operate(path)?;
        self.texts.borrow_mut().insert(path.to_owned(), content.to_vec());
        Ok(())
    }

    fn has_below(&self, folder: &str) -> bool {
        let below = format!("{folder}/");
        self.texts
            .borrow()
            .range(below.clone()..)
            .next()
            .is_some_and(|(path, _)| path.starts_with(&below))
    }
}

impl Look for Texts {
    fn live(&self) -> bool {
        true
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.operate(path)?;
        Ok(self.texts.borrow().get(path).cloned())
    }

    fn stat(&self, path: &str) -> Result<Option<Stat>, Error> {
        self.operate(path)?;
        let size = self.texts.borrow().get(path).map(|text| text.len() as u64);
        let kind = match size {
            Some(_) => Kind::File,
            None if self.has_below(path) => Kind::Folder,
            None => return Ok(None),
        };
        let mode = if kind == Kind::File { 0o644 } else { 0o755 };
        Ok(Some(Stat { kind, mode, owner: (0, 0), size_bytes: size.unwrap_or(0) }))
    }

    fn read_link(&self, path: &str) -> Result<Option<String>, Error> {
        // A text of one line can be a link's as well.
        let text =
            self.read(path)?.map(|text| String::from_utf8_lossy(&text).trim_end().to_owned());
        Ok(text.filter(|text| text.starts_with('/') && !text.contains('\n')))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        self.operate(path)?;
        let below = format!("{path}/");
        let texts = self.texts.borrow();
        let names: BTreeSet<String> = texts
            .range(below.clone()..)
            .map_while(|(other, _)| other.strip_prefix(&below))
            .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
            .collect();
        Ok(names.into_iter().collect())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_795_000_000).unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        self.elapsed.get()
    }

    fn ask(&self, command: &Command) -> Result<Answer, Error> {
        let line = command.to_string();
        self.operate(&line)?;
        let texts = self.texts.borrow();
        let found =
            texts.iter().rev().find(|(name, _)| !name.starts_with('/') && line.starts_with(*name));
        let text = found.map(|(_, text)| String::from_utf8_lossy(text).into_owned());
        Ok(match text {
            None => Answer { status: 1, stderr: "not found\n".into(), ..Answer::default() },
            // A first line `status N` says how it ends; what it says goes to both outputs then.
            Some(text) => match text.strip_prefix("status ").and_then(|rest| rest.split_once('\n'))
            {
                Some((status, said)) => Answer {
                    status: status.parse().unwrap_or(1),
                    stdout: said.to_owned(),
                    stderr: said.to_owned(),
                },
                None => Answer { stdout: text, ..Answer::default() },
            },
        })
    }

    fn reach(&self, to: SocketAddr) -> Result<(), Error> {
        self.converse(to, b"").map(|_| ())
    }

    fn converse(&self, to: SocketAddr, _: &[u8]) -> Result<Vec<u8>, Error> {
        let refused = || Error::Reach { to, source: io::Error::from_raw_os_error(111) };
        self.read(&format!("tcp:{}", to.port()))?.ok_or_else(refused)
    }

    fn job(&self, _: &str) -> Result<Option<Job>, Error> {
        Ok(None)
    }
}

impl Host for Texts {
    fn write(&self, path: &str, content: &[u8], _: Access) -> Result<(), Error> {
        self.put(path, content)
    }

    fn write_plain(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.put(path, content)
    }

    fn append(&self, path: &str, content: &[u8]) -> Result<(), Error> {
        let mut text = self.read(path)?.unwrap_or_default();
        text.extend_from_slice(content);
        self.put(path, &text)
    }

    fn tune(&self, path: &str, value: &str) -> Result<(), Error> {
        self.put(path, value.as_bytes())
    }

    fn link(&self, target: &str, path: &str) -> Result<(), Error> {
        self.put(path, target.as_bytes())
    }

    fn folder(&self, path: &str, _: Access) -> Result<(), Error> {
        self.operate(path)
    }

    fn remove(&self, path: &str) -> Result<(), Error> {
        self.operate(path)?;
        self.texts.borrow_mut().remove(path);
        Ok(())
    }

    fn scrub(&self, path: &str) -> Result<(), Error> {
        self.remove(path)
    }

    fn run(&self, command: &Command) -> Result<Answer, Error> {
        self.ask(command)?.ok(command)
    }

    fn start(&self, _: &'static str, command: &Command) -> Result<(), Error> {
        self.ask(command).map(|_| ())
    }

    fn set_clock(&self, _: Timestamp) -> Result<(), Error> {
        self.operate("clock")
    }

    fn sync(&self) {}

    fn sleep(&self, time: Duration) {
        self.elapsed.set(self.elapsed.get() + time);
    }

    fn random(&self) -> f64 {
        0.5
    }

    fn lock(&self, _: &str) -> Result<Option<Lock>, Error> {
        Ok(None)
    }
}

/// Every step of a master and of a worker, on a machine that has these texts and answers.
fn node(data: &[u8]) {
    for role in ["master", "worker"] {
        let host = Texts::new(data);
        let text = |path: &str| host.text(path).ok().flatten();
        let given =
            text("/etc/pikube/pikube.toml").and_then(|text| FirstbootPlan::from_toml(&text).ok());
        let Some(plan) = given.or_else(|| {
            FirstbootPlan::from_toml(&PLAN.replace("\"master\"", &format!("\"{role}\""))).ok()
        }) else {
            return;
        };
        let secrets = text("/etc/pikube/pikube-secrets.toml");
        let secrets = secrets.and_then(|text| Secrets::from_toml(&text).ok());
        let Ok(facts) = Facts::of(&host, true) else { return };
        let _ = crate::change::since(&host, &plan);
        let context = Context::new(plan, secrets, facts);
        for step in steps(&context.plan) {
            if let Ok(Check::Needed(_)) = (step.check)(&context, &host) {
                let _ = (step.apply)(&context, &host);
            }
        }
    }
}

fn journal(data: &[u8]) {
    let host = Texts::new(b"");
    if host.put(journal::PATH, data).is_ok()
        && let Ok(journal) = Journal::open(&host)
    {
        let _ = (journal.seconds("network"), journal.was_settled("user"), journal.last("done"));
    }
}

fn apt_sources(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let earlier = ["http://mirror.example.org/debian".to_owned()];
    for path in ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"] {
        let _ = apt_sources::own(path, &text, &earlier);
        let mirror = "http://new.example.org/debian";
        let once = apt_sources::replace(path, &text, mirror, &earlier);
        assert_eq!(apt_sources::replace(path, &once, mirror, &earlier), once, "{path}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_corpus_is_read_without_a_fault() {
        let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus"));
        for (name, target) in TARGETS {
            let folder = corpus.join(name);
            let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
            let inputs: Vec<_> =
                files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
            assert!(!inputs.is_empty(), "{}", folder.display());
            inputs.iter().for_each(|input| target(input));
        }
    }

    #[test]
    fn a_machine_is_made_of_texts() {
        let host = Texts::new(b"@@ /etc/hostname\npi\n@@ dpkg-query\nstatus 2\nno\n@@ /etc/a/b\n");
        assert_eq!(host.text("/etc/hostname").unwrap().as_deref(), Some("pi\n"));
        assert_eq!(host.list("/etc").unwrap(), ["a", "hostname"]);
        let answer = host.ask(&Command::new("dpkg-query", ["-W"])).unwrap();
        assert_eq!((answer.status, answer.stdout.as_str()), (2, "no\n"));
        assert_eq!(host.ask(&Command::new("ip", ["a"])).unwrap().status, 1);
        assert!(FirstbootPlan::from_toml(PLAN).is_ok());
    }
}
