//! A download that survives its connections.

use std::io::{self, Read};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};

use super::client::{Attempt, Client, Target, Validators, insert, status_error};
use super::error::HttpError;
use crate::image::notice::Notice;

/// A file as it comes. Where a connection breaks, the next one goes on at the byte that is missing.
///
/// * Where the server told a version (ETag or Last-Modified), the rest is asked for with `Range` and `If-Range`.
/// * Where it did not, or answers with the whole file or that it has no such range, the whole file is read from its beginning, and what was delivered before
///   has to be the beginning of it: that is compared by SHA-256. So a server without ranges works, too, and two
///   versions of a file are never mixed.
///
/// An error is an [`HttpError`] within the [`io::Error`].
pub struct Body {
    client: Client,
    target: Target,
    response: Option<Response>,
    position_bytes: u64,
    size_bytes: Option<u64>,
    validators: Validators,
    /// Of what was delivered.
    delivered: Sha256,
    /// Since the last byte that came.
    failures: u32,
    /// Where the server had no such range, and the whole file was asked for.
    without_range_at: Option<u64>,
    finished: bool,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("target", &self.target)
            .field("at", &self.position_bytes)
            .finish()
    }
}

impl Body {
    pub(super) fn new(client: Client, target: Target, response: Response) -> Self {
        Self {
            size_bytes: length(&response),
            validators: Validators::of(response.headers()),
            client,
            target,
            response: Some(response),
            position_bytes: 0,
            delivered: Sha256::new(),
            failures: 0,
            without_range_at: None,
            finished: false,
        }
    }

    /// Size of the file, where the server tells.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// Which version of the file it is.
    pub fn validators(&self) -> &Validators {
        &self.validators
    }

