//! Where an image is: what `--image` says, once it is known not to be an alias.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// Where an image, a checksum or a signature is. Displays without user name, password and query: those may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// `-`
    StandardInput,
    /// `http://` or `https://`
    Web(Url),
    /// `s3://BUCKET/KEY`
    S3 {
        /// The bucket.
        bucket: String,
        /// The object in it.
        key: String,
    },
}

/// What is no location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// `ftp://…`
    #[error("opening `{0}`: only http, https, s3 and file are supported")]
    Scheme(String),
    /// Not a URL.
    #[error("opening `{text}`: {problem}")]
    Url {
        /// What was given, without what may be secret.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Location {
    /// A location from what was typed: anything with `://` is a URL, `-` is standard input, the rest is a path.
    ///
    /// # Errors
    /// [`LocationError`] for a URL that cannot be used.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        if text == "-" {
            return Ok(Location::StandardInput);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Location::File(PathBuf::from(text)));
        };
        let bad = |problem: String| LocationError::Url { text: redacted(text), problem };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let url = Url::from_str(text).map_err(|error| bad(error.to_string()))?;
                Ok(Location::Web(url))
            }
            "s3" => match rest.split_once('/') {
                // A key with such parts would be another one once it is in a URL.
                Some((_, key)) if key.split('/').any(|part| matches!(part, "." | "..")) => {
                    Err(bad("a key with `.` or `..` in it cannot be fetched".into()))
                }
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Location::S3 { bucket: bucket.into(), key: key.into() })
                }
                _ => Err(bad("it has to be s3://BUCKET/KEY".into())),
            },
            "file" => match Url::from_str(text).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => Ok(Location::File(path)),
                None => Err(bad("it names no file of this computer".into())),
            },
            _ => Err(LocationError::Scheme(redacted(text))),
        }
    }

    /// The file, where it is one.
    pub fn as_file(&self) -> Option<&Path> {
        match self {
            Location::File(path) => Some(path),
            _ => None,
        }
    }

    /// The last part of its path, decoded, by which a list of checksums names it.
    pub(super) fn file_name(&self) -> Option<String> {
        match self {
            Location::File(path) => path.file_name().map(|name| name.to_string_lossy().into()),
            Location::StandardInput => None,
            Location::Web(url) => {
                let last = url.path_segments()?.next_back()?;
                (!last.is_empty()).then(|| percent_decoded(last))
            }
            Location::S3 { key, .. } => key.rsplit('/').next().map(str::to_owned),
        }
    }

    /// The same place with something added to its name; `None` for standard input.
    pub(super) fn with_suffix(&self, suffix: &str) -> Option<Location> {
        self.renamed(|name| format!("{name}{suffix}"))
    }

    /// Another file in the same folder; `None` for standard input.
    pub(super) fn sibling(&self, name: &str) -> Option<Location> {
        self.renamed(|_| name.to_owned())
    }

    fn renamed(&self, rename: impl Fn(&str) -> String) -> Option<Location> {
        let change = |path: &str| match path.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{}", rename(name)),
            None => rename(path),
        };
        match self {
            Location::StandardInput => None,
            Location::File(path) => {
                let name = path.file_name()?.to_str()?;
                Some(Location::File(path.with_file_name(rename(name))))
            }
            Location::Web(url) => {
                let mut url = url.clone();
                url.set_path(&change(url.path()));
                Some(Location::Web(url))
            }
            Location::S3 { bucket, key } => {
                Some(Location::S3 { bucket: bucket.clone(), key: change(key) })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => path.display().fmt(f),
            Location::StandardInput => f.write_str("-"),
            Location::Web(url) => f.write_str(&redacted(url.as_str())),
            Location::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl fmt::Debug for Location {
    /// As [`fmt::Display`]: a URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// A URL without what may be secret in it: user, password, query, fragment.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let path = rest.find('/').unwrap_or(rest.len()).min(end);
    let host = rest[..path].rsplit('@').next().unwrap_or_default();
    let more = if rest[end..].starts_with('?') { "?..." } else { "" };
    format!("{scheme}://{host}{}{more}", &rest[path..end])
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_decides() {
        assert_eq!(Location::parse("-"), Ok(Location::StandardInput));
        assert_eq!(Location::parse("a b.img"), Ok(Location::File("a b.img".into())));
        assert_eq!(Location::parse("file:///a%20b"), Ok(Location::File("/a b".into())));
        assert!(matches!(Location::parse("HTTPS://host/x"), Ok(Location::Web(_))));
        let s3 = Location::S3 { bucket: "b".into(), key: "k/x.img".into() };
        assert_eq!(Location::parse("s3://b/k/x.img"), Ok(s3));
        for bad in
            ["ftp://h/x", "s3://b", "s3://b/", "s3:///k", "s3://b/../c", "http://", "file://far/x"]
        {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = "https://me:swordfish@host:81/a/b.img?token=swordfish#swordfish";
        let location = Location::parse(url).unwrap();
        assert_eq!(location.to_string(), "https://host:81/a/b.img?...");
        assert_eq!(format!("{location:?}"), "Location(https://host:81/a/b.img?...)");
        for bad in ["ftp://me:swordfish@host/x", "http://me:swordfish@[/x"] {
            let error = Location::parse(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("swordfish"), "{error}");
        }
    }

    #[test]
    fn what_is_beside_it() {
        let web = Location::parse("http://h/a/b%20c.img.xz?x=1").unwrap();
        assert_eq!(web.file_name().as_deref(), Some("b c.img.xz"));
        let beside = web.with_suffix(".sha256").unwrap();
        assert_eq!(beside, Location::parse("http://h/a/b%20c.img.xz.sha256?x=1").unwrap());
        let s3 = Location::parse("s3://b/k/x.img").unwrap();
        assert_eq!(s3.sibling("SHA256SUMS"), Some(Location::parse("s3://b/k/SHA256SUMS").unwrap()));
        assert_eq!(Location::StandardInput.with_suffix(".sha256"), None);
    }
}
