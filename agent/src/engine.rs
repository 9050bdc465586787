//! For each step: check ► apply ► check again ► journal. Waiting is done here, and nowhere else.

use std::time::Duration;

use pikube_config::{RunState, StepState};

use crate::host::{Host, Job};
use crate::journal::{Event, Journal};
use crate::plan::Context;
use crate::report::Reporter;
use crate::step::{Check, Class, LOOK_AT_THE_JOURNAL, Notes, Step, Stop};

/// How long between two looks at a command that runs beside the steps.
const JOB_PAUSE: Duration = Duration::from_millis(200);
/// What the journal says of a step a part of which ran beside the steps before it.
const BESIDE: &str = "the part that was begun beside other steps ends";

/// How often a step may be applied and needed nevertheless, in a row, before a person has to look: what is outside of the
/// node changes when it likes, and on a busy node others are at work too.
const MOST_UNDONE: u32 = 5;

/// How often a step that nothing needs may wait for something before the run goes on without it.
const MOST_WAITS: u32 = 5;

/// How a step ended well.
enum Outcome {
    Satisfied,
    Applied(Notes),
}

/// How often a step has been tried in vain.
#[derive(Default)]
struct Tries {
    /// It waited for something.
    waits: u32,
    /// It was applied and needed nevertheless, in a row.
    undone: u32,
}

/// How one of these tries ended.
enum Tried {
    Settled,
    Waits,
    /// As it stands a further try is useless; the seconds that this one took.
    Failed(Stop, f64),
}

/// How an attempt ended otherwise.
enum Setback {
    Stop(Stop),
    /// It was applied without an error, and is still needed.
    Undone(String),
}

impl<E: Into<Stop>> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// Everything a run works with.
pub struct Engine<'a> {
    /// The machine.
    pub host: &'a dyn Host,
    /// Plan, secrets, facts, rendered files.
    pub context: &'a Context,
    /// What has been done.
    pub journal: Journal,
    /// Who is told.
    pub reporter: Reporter<'a>,
}

