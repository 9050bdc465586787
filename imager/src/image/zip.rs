//! A zip archive with exactly one image in it, read from front to back (PKWARE APPNOTE 6.3.10): it may come from a
//! server or a pipe. The directory at its end is read as well, and has to agree with what was found on the way.

use std::io::{self, BufRead as _, Read};
use std::path::PathBuf;

use flate2::{Decompress, FlushDecompress, Status};

use super::error::Error;
use super::input::Input;
use super::zip_format::{DirectoryEntry, LocalHeader, Record, is_image, method_name};

/// Name for messages.
const FORMAT: &str = "zip";
/// Bytes that are decoded at once where they are only skipped.
const SKIP_BYTES: usize = 64 << 10;
/// Names that are kept for messages, beside those of images, of which the second is an error: a long archive may hold any
/// number.
const KEPT_NAMES: usize = 5;

/// Decodes the image of an archive. Damage, a second image, no image, and anything behind the archive are errors.
pub(super) struct ZipReader<R> {
    input: Input<R>,
    path: PathBuf,
    /// Names of what is in it, for messages.
    names: Vec<String>,
    /// The image, once it was met.
    image: Option<LocalHeader>,
    entry: Option<Entry>,
    ended: bool,
}

/// The file that is being decoded.
struct Entry {
    header: LocalHeader,
    inflate: Option<Decompress>,
    crc: crc32fast::Hasher,
    packed_bytes: u64,
    bytes: u64,
}

impl<R: Read> ZipReader<R> {
    /// Decodes `input`, which is at its first byte; `path` is for messages.
    pub(super) fn new(input: R, path: PathBuf) -> Self {
        let input = Input::new(input);
        Self { input, path, names: Vec::new(), image: None, entry: None, ended: false }
    }

    fn corrupt(&self, problem: &'static str) -> io::Error {
        let (path, offset_bytes) = (self.path.clone(), self.input.consumed_bytes());
        Error::Corrupt { path, problem, offset_bytes }.into_read()
    }

    fn truncated(&self) -> io::Error {
        let (path, offset_bytes) = (self.path.clone(), self.input.consumed_bytes());
        Error::Truncated { path, format: FORMAT, offset_bytes }.into_read()
    }

    /// Goes on to the next image, or through the directory to the end.
    fn advance(&mut self) -> io::Result<()> {
        match Record::read(&mut self.input).map_err(|error| self.header_error(error))? {
            Record::Local(header) => self.enter(*header),
            Record::Directory(entry) => self.directory(&entry),
            Record::End => self.finish(),
            Record::Other => Err(self.corrupt("the zip archive is damaged")),
        }
    }

