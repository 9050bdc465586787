//! Images that were downloaded before, in a folder of limited size.
//!
//! An entry is two files: the image, and a record of what it is. The image is renamed into place after it was verified,
//! and hashed again before it is used: whatever happened to the folder in between, only what was verified is written to
//! a card. Two runs at once are safe: who downloads an entry holds its lock, the other one downloads without keeping.
//! The folder is a person's: it is read and written with their rights, also behind sudo.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::http::Validators;
use super::sha256::Sha256Sum;
use crate::person::Person;

/// Size of the folder where nothing else is said.
pub const DEFAULT_LIMIT_BYTES: u64 = 8 << 30;
/// Endings of the files in the folder; what has none is an image.
const RECORD: &str = "json";
const LOCK: &str = "lock";
const PARTIAL: &str = "part";
/// Bytes that are hashed between two looks at the cancellation flag.
const STEP_BYTES: usize = 1 << 20;

/// A folder with images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    limit_bytes: u64,
    owner: Person,
}

/// What is known about an image in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What it was fetched as, without secrets.
    name: String,
    /// SHA-256 sum.
    sha256: String,
    /// Size.
    size_bytes: u64,
    /// Which version the server said that it is.
    validators: Validators,
}

/// An image in the cache.
#[derive(Debug)]
pub(super) struct Entry {
    data: PathBuf,
    sum: Sha256Sum,
    record: Record,
    owner: Person,
}

impl Cache {
    /// A cache of a person's in `folder`, which is made when it is needed.
    pub fn new(folder: PathBuf, limit_bytes: u64, owner: Person) -> Self {
        Self { folder, limit_bytes, owner }
    }

    /// The cache of this person: PIKUBE_CACHE_DIR, else XDG_CACHE_HOME/pikube, else ~/.cache/pikube.
    pub fn from_environment(
        owner: Person,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let get = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let folder = get("PIKUBE_CACHE_DIR")
            .or_else(|| Some(get("XDG_CACHE_HOME")?.join("pikube")))
            .or_else(|| Some(owner.home()?.join(".cache/pikube")))?;
        Some(Self::new(folder, DEFAULT_LIMIT_BYTES, owner))
    }

