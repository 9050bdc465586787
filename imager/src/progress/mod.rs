//! The only place that prints: results on standard output, everything else on standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where printing lives")]

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::card::{Event, Events, Phase};
use crate::failure::Failure;
use crate::image::ByteSize;

/// Where a person reads and answers.
pub struct Console {
    quiet: bool,
}

impl Console {
    /// `quiet` leaves only errors and warnings.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// A result, on standard output.
    pub fn result(&self, text: &str) {
        if !self.quiet {
            // A reader that went away (`| head`) is no reason to fail.
            let _ = writeln!(io::stdout(), "{}", text.trim_end());
        }
    }

    /// What a person may want to know while it happens.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// What a person must see.
    pub fn warn(&self, text: &str) {
        eprintln!("warning: {text}");
    }

    /// What went wrong.
    pub fn fail(&self, failure: &Failure) {
        eprintln!("{failure}");
    }

    /// Whether there is somebody to ask.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a question; anything but `y` or `yes` is no.
    ///
    /// # Errors
    /// Reading the answer.
    pub fn ask(&self, question: &str) -> io::Result<bool> {
        eprint!("{question} [y/N] ");
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// A line per card that follows its writing: bars on a terminal, else plain lines.
    pub fn follow<'a>(&self, cards: impl Iterator<Item = &'a Path>) -> Progress {
        let names = cards.map(|path| path.display().to_string());
        let lines = if self.quiet {
            Vec::new()
        } else if io::stderr().is_terminal() {
            let bars = MultiProgress::new();
            names.map(|name| Line::Bar(bars.add(bar(&name)))).collect()
        } else {
            names.map(|name| Line::Plain(Mutex::new(Plain::new(name)))).collect()
        };
        Progress { lines }
    }
}

/// Follows the cards that are being written.
pub struct Progress {
    lines: Vec<Line>,
}

enum Line {
    Bar(ProgressBar),
    Plain(Mutex<Plain>),
}

impl Events for Progress {
    fn event(&self, card: usize, event: Event) {
        match self.lines.get(card) {
            Some(Line::Bar(bar)) => show(bar, event),
            Some(Line::Plain(plain)) => {
                let line = plain.lock().ok().and_then(|mut plain| plain.line(event));
                if let Some(line) = line {
                    eprintln!("{line}");
                }
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for line in &self.lines {
            if let Line::Bar(bar) = line {
                bar.finish_and_clear();
            }
        }
    }
}

fn bar(name: &str) -> ProgressBar {
    let template =
        "{prefix} {msg:<9} [{bar:28}] {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4} left";
    // The template is a constant: that it parses is tested below.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar =
        ProgressBar::new(0).with_style(style.progress_chars("=> ")).with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, event: Event) {
    match event {
        Event::Phase(phase) => {
            bar.set_message(verb(phase));
            bar.reset();
        }
        Event::Bytes { done_bytes, total_bytes } => {
            if let Some(total) = total_bytes {
                bar.set_length(total);
            }
            bar.set_position(done_bytes);
        }
    }
}

fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Erase => "erasing",
        Phase::Write => "writing",
        Phase::BootPartition => "preparing",
        Phase::Verify => "verifying",
        Phase::Finish => "finishing",
    }
}

/// A log does not want a line per block: one per phase, and one per tenth of it where that takes longer.
struct Plain {
    name: String,
    phase: Phase,
    since: Instant,
    tenths: u64,
}

/// Shortest time between two lines of one phase.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

impl Plain {
    fn new(name: String) -> Self {
        Self { name, phase: Phase::Erase, since: Instant::now(), tenths: 0 }
    }

    fn line(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Phase(phase) => {
                (self.phase, self.since, self.tenths) = (phase, Instant::now(), 0);
                Some(format!("{}: {}", self.name, verb(phase)))
            }
            Event::Bytes { done_bytes, total_bytes: Some(total) } if total > 0 => {
                let tenths = done_bytes * 10 / total;
                if tenths <= self.tenths || tenths >= 10 || self.since.elapsed() < PLAIN_INTERVAL {
                    return None;
                }
                (self.tenths, self.since) = (tenths, Instant::now());
                let done = ByteSize(done_bytes).short();
                Some(format!("{}: {} {}0 % ({done})", self.name, verb(self.phase), tenths))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_one_line_per_phase() {
        let mut plain = Plain::new("card".into());
        let bytes = |done| Event::Bytes { done_bytes: done, total_bytes: Some(100) };
        assert_eq!(plain.line(Event::Phase(Phase::Write)).as_deref(), Some("card: writing"));
        assert_eq!(plain.line(bytes(50)), None, "too soon");
        plain.since = Instant::now().checked_sub(PLAIN_INTERVAL).unwrap();
        assert_eq!(plain.line(bytes(50)).as_deref(), Some("card: writing 50 % (50 bytes)"));
        plain.since = Instant::now().checked_sub(PLAIN_INTERVAL).unwrap();
        assert_eq!(plain.line(bytes(55)), None, "the same tenth");
        assert_eq!(plain.line(Event::Phase(Phase::Verify)).as_deref(), Some("card: verifying"));
    }

    #[test]
    fn the_bar_template_parses() {
        assert!(!bar("card").is_finished());
        assert_eq!(bar("card").prefix(), "card");
    }
}
