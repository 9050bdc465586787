//! Adding a cluster to a kubeconfig that a person has, without losing a byte of what else is in it.
//!
//! The text is edited line by line, so that comments and unknown keys stay as they are. What comes out is then read as
//! YAML and compared with what went in: where anything else would differ, nothing is written.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use saphyr::Yaml;
use zeroize::Zeroizing;

use super::folder::{Folder, acting, replace, wipe};
use super::kubectl_lock::Lock;
use super::{Error, Kubeconfig};
use crate::person::Person;
use crate::{small_file, yaml};

/// Links that lead to a file, at most, as the kernel counts them (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Largest kubeconfig that is changed, bytes: one with a thousand clusters is a tenth of it.
const MAX_BYTES: u64 = 4 << 20;

/// What was done.
#[derive(Debug)]
pub struct Merged {
    /// The kubeconfig.
    pub path: PathBuf,
    /// What it was before; absent where there was none. It is the only copy that is kept.
    pub backup: Option<PathBuf>,
    /// Whether a context of this name was replaced.
    pub replaced: bool,
}

/// Why the text cannot be added to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its form, by what is wrong with it.
    Form(&'static str),
    /// The name is another cluster's.
    Taken,
}

/// The kubeconfig that `kubectl` would change: the first of KUBECONFIG, else ~/.kube/config.
///
/// # Errors
/// Nobody says where.
pub fn target(owner: &Person, variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, Error> {
    let list = variable("KUBECONFIG").unwrap_or_default();
    if let Some(first) = list.split(':').find(|path| !path.is_empty()) {
        return Ok(first.into());
    }
    Ok(owner.home().ok_or(Error::NoHome)?.join(".kube/config"))
}

/// Adds the cluster and selects it. Of the copies that earlier calls made, which hold old keys, none is left.
///
/// # Errors
/// The file cannot be read, understood or written; it is then as it was.
pub fn merge_into(
    path: &Path,
    new: &Kubeconfig,
    owner: &Person,
    now: Timestamp,
) -> Result<Merged, Error> {
    let _acting = acting(owner, path)?;
    let asked = std::path::absolute(path).map_err(Error::io("finding", path))?;
    let path = &behind_links(&asked).map_err(Error::io("following", path))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        Folder::make(folder, owner)?;
    }
    // kubectl locks the name that it was given, not the file behind it.
    let _lock = Lock::take(&asked)?;
    let _behind = (*path != asked).then(|| Lock::take(path)).transpose()?;
    let old = match small_file::read_text(path, MAX_BYTES) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io("reading", path)(error)),
    };
    let text = old.as_ref().map_or("", |text| text.as_str());
    let (merged, replaced) = merged(text, new).map_err(|refusal| told(path, new, refusal))?;
    let Some(old) = old else {
        replace(path, merged.as_bytes(), 0o600, owner)?;
        return Ok(Merged { path: path.clone(), backup: None, replaced });
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let day = now.strftime("%Y%m%dT%H%M%SZ");
    let backup = |n: u32| match n {
        0 => path.with_file_name(format!("{name}.backup-{day}")),
        n => path.with_file_name(format!("{name}.backup-{day}-{n}")),
    };
    let backup = (0..).map(backup).find(|path| !path.exists()).unwrap_or_default();
    replace(&backup, old.as_bytes(), 0o600, owner)?;
    let mode = fs::metadata(path).map_err(Error::io("reading", path))?.permissions().mode();
    // A file with an administrator's key in it is nobody else's to read.
    replace(path, merged.as_bytes(), mode & 0o700, owner)?;
    remove_backups(path, &name, &backup).map_err(Error::io("removing old copies of", path))?;
    Ok(Merged { path: path.clone(), backup: Some(backup), replaced })
}

fn told(path: &Path, new: &Kubeconfig, refusal: Refusal) -> Error {
    let (message, help) = match refusal {
        Refusal::Form(message) => (
            format!("{message}, and something would be lost"),
            "keep the cluster in a file of its own: `piflash kubeconfig > FILE`, and `export KUBECONFIG=~/.kube/config:FILE`".to_owned(),
        ),
        Refusal::Taken => (
            format!("it has another cluster, user or context `{}`", new.name),
            format!(
                "give that one another name, `kubectl config rename-context {0} {0}-old` for a context, or keep both apart: `piflash kubeconfig > FILE`",
                new.name
            ),
        ),
    };
    Error::Merge { path: path.to_owned(), message, help }
}

