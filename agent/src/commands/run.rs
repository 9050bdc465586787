//! `run`: takes every step of the plan, once, whatever happened before.

use pikube_config::{FirstbootPlan, Kubernetes, Problems, Secrets, names};

use super::Ending;
use crate::change::{self, Change};
use crate::engine::Engine;
use crate::host::{Host, Look as _, Real};
use crate::journal::{Event, Journal};
use crate::plan::{Context, Facts, boot_folder, steps};
use crate::report::{Reporter, Systemd, Voice};
use crate::step::Stop;

pub(super) const LOCK: &str = "/run/pikube/lock";
const CORRECT: &str = "correct it, or write a new plan to the card with `piflash configure`";

/// The story, with its only ending that does not come from the plan: it cannot even begin.
pub fn run(host: &Real) -> Ending {
    if !host.live() {
        let mut ending = Ending::failed(
            "running under a test root: steps change the running system",
            "use `plan` or `render`, which change nothing",
        );
        ending.code = 2;
        return ending;
    }
    if !rustix::process::geteuid().is_root() {
        return Ending::failed("running as an ordinary user", "run it as root: `sudo` before it");
    }
    let voice = Systemd::new(std::env::var_os("JOURNAL_STREAM").is_some());
    match run_on(host, &voice) {
        Ok(message) => Ending::said(message),
        // The reporter has said it, with its help.
        Err(Refusal::Told) => Ending { code: 1, ..Ending::default() },
        Err(Refusal::Untold(stop)) => match stop {
            Stop::Person { what, help } => Ending::failed(&what, &help),
            Stop::Again(what) => Ending::failed(&what, "run it again"),
        },
    }
}

/// Why a run did not end in `done`.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The log and the report say it.
    Told,
    /// Nobody knows yet.
    Untold(Stop),
}

impl<E: Into<Stop>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Untold(error.into())
    }
}

/// The run itself, on any host.
pub(crate) fn run_on(host: &dyn Host, voice: &dyn Voice) -> Result<String, Refusal> {
    let marker = format!("{}/{}", names::STATE_DIR, names::DONE);
    if host.exists(&marker)? {
        return Ok(format!("nothing to do: `{marker}` says that the first boot is complete\n"));
    }
    let Some(_lock) = host.lock(LOCK)? else {
        return Err(Refusal::Untold(Stop::person(
            "running while another `pikube-agent run` runs",
            "`pikube-agent status --wait` tells when it is done",
        )));
    };
    let boot = boot_folder(host)?;
    let (plan, secrets) = match read(host) {
        Ok(read) => read,
        Err(unreadable) => {
            let (node, role) = FirstbootPlan::identity(&unreadable.plan_text);
            let node = node.unwrap_or_else(|| "unknown node".to_owned());
            let mut reporter = Reporter::without_plan(host, voice, boot, &node, role);
            reporter.fail(None, &unreadable.what, CORRECT);
            return Err(Refusal::Told);
        }
    };
    let mut journal = Journal::open(host)?;
    let change = note_change(host, &mut journal, &plan)?;
    let context = Context::new(plan, secrets, Facts::of(host, journal.was_settled("user"))?);
    let steps = steps(&context.plan);
    let mut reporter = Reporter::new(host, voice, boot, &context.plan, &steps);
    reporter.begin(|step| journal.seconds(step));
    let warning = context.plan.kubernetes.as_ref().and_then(Kubernetes::warning);
    if let Some(line) = &warning {
        reporter.warn(line);
    }
    for line in change.iter().flat_map(|change| &change.stays) {
        reporter.warn(line);
    }
    Engine { host, context: &context, journal, reporter }
        .run(&steps)
        .map(|()| String::new())
        .map_err(|_| Refusal::Told)
}

/// Compares with the plan of the earlier run. What it means for the journal goes there before the plan is remembered:
/// cut in between, the next run finds the change again.
fn note_change(
    host: &dyn Host,
    journal: &mut Journal,
    plan: &FirstbootPlan,
) -> Result<Option<Change>, Refusal> {
    let change = change::since(host, plan)?;
    if let Some(change) = &change {
        if change.user {
            journal.note(host, "user", Event::Changed, 0.0, None)?;
        }
        let tables = change.tables.join(", ");
        journal.note(host, "plan", Event::Changed, 0.0, Some(&tables))?;
    }
    let path = format!("{}/{}", names::CONFIG_DIR, names::PLAN);
    change::remember(host, &host.text(&path)?.unwrap_or_default())?;
    Ok(change)
}

struct Unreadable {
    plan_text: String,
    what: String,
}

/// Plan and secrets; what is wrong with either, all of it.
fn read(host: &dyn Host) -> Result<(FirstbootPlan, Option<Secrets>), Unreadable> {
    let plan_path = format!("{}/{}", names::CONFIG_DIR, names::PLAN);
    let secrets_path = format!("{}/{}", names::CONFIG_DIR, names::SECRETS);
    let unreadable =
        |plan_text: &str, what: String| Unreadable { plan_text: plan_text.to_owned(), what };
    let plan_text = match host.text(&plan_path) {
        Ok(Some(text)) => text,
        Ok(None) => {
            return Err(unreadable("", format!("reading `{plan_path}`: there is no plan")));
        }
        Err(error) => return Err(unreadable("", error.to_string())),
    };
    let plan = FirstbootPlan::from_toml(&plan_text);
    let secrets = match host.read(&secrets_path).map(|found| found.map(zeroize::Zeroizing::new)) {
        Ok(None) => Ok(None),
        // Zeros are what a power cut during the scrubbing leaves: they hold nothing.
        Ok(Some(bytes)) if bytes.iter().all(|byte| *byte == 0) => Ok(None),
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => Secrets::from_toml(text).map(Some),
            Err(_) => Err(Problems(vec![pikube_config::Problem::new("", "is not UTF-8")])),
        },
        Err(error) => return Err(unreadable(&plan_text, error.to_string())),
    };
    match (plan, secrets) {
        (Ok(plan), Ok(secrets)) => Ok((plan, secrets)),
        (plan, secrets) => {
            let told = [(plan_path, plan.err()), (secrets_path, secrets.err())]
                .into_iter()
                .filter_map(|(path, problems)| Some((path, problems?)))
                .map(|(path, problems)| format!("reading `{path}`: {}", one_line(&problems)))
                .collect::<Vec<_>>();
            Err(unreadable(&plan_text, told.join("; ")))
        }
    }
}

fn one_line(problems: &Problems) -> String {
    problems.to_string().replace('\n', "; ")
}

#[cfg(test)]
mod changed_plans;
#[cfg(test)]
pub(crate) mod tests;
