//! Where a card differs from its image, to the byte: the image is decoded once more for it.

use std::sync::atomic::AtomicBool;

use super::error::Result;
use super::source::Image;

/// Bytes that are decoded at once.
const STEP_BYTES: usize = 1 << 20;

impl Image {
    /// The first byte, from the start of the image, at which a card does not have what it shall: `found` was read
    /// `offset` bytes from the start, behind the boot partition. `None` where all is right, or the image ends first.
    ///
    /// # Errors
    /// What decoding the image up to there says.
    pub fn first_difference(self, offset: u64, found: &[u8]) -> Result<Option<u64>> {
        let (_, mut rest) = self.into_head(&AtomicBool::new(false), &mut |_| {})?;
        let mut step = vec![0; STEP_BYTES];
        while rest.position_bytes() < offset {
            let left = offset - rest.position_bytes();
            let len = left.min(STEP_BYTES as u64) as usize;
            if rest.fill(&mut step[..len])? < len {
                return Ok(None);
            }
        }
        if rest.position_bytes() > offset {
            return Ok(None);
        }
        let mut wanted = vec![0; found.len()];
        let len = rest.fill(&mut wanted)?;
        let first = wanted[..len].iter().zip(found).position(|(wanted, found)| wanted != found);
        Ok(first.map(|at| offset + at as u64))
    }
}
