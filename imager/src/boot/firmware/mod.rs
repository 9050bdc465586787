//! Which kernel command lines the firmware may take, as `config.txt` says it: by board, by condition, by included file.
//!
//! Source: Raspberry Pi documentation, "config.txt": "File format", "include", "Boot options" (`cmdline`, `kernel`,
//! `os_prefix`) and "Conditional filters". What only the board can know (its serial number, a pin, a monitor) is taken
//! as possible either way, and so is a spelling that the documentation does not settle.

mod filters;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::config_txt::MAX_LINE;
use filters::{Filters, Truth};

const BOARDS: &str = include_str!("../../../../config/boards.toml");
/// The file where `config.txt` names none.
const DEFAULT: &str = "cmdline.txt";
/// Kernels where `config.txt` names none ("Boot options", `kernel`).
const KERNELS: [&str; 5] =
    ["kernel.img", "kernel7.img", "kernel7l.img", "kernel8.img", "kernel_2712.img"];
/// How deep files may include files; one that includes itself ends here.
const MAX_DEPTH: usize = 8;

/// Most files that are included, each as often as it is: files that include each other many times would be read for ever.
const MAX_INCLUDES: usize = 64;
/// Most values that are possible at once of one setting; every one costs a look at the boot partition.
const MAX_VALUES: usize = 32;

/// A board that runs the agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Board {
    name: String,
    #[serde(rename = "type")]
    number: u32,
    sections: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Boards {
    board: Vec<Board>,
}

/// `config.txt` with the files that it includes, by their names in lower case.
#[derive(Debug, Clone, Default)]
pub struct Config {
    text: String,
    included: BTreeMap<String, String>,
}

impl Config {
    /// Reads with `read` what `text` includes.
    ///
    /// # Errors
    /// What `read` says.
    pub fn new<E>(
        text: &str,
        mut read: impl FnMut(&str) -> Result<Option<String>, E>,
    ) -> Result<Self, E> {
        let mut included = BTreeMap::new();
        let mut open = vec![(text.to_owned(), 0)];
        while let Some((text, depth)) = open.pop() {
            for name in text.lines().filter_map(included_file) {
                let key = name.to_lowercase();
                if depth < MAX_DEPTH
                    && included.len() < MAX_INCLUDES
                    && !included.contains_key(&key)
                    && let Some(text) = read(name)?
                {
                    open.push((text.clone(), depth + 1));
                    included.insert(key, text);
                }
            }
        }
        Ok(Self { text: text.to_owned(), included })
    }

    /// The command lines among the files of the boot partition, `exists` telling which are there.
    ///
    /// # Errors
    /// What `exists` says.
    pub fn command_lines<E>(
        &self,
        mut exists: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<CommandLines, E> {
        let boards: Boards = toml::from_str(BOARDS).unwrap_or(Boards { board: Vec::new() });
        let mut found: Vec<(String, usize)> = Vec::new();
        let mut missing: Vec<(String, Vec<String>)> = Vec::new();
        for board in &boards.board {
            let reading = Reading::of(board, self);
            let (there, absent) = reading.places(&mut exists)?;
            for path in there {
                match found.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&path)) {
                    Some((_, boards)) => *boards += 1,
                    None => found.push((path, 1)),
                }
            }
            if let Some(path) = absent {
                match missing.iter_mut().find(|(known, _)| *known == path) {
                    Some((_, boards)) => boards.push(board.name.clone()),
                    None => missing.push((path, vec![board.name.clone()])),
                }
            }
        }
        // The one of most boards first, which tells what system it is.
        found.sort_by_key(|(_, boards)| std::cmp::Reverse(*boards));
        let paths = found.into_iter().map(|(path, _)| path).collect();
        Ok(CommandLines { paths, missing })
    }
}

/// Which files the firmware may take the kernel command line from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLines {
    /// Paths of those that are there, that of most boards first.
    pub paths: Vec<String>,
    /// Paths that are not there, with the boards that look for each and for no other.
    pub missing: Vec<(String, Vec<String>)>,
}

impl CommandLines {
    /// What a person should know, a line each.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.paths.len() > 1 {
            let paths: Vec<String> = self.paths.iter().map(|path| format!("`{path}`")).collect();
            notes.push(format!(
                "which kernel command line applies depends on the board, and on conditions in `config.txt` that only the \
                 board knows; piflash edits each of them: {}",
                paths.join(", ")
            ));
        }
        for (path, boards) in self.missing.iter().filter(|_| !self.paths.is_empty()) {
            notes.push(format!(
                "`config.txt` names the kernel command line `{path}`, which is not there, for {}: the agent does not start there",
                boards.join(", ")
            ));
        }
        notes
    }
}

/// `config.txt` as one board reads it: all values that the settings may have at its end.
#[derive(Clone)]
struct Reading<'a> {
    filters: Filters<'a>,
    prefixes: BTreeSet<String>,
    names: BTreeSet<String>,
    kernels: BTreeSet<String>,
    includes_left: usize,
}