    fn header_error(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated(),
            io::ErrorKind::InvalidData if !error.get_ref().is_some_and(|e| e.is::<Error>()) => {
                self.corrupt("the zip archive is damaged")
            }
            _ => error,
        }
    }

    fn enter(&mut self, header: LocalHeader) -> io::Result<()> {
        let wanted = is_image(&header.name);
        if !header.name.ends_with('/') && (wanted || self.names.len() < KEPT_NAMES) {
            self.names.push(header.name.clone());
        }
        if wanted && self.image.is_some() {
            return Err(self.not_one_image());
        }
        let problem = match header.method {
            _ if header.encrypted => Some("the zip archive is encrypted".to_owned()),
            0 if header.streamed => {
                Some("the zip archive does not tell how long its files are".to_owned())
            }
            0 | 8 => None,
            method => Some(format!(
                "the zip archive is compressed with {}, and piflash decodes deflate only",
                method_name(method)
            )),
        };
        // What is only skipped may be anything that can be skipped.
        if let Some(what) = problem
            && (wanted || header.streamed)
        {
            return Err(Error::Undecodable { path: self.path.clone(), what }.into_read());
        }
        let inflate = (header.method == 8).then(|| Decompress::new(false));
        let crc = crc32fast::Hasher::new();
        if wanted {
            self.image = Some(header.clone());
            self.entry = Some(Entry { header, inflate, crc, packed_bytes: 0, bytes: 0 });
            return Ok(());
        }
        if !header.streamed {
            return self.skip(header.packed_bytes);
        }
        self.entry = Some(Entry { header, inflate, crc, packed_bytes: 0, bytes: 0 });
        let mut scrap = vec![0; SKIP_BYTES];
        while self.entry.is_some() {
            self.decode(&mut scrap)?;
        }
        Ok(())
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let mut left = bytes;
        while left > 0 {
            let pending = self.input.fill_buf()?.len();
            if pending == 0 {
                return Err(self.truncated());
            }
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(pending);
            self.input.consume(len);
            left -= len as u64;
        }
        Ok(())
    }

    /// Decodes a piece of the entry; 0 at its end, where everything that the archive says about it is checked.
    fn decode(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(mut entry) = self.entry.take() else {
            return Ok(0);
        };
        loop {
            let pending = self.input.fill_buf()?;
            let starved = pending.is_empty();
            let (taken, len, ended) = match &mut entry.inflate {
                None => {
                    let left = entry.header.packed_bytes - entry.packed_bytes;
                    let left = usize::try_from(left).unwrap_or(usize::MAX);
                    let len = left.min(pending.len()).min(out.len());
                    out[..len].copy_from_slice(&pending[..len]);
                    (len, len, left == 0)
                }
                Some(inflate) => {
                    let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
                    let status = inflate.decompress(pending, out, FlushDecompress::None);
                    let taken = (inflate.total_in() - before_in) as usize;
                    let len = (inflate.total_out() - before_out) as usize;
                    match status {
                        Ok(status) => (taken, len, status == Status::StreamEnd),
                        Err(_) => return Err(self.corrupt("the zip data is damaged")),
                    }
                }
            };
            self.input.consume(taken);
            entry.packed_bytes += taken as u64;
            entry.bytes += len as u64;
            entry.crc.update(&out[..len]);
            if ended {
                self.check(entry)?;
                return Ok(len);
            }
            if len > 0 {
                self.entry = Some(entry);
                return Ok(len);
            }
            if starved {
                return Err(self.truncated());
            }
        }
    }

    fn check(&mut self, mut entry: Entry) -> io::Result<()> {
        let (packed, bytes, crc) = (entry.packed_bytes, entry.bytes, entry.crc.finalize());
        if entry.header.streamed {
            let tail = self.input.peek(24)?.to_vec();
            match super::zip_format::descriptor_bytes(&tail, crc, packed, bytes) {
                Some(len) => self.input.consume(len),
                None if tail.len() < 12 => return Err(self.truncated()),
                None => return Err(self.corrupt("the zip data does not match its checksum")),
            }
            (entry.header.crc, entry.header.packed_bytes, entry.header.bytes) =
                (crc, packed, bytes);
        } else if (entry.header.crc, entry.header.packed_bytes, entry.header.bytes)
            != (crc, packed, bytes)
        {
            return Err(self.corrupt("the zip data does not match its checksum"));
        }
        if is_image(&entry.header.name) {
            self.image = Some(entry.header);
        }
        Ok(())
    }

    /// An entry of the directory.
    fn directory(&self, entry: &DirectoryEntry) -> io::Result<()> {
        if !is_image(&entry.name) {
            return Ok(());
        }
        match &self.image {
            Some(image)
                if image.name == entry.name
                    && (image.crc, image.bytes) == (entry.crc, entry.bytes) =>
            {
                Ok(())
            }
            _ => Err(self.corrupt("the directory of the zip archive does not match its files")),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.image.is_none() {
            return Err(self.not_one_image());
        }
        if !self.input.at_end()? {
            let (path, offset_bytes) = (self.path.clone(), self.input.consumed_bytes());
            return Err(Error::TrailingGarbage { path, format: FORMAT, offset_bytes }.into_read());
        }
        self.ended = true;
        Ok(())
    }

    fn not_one_image(&self) -> io::Error {
        not_one_image(&self.path, &self.names).into_read()
    }
}

/// The refusal of an archive with these files in it.
pub(super) fn not_one_image(path: &std::path::Path, names: &[String]) -> Error {
    let mut found: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| is_image(name)).collect();
    let images = found.len();
    if images == 0 {
        found = names.iter().map(String::as_str).take(KEPT_NAMES).collect();
    }
    let found = match found.as_slice() {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    Error::NotOneImage { path: path.to_owned(), images, found }
}

impl<R: Read> Read for ZipReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() && !self.ended {
            if self.entry.is_none() {
                self.advance()?;
                continue;
            }
            match self.decode(out)? {
                0 => {}
                len => return Ok(len),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of any number of small files costs time by its length, and no memory.
    #[test]
    fn few_names_are_kept_of_many_files() {
        let mut archive = Vec::new();
        for number in 0..20_000 {
            let name = format!("file-{number:05}");
            archive.extend(b"PK\x03\x04\x14\0\0\0\0\0");
            archive.extend([0; 16]);
            archive.extend([name.len() as u8, 0, 0, 0]);
            archive.extend(name.as_bytes());
        }
        archive.extend(b"PK\x05\x06");
        archive.extend([0; 18]);
        let mut reader = ZipReader::new(archive.as_slice(), PathBuf::from("os.zip"));
        let error = reader.read(&mut [0; 16]).unwrap_err().to_string();
        assert_eq!(reader.names.len(), KEPT_NAMES);
        assert!(error.contains("`file-00000`, ") && error.contains("`file-00004`"), "{error}");
    }
}
