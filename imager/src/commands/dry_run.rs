//! The text of `--dry-run`: every file and every changed line of one node's boot partition.

use std::fmt::Write as _;

use pikube_config::User;

use super::cards::Card;
use crate::boot::{Edit, Prepared, Show};
use crate::image::ByteSize;
use crate::plan;
use crate::progress::Console;
use crate::progress::json::Message;

/// Tells what every card would get.
pub(super) fn show(cards: &[Card], prepared: &[Prepared], console: &Console) {
    for (card, prepared) in cards.iter().zip(prepared) {
        let node = card.hostname();
        let text = login(card.node().plan.user.as_ref()) + &describe(&prepared.edits);
        console.result(&format!("{node} on {}\n{text}", card.target.describe()));
        console.emit(&Message::DryRun { card: card.name(), node, text: &text });
    }
}

/// Who may log in, and with which keys.
fn login(user: Option<&User>) -> String {
    let Some(user) = user else { return String::new() };
    let mut text = format!("{:<8} {}\n", "login", user.name);
    for key in plan::shown_keys(&user.ssh_keys) {
        let _ = writeln!(text, "{:<8} {key}", "key");
    }
    text
}

/// What one card would get.
fn describe(edits: &[Edit]) -> String {
    let mut text = String::new();
    for edit in edits {
        let verb = if edit.replaces { "changed" } else { "new" };
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
                let (gone, come) = edit.changed_lines();
                lines(&mut text, '-', &gone);
                lines(&mut text, '+', &come);
            }
        }
    }
    text
}

fn lines(text: &mut String, mark: char, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "         {mark} {line}");
    }
}
