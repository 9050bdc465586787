//! Which keyboard layouts there are: a node takes any word, and its console then has none.

use pikube_config::nearest;
use pikube_config::values::locale;

const NAMES: &str = include_str!("../../../config/keyboards.txt");

/// Names of the console's own keymaps (kbd) that people take for those of XKB, with the layout (systemd's
/// `kbd-model-map`).
const KEYMAPS: [(&str, &str); 8] = [
    ("uk", "gb"),
    ("cf", "ca"),
    ("sg", "ch"),
    ("sf", "ch:fr"),
    ("la", "latam"),
    ("sv", "se"),
    ("slovene", "si"),
    ("croat", "hr"),
];

/// A layout of xkeyboard-config with an optional variant: `gb`, `de:nodeadkeys`.
///
/// # Errors
/// What is wrong with it, and the nearest that there is.
pub fn check(value: &str) -> Result<(), String> {
    locale::keyboard(value)?;
    let known = || NAMES.lines().filter(|line| !line.starts_with('#'));
    if known().any(|known| known == value) {
        return Ok(());
    }
    let keymap = KEYMAPS.iter().find(|(name, _)| *name == value).map(|(_, layout)| *layout);
    // `dvorak` is a variant of several, `us` the most usual of them.
    let as_variant = |layout: &str| {
        let name = format!("{layout}:{value}");
        known().find(|known| *known == name)
    };
    let of_us = || as_variant("us");
    let any = || known().find(|known| known.split_once(':').is_some_and(|(_, own)| own == value));
    let hint = keymap.or_else(of_us).or_else(any).or_else(|| nearest(value, known()));
    let hint = hint.map_or_else(String::new, |name| format!(", did you mean `{name}`?"));
    Err(format!("there is no keyboard layout `{value}`{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is() {
        for good in ["gb", "us", "latam", "de:nodeadkeys", "us:altgr-intl", "fr:bepo", "ch:fr"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, meant) in [
            ("uk", "gb"),
            ("dvorak", "us:dvorak"),
            ("bepo", "fr:bepo"),
            ("de:nodeadkey", "de:nodeadkeys"),
        ] {
            let expected = format!("there is no keyboard layout `{bad}`, did you mean `{meant}`?");
            assert_eq!(check(bad), Err(expected));
        }
        assert!(check("g b").unwrap_err().contains("is not a keyboard layout"));
        for (_, layout) in KEYMAPS {
            assert_eq!(check(layout), Ok(()), "{layout}");
        }
    }
}
