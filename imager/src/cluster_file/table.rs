//! One table of the file → what a command line would say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction};
use pikube_config::{Problem, Problems, nearest, type_name};
use toml::{Table, Value};

use super::{NODES, is_path};
use crate::cli::{Given, Words, is_switch};

/// Options that are about one run of `piflash`, not about the cluster.
const RUN: [&str; 11] = [
    "config",
    "all",
    "again",
    "new-cluster",
    "server",
    "token-file",
    "agent-dir",
    "dry-run",
    "no-verify",
    "force",
    "yes",
];
/// Options that all nodes have in common: the identity of the cluster, and one image for all cards of a run.
const WHOLE: [&str; 9] =
    ["cluster", "endpoint", "virtual-ip", "image", "sha256", "bmap", "no-bmap", "signature", "key"];
/// Heading of the options of Kubernetes, which is one for all nodes as well.
const KUBERNETES: &str = "Kubernetes";
/// Options that no two nodes have in common.
const NODE: [&str; 3] = ["hostname", "role", "address"];
/// Words for what must not stand in a file that people show each other.
const PASSWORDS: [&str; 6] =
    ["password", "wifi-password", "psk", "wifi-psk", "passphrase", "wifi-passphrase"];

/// Which table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// What stands before the nodes.
    Whole,
    /// One of the nodes.
    Node,
}

/// What is needed to understand a table.
pub(super) struct Reader {
    pub(super) options: Vec<Arg>,
    /// Where the file is: paths in it are relative to this.
    pub(super) folder: PathBuf,
    /// What `~` is.
    pub(super) home: Option<PathBuf>,
}

impl Reader {
    /// The words of a table; `place` is its path, empty for the whole file.
    pub(super) fn words(
        &self,
        table: &Table,
        level: Level,
        place: &str,
        problems: &mut Problems,
    ) -> Words {
        let mut words = Words::default();
        for (name, value) in table.iter().filter(|(name, _)| level == Level::Node || *name != NODES)
        {
            match self.word(name, value, level) {
                Ok(given) => words.set(name, given),
                Err(problem) => {
                    let place = if place.is_empty() { String::new() } else { format!("{place}.") };
                    problems.push(Problem { key: format!("{place}{}", problem.key), ..problem });
                }
            }
        }
        words
    }

    fn word(&self, name: &str, value: &Value, level: Level) -> Result<Given, Problem> {
        let wrong = |message: &str| Problem::new(name, message);
        if PASSWORDS.contains(&name.replace('_', "-").as_str()) {
            return Err(wrong("a password does not belong into this file").help(
                "put it into one of its own, and the path of that here: `password-file`, `wifi-password-file`",
            ));
        }
        if RUN.contains(&name) {
            let help = format!("say `--{name}` on the command line");
            return Err(wrong("is about one run, not about the cluster").help(help));
        }
        let option = self.options.iter().find(|option| option.get_long() == Some(name));
        let Some(option) = option.filter(|option| !option.is_hide_set()) else {
            return Err(self.unknown(name));
        };
        match level {
            Level::Whole if NODE.contains(&name) => {
                Err(wrong("is about one node").help("put it behind a line `[[nodes]]`"))
            }
            Level::Node if is_whole(option) => Err(wrong("is about the whole cluster")
                .help("put it before the first line `[[nodes]]`")),
            _ => self.given(name, option, value),
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        let longs = self.options.iter().filter(|option| !option.is_hide_set());
        let known = longs.filter_map(|option| option.get_long());
        let known = known.filter(|long| !RUN.contains(long)).chain([NODES]);
        let problem = Problem::new(name, "is not a known key");
        match nearest(name, known) {
            Some(hint) => problem.help(format!("did you mean `{hint}`?")),
            None => problem.help("keys are the long options of `piflash --help`"),
        }
    }

    fn given(&self, name: &str, option: &Arg, value: &Value) -> Result<Given, Problem> {
        let is_list = matches!(option.get_action(), ArgAction::Append);
        let wrong_type = |wanted: &str, found: &Value| {
            Problem::new(name, format!("must be {wanted}, not {}", type_name(found)))
        };
        let texts = match value {
            Value::Boolean(on) if is_switch(option) => return Ok(Given::Switch(*on)),
            _ if is_switch(option) => return Err(wrong_type("true or false", value)),
            Value::String(text) => vec![text],
            Value::Array(items) if is_list => {
                let mut texts = Vec::new();
                for item in items {
                    match item {
                        Value::String(text) => texts.push(text),
                        other => return Err(wrong_type("a list of strings", other)),
                    }
                }
                texts
            }
            _ if is_list => return Err(wrong_type("a string or a list of strings", value)),
            _ => return Err(wrong_type("a string", value)),
        };
        let possible = option.get_possible_values();
        let is_possible = |text: &str| possible.iter().any(|value| value.matches(text, false));
        if let Some(text) = texts.iter().find(|text| !possible.is_empty() && !is_possible(text)) {
            let names: Vec<&str> = possible.iter().map(|value| value.get_name()).collect();
            let message = format!("`{text}` is none of {}", names.join(", "));
            return Err(Problem::new(name, message));
        }
        Ok(Given::Values(texts.into_iter().map(|text| self.value(option, text)).collect()))
    }

    /// A path is meant from where the file is, as in the shell from where one is.
    fn value(&self, option: &Arg, text: &str) -> OsString {
        let path = match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(Path::new(text)),
        };
        // What may also be an address or a name is a path where there is such a file.
        let names = option.get_value_names().unwrap_or_default();
        let may_be_path = names.iter().any(|name| name.contains("PATH"))
            && (text.starts_with("~/") || !text.contains("://") && path.exists());
        match is_path(option) || may_be_path {
            true => path.into_os_string(),
            false => text.into(),
        }
    }
}

fn is_whole(option: &Arg) -> bool {
    WHOLE.iter().any(|whole| option.get_long() == Some(whole))
        || option.get_help_heading() == Some(KUBERNETES)
}
