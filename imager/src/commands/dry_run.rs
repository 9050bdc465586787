//! The text of `--dry-run`: every file and every changed line of one node's boot partition.

use std::fmt::Write as _;

use super::cards::Card;
use crate::boot::{Edit, Prepared, Show};
use crate::image::ByteSize;
use crate::progress::Console;
use crate::progress::json::Message;

/// Tells what every card would get.
pub(super) fn show(cards: &[Card], prepared: &[Prepared], console: &Console) {
    for (card, prepared) in cards.iter().zip(prepared) {
        let (node, text) = (card.hostname(), describe(&prepared.edits));
        console.result(&format!("{node} on {}\n{text}", card.target.describe()));
        console.emit(&Message::DryRun { card: card.name(), node, text: &text });
    }
    console.note("nothing was written");
}

/// What one card would get.
fn describe(edits: &[Edit]) -> String {
    let mut text = String::new();
    for edit in edits {
        let verb = if edit.before.is_some() { "changed" } else { "new" };
        let size = ByteSize(edit.after.len() as u64).short();
        match edit.show {
            Show::Size => {
                let _ = writeln!(text, "{verb:<8} {}, {size}", edit.name);
            }
            Show::Secret => {
                let _ = writeln!(text, "{verb:<8} {}, {size}, secrets are not shown", edit.name);
            }
            Show::Text => {
                let _ = writeln!(text, "{verb:<8} {}, {size}", edit.name);
                if let Some(before) = &edit.before {
                    lines(&mut text, '-', before);
                }
                lines(&mut text, '+', &edit.after);
            }
        }
    }
    text
}

fn lines(text: &mut String, mark: char, content: &[u8]) {
    for line in String::from_utf8_lossy(content).lines() {
        let _ = writeln!(text, "         {mark} {line}");
    }
}
