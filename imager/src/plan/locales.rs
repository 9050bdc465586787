//! Which locales there are: a node would find out after its first boot only.

use pikube_config::nearest;
use pikube_config::values::locale;

const NAMES: &str = include_str!("../../../config/locales.txt");

/// A locale that Debian's glibc has, `en_GB.UTF-8`.
///
/// # Errors
/// What is wrong with it, and the nearest that there is.
pub fn check(value: &str) -> Result<(), String> {
    locale::locale(value)?;
    let name = value.replacen(".UTF-8", "", 1);
    let mut known = NAMES.lines().filter(|line| !line.starts_with('#'));
    if known.clone().any(|known| known == name) {
        return Ok(());
    }
    let same_language = |known: &&str| known.split('_').next() == name.split('_').next();
    let hint = nearest(&name, known.clone()).or_else(|| known.find(same_language));
    let hint = hint.map_or_else(String::new, |name| format!(", did you mean `{name}.UTF-8`?"));
    Err(format!("there is no locale `{value}`{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is() {
        for good in ["en_GB.UTF-8", "C.UTF-8", "ca_ES.UTF-8@valencia", "zgh_MA.UTF-8"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert!(check("en_UK.UTF-8").unwrap_err().contains("did you mean `en_"));
        assert_eq!(check("xx_YY.UTF-8").unwrap_err(), "there is no locale `xx_YY.UTF-8`");
        assert!(check("fr_FR").unwrap_err().contains("is not a UTF-8 locale"));
    }
}
