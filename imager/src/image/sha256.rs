//! SHA-256 sums: typed, listed in a file, compared.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// A SHA-256 sum; displays as 64 lower-case digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Sum(pub [u8; 32]);

impl Sha256Sum {
    /// The sum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// What is no SHA-256 sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 sum has 64 hexadecimal digits")]
pub struct Sha256Error;

impl FromStr for Sha256Sum {
    type Err = Sha256Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Sha256Error);
        }
        let mut sum = [0; 32];
        for (byte, at) in sum.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| Sha256Error)?;
        }
        Ok(Sha256Sum(sum))
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The sum of the file `name` in a list as `sha256sum` writes it, with or without `--tag`. A list of one sum without
/// a name, or of one that was made under another name, is for the file that it lies beside; `strict` wants the name.
pub(super) fn find(list: &str, name: &str, strict: bool) -> Option<Sha256Sum> {
    let lines: Vec<(Sha256Sum, &str)> = list.lines().filter_map(line).collect();
    let base = |listed: &str| listed.rsplit('/').next().unwrap_or_default().to_owned();
    let named = lines.iter().find(|(_, listed)| base(listed) == name);
    match (named, lines.as_slice()) {
        (Some((sum, _)), _) => Some(*sum),
        (None, [(sum, _)]) if !strict => Some(*sum),
        _ => None,
    }
}

/// `HEX  NAME`, `HEX *NAME`, `HEX`, `SHA256 (NAME) = HEX`.
fn line(line: &str) -> Option<(Sha256Sum, &str)> {
    let line = line.trim();
    if let Some(tagged) = line.strip_prefix("SHA256 (") {
        let (name, sum) = tagged.rsplit_once(") = ")?;
        return Some((sum.parse().ok()?, name));
    }
    let (sum, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let name = name.trim_start();
    Some((sum.parse().ok()?, name.strip_prefix('*').unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_they_are_found() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let sum = |text: &str| text.parse::<Sha256Sum>().unwrap();
        assert_eq!(find(&a, "x.img", false), Some(sum(&a)));
        assert_eq!(find(&a, "x.img", true), None);
        assert_eq!(find(&format!("{a}  other.img\n"), "x.img", false), Some(sum(&a)));
        let two = format!("{a}  other.img\n{b} *./x.img\n");
        assert_eq!(find(&two, "x.img", true), Some(sum(&b)));
        assert_eq!(find(&two, "y.img", false), None);
        assert_eq!(find(&format!("SHA256 (x.img) = {a}\n"), "x.img", true), Some(sum(&a)));
        assert_eq!(find("<html>404</html>", "x.img", false), None);
        assert_eq!(sum(&b).to_string(), b.to_lowercase());
        assert!("12".parse::<Sha256Sum>().is_err() && "é".repeat(32).parse::<Sha256Sum>().is_err());
    }
}