impl Engine<'_> {
    /// Takes every step. The last one is the marker `done`: it is the very last act, so everything that tells of it,
    /// but for the log, is written before it.
    ///
    /// # Errors
    /// Always a [`Stop::Person`], which the reporter has told already.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Stop> {
        let Some((last, before)) = steps.split_last() else { return Ok(()) };
        // Steps of one class that stand together do not wait for one another where the class says so.
        let together = |one: &Step, next: &Step| [one.class, next.class] == [Class::Access; 2];
        for group in before.chunk_by(together) {
            for step in group {
                self.wait_for_ahead(step)?;
            }
            self.take(group)?;
            for step in group {
                self.begin_ahead(step, before);
            }
        }
        self.finish(last)
    }

    /// Starts what can run once this step is settled. What cannot be started is left to its step.
    fn begin_ahead(&mut self, settled: &Step, steps: &[Step]) {
        for step in steps {
            let Some(ahead) = step.ahead.filter(|ahead| ahead.after == settled.id) else {
                continue;
            };
            let begun = (ahead.command)(self.context, self.host).and_then(|command| {
                let Some(command) = command else { return Ok(()) };
                self.host.start(step.id, &command)?;
                self.reporter.tell(&format!("`{}`: begun beside other steps: {command}", step.id));
                Ok(())
            });
            if let Err(Stop::Again(what) | Stop::Person { what, .. }) = begun {
                self.reporter.warn(&format!("`{}` beside other steps: {what}", step.id));
            }
        }
    }

    /// Waits for what was started for this step. The time counts as the step's own.
    fn wait_for_ahead(&mut self, step: &Step) -> Result<(), Stop> {
        let began = self.host.elapsed();
        let mut told = false;
        loop {
            match self.host.job(step.id) {
                Ok(None) => return Ok(()),
                Ok(Some(Job::Running)) => {
                    if !std::mem::replace(&mut told, true) {
                        let why = Some(BESIDE.to_owned());
                        self.reporter.step(step.id, StepState::Running, why, None);
                    }
                    self.host.sleep(JOB_PAUSE);
                }
                Ok(Some(Job::Ended(answer))) => {
                    let seconds = (self.host.elapsed() - began).as_secs_f64();
                    if answer.status != 0 {
                        let said = answer.complaint();
                        self.reporter.warn(&format!("`{}` beside other steps: {said}", step.id));
                    }
                    return self.note(step, Event::Started, seconds, Some(BESIDE));
                }
                Err(error) => {
                    self.reporter.warn(&format!("`{}` beside other steps: {error}", step.id));
                    return Ok(());
                }
            }
        }
    }

    /// Steps that do not wait for one another, each as often as it takes.
    fn take(&mut self, steps: &[Step]) -> Result<(), Stop> {
        let mut open: Vec<(&Step, Tries)> =
            steps.iter().map(|step| (step, Tries::default())).collect();
        let mut failed = Vec::new();
        for round in 0.. {
            let mut waiting = Vec::new();
            for (step, mut tries) in open {
                let (stop, seconds) = match self.try_once(step, &mut tries)? {
                    Tried::Settled => continue,
                    Tried::Waits => {
                        waiting.push((step, tries));
                        continue;
                    }
                    Tried::Failed(stop, seconds) => (stop, seconds),
                };
                if step.class == Class::Essential {
                    return Err(self.stop(step, stop, seconds));
                }
                self.pass_over(step, &stop, seconds);
                if step.class == Class::Access {
                    failed.push((step, stop));
                }
            }
            if waiting.is_empty() {
                break;
            }
            open = waiting;
            self.host.sleep(backoff(round, self.host.random()));
        }
        // The first one last: it is what the report is headed with.
        let mut first = None;
        for (step, stop) in failed.into_iter().rev() {
            first = Some(self.stop(step, stop, 0.0));
        }
        first.map_or(Ok(()), Err)
    }

    /// One step, once.
    fn try_once(&mut self, step: &Step, tries: &mut Tries) -> Result<Tried, Stop> {
        let began = self.host.elapsed();
        let result = self.attempt(step);
        let seconds = (self.host.elapsed() - began).as_secs_f64();
        let what = match result {
            Ok(outcome) => {
                self.settle(step, outcome, seconds)?;
                return Ok(Tried::Settled);
            }
            Err(Setback::Stop(Stop::Again(what))) => {
                tries.undone = 0;
                tries.waits += 1;
                if step.class == Class::Comfort && tries.waits == MOST_WAITS {
                    return Ok(Tried::Failed(Stop::person(what, LOOK_AT_THE_JOURNAL), seconds));
                }
                self.note_waiting(step, &what, seconds)?;
                what
            }
            Err(Setback::Stop(stop)) => return Ok(Tried::Failed(stop, seconds)),
            Err(Setback::Undone(why)) => {
                tries.undone += 1;
                let what = format!("applying `{}`: still needed afterwards: {why}", step.id);
                if tries.undone == MOST_UNDONE {
                    return Ok(Tried::Failed(Stop::person(what, LOOK_AT_THE_JOURNAL), seconds));
                }
                what
            }
        };
        let total = self.journal.seconds(step.id);
        self.reporter.step(step.id, StepState::Waiting, Some(what), Some(total));
        Ok(Tried::Waits)
    }

    fn attempt(&mut self, step: &Step) -> Result<Outcome, Setback> {
        match (step.check)(self.context, self.host)? {
            Check::Satisfied => return Ok(Outcome::Satisfied),
            Check::Unknown => {
                return Err(Setback::Stop(Stop::person(
                    format!("checking `{}`: only the running system can tell", step.id),
                    "run it without a test root",
                )));
            }
            Check::Needed(why) => {
                let known = self.is_known(step, Event::Waiting, None)
                    || self.is_known(step, Event::Started, Some(&why));
                if !known {
                    self.journal.note(self.host, step.id, Event::Started, 0.0, Some(&why))?;
                }
                self.reporter.step(step.id, StepState::Running, Some(why), None);
            }
        }
        let notes = (step.apply)(self.context, self.host)?;
        // Commands do not fsync: what the check sees now must still be there after a power cut.
        self.host.sync();
        match (step.check)(self.context, self.host)? {
            Check::Satisfied => Ok(Outcome::Applied(notes)),
            Check::Needed(why) => Err(Setback::Undone(why)),
            Check::Unknown => Err(Setback::Stop(Stop::person(
                format!("applying `{}`: it cannot be told whether it worked", step.id),
                LOOK_AT_THE_JOURNAL,
            ))),
        }
    }

    fn settle(&mut self, step: &Step, outcome: Outcome, seconds: f64) -> Result<(), Stop> {
        let earlier = self.journal.was_applied(step.id);
        let (event, state) = match &outcome {
            Outcome::Applied(_) => (Event::Applied, StepState::Applied),
            Outcome::Satisfied if earlier => (Event::Satisfied, StepState::Applied),
            Outcome::Satisfied => (Event::Satisfied, StepState::Satisfied),
        };
        if let Outcome::Applied(notes) = outcome {
            for note in notes {
                self.reporter.note(&format!("`{}`: {note}", step.id));
            }
        }
        if event == Event::Applied || !self.journal.was_settled(step.id) {
            self.note(step, event, seconds, None)?;
        }
        self.reporter.step(step.id, state, None, Some(self.journal.seconds(step.id)));
        Ok(())
    }

    /// Whether the journal's last line of the step says just this already (any message with `None`): a journal that
    /// grows while a node waits for days, or stops anew at each boot, would wear the card.
    fn is_known(&self, step: &Step, event: Event, message: Option<&str>) -> bool {
        self.journal.last(step.id).is_some_and(|entry| {
            entry.event == event && (message.is_none() || entry.message.as_deref() == message)
        })
    }

    fn note_waiting(&mut self, step: &Step, what: &str, seconds: f64) -> Result<(), Stop> {
        if self.is_known(step, Event::Waiting, Some(what)) {
            return Ok(());
        }
        self.note(step, Event::Waiting, seconds, Some(what))
    }

    /// Tells everybody that a person must act.
    fn stop(&mut self, step: &Step, stop: Stop, seconds: f64) -> Stop {
        let (what, help) = told(&stop);
        self.note_failure(step, what, seconds);
        self.reporter.fail(Some(step.id), what, help);
        stop
    }

    /// Tells everybody that a step cannot be done and that others are taken nevertheless.
    fn pass_over(&mut self, step: &Step, stop: &Stop, seconds: f64) {
        let (what, help) = told(stop);
        self.note_failure(step, what, seconds);
        self.reporter.pass_over(step.id, what, help);
    }

    /// A journal that cannot be written does not hide the first error.
    fn note_failure(&mut self, step: &Step, what: &str, seconds: f64) {
        if !self.is_known(step, Event::Failed, Some(what))
            && let Err(error) =
                self.journal.note(self.host, step.id, Event::Failed, seconds, Some(what))
        {
            self.reporter.warn(&error.to_string());
        }
    }

    fn note(
        &mut self,
        step: &Step,
        event: Event,
        seconds: f64,
        message: Option<&str>,
    ) -> Result<(), Stop> {
        match self.journal.note(self.host, step.id, event, seconds, message) {
            Ok(()) => Ok(()),
            Err(error) => {
                let stop = match Stop::from(error) {
                    Stop::Again(what) => Stop::person(what, LOOK_AT_THE_JOURNAL),
                    stop => stop,
                };
                Err(self.stop(step, stop, seconds))
            }
        }
    }

    fn finish(&mut self, step: &Step) -> Result<(), Stop> {
        let without = self.reporter.passed_over().join(", ");
        if !without.is_empty() {
            // No marker: the next boot takes every step again.
            self.reporter.done_without(&without);
            return Ok(());
        }
        self.note(step, Event::Applied, 0.0, None)?;
        self.reporter.done(step.id);
        self.host.sync();
        let applied = (step.apply)(self.context, self.host)
            .and_then(|_| (step.check)(self.context, self.host));
        match applied {
            Ok(Check::Satisfied) => {
                self.reporter.say_done();
                Ok(())
            }
            Ok(_) => {
                let stop = Stop::person("writing the marker `done`: it is not there", "reboot");
                Err(self.stop(step, stop, 0.0))
            }
            Err(stop) => Err(self.stop(step, stop, 0.0)),
        }
    }
}

/// What was attempted and why it did not work; what to do about it.
fn told(stop: &Stop) -> (&str, &str) {
    match stop {
        Stop::Again(what) => (what, LOOK_AT_THE_JOURNAL),
        Stop::Person { what, help } => (what, help),
    }
}

/// The state of the whole run that goes with a step's state.
pub fn run_state(state: StepState) -> RunState {
    match state {
        StepState::Waiting => RunState::Waiting,
        StepState::Failed => RunState::Failed,
        _ => RunState::Running,
    }
}

/// Two seconds, doubled each time up to a minute, a quarter more or less (`fraction` in `0.0..1.0`), so that the nodes
/// of a rack that got their power together do not ask together.
pub fn backoff(attempt: u32, fraction: f64) -> Duration {
    let seconds = (2_u64 << attempt.min(10)).min(60);
    Duration::from_secs_f64(seconds as f64 * (0.75 + fraction / 2.0))
}

#[cfg(test)]
mod tests;
