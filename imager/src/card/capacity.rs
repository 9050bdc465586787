//! Counterfeit cards: sold as 64 GB, with 8 GB inside. What is written beyond lands at the beginning again, or nowhere.
//!
//! Found out before the long write: markers at the end and at every power of two, where such cards wrap around, are
//! written, synced and read back. (The reading back of the image finds the others, as far as the image goes.) The
//! markers are zeroed again.

use super::buffer::AlignedBuffer;
use super::error::{Error, Result};
use super::medium::Medium;

/// Below this nobody forges: the smallest cards on sale have far more.
const FIRST_BYTES: u64 = 64 << 20;
/// Bytes of a marker.
const MARKER_BYTES: usize = 4096;
/// How exactly the true capacity is looked for where nothing tells it.
const PRECISION_BYTES: u64 = 1 << 20;

/// Fails with [`Error::Counterfeit`] where the card does not keep what is written within its size. The first MiB of
/// the card is zeros and synced.
pub(super) fn check(medium: &mut Medium, claimed_bytes: u64) -> Result<()> {
    let run = token(medium)?;
    let mut probe = Probe { medium, run, claimed_bytes };
    let places = places(claimed_bytes);
    // From the end to the beginning: where several land at the same place, the smallest stays, and it is the capacity.
    for place in places.iter().rev() {
        probe.write(*place)?;
    }
    if places.is_empty() {
        return Ok(());
    }
    probe.medium.sync()?;
    // At the start of the card there are zeros, or what went around.
    if let Some(real_bytes) = probe.marker_at(0)? {
        return Err(probe.counterfeit(real_bytes));
    }
    let mut good = 0;
    for place in &places {
        if probe.marker_at(*place)? != Some(*place) {
            let real_bytes = probe.search(good, *place)?;
            return Err(match real_bytes {
                ..=PRECISION_BYTES => Error::KeepsNothing { path: probe.medium.path.clone() },
                _ => probe.counterfeit(real_bytes),
            });
        }
        good = *place;
    }
    for place in &places {
        probe.medium.put_zeros(*place, MARKER_BYTES)?;
    }
    probe.medium.sync()
}

/// Where the markers go, in ascending order.
fn places(claimed_bytes: u64) -> Vec<u64> {
    let last = claimed_bytes.saturating_sub(MARKER_BYTES as u64) / MARKER_BYTES as u64
        * MARKER_BYTES as u64;
    let mut places: Vec<u64> = std::iter::successors(Some(FIRST_BYTES), |at| at.checked_mul(2))
        .take_while(|at| *at < last)
        .collect();
    if !places.is_empty() {
        places.push(last);
    }
    places
}

struct Probe<'a> {
    medium: &'a mut Medium,
    /// Tells this run's markers from those of an earlier one.
    run: [u8; 16],
    claimed_bytes: u64,
}

impl Probe<'_> {
    fn marker(&self, place: u64) -> AlignedBuffer {
        let mut marker = AlignedBuffer::new(MARKER_BYTES);
        for piece in marker.chunks_exact_mut(24) {
            piece[..16].copy_from_slice(&self.run);
            piece[16..].copy_from_slice(&place.to_le_bytes());
        }
        marker
    }

    fn write(&mut self, place: u64) -> Result<()> {
        let marker = self.marker(place);
        self.medium.put(place, &marker)
    }

    /// For which place the marker is that is found at this one.
    fn marker_at(&mut self, place: u64) -> Result<Option<u64>> {
        let mut read = AlignedBuffer::new(MARKER_BYTES);
        self.medium.get(place, &mut read)?;
        let Some(Ok(of)) = read.get(16..24).map(<[u8; 8]>::try_from) else { return Ok(None) };
        let of = u64::from_le_bytes(of);
        Ok((*read == *self.marker(of)).then_some(of))
    }

    /// The last place that keeps what is written, between one that does and one that does not.
    fn search(&mut self, mut good: u64, mut bad: u64) -> Result<u64> {
        while bad - good > PRECISION_BYTES {
            let middle = (good + (bad - good) / 2).next_multiple_of(MARKER_BYTES as u64);
            self.write(middle)?;
            self.medium.sync()?;
            match self.marker_at(middle)? == Some(middle) {
                true => good = middle,
                false => bad = middle,
            }
        }
        Ok(bad)
    }

    fn counterfeit(&self, real_bytes: u64) -> Error {
        let (path, claimed_bytes) = (self.medium.path.clone(), self.claimed_bytes);
        Error::Counterfeit { path, claimed_bytes, real_bytes }
    }
}

fn token(medium: &Medium) -> Result<[u8; 16]> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| {
        let error = std::io::Error::other(error.to_string());
        Error::io("making markers for card", &medium.path, error)
    })?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_at_powers_of_two_and_at_the_end() {
        const MIB: u64 = 1 << 20;
        assert!(places(20 * MIB).is_empty() && places(0).is_empty() && places(64 * MIB).is_empty());
        assert_eq!(places(300 * MIB + 512), [64 * MIB, 128 * MIB, 256 * MIB, 300 * MIB - 4096]);
        assert_eq!(places(128 * MIB), [64 * MIB, 128 * MIB - 4096]);
    }
}
