//! YAML as kubeadm takes it: several documents, each turned into JSON; keys may stand in a map once.

use anyhow::{Result, anyhow, bail};
use saphyr::{Scalar, ScalarStyle, ScanError, Yaml, YamlLoader};
use saphyr_parser::Parser;
use serde_json::{Map, Number, Value};

/// The documents of a file, without the empty ones.
///
/// # Errors
/// It is no YAML, or a key is there twice.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>> {
    let documents = load(text).map_err(|error| {
        let line = error.marker().line();
        if error.info().contains("duplicated key") {
            let key = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let key = key.trim().trim_start_matches("- ").split(':').next().unwrap_or_default();
            anyhow!(
                "strict decoding error: yaml: unmarshal errors:\n  line {line}: key \"{key}\" already set in map"
            )
        } else {
            anyhow!(
                "could not interpret GroupVersionKind; unmarshal error: error converting YAML to JSON: yaml: line {line}: {}",
                error.info()
            )
        }
    })?;
    let values: Result<Vec<Value>> = documents.iter().map(json).collect();
    Ok(values?.into_iter().filter(|value| !value.is_null()).collect())
}

/// Whether a document is there that holds nothing: what is before the first separator may be nothing, and what is after the
/// last; a separator right after another, or nothing but one, is a document (apimachinery, `YAMLReader`).
pub(crate) fn has_empty_document(text: &str) -> bool {
    let mut document: Vec<&str> = Vec::new();
    let is_empty = |document: &[&str]| {
        let is_nothing = |line: &&str| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line.starts_with("---")
        };
        !document.is_empty() && document.iter().all(is_nothing)
    };
    for line in text.lines() {
        if line.trim_end() == "---" && !document.is_empty() {
            if is_empty(&document) {
                return true;
            }
            document.clear();
            continue;
        }
        document.push(line);
    }
    is_empty(&document)
}

/// Scalars are left as they stand: what a plain one means is decided by YAML 1.1, as Go's library does.
fn load(text: &str) -> Result<Vec<Yaml<'_>>, ScanError> {
    let mut loader: YamlLoader<'_, Yaml<'_>> = YamlLoader::default();
    loader.early_parse(false);
    Parser::new_from_str(text).load(&mut loader, true)?;
    if let Some(error) = loader.error() {
        return Err(error.clone());
    }
    Ok(loader.into_documents())
}

/// What a plain scalar means.
fn plain(text: &str) -> Value {
    let digits = text.replace('_', "");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits).to_owned()),
    };
    let whole = |prefix: &str, radix: u32| {
        let digits = digits.strip_prefix(prefix).filter(|digits| !digits.is_empty())?;
        let is_number = digits.chars().all(|digit| digit.is_digit(radix));
        is_number.then(|| i64::from_str_radix(digits, radix).ok())?
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let octal = if digits.len() > 1 { whole("0", 8) } else { None };
    let whole = whole("0x", 16).or(whole("0b", 2)).or(whole("0o", 8)).or(octal).or(whole("", 10));
    if let Some(number) = whole {
        return Value::from(sign * number);
    }
    let is_float = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.')
        && digits.chars().any(|letter| letter.is_ascii_digit())
        && digits.chars().all(|letter| letter.is_ascii_digit() || ".eE+-".contains(letter));
    match digits.parse::<f64>().ok().filter(|_| is_float).and_then(Number::from_f64) {
        Some(_) if sign < 0 => text.parse().map_or(Value::Null, |number: f64| number.into()),
        Some(number) => Value::Number(number),
        None => Value::from(text),
    }
}

fn json(yaml: &Yaml<'_>) -> Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => {
            Value::Number(Number::from_f64(value.0).ok_or_else(|| anyhow!("yaml: not a number"))?)
        }
        Yaml::Value(Scalar::String(text)) => Value::from(text.as_ref()),
        Yaml::Representation(text, ScalarStyle::Plain, None) => plain(text),
        Yaml::Representation(text, ..) => Value::from(text.as_ref()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(json).collect::<Result<_>>()?),
        Yaml::Mapping(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                let key = match json(key)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                map.insert(key, json(value)?);
            }
            Value::Object(map)
        }
        Yaml::Tagged(_, inner) => json(inner)?,
        Yaml::Alias(_) | Yaml::BadValue => bail!("yaml: a value that cannot be resolved"),
    })
}

/// A value as YAML, every string in quotes: for files that only machines read.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    lines(value, 0, &mut text);
    text
}

fn lines(value: &Value, depth: usize, text: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                text.push_str(&format!("{pad}{}:", plain_key(key)));
                nested(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{pad}-"));
                nested(item, depth, text);
            }
        }
        scalar => text.push_str(&format!("{pad}{}\n", scalar_text(scalar))),
    }
}

fn nested(value: &Value, depth: usize, text: &mut String) {
    let is_nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if is_nested {
        text.push('\n');
        lines(value, depth + 1, text);
    } else {
        text.push_str(&format!(" {}\n", scalar_text(value)));
    }
}

fn plain_key(key: &str) -> String {
    let is_plain =
        key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_./".contains(letter));
    if is_plain && !key.is_empty() { key.to_owned() } else { Value::from(key).to_string() }
}

fn scalar_text(value: &Value) -> String {
    let is_word = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/')
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-_./=+@".contains(letter))
            && !matches!(
                text.to_ascii_lowercase().as_str(),
                "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
            )
    };
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::String(text) if text.starts_with("https://") => text.clone(),
        other => other.to_string(),
    }
}
