//! Sizes as people read them, without hiding the exact number.

use std::fmt;

/// A number of bytes; displays as `31914983424 bytes (29.7 GiB)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Only the short form, `29.7 GiB`.
    pub fn short(self) -> String {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return format!("{} bytes", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // 1023.95 would be shown as 1024.0: go on to the next unit before that.
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let text = format!("{value:.1}");
        format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        write!(f, "{} bytes ({})", self.0, self.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_shown() {
        assert_eq!(ByteSize(17).to_string(), "17 bytes");
        assert_eq!(ByteSize(1024).to_string(), "1024 bytes (1 KiB)");
        assert_eq!(ByteSize(31_914_983_424).to_string(), "31914983424 bytes (29.7 GiB)");
        assert_eq!(ByteSize((1 << 30) - 1).short(), "1 GiB");
    }
}
