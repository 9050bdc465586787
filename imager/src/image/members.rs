//! gzip, bzip2 and Zstandard: formats whose files are one or more complete members, one behind the other, as `pigz`,
//! `pbzip2` and `pzstd` write them.

use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use super::error::Error;
use super::input::Input;

/// Largest window of a Zstandard frame, as a power of two: 64 MiB, which `zstd --ultra -21` needs, and eight times what
/// `zstd -19` does. With the 128 MiB of `--ultra -22` and `--long` the whole program would need more than the 160 MiB
/// that it promises: such an image comes through a pipe, `zstd -dc --long=31 os.img.zst | piflash --image -`.
const ZSTD_WINDOW_LOG: u32 = 26;

/// The decoder of one member over an input; it reads not one byte beyond its member.
pub(super) trait Member<B>: Read + Sized {
    /// Name for messages.
    const NAME: &'static str;
    /// What each of them may begin with.
    const MAGIC: &'static [&'static [u8]];

    /// Decodes the member that `input` is at.
    ///
    /// # Errors
    /// What the decoder says about being set up.
    fn begin(input: B) -> io::Result<Self>;

    /// The input behind the member.
    fn end(self) -> B;

    /// Where the input is now.
    fn input(&self) -> &B;

    /// Whether an error means that the decoder would need more memory than it may use.
    fn is_memory(_error: &io::Error) -> bool {
        false
    }
}

impl<B: BufRead> Member<B> for flate2::bufread::GzDecoder<B> {
    const NAME: &'static str = "gzip";
    const MAGIC: &'static [&'static [u8]] = &[b"\x1f\x8b"];

    fn begin(input: B) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn end(self) -> B {
        self.into_inner()
    }

    fn input(&self) -> &B {
        self.get_ref()
    }
}

impl<B: BufRead> Member<B> for bzip2::bufread::BzDecoder<B> {
    const NAME: &'static str = "bzip2";
    const MAGIC: &'static [&'static [u8]] = &[b"BZh"];

    fn begin(input: B) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn end(self) -> B {
        self.into_inner()
    }

    fn input(&self) -> &B {
        self.get_ref()
    }
}

impl<B: BufRead> Member<B> for zstd::stream::read::Decoder<'static, B> {
    const NAME: &'static str = "zstd";
    /// Frames, and skippable frames (RFC 8878, 3.1.2).
    const MAGIC: &'static [&'static [u8]] = &[
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\x51\x2a\x4d\x18",
        b"\x52\x2a\x4d\x18",
        b"\x53\x2a\x4d\x18",
        b"\x54\x2a\x4d\x18",
        b"\x55\x2a\x4d\x18",
        b"\x56\x2a\x4d\x18",
        b"\x57\x2a\x4d\x18",
        b"\x58\x2a\x4d\x18",
        b"\x59\x2a\x4d\x18",
        b"\x5a\x2a\x4d\x18",
        b"\x5b\x2a\x4d\x18",
        b"\x5c\x2a\x4d\x18",
        b"\x5d\x2a\x4d\x18",
        b"\x5e\x2a\x4d\x18",
        b"\x5f\x2a\x4d\x18",
    ];

    fn begin(input: B) -> io::Result<Self> {
        let mut decoder = Self::with_buffer(input)?.single_frame();
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        Ok(decoder)
    }

    fn end(self) -> B {
        self.finish()
    }

    fn input(&self) -> &B {
        self.get_ref()
    }

    /// The library gives its errors as text only.
    fn is_memory(error: &io::Error) -> bool {
        error.to_string().contains("requires too much memory")
    }
}

/// Decodes all members of a file. Data that ends early, damage, and anything but a further member behind the last one
/// are errors; only zeros up to the end are let pass, with which tapes and block devices fill up.
pub(super) struct MembersReader<M, R> {
    path: PathBuf,
    state: State<M, Input<R>>,
}

enum State<M, B> {
    Within { member: M, start: u64 },
    Between(B),
    Done,
}

impl<M: Member<Input<R>>, R: Read> MembersReader<M, R> {
    /// Decodes `input`, which is at its first byte; `path` is for messages.
    pub(super) fn new(input: R, path: PathBuf) -> Self {
        Self { path, state: State::Between(Input::new(input)) }
    }

    /// Finds out what comes behind a member.
    fn between(&mut self, mut input: Input<R>) -> io::Result<()> {
        let start = input.consumed_bytes();
        if input.at_end()? {
            self.state = State::Done;
            return Ok(());
        }
        let magic = input.peek(4)?;
        if M::MAGIC.iter().any(|known| magic.starts_with(known)) {
            let member = M::begin(input).map_err(|error| self.problem(error, start))?;
            self.state = State::Within { member, start };
            return Ok(());
        }
        let padded = start > 0 && only_zeros(&mut input)?;
        if !padded {
            let (path, format) = (self.path.clone(), M::NAME);
            let garbage = Error::TrailingGarbage { path, format, offset_bytes: start };
            return Err(garbage.into_read());
        }
        self.state = State::Done;
        Ok(())
    }

    /// What an error of the decoder means.
    fn problem(&self, error: io::Error, offset_bytes: u64) -> io::Error {
        // What the source said, and not the decoder.
        if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            return error;
        }
        let (path, format) = (self.path.clone(), M::NAME);
        if M::is_memory(&error) {
            let limit_bytes = 1 << ZSTD_WINDOW_LOG;
            return Error::NeedsTooMuchMemory { path, format, limit_bytes }.into_read();
        }
        let problem = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                return Error::Truncated { path, format, offset_bytes }.into_read();
            }
            _ => damaged(format),
        };
        Error::Corrupt { path, problem, offset_bytes }.into_read()
    }
}

fn damaged(format: &str) -> &'static str {
    match format {
        "gzip" => "the gzip data is damaged",
        "bzip2" => "the bzip2 data is damaged",
        _ => "the zstd data is damaged",
    }
}

fn only_zeros<R: Read>(input: &mut Input<R>) -> io::Result<bool> {
    loop {
        let pending = input.fill_buf()?;
        let len = pending.len();
        if len == 0 {
            return Ok(true);
        }
        if pending.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        input.consume(len);
    }
}

impl<M: Member<Input<R>>, R: Read> Read for MembersReader<M, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => break,
                State::Between(input) => self.between(input)?,
                State::Within { mut member, start } => match member.read(out) {
                    Ok(0) => self.state = State::Between(member.end()),
                    Ok(len) => {
                        self.state = State::Within { member, start };
                        return Ok(len);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                        self.state = State::Within { member, start };
                    }
                    Err(error) => {
                        return Err(self.problem(error, member.input().consumed_bytes()));
                    }
                },
            }
        }
        Ok(0)
    }
}