    /// A small file of the folder.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let _acting = self.owner.act().ok()?;
        fs::read(self.folder.join(name)).ok()
    }

    /// Keeps a small file in the folder. Not to keep it is no reason to complain: it can be fetched again.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.join(name);
        let (Some(folder), Ok(_acting)) = (path.parent(), self.owner.act()) else { return };
        let new = path.with_extension(std::process::id().to_string());
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&new, bytes))
            .and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
    }

    fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    fn data(&self, url: &str) -> PathBuf {
        let key = Sha256Sum(Sha256::digest(url).into()).to_string();
        self.images().join(&key[..40])
    }

    /// What is there for `url`; not verified yet.
    pub(super) fn lookup(&self, url: &str) -> Option<Entry> {
        let data = self.data(url);
        let _acting = self.owner.act().ok()?;
        let record: Record =
            serde_json::from_slice(&fs::read(data.with_extension(RECORD)).ok()?).ok()?;
        let sum = record.sha256.parse().ok()?;
        let owner = self.owner.clone();
        data.exists().then_some(Entry { data, sum, record, owner })
    }

    /// Begins an entry of `size_bytes`, where that is known.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(super) fn record(
        &self,
        url: &str,
        name: &str,
        size_bytes: Option<u64>,
        validators: &Validators,
    ) -> Result<Recording, String> {
        let too_large = || "it is larger than the cache may be".to_owned();
        if size_bytes.is_some_and(|size| size > self.limit_bytes) {
            return Err(too_large());
        }
        let text = |error: io::Error| format!("{} in `{}`", error, self.folder.display());
        let _acting = self.owner.act().map_err(text)?;
        fs::create_dir_all(self.images()).map_err(text)?;
        let data = self.data(url);
        let lock = File::create(data.with_extension(LOCK)).map_err(text)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err("another piflash is downloading it at this moment".into());
            }
            Err(TryLockError::Error(error)) => return Err(text(error)),
        }
        self.make_room(size_bytes.unwrap_or(0), &data);
        let partial = data.with_extension(PARTIAL);
        let file = File::create(&partial).map_err(text)?;
        let record = Record {
            name: name.to_owned(),
            sha256: String::new(),
            size_bytes: 0,
            validators: validators.clone(),
        };
        let (limit_bytes, owner) = (self.limit_bytes, self.owner.clone());
        Ok(Recording { data, partial, file, record, limit_bytes, owner, done: false, _lock: lock })
    }

    /// Removes what was not used for the longest time until there is room for `size_bytes`. What cannot be removed is
    /// left: the cache is then too large, which is better than no image.
    fn make_room(&self, size_bytes: u64, keep: &Path) {
        let Ok(folder) = fs::read_dir(self.images()) else {
            return;
        };
        let mut images = Vec::new();
        for path in folder.filter_map(|entry| Some(entry.ok()?.path())) {
            match path.extension().and_then(|extension| extension.to_str()) {
                None => {
                    if let Ok(metadata) = path.metadata()
                        && path != keep
                    {
                        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        images.push((used, metadata.len(), path));
                    }
                }
                Some(PARTIAL) => remove_abandoned(&path),
                Some(_) => {}
            }
        }
        images.sort();
        let mut total: u64 = images.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in images {
            if total.saturating_add(size_bytes) <= self.limit_bytes {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                let _ = fs::remove_file(path.with_extension(RECORD));
                total -= len;
            }
        }
    }
}

