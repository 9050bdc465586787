//! The bytes of an image from a server or from the cache, and the small files beside an image.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::cache::{Entry, Recording};
use super::checked::{Checked, Demands, Expected, Fingerprint};
use super::error::{Error, Result};
use super::http::{Answer, Body, Client, HttpError, Target};
use super::location::Location;
use super::notice::Notice;
use super::opening::Surroundings;
use super::read_ahead::interruptible;
use super::sha256;
use crate::small_file;

/// Largest list of checksums, signature or key.
const MAX_SMALL_BYTES: u64 = 4 << 20;

/// What is read, and what is known about it before.
pub(super) struct Fetched {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) fingerprint: Fingerprint,
    /// Size as distributed.
    pub(super) file_bytes: Option<u64>,
    /// The file, where it is one.
    pub(super) file: Option<File>,
}

/// Fetches an image that is not on this computer. `demands` are checked at its end; what fails them is not kept.
///
/// # Errors
/// [`Error::Http`], [`Error::S3`], [`Error::Interrupted`].
pub(super) fn fetch(
    location: &Location,
    path: &Path,
    demands: Demands,
    surroundings: &Surroundings,
) -> Result<Fetched> {
    let (target, address) = target(location, surroundings)?;
    let entry = surroundings.cache.as_ref().and_then(|cache| cache.lookup(&address));
    let name = target.name().to_owned();
    let tell = &surroundings.tell;
    let known_sum = demands.expected.as_ref().map(|expected| expected.sum);
    // An entry with the right sum is right, whatever the server has now; one with another sum is another version.
    let (entry, ask) = match (entry, known_sum) {
        (Some(entry), Some(sum)) if entry.sum() == sum => (Some(entry), false),
        (Some(_), Some(_)) | (None, _) => (None, true),
        (Some(entry), None) => (Some(entry), true),
    };
    if let Some(entry) = &entry
        && !ask
    {
        if let Some(file) = entry.open(&surroundings.cancelled) {
            tell(Notice::FromCache { name });
            return from_cache(file, entry, path, demands);
        }
        tell(Notice::CorruptEntry { name: name.clone() });
    }
    let known = entry.as_ref().filter(|_| ask).map(|entry| entry.validators().clone());
    let client = client(surroundings)?;
    let (asking, about) = (client.clone(), target.clone());
    let answer = interruptible(path, &surroundings.cancelled, move || {
        Ok(asking.get(&about, known.as_ref()))
    })?;
    let offline = match (answer, &entry) {
        (Ok(Answer::Body(body)), _) => {
            return download(*body, &address, path, demands, surroundings);
        }
        (Ok(Answer::NotModified), _) => None,
        (Err(error), Some(_)) if ask && error.is_offline() => Some(error),
        (Err(error), _) => return Err(error.into()),
    };
    if let Some(entry) = &entry {
        if let Some(file) = entry.open(&surroundings.cancelled) {
            tell(match &offline {
                None => Notice::FromCache { name },
                Some(error) => Notice::Offline { name, why: error.to_string() },
            });
            return from_cache(file, entry, path, demands);
        }
        tell(Notice::CorruptEntry { name });
    }
    if let Some(error) = offline {
        return Err(error.into());
    }
    let cancelled = surroundings.cancelled.clone();
    match interruptible(path, &cancelled, move || Ok(client.get(&target, None)?))? {
        Answer::Body(body) => download(*body, &address, path, demands, surroundings),
        // It was not asked about a version.
        Answer::NotModified => Err(Error::Empty { path: path.to_owned() }),
    }
}

fn from_cache(file: File, entry: &Entry, path: &Path, mut demands: Demands) -> Result<Fetched> {
    let failed = |source| Error::Io { action: "reading image", path: path.to_owned(), source };
    let file_bytes = file.metadata().map_err(failed)?.len();
    // It was hashed a moment ago; between then and the end of the writing, the file may be overwritten.
    let recorded = || Expected { sum: entry.sum(), origin: "the cache".into() };
    demands.expected.get_or_insert_with(recorded);
    let index = file.try_clone().map_err(failed)?;
    let checked = Checked::distributed(typed(file, path), path.to_owned(), demands);
    Ok(Fetched {
        fingerprint: checked.fingerprint(),
        reader: Box::new(checked),
        file_bytes: Some(file_bytes),
        file: Some(index),
    })
}