/// The file that a name leads to, whether it is there yet or not: links stay, and what they point to changes.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("/")).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::from_raw_os_error(nix::libc::ELOOP))
}

/// Removes the copies of earlier calls: `NAME.backup-20261128T120000Z`, perhaps with `-2`.
fn remove_backups(path: &Path, name: &str, newest: &Path) -> io::Result<()> {
    let prefix = format!("{name}.backup-");
    let is_ours = |name: &str| {
        let Some(time) = name.strip_prefix(&prefix) else { return false };
        let shape = |(at, byte): (usize, u8)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            16 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        time.len() >= 16 && time.bytes().enumerate().all(shape)
    };
    for entry in fs::read_dir(path.parent().unwrap_or(Path::new("/")))? {
        let entry = entry?;
        if is_ours(&entry.file_name().to_string_lossy()) && entry.path() != newest {
            wipe(&entry.path())?;
        }
    }
    Ok(())
}

/// The text with the cluster in it; whether there was a context of its name.
pub(super) fn merged(old: &str, new: &Kubeconfig) -> Result<(Zeroizing<String>, bool), Refusal> {
    let before = parse(old)?;
    if old.contains('\r') {
        return Err(Refusal::Form("its lines end as on Windows"));
    }
    let Some(before) = before else {
        let mut text = Zeroizing::new(old.to_owned());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&new.text());
        return checked(&yaml::load("{}").unwrap_or_default(), text, new);
    };
    if is_taken(&before, new) {
        return Err(Refusal::Taken);
    }
    let mut lines: Vec<Zeroizing<String>> =
        old.lines().map(|line| Zeroizing::new(line.to_owned())).collect();
    for (key, name, entry) in [
        ("clusters", &new.name, new.cluster_entry()),
        ("users", &new.user, new.user_entry()),
        ("contexts", &new.name, new.context_entry()),
    ] {
        put(&mut lines, key, name, &entry)?;
    }
    let select = Zeroizing::new(format!("current-context: {}", new.name));
    match lines.iter_mut().find(|line| line.starts_with("current-context:")) {
        Some(line) => *line = select,
        None => lines.push(select),
    }
    let mut text = Zeroizing::new(String::with_capacity(old.len() + (16 << 10)));
    for line in &lines {
        text.push_str(line);
        text.push('\n');
    }
    checked(std::slice::from_ref(&before), text, new)
}

fn parse(text: &str) -> Result<Option<Yaml<'_>>, Refusal> {
    let documents = yaml::load(text).map_err(|_| Refusal::Form("it is not YAML"))?;
    match <[Yaml<'_>; 1]>::try_from(documents) {
        Ok([top]) if top.is_null() => Ok(None),
        Ok([top]) if top.as_mapping().is_some() => Ok(Some(top)),
        Ok(_) => Err(Refusal::Form("it is not `key: value` lines at its top")),
        Err(documents) if documents.is_empty() => Ok(None),
        Err(_) => Err(Refusal::Form("it holds more than one YAML document")),
    }
}

/// Whether the names are of a cluster that is none of ours: not this CA's, and not one that `piflash` made before it.
fn is_taken(before: &Yaml, new: &Kubeconfig) -> bool {
    let inner = |list: &str, name: &str, kind: &str, key: &str| -> Option<Option<String>> {
        let entry =
            entries(before, list).into_iter().find(|entry| text(entry, "name") == Some(name))?;
        Some(entry.as_mapping_get(kind).and_then(|inner| text(inner, key)).map(str::to_owned))
    };
    let cluster = inner("clusters", &new.name, "cluster", "tls-server-name");
    let context = inner("contexts", &new.name, "context", "user");
    let user =
        entries(before, "users").into_iter().any(|user| text(user, "name") == Some(&new.user));
    // A user of ours comes with a cluster of ours.
    user && cluster.is_none()
        || cluster.is_some_and(|name| name.as_ref() != Some(&new.tls_name))
        || context.is_some_and(|user| user.as_ref() != Some(&new.user))
}

