//! `plan`: the ordered steps, and whether each is satisfied and why not.

use std::fmt::Write as _;
use std::path::Path;

use pikube_config::{FirstbootPlan, Secrets, names};

use super::{Ending, invalid, plan_file};
use crate::change;
use crate::host::{Look, Real};
use crate::journal::Journal;
use crate::plan::{Context, Facts, steps};
use crate::step::{Check, Stop};

/// Reads, checks, changes nothing.
pub fn plan(host: &Real, file: Option<&Path>) -> Ending {
    let plan = match file {
        Some(file) => plan_file(file),
        None => plan_of_node(host),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(ending) => return ending,
    };
    match show(host, plan) {
        Ok(text) => Ending::said(text),
        Err(error) => Ending::failed(&error.to_string(), "run it as root"),
    }
}

fn plan_of_node(host: &Real) -> Result<FirstbootPlan, Ending> {
    let path = format!("{}/{}", names::CONFIG_DIR, names::PLAN);
    match host.text(&path) {
        Ok(Some(text)) => {
            FirstbootPlan::from_toml(&text).map_err(|problems| invalid(&path, &problems))
        }
        Ok(None) => Err(Ending::failed(
            &format!("reading the plan `{path}`: it is not there"),
            "name one with `--plan FILE`",
        )),
        Err(error) => Err(Ending::failed(&error.to_string(), "run it as root")),
    }
}

fn show(host: &dyn Look, plan: FirstbootPlan) -> Result<String, crate::host::Error> {
    let journal = Journal::open(host)?;
    let change = change::since(host, &plan)?;
    let same_user = change.as_ref().is_none_or(|change| !change.user);
    let facts = Facts::of(host, journal.was_settled("user") && same_user)?;
    let context = Context::new(plan, secrets(host), facts);
    let steps = steps(&context.plan);
    let node = &context.plan.node;
    let mut text = format!("{} ({}): {} steps\n\n", node.hostname, node.role.name(), steps.len());
    if let Some(change) = change {
        // A String takes every write.
        let _ = writeln!(text, "changed since the last run: {}", change.tables.join(", "));
        text.extend(change.stays.iter().map(|line| format!("note: {line}\n")));
        text.push('\n');
    }
    for (number, step) in steps.iter().enumerate() {
        let found = match (step.check)(&context, host) {
            Ok(Check::Satisfied) => "satisfied".to_owned(),
            Ok(Check::Needed(why)) => format!("needed: {why}"),
            Ok(Check::Unknown) => "cannot be told under a test root".to_owned(),
            Err(Stop::Again(what) | Stop::Person { what, .. }) => {
                format!("cannot be told: {what}")
            }
        };
        // A String takes every write.
        let _ = writeln!(text, "{:>2} {:<9} {:<26} {found}", number + 1, step.id, step.title);
    }
    Ok(text)
}

/// The secrets where they can be read: without them `plan` only says less.
fn secrets(host: &dyn Look) -> Option<Secrets> {
    let path = format!("{}/{}", names::CONFIG_DIR, names::SECRETS);
    let bytes = zeroize::Zeroizing::new(host.read(&path).ok()??);
    Secrets::from_toml(std::str::from_utf8(&bytes).ok()?).ok()
}
