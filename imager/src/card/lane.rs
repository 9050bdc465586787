//! A second write in flight without io_uring: a thread that writes a chunk while the card's own thread writes another.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use super::blank::Blank;
use super::destination::Destination;
use super::medium::{PutError, put};
use super::stream::Chunk;

/// The thread, with at most one chunk in its hands.
pub(super) struct Lane {
    work: Option<SyncSender<Arc<Chunk>>>,
    done: Receiver<Result<Vec<Range<u64>>, PutError>>,
    busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Lane {
    /// Starts the thread; `None` where the system has none to give, which is no reason to fail.
    pub(super) fn new(mut destination: Box<dyn Destination>) -> Option<Self> {
        let (work, chunks) = sync_channel::<Arc<Chunk>>(1);
        let (sender, done) = sync_channel(1);
        let thread = std::thread::Builder::new().name("card-lane".into()).spawn(move || {
            for chunk in chunks {
                let data = chunk.bytes(destination.padded());
                let result = put(destination.as_mut(), chunk.offset, data, false);
                // Before the answer: who counts chunks shall not find this one.
                drop(chunk);
                if sender.send(result).is_err() {
                    return;
                }
            }
        });
        Some(Self { work: Some(work), done, busy: false, thread: Some(thread.ok()?) })
    }

    /// Takes a chunk, unless the last one is still being written: whether it did. What the device has made zeros of in
    /// the last one is added to `blank`.
    ///
    /// # Errors
    /// What the last chunk met.
    pub(super) fn offer(
        &mut self,
        chunk: &Arc<Chunk>,
        blank: &mut Blank,
    ) -> Result<bool, PutError> {
        if self.busy {
            match self.done.try_recv() {
                Ok(result) => {
                    self.busy = false;
                    result?.into_iter().for_each(|range| blank.add(range));
                }
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(lost()),
            }
        }
        let sent = self.work.as_ref().is_some_and(|work| work.send(chunk.clone()).is_ok());
        self.busy = sent;
        if sent { Ok(true) } else { Err(lost()) }
    }

    /// Waits until nothing is in flight.
    ///
    /// # Errors
    /// What the last chunk met.
    pub(super) fn drain(&mut self, blank: &mut Blank) -> Result<(), PutError> {
        if !std::mem::take(&mut self.busy) {
            return Ok(());
        }
        let zeros = self.done.recv().unwrap_or_else(|_| Err(lost()))?;
        zeros.into_iter().for_each(|range| blank.add(range));
        Ok(())
    }
}

impl Drop for Lane {
    /// Nothing of this card is written any more when this returns.
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread has died, which it has no reason to.
fn lost() -> PutError {
    PutError { offset_bytes: 0, source: io::Error::other("the writing thread ended early") }
}
