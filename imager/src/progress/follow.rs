//! Follows the cards that are being written: bars on a terminal, plain lines in a log, objects with `--json`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::bars::Bars;
use super::json::{self, Message};
use super::{print_error, print_result};
use crate::card::{Event, Events, Phase};
use crate::image::ByteSize;

/// One card on the screen.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The card as it was given.
    pub card: String,
    /// The node that it becomes.
    pub node: String,
}

/// Follows the cards that are being written.
pub struct Progress(Kind);

enum Kind {
    Silent,
    Bars(Bars),
    Plain(Vec<Mutex<Plain>>),
    Json(Vec<Mutex<Throttle>>),
}

impl Progress {
    pub(super) fn silent() -> Self {
        Self(Kind::Silent)
    }

    pub(super) fn bars(cards: &[Followed]) -> Self {
        Self(Kind::Bars(Bars::new(cards)))
    }

    pub(super) fn plain(cards: Vec<Followed>) -> Self {
        Self(Kind::Plain(cards.into_iter().map(|card| Mutex::new(Plain::new(card.card))).collect()))
    }

    pub(super) fn json(cards: Vec<Followed>) -> Self {
        Self(Kind::Json(cards.into_iter().map(|c| Mutex::new(Throttle::new(c.card))).collect()))
    }
}

impl Events for Progress {
    fn event(&self, card: usize, event: Event) {
        match &self.0 {
            Kind::Silent => {}
            Kind::Bars(bars) => bars.show(card, event),
            Kind::Plain(cards) => {
                if let Some(line) = with(cards, card, |plain| plain.line(event)) {
                    print_error(&line);
                }
            }
            Kind::Json(cards) => {
                if let Some(line) = with(cards, card, |throttle| throttle.line(event)) {
                    print_result(&line);
                }
            }
        }
    }
}

/// A card's thread that panicked takes no other card's line with it.
fn with<T>(
    cards: &[Mutex<T>],
    card: usize,
    line: impl FnOnce(&mut T) -> Option<String>,
) -> Option<String> {
    line(&mut cards.get(card)?.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What a card is busy with, for people.
pub(super) fn verb(phase: Phase) -> &'static str {
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

/// Objects for programs, five a second at most.
struct Throttle {
    card: String,
    phase: Phase,
    last: Option<Instant>,
}

/// Shortest time between two objects of one phase.
const JSON_INTERVAL: Duration = Duration::from_millis(200);

impl Throttle {
    fn new(card: String) -> Self {
        Self { card, phase: Phase::Erase, last: None }
    }

    fn line(&mut self, event: Event) -> Option<String> {
        let card = self.card.as_str();
        match event {
            Event::Phase(phase) => {
                self.phase = phase;
                Some(json::line(&Message::Phase { card, phase: json::phase(phase) }))
            }
            Event::Bytes { done_bytes, total_bytes } => {
                if self.last.is_some_and(|last| last.elapsed() < JSON_INTERVAL) {
                    return None;
                }
                self.last = Some(Instant::now());
                let phase = json::phase(self.phase);
                Some(json::line(&Message::Progress { card, phase, done_bytes, total_bytes }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(done_bytes: u64) -> Event {
        Event::Bytes { done_bytes, total_bytes: Some(100) }
    }

    #[test]
    fn a_log_gets_one_line_per_phase() {
        let mut plain = Plain::new("card".into());
        assert_eq!(plain.line(Event::Phase(Phase::Write)).as_deref(), Some("card: writing"));
        assert_eq!(plain.line(bytes(50)), None, "too soon");
        plain.since = Instant::now().checked_sub(PLAIN_INTERVAL).unwrap();
        assert_eq!(plain.line(bytes(50)).as_deref(), Some("card: writing 50 % (50 bytes)"));
        plain.since = Instant::now().checked_sub(PLAIN_INTERVAL).unwrap();
        assert_eq!(plain.line(bytes(55)), None, "the same tenth");
        assert_eq!(plain.line(Event::Phase(Phase::Verify)).as_deref(), Some("card: verifying"));
    }

    #[test]
    fn a_program_gets_five_objects_a_second() {
        let mut throttle = Throttle::new("card".into());
        let first = throttle.line(Event::Phase(Phase::Write));
        assert_eq!(
            first.as_deref(),
            Some(r#"{"v":1,"event":"phase","card":"card","phase":"write"}"#)
        );
        assert!(throttle.line(bytes(1)).is_some());
        throttle.last = Some(Instant::now() + Duration::from_secs(60));
        assert_eq!(throttle.line(bytes(2)), None, "too soon");
        throttle.last = Instant::now().checked_sub(JSON_INTERVAL);
        assert!(throttle.line(bytes(3)).is_some_and(|line| line.contains(r#""done_bytes":3"#)));
    }
}