fn download(
    body: Body,
    address: &str,
    path: &Path,
    demands: Demands,
    surroundings: &Surroundings,
) -> Result<Fetched> {
    let (file_bytes, tell) = (body.size_bytes(), surroundings.tell.clone());
    let name = path.display().to_string();
    let recording = surroundings.cache.as_ref().and_then(|cache| {
        let recording = cache.record(address, &name, file_bytes, body.validators());
        recording.map_err(|why| tell(Notice::NotCached { name: name.clone(), why })).ok()
    });
    let checked = Checked::distributed(typed(body, path), path.to_owned(), demands);
    let fingerprint = checked.fingerprint();
    let reader = Kept { checked, recording, fingerprint: fingerprint.clone(), name, tell };
    Ok(Fetched { reader: Box::new(reader), fingerprint, file_bytes, file: None })
}

/// A download that is kept on the way; where it cannot be kept, it goes on without.
struct Kept<R> {
    checked: Checked<R>,
    recording: Option<Recording>,
    fingerprint: Fingerprint,
    name: String,
    tell: super::notice::Tell,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.checked.read(buf);
        let kept = match (&result, self.recording.take(), self.fingerprint.get()) {
            (_, None, _) => Ok(()),
            (Ok(0), Some(recording), Some(sum)) => recording.commit(sum),
            (Ok(len), Some(mut recording), _) => {
                recording.write(&buf[..*len]).map(|()| self.recording = Some(recording))
            }
            (Err(_), Some(_), _) => Ok(()),
        };
        if let Err(why) = kept {
            (self.tell)(Notice::NotCached { name: self.name.clone(), why });
        }
        result
    }
}

/// What a list of sums beside the image says: `NAME.sha256`, else a `SHA256SUMS` that has the name.
///
/// # Errors
/// A `NAME.sha256` on this computer that has no sum; a server that has none is as good as one that has no list.
pub(super) fn sum_beside(
    location: &Location,
    surroundings: &Surroundings,
) -> Result<Option<Expected>> {
    let Some(name) = location.file_name() else {
        return Ok(None);
    };
    let own = location.with_suffix(".sha256").map(|list| (list, false));
    let common = location.sibling("SHA256SUMS").map(|list| (list, true));
    for (list, strict) in own.into_iter().chain(common) {
        let bytes = match small(&list, surroundings) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            // Of two servers that cannot be reached, the image's is the one to complain about.
            Err(Error::Http(_)) => continue,
            Err(error) => return Err(error),
        };
        if is_web_page(&bytes) {
            let name = list.to_string();
            (surroundings.tell)(Notice::WebPage { name, wanted: "a list of sums" });
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        match sha256::find(&text, &name, strict) {
            Some(sum) => return Ok(Some(Expected { sum, origin: format!("`{list}`") })),
            None if strict || list.as_file().is_none() => {}
            None => return Err(Error::NoSum { list: PathBuf::from(list.to_string()), name }),
        }
    }
    Ok(None)
}

/// Whether a server that has no such file has sent a page that says so, or somebody has kept such a page.
pub(super) fn is_web_page(bytes: &[u8]) -> bool {
    let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_lowercase();
    let text = beginning.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && ["<html", "<!doctype html"].iter().any(|tag| text.contains(tag))
}

/// A file of at most 4 MiB, wherever it is.
///
/// # Errors
/// [`Error::Http`], [`Error::S3`], [`Error::Io`] with `NotFound` among it, [`Error::Interrupted`].
pub fn read_small(location: &Location, surroundings: &Surroundings) -> Result<Vec<u8>> {
    let path = PathBuf::from(location.to_string());
    let missing = || Error::Io { action: "reading", path, source: io::ErrorKind::NotFound.into() };
    small(location, surroundings)?.ok_or_else(missing)
}

