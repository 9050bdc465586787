//! The integrity of what is read: an image that is not what it should be ends in an error instead of in its end.
//!
//! That is what keeps it from becoming a card that boots: the table of a card is written only after the end of the
//! image was reached without an error.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::sha256::Sha256Sum;
use super::signature::Verifier;

/// What a SHA-256 sum has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The sum.
    pub sum: Sha256Sum,
    /// Who says so: `--sha256`, a file, the catalogue.
    pub origin: String,
}

/// The SHA-256 sum of an image as it is distributed; known once it was read to its end.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint(Arc<OnceLock<Sha256Sum>>);

impl Fingerprint {
    /// The sum, once it is known.
    pub fn get(&self) -> Option<Sha256Sum> {
        self.0.get().copied()
    }
}

/// What has to be true of what is read.
#[derive(Default)]
pub(super) struct Demands {
    pub(super) expected: Option<Expected>,
    pub(super) signature: Option<Verifier>,
}

/// A reader that does not end well unless all demands are met.
pub(super) struct Checked<R> {
    inner: R,
    path: PathBuf,
    /// What is checked, for messages: `its SHA-256`.
    what: &'static str,
    demands: Demands,
    sum: Sha256,
    fingerprint: Fingerprint,
    ended: bool,
}

impl<R: Read> Checked<R> {
    /// Checks the file itself; `path` is for messages.
    pub(super) fn distributed(inner: R, path: PathBuf, demands: Demands) -> Self {
        Self::new(inner, path, demands, "its SHA-256 sum")
    }

    /// Checks what comes out of the decoder.
    pub(super) fn decoded(inner: R, path: PathBuf, expected: Expected) -> Self {
        let demands = Demands { expected: Some(expected), signature: None };
        Self::new(inner, path, demands, "the SHA-256 sum of its decoded data")
    }

    fn new(inner: R, path: PathBuf, demands: Demands, what: &'static str) -> Self {
        let (sum, fingerprint) = (Sha256::new(), Fingerprint::default());
        Self { inner, path, what, demands, sum, fingerprint, ended: false }
    }

    /// The sum, for when it is known.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn finish(&mut self) -> Result<(), Error> {
        let sum = Sha256Sum(std::mem::take(&mut self.sum).finalize().into());
        if let Some(expected) = self.demands.expected.take()
            && expected.sum != sum
        {
            let Expected { sum: expected, origin } = expected;
            let (found, expected) = (Box::new(sum), Box::new(expected));
            let (path, what) = (self.path.clone(), self.what);
            return Err(Error::WrongSum { path, what, found, expected, origin });
        }
        if let Some(signature) = self.demands.signature.take() {
            let path = self.path.clone();
            signature.finish().map_err(|problem| Error::Signature { path, problem })?;
        }
        // Someone else may have set it only if this ran twice, which `ended` prevents.
        let _ = self.fingerprint.0.set(sum);
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ended || buf.is_empty() {
            return Ok(0);
        }
        let len = self.inner.read(buf)?;
        if len == 0 {
            self.finish().map_err(Error::into_read)?;
            self.ended = true;
        }
        self.sum.update(&buf[..len]);
        if let Some(signature) = &mut self.demands.signature {
            signature.update(&buf[..len]);
        }
        Ok(len)
    }
}
