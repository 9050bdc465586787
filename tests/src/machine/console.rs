//! What a machine writes to its console: kept whole, in memory and in a log file, while the machine runs.

use std::fs::File;
use std::io::{PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The console of one boot.
#[derive(Debug)]
pub struct Console {
    shared: Arc<Shared>,
    log: PathBuf,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    text: Vec<u8>,
    closed: bool,
}

/// How waiting for a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// It was written.
    Seen,
    /// The console was closed without it: the machine has ended.
    Closed,
    /// Time was up.
    TimedOut,
}

impl Console {
    /// Reads the pipe to its end in a thread of its own, into the file `log` too.
    ///
    /// # Errors
    /// When the log cannot be created.
    pub(super) fn capture(mut pipe: PipeReader, log: PathBuf) -> Result<Self> {
        let mut file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let reader = std::thread::spawn(move || {
            let mut block = [0_u8; 4096];
            loop {
                let read = pipe.read(&mut block).unwrap_or(0);
                let mut state = writer.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.text.extend_from_slice(&block[..read]);
                state.closed = read == 0;
                let closed = state.closed;
                drop(state);
                let _ = file.write_all(&block[..read]);
                writer.changed.notify_all();
                if closed {
                    return;
                }
            }
        });
        Ok(Self { shared, log, reader: Some(reader) })
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that was written so far.
    #[must_use]
    pub fn text(&self) -> String {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&state.text).into_owned()
    }

    /// The last `lines` lines, for a message about what went wrong.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Waits until `needle` was written, at most `limit`.
    pub(super) fn wait_for(&self, needle: &str, limit: Duration) -> Waited {
        let end = Instant::now() + limit;
        let mut searched = 0_usize;
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let from = searched.saturating_sub(needle.len());
            if state.text[from..].windows(needle.len()).any(|part| part == needle.as_bytes()) {
                return Waited::Seen;
            }
            searched = state.text.len();
            if state.closed {
                return Waited::Closed;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Waited::TimedOut;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all was read. Call when the machine has ended.
    pub(super) fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
