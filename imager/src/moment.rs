//! The moment that goes onto cards: as `flashed_at`, and as the date of files on the boot partition.

use jiff::Timestamp;

/// Now, or the seconds since 1970 in `SOURCE_DATE_EPOCH` (reproducible-builds.org), in whole seconds: with it two cards
/// of the same settings are the same, byte for byte.
pub fn flashing() -> Timestamp {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let seconds = given.unwrap_or_else(|| Timestamp::now().as_second());
    // The Pi's floor needs no more than seconds, and people read it.
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH)
}