    /// All of it, which may be at most `limit_bytes`.
    ///
    /// # Errors
    /// [`HttpError::TooLarge`], and what reading says.
    pub fn into_bytes(mut self, limit_bytes: u64) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 << 10];
        while !self.finished {
            let len = self.step(&mut piece)?.unwrap_or(0);
            bytes.extend_from_slice(&piece[..len]);
            if bytes.len() as u64 > limit_bytes {
                return Err(HttpError::TooLarge {
                    name: self.target.name().to_owned(),
                    limit_bytes,
                });
            }
        }
        Ok(bytes)
    }

    /// A step; `Ok(None)` when the connection broke and there is another one.
    fn step(&mut self, buf: &mut [u8]) -> Result<Option<usize>, HttpError> {
        let Some(response) = &mut self.response else {
            return self.resume().map(|()| None);
        };
        let problem = match response.read(buf) {
            Ok(0) if self.size_bytes.is_none_or(|size| size == self.position_bytes) => {
                self.finished = true;
                return Ok(Some(0));
            }
            Ok(0) => "the connection was closed too early".to_owned(),
            Ok(len) => {
                self.position_bytes += len as u64;
                self.delivered.update(&buf[..len]);
                self.failures = 0;
                return Ok(Some(len));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
            Err(error) => read_problem(error),
        };
        self.response = None;
        let name = self.target.name().to_owned();
        self.failed(HttpError::Broken { name, problem })?;
        Ok(None)
    }

    /// Counts a failure and waits.
    fn failed(&mut self, why: HttpError) -> Result<(), HttpError> {
        self.failures += 1;
        if self.failures >= self.client.patience.resumes {
            return Err(HttpError::GaveUp {
                name: self.target.name().to_owned(),
                at_bytes: self.position_bytes,
                attempts: self.failures,
                problem: why.to_string(),
            });
        }
        self.client.pause(&self.target, self.failures, &why)
    }

    fn resume(&mut self) -> Result<(), HttpError> {
        match self.reopen() {
            Ok(response) => {
                self.response = Some(response);
                let at_bytes = self.position_bytes;
                let name = self.target.name().to_owned();
                (self.client.tell)(Notice::Resumed { name, at_bytes });
                Ok(())
            }
            // A server that is starting again refuses connections for a while.
            Err(Attempt::Never(error @ HttpError::Connect { .. })) => self.failed(error),
            Err(Attempt::Again(error)) => self.failed(error),
            Err(Attempt::Never(error)) => Err(error),
        }
    }

    /// A response that goes on where the last one broke.
    fn reopen(&mut self) -> Result<Response, Attempt> {
        let mut headers = HeaderMap::new();
        let version = self.validators.for_range().map(str::to_owned);
        if self.position_bytes > 0 && version.is_some() {
            let range = format!("bytes={}-", self.position_bytes);
            insert(&mut headers, header::RANGE, Some(&range));
            insert(&mut headers, header::IF_RANGE, version.as_deref());
        }
        let asked_for_part = !headers.is_empty();
        let response = self.client.once(&self.target, headers)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if asked_for_part => self.check_part(response),
            StatusCode::OK => self.check_whole(response),
            // The file is shorter now, or this was all of it, or the server is wrong: only the file itself can tell.
            StatusCode::RANGE_NOT_SATISFIABLE if asked_for_part => {
                // The whole file has come again, and ends here again.
                if self.without_range_at == Some(self.position_bytes) {
                    return Err(self.changed());
                }
                self.without_range_at = Some(self.position_bytes);
                let response = self.client.once(&self.target, HeaderMap::new())?;
                match response.status() {
                    StatusCode::OK => self.check_whole(response),
                    other => Err(Attempt::Never(status_error(&self.target, other))),
                }
            }
            other => Err(Attempt::Never(status_error(&self.target, other))),
        }
    }

    /// The part has to be the right one of the right version.
    fn check_part(&self, response: Response) -> Result<Response, Attempt> {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok());
        let (begin, size) = range.and_then(content_range).ok_or_else(|| self.changed())?;
        let now = Validators::of(response.headers());
        let other_etag = now.etag.is_some() && now.etag != self.validators.etag;
        let other_size = matches!((size, self.size_bytes), (Some(a), Some(b)) if a != b);
        if begin != self.position_bytes || other_etag || other_size {
            return Err(self.changed());
        }
        Ok(response)
    }

    /// The whole file comes again: what was delivered has to be its beginning.
    fn check_whole(&mut self, mut response: Response) -> Result<Response, Attempt> {
        let mut left = self.position_bytes;
        let mut beginning = Sha256::new();
        let mut piece = vec![0; 256 << 10];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            match response.read(&mut piece[..want]) {
                Ok(0) if length(&response).is_none_or(|size| size < self.position_bytes) => {
                    return Err(self.changed());
                }
                Ok(0) => return Err(self.broken("the connection was closed too early".into())),
                Ok(len) => {
                    beginning.update(&piece[..len]);
                    left -= len as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(read_problem(error))),
            }
        }
        if beginning.finalize() != self.delivered.clone().finalize() {
            return Err(self.changed());
        }
        self.size_bytes = length(&response);
        self.validators = Validators::of(response.headers());
        Ok(response)
    }

    fn changed(&self) -> Attempt {
        let (name, at_bytes) = (self.target.name().to_owned(), self.position_bytes);
        Attempt::Never(HttpError::Changed { name, at_bytes })
    }

    fn broken(&self, problem: String) -> Attempt {
        Attempt::Again(HttpError::Broken { name: self.target.name().to_owned(), problem })
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.finished && !buf.is_empty() {
            if let Some(len) = self.step(buf).map_err(io::Error::other)? {
                return Ok(len);
            }
        }
        Ok(0)
    }
}

/// Size of the body that was announced; not the client's idea of what is left.
fn length(response: &Response) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `bytes 100-199/200`: where it begins, and the size of the whole.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (begin, _) = range.split_once('-')?;
    Some((begin.trim().parse().ok()?, size.trim().parse().ok()))
}

fn read_problem(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return "timed out".into();
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 0-9/*"), Some((0, None)));
        assert_eq!(content_range("bytes */200"), None);
        assert_eq!(content_range("lines 1-2/3"), None);
    }
}
