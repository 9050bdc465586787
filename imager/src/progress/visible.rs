//! Text from elsewhere on a terminal: volume labels, serial numbers, reports of nodes, messages of servers.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with everything that a terminal would obey, or that would show it in another order, as `\u001b`: control
/// characters but for line ends and tabs, and Unicode's marks of direction. In a line of JSON these are in strings only,
/// where the same words mean the same character.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn is_hidden(character: char) -> bool {
    let is_direction = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    is_direction || (character.is_control() && !matches!(character, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        for (text, shown) in [
            ("label \u{1b}[2J\u{7}", "label \\u001b[2J\\u0007"),
            ("back\rover", "back\\u000dover"),
            ("c1 \u{9b}31m", "c1 \\u009b31m"),
            ("gpj.\u{202e}exe", "gpj.\\u202eexe"),
        ] {
            assert_eq!(visible(text), shown);
            let json = serde_json::to_string(text).unwrap();
            let read: String = serde_json::from_str(&visible(&json)).unwrap();
            assert_eq!(read, text);
        }
        let plain = "two lines\n\tand Käse, 日本";
        assert!(matches!(visible(plain), Cow::Borrowed(same) if same == plain));
    }
}
