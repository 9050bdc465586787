//! Reading Raspberry Pi's list entry by entry: as a tree of values, 16 MiB of JSON would take more than a gigabyte.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{ListEntry, Parsed};

/// How deep lists may be within lists.
const MAX_DEPTH: usize = 8;
/// Most images that are kept: thirty times what the list has.
const MAX_IMAGES: usize = 8192;
/// Most addresses of further lists that are kept.
const MAX_LISTS: usize = 256;
/// Most texts in a field of an entry.
const MAX_TEXTS: usize = 256;

/// The methods of a visitor that pass over what it does not want, with what it gives then; one of the two methods for
/// what has further values in it.
macro_rules! passed_over {
    (@scalars $value:expr) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
    ($value:expr; visit_map) => {
        passed_over!(@scalars $value);
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
    ($value:expr; visit_seq) => {
        passed_over!(@scalars $value);
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
}

/// Reads a list. An entry that is not understood is left out: a new kind of entry must not hide the others. Memory: what
/// the entries hold that are kept, whatever else is in the list.
///
/// # Errors
/// What is wrong with it as a whole.
pub fn parse(json: &[u8]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let is_list = reader
        .deserialize_any(Top(&mut parsed))
        .and_then(|is_list| reader.end().map(|()| is_list))
        .map_err(|error| error.to_string())?;
    if is_list { Ok(parsed) } else { Err("it has no `os_list`".into()) }
}

/// The whole: entries, or an object with them as `os_list`. Gives whether they are there.
struct Top<'a>(&'a mut Parsed);

impl<'de> Visitor<'de> for Top<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of operating systems")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<bool, A::Error> {
        Entries { parsed: self.0, depth: 0 }.visit_seq(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut is_list = false;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if key == "os_list" {
                is_list |= map.next_value_seed(Entries { parsed: &mut *self.0, depth: 0 })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(is_list)
    }
}

/// Entries so deep within others. Anything else than a list is passed over; gives whether it was one.
struct Entries<'a> {
    parsed: &'a mut Parsed,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.depth > MAX_DEPTH {
            return IgnoredAny::deserialize(deserializer).map(|_| false);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<bool, A::Error> {
        while entries
            .next_element_seed(Entry { parsed: &mut *self.parsed, depth: self.depth })?
            .is_some()
        {}
        Ok(true)
    }

    passed_over!(false; visit_map);
}

/// One entry, which may be anything.
struct Entry<'a> {
    parsed: &'a mut Parsed,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut image, mut known) = (ListEntry::default(), true);
        let (mut has_name, mut has_url) = (false, false);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "subitems" => {
                    let depth = self.depth + 1;
                    map.next_value_seed(Entries { parsed: &mut *self.parsed, depth })?;
                }
                "subitems_url" => {
                    if let Field::Text(list) = map.next_value()?
                        && self.parsed.lists.len() < MAX_LISTS
                    {
                        self.parsed.lists.push(list);
                    }
                }
                "name" => (image.name, has_name) = map.next_value::<Field>()?.required(&mut known),
                "url" => (image.url, has_url) = map.next_value::<Field>()?.required(&mut known),
                "extract_size" => {
                    image.extract_size = map.next_value::<Field>()?.number(&mut known)
                }
                "extract_sha256" => {
                    image.extract_sha256 = map.next_value::<Field>()?.text(&mut known);
                }
                "image_download_size" => {
                    image.image_download_size = map.next_value::<Field>()?.number(&mut known);
                }
                "image_download_sha256" => {
                    image.image_download_sha256 = map.next_value::<Field>()?.text(&mut known);
                }
                "release_date" => image.release_date = map.next_value::<Field>()?.text(&mut known),
                "devices" => match map.next_value()? {
                    Field::Texts(devices) => image.devices = devices,
                    _ => known = false,
                },
                "init_format" => image.init_format = map.next_value::<Field>()?.text(&mut known),
                "bmap_url" => image.bmap_url = map.next_value::<Field>()?.text(&mut known),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let is_web = image.url.starts_with("https://") || image.url.starts_with("http://");
        if known && has_name && has_url && is_web && self.parsed.images.len() < MAX_IMAGES {
            self.parsed.images.push(image);
        }
        Ok(())
    }

    passed_over!((); visit_seq);
}

