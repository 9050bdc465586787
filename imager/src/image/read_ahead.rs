//! A thread that reads while the decoder decodes, and a wait that Ctrl-C ends at once, whatever the network does.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::error::{Error, Result};

/// Bytes of a piece.
const PIECE_BYTES: usize = 512 << 10;
/// Pieces that wait for the decoder. One more is being read and one is being decoded: 3 MiB in all.
const QUEUE_PIECES: usize = 4;
/// Time between two looks at the cancellation flag.
const LOOK: Duration = Duration::from_millis(100);

/// Reads ahead.
pub(super) struct ReadAhead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    empties: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    position: usize,
    ended: bool,
    path: PathBuf,
    cancelled: Arc<AtomicBool>,
}

impl ReadAhead {
    /// Starts reading `source`; `path` is for messages. The thread ends with the source, after an error of it, or when
    /// the reader is dropped, once the read that it is in returns.
    ///
    /// # Errors
    /// [`Error::Io`] where there can be no thread.
    pub(super) fn new(
        mut source: impl Read + Send + 'static,
        path: PathBuf,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self> {
        let (sender, pieces) = sync_channel::<io::Result<Vec<u8>>>(QUEUE_PIECES);
        let (empties, recycled) = sync_channel::<Vec<u8>>(QUEUE_PIECES + 2);
        let read_all = move || {
            loop {
                let mut piece = recycled.try_recv().unwrap_or_default();
                piece.resize(PIECE_BYTES, 0);
                let result = fill(&mut source, &mut piece);
                let (len, error) = match result {
                    Ok(len) => (len, None),
                    Err((len, error)) => (len, Some(error)),
                };
                let ended = len < PIECE_BYTES;
                piece.truncate(len);
                // The reader went away: nobody wants to know.
                if len > 0 && sender.send(Ok(piece)).is_err() {
                    return;
                }
                if let Some(error) = error {
                    let _ = sender.send(Err(error));
                }
                if ended {
                    return;
                }
            }
        };
        spawn("read-ahead", &path, read_all)?;
        let piece = Vec::new();
        Ok(Self { pieces, empties, piece, position: 0, ended: false, path, cancelled })
    }

    fn next(&mut self) -> io::Result<()> {
        let next = loop {
            // Before each piece, not only where one has to be waited for: a decoder may take many pieces of padding, or
            // of files that are skipped, before it gives back a byte.
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::Interrupted { path: self.path.clone() }.into_read());
            }
            match self.pieces.recv_timeout(LOOK) {
                Ok(next) => break next,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        };
        let used = std::mem::replace(&mut self.piece, next?);
        self.position = 0;
        let _ = self.empties.try_send(used);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        Ok(())
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.position == self.piece.len() && !self.ended && !buf.is_empty() {
            self.next()?;
        }
        let pending = &self.piece[self.position.min(self.piece.len())..];
        if self.ended {
            return Ok(0);
        }
        let len = pending.len().min(buf.len());
        buf[..len].copy_from_slice(&pending[..len]);
        self.position += len;
        Ok(len)
    }
}

/// Fills `buf`; fewer bytes mean the end, or an error that comes after them.
fn fill(source: &mut impl Read, buf: &mut [u8]) -> std::result::Result<usize, (usize, io::Error)> {
    let mut filled = 0;
    while filled < buf.len() {
        match source.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(filled)
}

/// Runs `work` on a thread of its own and waits for it, but not when `cancelled` is set: then the thread is left to
/// itself, to end with its time-out or with the program.
///
/// # Errors
/// [`Error::Interrupted`], and what `work` says.
pub(crate) fn interruptible<T: Send + 'static>(
    path: &std::path::Path,
    cancelled: &AtomicBool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, result) = channel();
    let thread = spawn("wait", path, move || {
        let _ = sender.send(work());
    })?;
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Error::Interrupted { path: path.to_owned() });
        }
        match result.recv_timeout(LOOK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // Only a panic drops the sender without a word.
    match thread.join() {
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(()) => Err(Error::Interrupted { path: path.to_owned() }),
    }
}

pub(super) fn spawn(
    name: &str,
    path: &std::path::Path,
    work: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work).map_err(|source| Error::Io {
        action: "starting a thread to read image",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::sniff::Format;

    /// Padding without an end, behind one stream or file: nothing ever comes out of the decoder.
    #[test]
    fn what_gives_no_bytes_is_interrupted_all_the_same() {
        let path = PathBuf::from("endless.img");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, b"pikube").unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        io::Write::write_all(&mut xz, b"pikube").unwrap();
        let cases = [(Format::Gzip, gzip.finish().unwrap()), (Format::Xz, xz.finish().unwrap())];
        for (format, start) in cases {
            let cancelled = Arc::new(AtomicBool::new(false));
            let endless = io::Cursor::new(start).chain(io::repeat(0));
            let source = ReadAhead::new(endless, path.clone(), cancelled.clone()).unwrap();
            let mut image =
                crate::image::decode::decoded(format, Box::new(source), &path, None).unwrap();
            let mut bytes = [0; 6];
            image.read_exact(&mut bytes).unwrap();
            assert_eq!(&bytes, b"pikube");
            cancelled.store(true, Ordering::Relaxed);
            let error = Error::from_read(image.read(&mut bytes).unwrap_err(), &path);
            assert!(matches!(error, Error::Interrupted { .. }), "{format:?}: {error}");
        }
    }
}
