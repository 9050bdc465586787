//! Where a card differs from its image, to the byte: the image is decoded once more for it.

use std::io::{self, Read};

use super::error::{Error, Result};
use super::source::Image;

impl Image {
    /// The first byte, from the start of the image, at which it is not `found`, which was read `offset` bytes from the
    /// start; `None` where they are the same, or the image ends first.
    ///
    /// # Errors
    /// What decoding the image up to there says.
    pub fn first_difference(mut self, offset: u64, found: &[u8]) -> Result<Option<u64>> {
        let path = self.path().to_owned();
        let failed = |error| Error::from_read(error, &path);
        let skipped =
            io::copy(&mut self.reader.by_ref().take(offset), &mut io::sink()).map_err(failed)?;
        let mut wanted = Vec::new();
        self.reader.take(found.len() as u64).read_to_end(&mut wanted).map_err(failed)?;
        let first = wanted.iter().zip(found).position(|(wanted, found)| wanted != found);
        Ok(first.filter(|_| skipped == offset).map(|at| offset + at as u64))
    }
}