impl<'a> Reading<'a> {
    fn of(board: &'a Board, config: &Config) -> Self {
        let one = |value: &str| BTreeSet::from([value.to_owned()]);
        let mut reading = Self {
            filters: Filters::new(board),
            prefixes: one(""),
            names: one(DEFAULT),
            kernels: KERNELS.map(str::to_owned).into(),
            includes_left: MAX_INCLUDES,
        };
        reading.read(&config.text, &config.included, 0);
        reading
    }

    fn read(&mut self, text: &str, included: &BTreeMap<String, String>, depth: usize) {
        for line in text.lines() {
            if let Some(filter) = filters::section(line) {
                self.filters.enter(filter);
            } else if let Some(name) = included_file(line) {
                if let Some(text) = included.get(&name.to_lowercase())
                    && depth < MAX_DEPTH
                    && self.includes_left > 0
                {
                    self.includes_left -= 1;
                    self.include(text, included, depth + 1);
                }
            } else if let Some(setting) = Setting::of(line) {
                let truth = self.filters.now().min(setting.truth);
                match setting.name.as_str() {
                    "os_prefix" => assign(&mut self.prefixes, truth, setting.value),
                    "cmdline" if setting.value.is_empty() => {
                        assign(&mut self.names, truth, DEFAULT.to_owned());
                    }
                    "cmdline" => assign(&mut self.names, truth, setting.value),
                    // One more place to look for a kernel does no harm.
                    "kernel" => assign(&mut self.kernels, truth.min(Truth::Perhaps), setting.value),
                    _ => {}
                }
            }
        }
    }

    fn include(&mut self, text: &str, included: &BTreeMap<String, String>, depth: usize) {
        match self.filters.now() {
            Truth::No => {}
            // Its sections hold on behind it, as if its lines stood here.
            Truth::Yes => self.read(text, included, depth),
            Truth::Perhaps => {
                let before = self.clone();
                self.read(text, included, depth);
                self.prefixes.extend(before.prefixes);
                self.names.extend(before.names);
                self.kernels.extend(before.kernels);
                self.filters = before.filters;
            }
        }
    }

    /// Paths that are there, the likelier first; where there is none, one that had to be there.
    fn places<E>(
        &self,
        exists: &mut impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<(Vec<String>, Option<String>), E> {
        let mut there: Vec<String> = Vec::new();
        let mut absent = None;
        for prefix in &self.prefixes {
            // "Unless the expected kernel and .dtb can be found at the new location, the prefix is ignored."
            let mut holds = prefix.is_empty();
            for kernel in self.kernels.iter().filter(|_| !prefix.is_empty()) {
                holds = holds || exists(&path(prefix, kernel))?;
            }
            for name in &self.names {
                let mut places = vec![path(prefix, name)];
                if !holds {
                    places.push(path("", name));
                }
                absent.get_or_insert_with(|| places[0].clone());
                for place in places {
                    if !there.contains(&place) && exists(&place)? {
                        there.push(place);
                    }
                }
            }
        }
        let absent = absent.filter(|_| there.is_empty());
        Ok((there, absent))
    }
}

fn path(prefix: &str, name: &str) -> String {
    format!("{prefix}{name}").trim_start_matches('/').to_owned()
}

fn assign(values: &mut BTreeSet<String>, truth: Truth, value: String) {
    match truth {
        Truth::No => {}
        Truth::Perhaps if values.len() >= MAX_VALUES => {}
        Truth::Perhaps => _ = values.insert(value),
        Truth::Yes => *values = BTreeSet::from([value]),
    }
}

/// A line `name=value`.
struct Setting {
    name: String,
    value: String,
    /// Whether it is certain that the firmware reads it as one.
    truth: Truth,
}

impl Setting {
    fn of(line: &str) -> Option<Self> {
        let line = cut(line);
        let (name, value) = line.split_once('=')?;
        // Names are in lower case and blanks are not allowed; whether the firmware minds is not documented.
        let plain = name.trim().to_lowercase();
        let odd = plain != name || value.starts_with([' ', '\t']);
        if plain.starts_with('#') {
            return None;
        }
        let value = value.trim().to_owned();
        Some(Self { name: plain, value, truth: if odd { Truth::Perhaps } else { Truth::Yes } })
    }
}

/// The file of a line `include FILE`.
fn included_file(line: &str) -> Option<&str> {
    let rest = cut(line).trim_start().strip_prefix("include")?;
    let name = rest.strip_prefix([' ', '\t', '='])?.trim();
    (!name.is_empty()).then_some(name)
}

/// What the firmware reads of a line.
fn cut(line: &str) -> &str {
    let end = line.char_indices().nth(MAX_LINE).map_or(line.len(), |(at, _)| at);
    line[..end].trim_end()
}