/// Removes what an interrupted run left, unless it is still running.
fn remove_abandoned(partial: &Path) {
    let free = File::open(partial.with_extension(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
    if free {
        let _ = fs::remove_file(partial);
    }
}

impl Entry {
    /// Its SHA-256 sum, as recorded.
    pub(super) fn sum(&self) -> Sha256Sum {
        self.sum
    }

    /// Which version of the file it is.
    pub(super) fn validators(&self) -> &Validators {
        &self.record.validators
    }

    /// Hashes the image and opens it, or drops it if it is not what the record says. `None` also where it cannot be
    /// read, or when `cancelled`.
    pub(super) fn open(&self, cancelled: &AtomicBool) -> Option<File> {
        let _acting = self.owner.act().ok()?;
        let mut file = File::open(&self.data).ok()?;
        let mut sum = Sha256::new();
        let mut step = vec![0; STEP_BYTES];
        loop {
            if cancelled.load(Ordering::Relaxed) {
                return None;
            }
            match file.read(&mut step) {
                Ok(0) => break,
                Ok(len) => sum.update(&step[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        if Sha256Sum(sum.finalize().into()) != self.sum {
            let _ = fs::remove_file(self.data.with_extension(RECORD));
            let _ = fs::remove_file(&self.data);
            return None;
        }
        io::Seek::rewind(&mut file).ok()?;
        // The time of its last use, for making room; a folder that cannot be written is no reason not to read it.
        let _ = file.set_modified(SystemTime::now());
        Some(file)
    }
}

/// An entry that is being written. Dropped before [`Recording::commit`], it leaves nothing.
#[derive(Debug)]
pub(super) struct Recording {
    data: PathBuf,
    partial: PathBuf,
    file: File,
    record: Record,
    limit_bytes: u64,
    owner: Person,
    done: bool,
    /// Held until the entry is complete.
    _lock: File,
}

impl Recording {
    /// More of the image.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.record.size_bytes += bytes.len() as u64;
        if self.record.size_bytes > self.limit_bytes {
            return Err("it is larger than the cache may be".into());
        }
        self.file.write_all(bytes).map_err(|error| error.to_string())
    }

    /// That was all of it, and it is verified.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub(super) fn commit(mut self, sum: Sha256Sum) -> Result<(), String> {
        self.record.sha256 = sum.to_string();
        let text = |error: io::Error| error.to_string();
        let record = serde_json::to_vec_pretty(&self.record).map_err(|error| error.to_string())?;
        let _acting = self.owner.act().map_err(text)?;
        fs::rename(&self.partial, &self.data).map_err(text)?;
        self.done = true;
        // A crash between the two leaves an image with an old record or none, which is not used.
        fs::write(self.data.with_extension(RECORD), record).map_err(text)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.done
            && let Ok(_acting) = self.owner.act()
        {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &Cache, url: &str, bytes: &[u8]) -> Result<(), String> {
        let size = Some(bytes.len() as u64);
        let mut recording = cache.record(url, url, size, &Validators::default())?;
        recording.write(bytes)?;
        recording.commit(Sha256Sum(Sha256::digest(bytes).into()))
    }

    fn content(cache: &Cache, url: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = cache.lookup(url)?.open(&AtomicBool::new(false))?;
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    fn folder() -> tempfile::TempDir {
        tempfile::TempDir::with_prefix("pikube-test-").unwrap()
    }

    fn cache(folder: &Path, limit_bytes: u64) -> Cache {
        Cache::new(folder.into(), limit_bytes, Person::of_this_process())
    }

    #[test]
    fn what_was_kept_is_found_and_damage_is_dropped() {
        let folder = folder();
        let cache = cache(&folder.path().join("new"), 1000);
        assert!(cache.lookup("u").is_none());
        keep(&cache, "u", b"image").unwrap();
        assert_eq!(content(&cache, "u").as_deref(), Some(b"image".as_slice()));
        fs::write(cache.data("u"), b"imagX").unwrap();
        assert_eq!(content(&cache, "u"), None);
        assert!(cache.lookup("u").is_none(), "dropped");
    }

    #[test]
    fn the_oldest_makes_room() {
        let folder = folder();
        let cache = cache(folder.path(), 100);
        for (age, url) in ["a", "b", "c"].into_iter().enumerate() {
            keep(&cache, url, &[age as u8; 30]).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
            File::open(cache.data(url)).unwrap().set_modified(time).unwrap();
        }
        assert!(content(&cache, "a").is_some(), "used just now");
        keep(&cache, "d", &[9; 30]).unwrap();
        let left: Vec<bool> = ["a", "b", "c", "d"].map(|url| cache.lookup(url).is_some()).into();
        assert_eq!(left, [true, false, true, true]);
        assert!(keep(&cache, "e", &[1; 101]).is_err(), "larger than the cache");
        assert!(content(&cache, "a").is_some(), "nothing was removed for it");
    }

    #[test]
    fn an_entry_has_one_writer_and_an_abandoned_one_is_removed() {
        let folder = folder();
        let cache = cache(folder.path(), 1000);
        let first = cache.record("u", "u", None, &Validators::default()).unwrap();
        let error = cache.record("u", "u", None, &Validators::default()).unwrap_err();
        assert!(error.contains("another piflash"), "{error}");
        let partial = first.partial.clone();
        drop(cache.record("v", "v", None, &Validators::default()).unwrap());
        assert!(partial.exists(), "it is being written");
        drop(first);
        assert!(!partial.exists());
        fs::write(&partial, b"from a run that was killed").unwrap();
        keep(&cache, "v", b"x").unwrap();
        assert!(!partial.exists());
    }

    #[test]
    fn a_full_disk_is_told() {
        let folder = folder();
        let cache = cache(folder.path(), 1000);
        let mut recording = cache.record("u", "u", None, &Validators::default()).unwrap();
        recording.file = File::options().write(true).open("/dev/full").unwrap();
        let error = recording.write(b"x").unwrap_err();
        assert!(error.contains("space"), "{error}");
    }
}