/// A file of at most 4 MiB, wherever it is; `None` where there is none.
///
/// # Errors
/// [`Error::Http`], [`Error::S3`], [`Error::Io`], [`Error::Interrupted`].
pub(super) fn small(location: &Location, surroundings: &Surroundings) -> Result<Option<Vec<u8>>> {
    let path = PathBuf::from(location.to_string());
    if let Some(file) = location.as_file().map(Path::to_owned) {
        // A pipe may have nobody who writes to it, and a server's folder may be gone.
        return interruptible(&path, &surroundings.cancelled, move || {
            match small_file::read(&file, MAX_SMALL_BYTES) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(Error::Io { action: "reading", path: file, source }),
            }
        });
    }
    let (target, _) = target(location, surroundings)?;
    let client = client(surroundings)?;
    interruptible(&path, &surroundings.cancelled, move || {
        Ok(client.small(&target, MAX_SMALL_BYTES)?)
    })
}

fn client(surroundings: &Surroundings) -> Result<Client> {
    let Surroundings { patience, cancelled, tell, .. } = surroundings.clone();
    Ok(Client::new(patience, cancelled, tell)?)
}

/// What to fetch, and the key under which it is kept.
fn target(location: &Location, surroundings: &Surroundings) -> Result<(Target, String)> {
    match location {
        Location::Web(url) => {
            let (name, url) = (location.to_string(), url.clone());
            let address = url.to_string();
            Ok((Target::new(name, move || url.clone()), address))
        }
        Location::S3 { bucket, key } => {
            let target = surroundings.s3.target(bucket, key)?;
            let address = format!("{} {}", surroundings.s3.place(), target.name());
            Ok((target, address))
        }
        Location::File(path) => Err(Error::NotARegularFile { path: path.clone(), what: "a file" }),
        Location::StandardInput => {
            Err(Error::NotARegularFile { path: "-".into(), what: "standard input" })
        }
    }
}

/// A reader whose errors are all this module's, so that a decoder's own errors can be told from them.
pub(super) fn typed<R: Read + Send + 'static>(inner: R, path: &Path) -> Typed<R> {
    Typed { inner, path: path.to_owned() }
}

pub(super) struct Typed<R> {
    inner: R,
    path: PathBuf,
}

impl<R: Read> Read for Typed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => match error.downcast::<HttpError>() {
                Ok(error) => Error::from(error).into_read(),
                Err(error) => Error::from_read(error, &self.path).into_read(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn small_files_are_small_and_waiting_for_one_is_interrupted() {
        let folder = tempfile::TempDir::with_prefix("pikube-test-").unwrap();
        let surroundings = Surroundings::bare();
        let read = |name: &str| small(&Location::File(folder.path().join(name)), &surroundings);
        assert!(read("missing").unwrap().is_none());
        let large = File::create(folder.path().join("large")).unwrap();
        large.set_len(MAX_SMALL_BYTES + 1).unwrap();
        let error = read("large").unwrap_err();
        let Error::Io { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.to_string(), "it is larger than 4 MiB");
        // Nobody ever writes to it.
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        surroundings.cancelled.store(true, Ordering::Relaxed);
        assert!(matches!(read("pipe").unwrap_err(), Error::Interrupted { .. }));
    }

    #[test]
    fn a_page_is_told_from_a_map_and_a_list() {
        for page in [
            "<!DOCTYPE html>\n<title>404</title>",
            "\u{feff} \n<html><body>log in</body></html>",
            "<?xml version=\"1.0\"?>\n<!DOCTYPE HTML PUBLIC \"x\">\n<HTML>",
        ] {
            assert!(is_web_page(page.as_bytes()), "{page}");
        }
        for other in
            ["<?xml version=\"1.0\" ?>\n<bmap version=\"2.0\">", "ab12  <html>.img\n", "", "<x>"]
        {
            assert!(!is_web_page(other.as_bytes()), "{other}");
        }
    }
}
