//! Memory that direct I/O accepts, recycled.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Alignment in memory. Direct I/O wants the logical block size of the device; a page satisfies every device.
const ALIGN_BYTES: usize = 4096;

/// A zeroed byte buffer whose first byte is aligned to a page.
///
/// It is cut out of a slightly larger `Vec`: no `unsafe`, and the `Vec` never grows, so the place stays.
#[derive(Debug)]
pub(super) struct AlignedBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    pub(super) fn new(len: usize) -> Self {
        let memory = vec![0; len + ALIGN_BYTES];
        let start = memory.as_ptr().align_offset(ALIGN_BYTES);
        Self { memory, start, len }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// Buffers of one size that come back when they are dropped: the kernel does not have to zero fresh pages for each
/// chunk. It makes as many as are in use at once; the bounded queues are what limits that.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    free: Arc<Mutex<Vec<AlignedBuffer>>>,
    len: usize,
}

impl Pool {
    pub(super) fn new(len: usize) -> Self {
        Self { free: Arc::default(), len }
    }

    /// A buffer with whatever its last user left in it.
    pub(super) fn take(&self) -> Pooled {
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = recycled.unwrap_or_else(|| AlignedBuffer::new(self.len));
        Pooled { buffer: Some(buffer), home: self.free.clone() }
    }
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub(super) struct Pooled {
    buffer: Option<AlignedBuffer>,
    home: Arc<Mutex<Vec<AlignedBuffer>>>,
}

impl Deref for Pooled {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.home.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_and_recycled() {
        let pool = Pool::new(8192);
        let mut first = pool.take();
        assert_eq!(first.as_ptr().align_offset(ALIGN_BYTES), 0);
        assert_eq!(first.len(), 8192);
        first[0] = 7;
        let place = first.as_ptr();
        drop(first);
        assert_eq!(pool.take().as_ptr(), place);
        let (a, b) = (pool.take(), pool.take());
        assert_ne!(a.as_ptr(), b.as_ptr());
    }
}
