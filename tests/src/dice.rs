//! Chance that can be repeated: the seed is `PIKUBE_TEST_SEED` or fresh, and every failure names it.

use anyhow::{Context, Result};

/// The seed of this run.
///
/// # Errors
/// When `PIKUBE_TEST_SEED` is no number, or the system has no random numbers.
pub fn seed() -> Result<u64> {
    match std::env::var("PIKUBE_TEST_SEED") {
        Ok(text) => text.parse().with_context(|| format!("PIKUBE_TEST_SEED={text} is no number")),
        // short enough to be typed
        Err(_) => Ok(u64::from(getrandom::u32()?)),
    }
}

/// A sequence of chances (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each `salt` under one seed.
    #[must_use]
    pub fn new(seed: u64, salt: u64) -> Self {
        Self(seed ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0.0..1.0.
    pub fn fraction(&mut self) -> f64 {
        let upper = u32::try_from(self.next() >> 32).unwrap_or_default();
        f64::from(upper) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let mut first = Dice::new(7, 1);
        let mut second = Dice::new(7, 1);
        assert!((0..100).all(|_| {
            let fraction = first.fraction();
            (0.0..1.0).contains(&fraction) && fraction.to_bits() == second.fraction().to_bits()
        }));
    }
}
