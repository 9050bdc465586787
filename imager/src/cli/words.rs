//! Options as words: what the command line and a cluster's file have in common, so that both have one vocabulary.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};

use super::WriteArgs;

/// What was said of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A switch, on or off.
    Switch(bool),
    /// Its value; several where it is repeatable.
    Values(Vec<OsString>),
}

/// What was said, by the long names of the options.
#[derive(Debug, Clone, Default)]
pub struct Words(BTreeMap<String, Given>);

impl Words {
    /// What a command line says of the main job, the cards not among it.
    pub fn of(matches: &ArgMatches) -> Self {
        let mut words = BTreeMap::new();
        for arg in options() {
            let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
            if matches.try_contains_id(id).ok() != Some(true)
                || matches.value_source(id) != Some(ValueSource::CommandLine)
            {
                continue;
            }
            let given = match is_switch(&arg) {
                true => Given::Switch(true),
                false => {
                    let values = matches.get_raw(id).into_iter().flatten();
                    Given::Values(values.map(ToOwned::to_owned).collect())
                }
            };
            words.insert(long.to_owned(), given);
        }
        Self(words)
    }

    /// Says something of an option, instead of what was said of it before.
    pub fn set(&mut self, long: &str, given: Given) {
        self.0.insert(long.to_owned(), given);
    }

    /// Takes back what was said of an option.
    pub fn take(&mut self, long: &str) -> Option<Given> {
        self.0.remove(long)
    }

    /// The values of an option, as far as they are text.
    pub fn values(&self, long: &str) -> Vec<String> {
        match self.0.get(long) {
            Some(Given::Values(values)) => {
                values.iter().filter_map(|value| value.to_str()).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether anything was said of an option.
    pub fn has(&self, long: &str) -> bool {
        self.0.contains_key(long)
    }

    /// All of this, and of `below` what this says nothing of.
    #[must_use]
    pub fn over(&self, below: &Words) -> Words {
        let mut words = below.clone();
        words.0.extend(self.0.iter().map(|(long, given)| (long.clone(), given.clone())));
        words
    }

    /// What they mean for these cards.
    ///
    /// # Errors
    /// As a command line.
    pub fn parse(&self, cards: &[std::path::PathBuf]) -> Result<WriteArgs, clap::Error> {
        let mut line = Vec::new();
        for (long, given) in &self.0 {
            match given {
                Given::Switch(true) => line.push(format!("--{long}").into()),
                Given::Switch(false) => {}
                Given::Values(values) => line.extend(values.iter().map(|value| {
                    let mut word = OsString::from(format!("--{long}="));
                    word.push(value);
                    word
                })),
            }
        }
        line.push("--".into());
        line.extend(cards.iter().map(|card| card.clone().into_os_string()));
        let matches = command().no_binary_name(true).try_get_matches_from(line)?;
        WriteArgs::from_arg_matches(&matches)
    }
}

/// Every option of the main job, the hidden ones as well.
pub fn options() -> Vec<Arg> {
    let mut command = command();
    command.build();
    command.get_arguments().filter(|arg| arg.get_long().is_some()).cloned().collect()
}

/// Whether an option has no value.
pub fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn command() -> Command {
    WriteArgs::augment_args(
        Command::new("piflash").disable_help_flag(true).disable_version_flag(true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_the_command_line_means() {
        let cards = ["a.img".into(), "b.img".into()];
        let mut words = Words::default();
        words.set("hostname", Given::Values(vec!["a,b".into()]));
        words.set("wifi", Given::Values(vec!["sea, salt".into(), "--harbour".into()]));
        words.set("usb-boot", Given::Switch(true));
        let args = words.parse(&cards).unwrap();
        assert_eq!((args.hostname.as_deref(), args.cards.len()), (Some("a,b"), 2));
        assert_eq!(args.settings.wifi, ["sea, salt", "--harbour"]);
        let mut above = Words::default();
        above.set("usb-boot", Given::Switch(false));
        above.set("wifi", Given::Values(vec!["harbour".into()]));
        let args = above.over(&words).parse(&cards).unwrap();
        assert!(!args.extras.usb_boot && args.settings.wifi == ["harbour"]);
        assert!(above.parse(&cards).is_err(), "there is no name");
    }

    #[test]
    fn only_what_was_typed_is_a_word() {
        let line = ["--hostname", "a", "--ntp", "x,y", "--ntp", "z", "--yes", "c.img"];
        let matches = command().no_binary_name(true).try_get_matches_from(line).unwrap();
        let words = Words::of(&matches);
        assert_eq!(words.0.len(), 3, "{words:?}");
        assert_eq!(words.values("ntp"), ["x", "y", "z"]);
        assert_eq!(words.0["yes"], Given::Switch(true));
    }
}
