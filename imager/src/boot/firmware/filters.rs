//! Conditional filters of `config.txt`: `[pi4]`, `[0x12345678]`, `[all]`. Those of one kind replace each other, those of
//! different kinds hold together, and `[all]` takes all of them back.

use std::collections::BTreeMap;

use super::Board;

/// Whether something holds; several hold together as much as the one that holds least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    No,
    /// Only the board knows.
    Perhaps,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Nothing,
    TryBoot,
    Model,
    Serial,
    Pin,
    Monitor,
    Port,
    Other,
}

/// The filters that are in force at one line.
#[derive(Clone)]
pub(super) struct Filters<'a> {
    board: &'a Board,
    set: BTreeMap<Kind, Truth>,
}

impl<'a> Filters<'a> {
    pub(super) fn new(board: &'a Board) -> Self {
        Self { board, set: BTreeMap::new() }
    }

    /// Whether the lines that follow apply.
    pub(super) fn now(&self) -> Truth {
        self.set.values().copied().min().unwrap_or(Truth::Yes)
    }

    /// A line with the filter `name`.
    pub(super) fn enter(&mut self, name: &str) {
        if name == "all" {
            return self.set.clear();
        }
        let (kind, truth) = self.judge(name);
        self.set.insert(kind, truth);
    }

    fn judge(&self, name: &str) -> (Kind, Truth) {
        let yes_or_no = |holds: bool| if holds { Truth::Yes } else { Truth::No };
        let is_model = name.strip_prefix("pi").or_else(|| name.strip_prefix("cm"));
        match name {
            "none" => (Kind::Nothing, Truth::No),
            // Set by `reboot "0 tryboot"` only, which nobody has said before the first boot.
            "tryboot" => (Kind::TryBoot, Truth::No),
            _ if is_model.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) => {
                (Kind::Model, yes_or_no(self.board.sections.iter().any(|known| known == name)))
            }
            _ if name.starts_with("0x") => (Kind::Serial, Truth::Perhaps),
            _ if name.starts_with("gpio") => (Kind::Pin, Truth::Perhaps),
            _ if name.starts_with("EDID=") => (Kind::Monitor, Truth::Perhaps),
            _ if name.starts_with("HDMI:") => (Kind::Port, Truth::Perhaps),
            _ => match name.strip_prefix("board-type=").map(number) {
                Some(Some(number)) => (Kind::Model, yes_or_no(number == self.board.number)),
                Some(None) => (Kind::Model, Truth::Perhaps),
                None => (Kind::Other, Truth::Perhaps),
            },
        }
    }
}

/// The filter of a line `[filter]`.
pub(super) fn section(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('[')?;
    Some(inner.split_once(']').map_or(inner, |(name, _)| name))
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
