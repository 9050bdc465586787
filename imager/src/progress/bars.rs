//! A bar per card, and one for all of them where there are several.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::follow::{Followed, verb};
use crate::card::{Event, Phase};

/// From here on there is room for a bar beside the numbers.
const WIDE_COLUMNS: usize = 70;
/// Columns that a name may take beside a bar.
const NAME_COLUMNS: usize = 24;
/// Columns of everything else on a narrow line.
const NARROW_COLUMNS: usize = 24;

/// The bars of all cards.
pub(super) struct Bars {
    cards: Vec<ProgressBar>,
    total: Option<ProgressBar>,
    shares: Mutex<Vec<Share>>,
}

/// How far one card is, for the line of all.
#[derive(Clone, Copy, Default)]
struct Share {
    /// Bytes of earlier phases.
    before: u64,
    /// Bytes of this phase.
    now: u64,
    /// Bytes of the image behind its head, written and read back.
    whole: u64,
}

impl Bars {
    pub(super) fn new(cards: &[Followed]) -> Self {
        let columns = terminal_size::terminal_size_of(std::io::stderr());
        let columns = columns.map_or(80, |(width, _)| usize::from(width.0));
        let names: Vec<String> = cards.iter().map(|card| name(card, columns)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let bars = MultiProgress::new();
        let add = |name: &str| {
            let bar = ProgressBar::new(0).with_style(style(columns, width));
            let bar = bars.add(bar.with_prefix(name.to_owned()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        };
        let each = names.iter().map(|name| add(name)).collect();
        let total = (cards.len() > 1).then(|| add("all"));
        if let Some(total) = &total {
            total.set_message(format!("0 of {}", cards.len()));
        }
        Self { cards: each, total, shares: Mutex::new(vec![Share::default(); cards.len()]) }
    }

    pub(super) fn show(&self, card: usize, event: Event) {
        let Some(bar) = self.cards.get(card) else { return };
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
        if let Some(total) = &self.total {
            self.add_up(total, card, event);
        }
    }

    fn add_up(&self, total: &ProgressBar, card: usize, event: Event) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(share) = shares.get_mut(card) else { return };
        match event {
            Event::Phase(Phase::Finish) => (share.before, share.now) = (share.whole, 0),
            Event::Phase(_) => (share.before, share.now) = (share.before + share.now, 0),
            Event::Bytes { done_bytes, total_bytes } => {
                share.now = done_bytes;
                // Of the phases only this one and the reading back are long.
                share.whole = share.whole.max(total_bytes.unwrap_or(done_bytes).saturating_mul(2));
            }
        }
        let done = |share: &Share| (share.before + share.now).min(share.whole);
        let finished = shares.iter().filter(|share| share.whole > 0 && done(share) == share.whole);
        total.set_message(format!("{} of {}", finished.count(), shares.len()));
        total.set_length(shares.iter().map(|share| share.whole).sum());
        total.set_position(shares.iter().map(done).sum());
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        for bar in self.cards.iter().chain(&self.total) {
            bar.finish_and_clear();
        }
    }
}

/// `sdb pi01`: which reader, and what the card becomes.
fn name(card: &Followed, columns: usize) -> String {
    let file = card.card.rsplit('/').next().unwrap_or(&card.card);
    let most = match columns {
        wide if wide >= WIDE_COLUMNS => NAME_COLUMNS,
        narrow => narrow.saturating_sub(NARROW_COLUMNS).max(4),
    };
    let name = format!("{file} {}", card.node);
    if name.chars().count() <= most {
        return name;
    }
    // The node is what tells cards apart in files of one long name.
    let cut: String = card.node.chars().take(most.saturating_sub(1)).collect();
    if cut.chars().count() < card.node.chars().count() { format!("{cut}~") } else { cut }
}

fn style(columns: usize, name_columns: usize) -> ProgressStyle {
    // Constants apart from the width: that they parse is tested below.
    let template = match columns {
        wide if wide >= WIDE_COLUMNS => {
            format!(
                "{{prefix:{name_columns}}} {{msg:9}} [{{wide_bar}}] {{percent:>3}} % {{rate:>10}} {{eta:>5}} left"
            )
        }
        _ => format!("{{prefix:{name_columns}}} {{msg:9}} {{percent:>3}} % {{eta:>5}}"),
    };
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
            let _ = write!(text, "{:.1} MB/s", state.per_sec() / 1e6);
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_parse() {
        for columns in [1, 40, 69, 70, 80, 200] {
            assert!(!ProgressBar::hidden().with_style(style(columns, 12)).is_finished());
        }
        assert!(ProgressStyle::with_template("{prefix:1} {msg:9} [{wide_bar}] {eta:>5}").is_ok());
    }

    #[test]
    fn names_fit() {
        let card = |card: &str, node: &str| Followed { card: card.into(), node: node.into() };
        assert_eq!(name(&card("/dev/sdb", "pi01"), 80), "sdb pi01");
        assert_eq!(name(&card("/tmp/a-very-long-name-of-a-file.img", "pi01"), 80), "pi01");
        assert_eq!(name(&card("/dev/sdb", "a-name-that-goes-on-and-on"), 40), "a-name-that-goe~");
    }

    #[test]
    fn all_cards_together_reach_the_end() {
        let cards = ["a", "b"].map(|c| Followed { card: c.into(), node: c.into() });
        let bars = Bars::new(&cards);
        for card in [0, 1] {
            for phase in [Phase::Write, Phase::Verify] {
                bars.show(card, Event::Phase(phase));
                bars.show(card, Event::Bytes { done_bytes: 50, total_bytes: Some(50) });
            }
            bars.show(card, Event::Phase(Phase::Finish));
        }
        let total = bars.total.as_ref().unwrap();
        assert_eq!((total.position(), total.length()), (200, Some(200)));
        assert_eq!(total.message(), "2 of 2");
    }
}
