//! Compressed bytes on their way into a decoder: buffered, counted, and with errors that keep their meaning.

use std::io::{self, BufRead, Read};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A buffered reader that knows how far its consumer is.
pub(super) struct Input<R> {
    inner: R,
    buffer: Box<[u8]>,
    pending: std::ops::Range<usize>,
    consumed_bytes: u64,
}

impl<R: Read> Input<R> {
    /// `inner` is at its first byte.
    pub(super) fn new(inner: R) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { inner, buffer, pending: 0..0, consumed_bytes: 0 }
    }

    /// Bytes that were taken out so far.
    pub(super) fn consumed_bytes(&self) -> u64 {
        self.consumed_bytes
    }

    /// The next `len` bytes without consuming them, fewer only where the input ends before that. `len` is at most the
    /// size of the buffer.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        if self.pending.len() < len {
            self.buffer.copy_within(self.pending.clone(), 0);
            self.pending = 0..self.pending.len();
        }
        while self.pending.len() < len {
            match self.inner.read(&mut self.buffer[self.pending.end..]) {
                Ok(0) => break,
                Ok(more) => self.pending.end += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let len = len.min(self.pending.len());
        Ok(&self.buffer[self.pending.start..self.pending.start + len])
    }

    /// Whether nothing follows.
    ///
    /// # Errors
    /// What reading says.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.fill_buf()?.is_empty())
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.pending.is_empty() {
            match self.inner.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(len) => self.pending = 0..len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.pending.clone()])
    }

    fn consume(&mut self, len: usize) {
        self.pending.start += len;
        self.consumed_bytes += len as u64;
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let pending = self.fill_buf()?;
        let len = pending.len().min(buf.len());
        buf[..len].copy_from_slice(&pending[..len]);
        self.consume(len);
        Ok(len)
    }
}
