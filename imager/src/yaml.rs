//! YAML from outside, with a bound on how deep it is nested: the only place that calls the YAML parser.
//!
//! The library's own loader calls itself for each level, and so does dropping what it made: a few kilobytes of `[` or of
//! `- - -` would overflow the stack. Its events are counted here before they become nodes.

use saphyr::{Marker, ScanError, Yaml, YamlLoader};
use saphyr_parser::{Event, Parser, SpannedEventReceiver as _};

/// Most levels of lists and mappings within each other: a kubeconfig has six.
const MAX_DEPTH: usize = 64;

/// Most nodes that aliases (`*name`) may stand for. A few lines could stand for millions. The nodes of an alias lie
/// deeper than their text does, by at most the square root of twice this number.
const MAX_ALIASED: usize = 2000;

/// Where a text is no YAML, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct YamlError {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

impl YamlError {
    fn at(place: &Marker, problem: impl Into<String>) -> Self {
        Self { line: place.line(), column: place.col() + 1, problem: problem.into() }
    }

    fn too_deep(place: &Marker) -> Self {
        Self::at(place, format!("lists and mappings are nested more than {MAX_DEPTH} deep"))
    }
}

impl From<&ScanError> for YamlError {
    fn from(error: &ScanError) -> Self {
        match error.info() {
            // Of 255 brackets within each other; it reads ahead for as long as they may be a key.
            "recursion limit exceeded" => Self::too_deep(error.marker()),
            problem => Self::at(error.marker(), problem),
        }
    }
}

/// The documents of a text.
///
/// # Errors
/// [`YamlError`]: no YAML, more than 64 levels deep, or aliases that stand for more than 2000 nodes.
pub fn load(text: &str) -> Result<Vec<Yaml<'_>>, YamlError> {
    let mut loader = YamlLoader::default();
    loader.alias_limit(MAX_ALIASED);
    let mut depth = 0usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError::from(&error))?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(YamlError::too_deep(&span.start));
        }
        loader.on_event(event, span);
        if let Some(error) = loader.error() {
            return Err(error.into());
        }
    }
    Ok(loader.into_documents())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these overflows the stack of a thread without the bound.
    #[test]
    fn nested_text_is_refused_with_its_place() {
        let nested = [
            "[".repeat(100_000),
            "- ".repeat(100_000),
            "? ".repeat(100_000),
            "{a: ".repeat(100_000),
            (0..2000).map(|depth| " ".repeat(depth) + "a:\n").collect(),
        ];
        for text in nested {
            let error = load(&text).unwrap_err();
            assert!(error.problem.contains("nested more than 64 deep"), "{error}");
        }
        let deepest = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert_eq!(load(&deepest).unwrap().len(), 1);
        assert!(load(&format!("[{deepest}]")).is_err());
    }

    #[test]
    fn aliases_do_not_multiply() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..30 {
            let last = format!("*a{},", level - 1).repeat(10);
            laughs += &format!("a{level}: &a{level} [{last}]\n");
        }
        assert!(load(&laughs).is_err());
        // Each of these is one level deeper than the one before.
        let mut chain = String::from("- &a0 [x]\n");
        for level in 1..100_000 {
            chain += &format!("- &a{level} [*a{}]\n", level - 1);
        }
        assert!(load(&chain).is_err());
    }

    #[test]
    fn documents_are_as_the_library_loads_them() {
        use saphyr::LoadableYamlNode as _;
        for text in ["", "a: [1, {b: c}]\n---\n- &x 'y'\n- *x\n", "# nothing\n", "a: |\n  b\n"] {
            assert_eq!(load(text).unwrap(), Yaml::load_from_str(text).unwrap(), "{text:?}");
        }
        let error = load("a: b\nc: [1, 2\nd: 3\n").unwrap_err();
        assert!(error.line >= 2 && error.column >= 1, "{error}");
        assert!(load("a: 1\na: 2\n").is_err(), "a key that is there twice");
    }
}
