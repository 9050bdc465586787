//! `/etc/locale.gen` (locale.gen(5)) and the names of locales.

/// Whether a locale has to be generated: glibc has `C.UTF-8` built in (Debian: in libc-bin).
pub fn is_generated(locale: &str) -> bool {
    locale != "C.UTF-8"
}

/// The line of a locale, here and in `/usr/share/i18n/SUPPORTED`; the contract allows UTF-8 locales only.
pub fn line(locale: &str) -> String {
    format!("{locale} UTF-8")
}

/// Whether the file asks for the locale.
pub fn has(text: &str, locale: &str) -> bool {
    let wanted = line(locale);
    text.lines().any(|found| is_line(found, &wanted))
}

/// `text` with this locale's line: uncommented where it is a comment, else added.
pub fn merge(text: &str, locale: &str) -> String {
    if has(text, locale) {
        return text.to_owned();
    }
    let wanted = line(locale);
    let mut placed = false;
    let mut lines: Vec<String> = Vec::new();
    for found in text.lines() {
        let commented =
            found.trim_start().strip_prefix('#').is_some_and(|rest| is_line(rest, &wanted));
        if commented && !placed {
            lines.push(wanted.clone());
            placed = true;
        } else {
            lines.push(found.to_owned());
        }
    }
    if !placed {
        lines.push(wanted);
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The name as `locale -a` prints it: `en_GB.utf8`, `ca_ES.utf8@valencia`.
pub fn normal_name(locale: &str) -> String {
    locale.replace(".UTF-8", ".utf8")
}

fn is_line(found: &str, wanted: &str) -> bool {
    found.split_whitespace().eq(wanted.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_becomes_the_line() {
        let text = "# locales\n# en_GB ISO-8859-1\n# en_GB.UTF-8 UTF-8\n# en_GB.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n";
        let merged = merge(text, "en_GB.UTF-8");
        assert_eq!(
            merged,
            "# locales\n# en_GB ISO-8859-1\nen_GB.UTF-8 UTF-8\n# en_GB.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n"
        );
        assert_eq!(merge(&merged, "en_GB.UTF-8"), merged);
        assert!(has(&merged, "fr_FR.UTF-8") && !has(&merged, "de_DE.UTF-8"));
    }

    #[test]
    fn what_the_list_lacks_comes_at_the_end() {
        assert_eq!(merge("", "de_DE.UTF-8"), "de_DE.UTF-8 UTF-8\n");
        assert_eq!(normal_name("ca_ES.UTF-8@valencia"), "ca_ES.utf8@valencia");
    }
}