/// What a field may hold.
enum Field {
    Absent,
    Text(String),
    Number(u64),
    Texts(Vec<String>),
    /// Something else, of which nothing is kept.
    Other,
}

impl Field {
    /// The text; anything but none clears `known`.
    fn text(self, known: &mut bool) -> Option<String> {
        match self {
            Field::Text(text) => Some(text),
            other => other.absent(known),
        }
    }

    fn number(self, known: &mut bool) -> Option<u64> {
        match self {
            Field::Number(number) => Some(number),
            other => other.absent(known),
        }
    }

    /// The text, and whether there is one.
    fn required(self, known: &mut bool) -> (String, bool) {
        let text = self.text(known);
        let is_there = text.is_some();
        (text.unwrap_or_default(), is_there)
    }

    fn absent<T>(self, known: &mut bool) -> Option<T> {
        *known &= matches!(self, Field::Absent);
        None
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyField)
    }
}

struct AnyField;

impl<'de> Visitor<'de> for AnyField {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
        Ok(Field::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        let mut texts = Vec::new();
        while texts.len() < MAX_TEXTS {
            match items.next_element::<Field>()? {
                None => return Ok(Field::Texts(texts)),
                Some(Field::Text(text)) => texts.push(text),
                Some(_) => break,
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_another_shape_hides_no_other() {
        let good = r#"{"name": "n", "url": "https://h/a.img"}"#;
        for odd in [
            "null",
            "1",
            "-1.5",
            "true",
            "\"text\"",
            "[[1, {}], 2]",
            "{}",
            r#"{"name": "n"}"#,
            r#"{"url": "https://h/b.img"}"#,
            r#"{"name": "n", "url": "https://h/b.img", "extract_size": "7"}"#,
            r#"{"name": "n", "url": "https://h/b.img", "extract_size": -7}"#,
            r#"{"name": "n", "url": "https://h/b.img", "release_date": {"a": []}}"#,
            r#"{"name": "n", "url": "https://h/b.img", "devices": null}"#,
            r#"{"name": "n", "url": "https://h/b.img", "devices": ["a", 1, [2], {}]}"#,
            r#"{"subitems": 3, "subitems_url": ["x"]}"#,
        ] {
            let parsed = parse(format!("[{good}, {odd}, {good}]").as_bytes()).unwrap();
            assert_eq!(parsed.images.len(), 2, "{odd}");
            assert_eq!(parsed.lists, [""; 0], "{odd}");
        }
        let nulls =
            r#"[{"name": "n", "url": "https://h/a.img", "extract_size": null, "bmap_url": null}]"#;
        assert_eq!(parse(nulls.as_bytes()).unwrap().images.len(), 1);
        for bad in ["[", "[{]", "[] x", "{\"os_list\": [}", "[\"\u{1}\"]"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// A long list, whatever is in it: what is kept of it is small.
    #[test]
    fn little_is_kept_of_a_list_that_holds_much() {
        let many =
            |item: &str| format!("[{}0]", format!("{item},").repeat((1 << 20) / (item.len() + 1)));
        for item in ["0", "{}", "[[]]", "{\"a\":{\"b\":[1,2]}}", "{\"name\":[0,0,0,0]}"] {
            let parsed = parse(many(item).as_bytes()).unwrap();
            assert_eq!(parsed, Parsed::default(), "{item}");
        }
        let parsed = parse(many(r#"{"name":"","url":"http://"}"#).as_bytes()).unwrap();
        assert_eq!(parsed.images.len(), MAX_IMAGES);
        let parsed = parse(many(r#"{"subitems_url":""}"#).as_bytes()).unwrap();
        assert_eq!(parsed.lists.len(), MAX_LISTS);
        let nested = "[{\"subitems\":".repeat(MAX_DEPTH + 2);
        let image = r#"[{"name": "n", "url": "https://h/a.img"}]"#;
        let too_deep = format!("{nested}{image}{}", "}]".repeat(MAX_DEPTH + 2));
        assert_eq!(parse(too_deep.as_bytes()), Ok(Parsed::default()));
        assert!(parse(&b"[".repeat(1 << 20)).is_err());
    }
}
