//! Tells everybody where the node stands: the log, systemd, `status`, and the card itself.
//!
//! The files are written when something changes that a person may wait for (a step begins to be applied, waits, fails,
//! was applied; the whole is done). A step that is satisfied as it is rides along with the next of these: three
//! fsyncs for each of them would cost seconds of every boot.

mod voice;

use jiff::Timestamp;
use pikube_config::{FirstbootPlan, Report, Role, RunState, SCHEMA, StepReport, StepState, names};

use crate::engine::run_state;
use crate::host::{Access, Host};
use crate::step::Step;
pub use voice::{Level, Systemd, Voice};

/// The report that `status` reads.
pub const PATH: &str = "/var/lib/pikube/report.json";

/// Holds the report and tells of its changes.
pub struct Reporter<'a> {
    host: &'a dyn Host,
    voice: &'a dyn Voice,
    boot: Option<String>,
    report: Report,
    told_trouble: Vec<String>,
}

impl<'a> Reporter<'a> {
    /// For a plan and its steps; tells nobody yet.
    pub fn new(
        host: &'a dyn Host,
        voice: &'a dyn Voice,
        boot: Option<String>,
        plan: &FirstbootPlan,
        steps: &[Step],
    ) -> Self {
        let mut reporter =
            Self::without_plan(host, voice, boot, &plan.node.hostname, Some(plan.node.role));
        reporter.report.steps = steps
            .iter()
            .map(|step| StepReport {
                id: step.id.to_owned(),
                title: step.title.to_owned(),
                state: StepState::Pending,
                seconds: 0.0,
                message: None,
            })
            .collect();
        reporter
    }

    /// For a plan that cannot be read: there is only something to fail with.
    pub fn without_plan(
        host: &'a dyn Host,
        voice: &'a dyn Voice,
        boot: Option<String>,
        node: &str,
        role: Option<Role>,
    ) -> Self {
        let report = Report {
            schema: SCHEMA,
            node: node.to_owned(),
            role,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            state: RunState::Running,
            message: "begins".to_owned(),
            help: None,
            notes: Vec::new(),
            updated_at: Timestamp::UNIX_EPOCH,
            steps: Vec::new(),
        };
        Self { host, voice, boot, report, told_trouble: Vec::new() }
    }

    /// The report as it stands.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The run begins: what an earlier run left in the files is overwritten.
    pub fn begin(&mut self, earlier: impl Fn(&str) -> f64) {
        for step in &mut self.report.steps {
            step.seconds = earlier(&step.id);
        }
        let (node, count) = (&self.report.node, self.report.steps.len());
        let line = format!("pikube-agent {}: `{node}`, {count} steps", self.report.agent);
        self.voice.line(Level::Notice, &line);
        self.voice.ready();
        if self.boot.is_none() {
            self.trouble("the boot partition is not mounted: no report is written to the card");
        }
        self.publish();
    }

    /// A step changed its state; `why` is kept until the next change, `seconds` replaces what is known.
    pub fn step(&mut self, id: &str, state: StepState, why: Option<String>, seconds: Option<f64>) {
        let Some(step) = self.report.steps.iter_mut().find(|step| step.id == id) else { return };
        if state == StepState::Running && step.state == StepState::Waiting {
            // Tries again: that it waits is still what matters.
            return;
        }
        step.state = state;
        if why.is_some() || state != StepState::Applied {
            step.message.clone_from(&why);
        }
        if let Some(seconds) = seconds {
            step.seconds = seconds;
        }
        let reason = why.map_or_else(String::new, |why| format!(": {why}"));
        let title = step.title.clone();
        let (level, line) = match state {
            StepState::Running => (Level::Info, format!("{title}{reason}")),
            StepState::Waiting => (Level::Warning, format!("{title}: waiting{reason}")),
            StepState::Applied => {
                (Level::Notice, format!("{title}: done in {:.1} s", step.seconds))
            }
            StepState::Failed => (Level::Error, format!("{title}{reason}")),
            StepState::Pending | StepState::Satisfied => {
                (Level::Debug, format!("{title}: nothing to do"))
            }
        };
        let repeated = state == StepState::Waiting
            && self.report.state == RunState::Waiting
            && self.report.message == line;
        self.report.state = run_state(state);
        self.report.message.clone_from(&line);
        if !repeated {
            self.voice.line(level, &line);
            self.voice.status(&line);
        }
        if !repeated && state != StepState::Satisfied {
            self.publish();
        }
    }

