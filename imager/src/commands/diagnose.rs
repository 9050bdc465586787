//! `piflash diagnose CARD`: what the node wrote about its last boot, in plain words.

use pikube_config::{Report, RunState, names};

use crate::boot::{BootError, BootFs, FatError};
use crate::card;
use crate::cli::DiagnoseArgs;
use crate::failure::{Exit, Failure};
use crate::image::{Patch, WithBoot as _};
use crate::progress::Console;
use crate::progress::json::Message;

/// Lines of the launch log that are shown without `--verbose`: the last boot has fewer.
const LOG_LINES: usize = 20;

/// Tells what is on the card. The card is only read; it may be mounted meanwhile.
///
/// # Errors
/// Reading the card or its boot partition; a card that piflash has not prepared. What went wrong on the node is no
/// error of this command.
pub fn run(args: &DiagnoseArgs, console: &Console) -> Result<Exit, Failure> {
    let card = card::read(&args.card)?;
    let mut patch = Patch::new();
    let map = card.map(&patch).map_err(BootError::from)?;
    let boot = BootFs::open(&card, &map, &mut patch).map_err(BootError::from)?;
    let found = Found::read(&boot).map_err(BootError::from)?;
    if !found.is_prepared {
        let path = args.card.display();
        let message =
            format!("looking for the plan on card `{path}`: it was not prepared by piflash");
        return Err(
            Failure::new(Exit::Failed, message).help("`piflash ... CARD` writes and prepares it")
        );
    }
    let summary = found.summary();
    console.result(&describe(&found, &summary, console.is_verbose()));
    console.emit(&Message::Diagnosis {
        card: args.card.display().to_string(),
        booted: found.was_booted(),
        summary: &summary,
        report: found.json.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        launch_log: found.launch_log.as_deref(),
    });
    Ok(Exit::Done)
}

/// What the node left on its boot partition.
#[derive(Default)]
struct Found {
    is_prepared: bool,
    json: Option<String>,
    text: Option<String>,
    launch_log: Option<String>,
}

impl Found {
    fn read(boot: &BootFs<'_, card::ReadCard>) -> Result<Self, FatError> {
        // A power cut may have left anything in a file: it is shown as far as it is text.
        let text = |name: &str| -> Result<Option<String>, FatError> {
            let bytes = boot.read(name)?;
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            Ok(text.filter(|text| !text.trim().is_empty()))
        };
        Ok(Self {
            is_prepared: boot.exists(names::PLAN)? || boot.exists(names::REPORT_JSON)?,
            json: text(names::REPORT_JSON)?,
            text: text(names::REPORT_TEXT)?,
            launch_log: text(names::LAUNCH_LOG)?,
        })
    }

    fn was_booted(&self) -> bool {
        self.json.is_some() || self.text.is_some() || self.launch_log.is_some()
    }

    fn report(&self) -> Option<Report> {
        serde_json::from_str(self.json.as_deref()?).ok()
    }

    /// One line: how far the node has come.
    fn summary(&self) -> String {
        let Some(report) = self.report() else {
            return match (self.text.is_some() || self.json.is_some(), &self.launch_log) {
                (true, _) => "the node has booted and its report is damaged, as a power cut leaves it".into(),
                (false, Some(_)) => {
                    "the node has booted and the agent has reported nothing: see the launch log".into()
                }
                (false, None) => {
                    "this card was never booted, or its first boot did not come as far as the launcher".into()
                }
            };
        };
        let node = &report.node;
        match report.state {
            RunState::Done => format!("`{node}` is done: {}", report.message),
            RunState::Running => {
                format!("`{node}` was still at work when it last wrote: {}", report.message)
            }
            RunState::Waiting => {
                format!(
                    "`{node}` was waiting when it last wrote, and goes on by itself: {}",
                    report.message
                )
            }
            RunState::Failed => format!("`{node}` needs a person: {}", report.message),
        }
    }
}

fn describe(found: &Found, summary: &str, verbose: bool) -> String {
    let mut parts = vec![summary.to_owned()];
    let report = found.report();
    parts.extend(report.as_ref().and_then(|r| r.help.as_ref()).map(|help| format!("help: {help}")));
    // Made anew where it can be: the text on the card may be of an earlier moment than the JSON.
    let text = report.map(|report| report.to_text()).or_else(|| found.text.clone());
    parts.extend(
        text.map(|text| format!("\n{}:\n{}", names::REPORT_TEXT, indent(&text, usize::MAX))),
    );
    if let Some(log) = &found.launch_log {
        let most = if verbose { usize::MAX } else { LOG_LINES };
        parts.push(format!("\n{}:\n{}", names::LAUNCH_LOG, indent(log, most)));
    }
    if !found.was_booted() {
        parts.push(
            "help: put it into the Raspberry Pi, switch the power on, and give it some minutes"
                .into(),
        );
    }
    parts.join("\n")
}

/// The last lines, set off. Control characters could do anything to a terminal and are left out.
fn indent(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let lines = &lines[lines.len().saturating_sub(most)..];
    let clean = |line: &&str| {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        format!("  {line}").trim_end().to_owned()
    };
    lines.iter().map(clean).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_words() {
        let never = Found { is_prepared: true, ..Found::default() };
        assert!(never.summary().starts_with("this card was never booted"));
        assert!(describe(&never, "x", false).contains("help: put it into"));
        let launched = Found { launch_log: Some("one\ntwo\n".into()), ..Found::default() };
        assert!(launched.summary().contains("see the launch log"));
        assert!(describe(&launched, "x", false).ends_with("pikube-launch.log:\n  one\n  two"));
        let damaged = Found { json: Some("{\"schema\": 1, ".into()), ..Found::default() };
        assert!(damaged.summary().contains("damaged"));
        let json = |state: &str| {
            let json = format!(
                r#"{{"schema":1,"node":"pi01","agent":"0.1.0","state":"{state}","message":"m","help":"h",
                "updated_at":"2026-11-21T06:00:00Z","steps":[]}}"#
            );
            let found = Found { json: Some(json), ..Found::default() };
            describe(&found, &found.summary(), false)
        };
        assert!(json("done").starts_with("`pi01` is done: m"));
        assert!(json("failed").starts_with("`pi01` needs a person: m\nhelp: h\n"));
        assert!(json("waiting").contains("goes on by itself"));
        assert!(json("running").contains("still at work"));
    }

    #[test]
    fn logs_are_cut_and_cleaned() {
        assert_eq!(indent("a\nb\x1b[31m\nc", 2), "  b[31m\n  c");
    }
}