/// Puts an entry into one of the lists, into the place of the one of its name if there is one.
fn put(
    lines: &mut Vec<Zeroizing<String>>,
    key: &str,
    name: &str,
    entry: &str,
) -> Result<(), Refusal> {
    const FORM: Refusal = Refusal::Form("its lists are not written line by line");
    let own =
        |indent: usize| entry.lines().map(move |line| Zeroizing::new(" ".repeat(indent) + line));
    let head = format!("{key}:");
    let Some(top) = lines.iter().position(|line| line.starts_with(&head)) else {
        lines.push(Zeroizing::new(head));
        lines.extend(own(0));
        return Ok(());
    };
    let value = lines[top][head.len()..].trim();
    match value.split(" #").next().unwrap_or_default().trim() {
        "" => {}
        _ if value.starts_with('#') => {}
        "[]" | "null" | "~" => lines[top] = Zeroizing::new(head),
        _ => return Err(FORM),
    }
    let content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let outside =
        |line: &str| content(line) && !line.starts_with([' ', '-']) || line.starts_with("---");
    let end = (top + 1..lines.len()).find(|n| outside(&lines[*n])).unwrap_or(lines.len());
    let contents: Vec<usize> = (top + 1..end).filter(|n| content(&lines[*n])).collect();
    let Some(first) = contents.first() else {
        lines.splice(top + 1..top + 1, own(0));
        return Ok(());
    };
    let indent = lines[*first].len() - lines[*first].trim_start().len();
    let begins = |line: &str| {
        let rest = line.get(indent..).unwrap_or_default();
        // In the middle of a letter there is no entry either.
        let before = line.get(..indent.min(line.len())).unwrap_or(line);
        before.trim().is_empty() && (rest.starts_with("- ") || rest == "-")
    };
    if !begins(&lines[*first]) {
        return Err(FORM);
    }
    let starts: Vec<usize> = contents.iter().copied().filter(|n| begins(&lines[*n])).collect();
    for (index, start) in starts.iter().enumerate() {
        let next = starts.get(index + 1).copied().unwrap_or(end);
        let last = contents.iter().copied().filter(|n| *n < next).max().unwrap_or(*start);
        let text: Zeroizing<String> = Zeroizing::new(
            lines[*start..=last].iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"),
        );
        let item = yaml::load(&text).map_err(|_| FORM)?;
        let item = item.first().and_then(|list| list.as_sequence_get(0)).ok_or(FORM)?;
        if self::text(item, "name") == Some(name) {
            lines.splice(*start..=last, own(indent));
            return Ok(());
        }
    }
    let last = contents.last().copied().unwrap_or(top) + 1;
    lines.splice(last..last, own(indent));
    Ok(())
}

/// The text, if it is what was there with this cluster in it, and nothing else.
fn checked(
    before: &[Yaml],
    text: Zeroizing<String>,
    new: &Kubeconfig,
) -> Result<(Zeroizing<String>, bool), Refusal> {
    const LOST: Refusal = Refusal::Form("its form is unusual");
    let before = before.first().ok_or(LOST)?;
    let own_text = new.text();
    let replaced = {
        let after = parse(&text).map_err(|_| LOST)?.ok_or(LOST)?;
        let own = parse(&own_text).map_err(|_| LOST)?.ok_or(LOST)?;
        const OURS: [&str; 4] = ["clusters", "users", "contexts", "current-context"];
        let rest = |top| -> Vec<(&Yaml, &Yaml)> {
            let pairs = Yaml::as_mapping(top).into_iter().flatten();
            pairs.filter(|(key, _)| !key.as_str().is_some_and(|key| OURS.contains(&key))).collect()
        };
        // An empty file gets the two keys that every kubeconfig begins with.
        let same = rest(before) == rest(&after)
            || before.is_empty_collection() && rest(&own) == rest(&after);
        let mut replaced = false;
        let lists = [("clusters", &new.name), ("users", &new.user), ("contexts", &new.name)];
        let kept = lists.into_iter().all(|(list, name)| {
            let named = |entry: &&Yaml| self::text(entry, "name") == Some(name.as_str());
            let split = |top| -> (Vec<&Yaml>, Vec<&Yaml>) {
                entries(top, list).into_iter().partition(named)
            };
            let ((old, others), (ours, after)) = (split(before), split(&after));
            replaced |= !old.is_empty();
            others == after && ours == split(&own).0
        });
        if !same || !kept || self::text(&after, "current-context") != Some(&new.name) {
            return Err(LOST);
        }
        replaced
    };
    Ok((text, replaced))
}

fn entries<'a, 'b>(top: &'a Yaml<'b>, list: &str) -> Vec<&'a Yaml<'b>> {
    let list = top.as_mapping_get(list).and_then(|list| list.as_sequence());
    list.into_iter().flatten().collect()
}

fn text<'a>(node: &'a Yaml, key: &str) -> Option<&'a str> {
    node.as_mapping_get(key)?.as_str()
}