    /// A person must act.
    pub fn fail(&mut self, id: Option<&str>, what: &str, help: &str) {
        if let Some(step) = self.report.steps.iter_mut().find(|step| Some(step.id.as_str()) == id) {
            step.state = StepState::Failed;
            step.message = Some(what.to_owned());
        }
        self.report.state = RunState::Failed;
        self.report.message = what.to_owned();
        self.report.help = Some(help.to_owned());
        for line in what.lines() {
            self.voice.line(Level::Error, line);
        }
        self.voice.line(Level::Error, &format!("help: {help}"));
        self.voice.status(&format!("stopped: {what}"));
        self.publish();
    }

    /// A step cannot be done, and others are taken nevertheless: the run does not stop with it, or not yet.
    pub fn pass_over(&mut self, id: &str, what: &str, help: &str) {
        let Some(step) = self.report.steps.iter_mut().find(|step| step.id == id) else { return };
        step.state = StepState::Failed;
        step.message = Some(format!("{what}; help: {help}"));
        let title = step.title.clone();
        self.voice.line(Level::Warning, &format!("{title}: {what}"));
        self.voice.line(Level::Warning, &format!("help: {help}"));
        self.publish();
    }

    /// The titles of the steps that were passed over.
    pub fn passed_over(&self) -> Vec<&str> {
        let failed = self.report.steps.iter().filter(|step| step.state == StepState::Failed);
        failed.map(|step| step.title.as_str()).collect()
    }

    /// Every step is satisfied but these, which the next boot tries again.
    pub fn done_without(&mut self, titles: &str) {
        self.report.state = RunState::Done;
        self.report.message = format!("every step is done but {titles}: the next boot tries again");
        self.publish();
        self.voice.line(
            Level::Warning,
            &format!("`{}` is ready, {}", self.report.node, self.report.message),
        );
        self.voice.status("done");
    }

    /// Every step is satisfied: writes it, says nothing yet, for the marker is not there.
    pub fn done(&mut self, last: &str) {
        if let Some(step) = self.report.steps.iter_mut().find(|step| step.id == last) {
            step.state = StepState::Applied;
        }
        self.report.state = RunState::Done;
        self.report.message = "every step is done".to_owned();
        self.publish();
    }

    /// The marker is there.
    pub fn say_done(&self) {
        self.voice.line(Level::Notice, &format!("`{}` is ready", self.report.node));
        self.voice.status("done");
    }

    /// Something worth knowing, in one line.
    pub fn tell(&self, line: &str) {
        self.voice.line(Level::Info, line);
    }

    /// Something that did not work and does not matter enough to stop.
    pub fn warn(&self, line: &str) {
        self.voice.line(Level::Warning, line);
    }

    /// As [`Reporter::warn`], and the report keeps it: a person who does not read the log should know. It is written with
    /// the next change.
    pub fn note(&mut self, line: &str) {
        self.warn(line);
        if !self.report.notes.iter().any(|known| known == line) {
            self.report.notes.push(line.to_owned());
        }
    }

    /// As [`Reporter::warn`], once for each text: a FAT that is read-only stays it.
    fn trouble(&mut self, line: &str) {
        if !self.told_trouble.iter().any(|told| told == line) {
            self.voice.line(Level::Warning, line);
            self.told_trouble.push(line.to_owned());
        }
    }

    fn publish(&mut self) {
        self.report.updated_at = self.host.now();
        let mut json = serde_json::to_string_pretty(&self.report).unwrap_or_default();
        json.push('\n');
        let text = self.report.to_text();
        if let Err(error) = self.host.write(PATH, json.as_bytes(), Access::root(0o644)) {
            self.trouble(&error.to_string());
        }
        let Some(boot) = self.boot.clone() else { return };
        for (name, content) in [(names::REPORT_JSON, &json), (names::REPORT_TEXT, &text)] {
            if let Err(error) = self.host.write_plain(&format!("{boot}/{name}"), content.as_bytes())
            {
                self.trouble(&format!("{error}: the card tells less than `pikube-agent status`"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
