//! Reads a TOML table against a list of known keys and collects every problem instead of stopping at the first,
//! which serde would do.

use toml::{Table, Value};

use crate::problem::{Problem, Problems, nearest};

/// Checks one text value; the error says what is wrong with it.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// What a key holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// The file's schema version: exactly [`crate::SCHEMA`].
    Schema,
    /// A string.
    Text(Check),
    /// A list of strings.
    Texts(Check),
    /// A string whose value must not be quoted in messages.
    Secret(Check),
    /// `true` or `false`.
    Switch,
    /// A list of tables with these keys, whose paths are relative to the table.
    Tables(&'static [Key]),
}

/// One known key.
pub(crate) struct Key {
    /// Dotted path, at most one dot; none inside of [`Kind::Tables`].
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be there: always, or only when its table is.
    pub need: Need,
}

/// When a key must be present.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// In every file.
    Always,
    /// If any key of its table is there.
    WithTable,
    /// Never.
    Optional,
}

/// The paths of all keys, those of list items with `[]` behind the path of the list.
pub(crate) fn paths(keys: &[Key]) -> Vec<String> {
    let mut paths = Vec::new();
    for key in keys {
        paths.push(key.path.to_owned());
        if let Kind::Tables(inner) = key.kind {
            paths.extend(inner.iter().map(|inner| format!("{}[].{}", key.path, inner.path)));
        }
    }
    paths
}

/// Parses TOML text.
///
/// # Errors
/// One problem with line and column where it is not TOML at all.
pub(crate) fn parse(text: &str) -> Result<Table, Problems> {
    text.parse::<Table>().map_err(|error| {
        let place = error.span().map(|span| {
            let before = &text[..span.start.min(text.len())];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
            format!("line {line}, column {column}: ")
        });
        // toml's own Display quotes the source line, which may hold a secret: only its message is kept.
        let message =
            format!("{}{}", place.unwrap_or_default(), error.message().replace('\n', ", "));
        Problems(vec![Problem::new("", message)])
    })
}

/// Checks `table` against `keys`.
///
/// # Errors
/// Every unknown key (with its nearest neighbour), wrong type, bad value and missing key.
pub(crate) fn check(table: &Table, keys: &[Key]) -> Result<(), Problems> {
    // A file of another schema would drown the one thing that matters in unknown keys.
    if let Some(problem) = other_schema(table) {
        return Err(Problems(vec![problem]));
    }
    let mut problems = Problems::default();
    check_table(table, keys, &mut problems);
    problems.or(())
}

fn check_table(table: &Table, keys: &[Key], problems: &mut Problems) {
    for (path, value) in flatten(table, keys, problems) {
        match keys.iter().find(|key| key.path == path) {
            Some(key) => check_value(key, value, problems),
            None => problems.push(unknown(&path, keys)),
        }
    }
    for key in keys.iter().filter(|key| is_missing(table, key)) {
        problems.push(Problem::new(key.path, "is missing"));
    }
}

/// Checks each table of a list; their problems come with the path of the list in front.
fn check_tables(path: &str, items: &[Value], keys: &[Key], problems: &mut Problems) {
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match item {
            Value::Table(table) => {
                let mut inner = Problems::default();
                check_table(table, keys, &mut inner);
                for problem in inner.0 {
                    problems.push(Problem { key: format!("{path}.{}", problem.key), ..problem });
                }
            }
            other => problems
                .push(Problem::new(path, format!("must be a table, not {}", type_name(other)))),
        }
    }
}

fn other_schema(table: &Table) -> Option<Problem> {
    match table.get("schema") {
        Some(Value::Integer(found)) if *found != crate::SCHEMA => Some(
            Problem::new(
                "schema",
                format!("{found} is not the schema this program knows, {}", crate::SCHEMA),
            )
            .help("write the card and run the agent with the same release of pikube"),
        ),
        _ => None,
    }
}

/// The leaves of the two-level table with their paths; a value where a table belongs (or the reverse) is noted.
fn flatten<'a>(
    table: &'a Table,
    keys: &[Key],
    problems: &mut Problems,
) -> Vec<(String, &'a Value)> {
    let mut leaves = Vec::new();
    for (name, value) in table {
        let is_table =
            keys.iter().any(|key| key.path.split_once('.').is_some_and(|(t, _)| t == name));
        match (value, is_table) {
            (Value::Table(inner), true) => {
                leaves.extend(inner.iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            (_, true) => {
                problems.push(Problem::new(name, format!("is a table, not {}", type_name(value))))
            }
            (_, false) => leaves.push((name.clone(), value)),
        }
    }
    leaves
}

fn check_value(key: &Key, value: &Value, problems: &mut Problems) {
    let wrong_type = |wanted: &str| {
        Problem::new(key.path, format!("must be {wanted}, not {}", type_name(value)))
    };
    match (key.kind, value) {
        (Kind::Schema, Value::Integer(_)) => {}
        (Kind::Schema, _) => problems.push(wrong_type("an integer")),
        (Kind::Text(check) | Kind::Secret(check), Value::String(text)) => {
            if let Err(message) = check(text) {
                problems.push(Problem::new(key.path, message));
            }
        }
        (Kind::Text(_) | Kind::Secret(_), _) => problems.push(wrong_type("a string")),
        (Kind::Texts(check), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let path = format!("{}[{index}]", key.path);
                match item {
                    Value::String(text) => {
                        if let Err(message) = check(text) {
                            problems.push(Problem::new(path, message));
                        }
                    }
                    other => problems.push(Problem::new(
                        path,
                        format!("must be a string, not {}", type_name(other)),
                    )),
                }
            }
        }
        (Kind::Texts(_), _) => problems.push(wrong_type("a list of strings")),
        (Kind::Switch, Value::Boolean(_)) => {}
        (Kind::Switch, _) => problems.push(wrong_type("true or false")),
        (Kind::Tables(keys), Value::Array(items)) => {
            check_tables(key.path, items, keys, problems);
        }
        (Kind::Tables(_), _) => problems.push(wrong_type("a list of tables")),
    }
}

fn unknown(path: &str, keys: &[Key]) -> Problem {
    let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
    let tables = keys.iter().filter_map(|key| key.path.split_once('.').map(|(table, _)| table));
    // First the whole path, then the same word in another table, then the name of a table.
    let hint = nearest(path, keys.iter().map(|key| key.path))
        .or_else(|| keys.iter().map(|key| key.path).find(|known| last(known) == last(path)))
        .or_else(|| nearest(path.split('.').next().unwrap_or(path), tables));
    let problem = Problem::new(path, "is not a known key");
    match hint {
        Some(hint) => problem.help(format!("did you mean `{hint}`?")),
        None => problem,
    }
}

fn is_missing(table: &Table, key: &Key) -> bool {
    let (holder, name) = match key.path.split_once('.') {
        Some((holder, name)) => (table.get(holder).and_then(Value::as_table), name),
        None => (Some(table), key.path),
    };
    match (key.need, holder) {
        (Need::Optional, _) | (Need::WithTable, None) => false,
        (_, Some(holder)) => !holder.contains_key(name),
        (Need::Always, None) => true,
    }
}

/// What a value is, for messages.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number with a point",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}
