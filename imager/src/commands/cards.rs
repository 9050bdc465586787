//! The cards of one run: looked at, asked about, opened. Each has its node, and fails alone.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use crate::boot::{Extras, NodeFiles};
use crate::card::{self, Device, Kind, Request, System, Target, guard};
use crate::cli::WriteArgs;
use crate::failure::{Exit, Failure};
use crate::plan::Settings;
use crate::progress::json::Message;
use crate::progress::{Answer, Console, Followed};

/// What a card shall become.
pub(super) struct Order {
    pub(super) node: NodeFiles,
    /// What was asked for, beside this computer's own settings.
    pub(super) settings: Rc<Settings>,
    pub(super) extras: Rc<Extras>,
}

/// One card and the node that it becomes.
pub(super) struct Card {
    pub(super) path: PathBuf,
    pub(super) order: Order,
    pub(super) target: Target,
}

impl Card {
    pub(super) fn hostname(&self) -> &str {
        &self.order.node.plan.node.hostname
    }

    /// The files of its node.
    pub(super) fn node(&self) -> &NodeFiles {
        &self.order.node
    }

    /// The path for messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The card on the screen.
    pub(super) fn followed(&self) -> Followed {
        Followed { card: self.name(), node: self.hostname().to_owned() }
    }

    /// A card holds keys, and a file of an earlier version may be open to everybody.
    pub(super) fn warn_of_readers(&self, console: &Console) {
        if self.target.others_can_read() {
            let name = self.name();
            console.warn(&format!(
                "`{name}` will hold keys, and other users of this computer can read it: `chmod 600 {name}`"
            ));
        }
    }

    /// Opens it for writing.
    pub(super) fn open(&self) -> Result<Device, Failure> {
        Ok(card::open(&System::default(), &self.target)?)
    }

    /// What it is, for programs.
    pub(super) fn message(&self) -> Message<'_> {
        Message::Target {
            card: self.name(),
            node: self.hostname(),
            role: self.node().plan.node.role,
            kind: match self.target.kind {
                Kind::Block => "block",
                Kind::File => "file",
                Kind::NewFile => "new_file",
            },
            model: self.target.model.as_deref(),
            serial: self.target.serial.as_deref(),
            size_bytes: self.target.size_bytes,
            contents: self.target.contents.as_ref().map(ToString::to_string),
        }
    }
}

/// Looks at every card before anything else costs time. Those that are refused are told at once; the rest, and the
/// worst that was told.
///
/// # Errors
/// A card that is given twice.
pub(super) fn look(
    args: &WriteArgs,
    orders: Vec<Order>,
    request: &Request,
    console: &Console,
) -> Result<(Vec<Card>, Exit), Failure> {
    let mut cards: Vec<Card> = Vec::new();
    let mut worst = Exit::Done;
    for (path, order) in args.cards.iter().zip(orders) {
        match target(path, args.force, request) {
            Ok(target) if cards.iter().any(|card| card.target.canonical == target.canonical) => {
                let message = format!("card `{}` is given twice", path.display());
                return Err(Failure::new(Exit::Usage, message));
            }
            Ok(target) => cards.push(Card { path: path.clone(), order, target }),
            Err(failure) => {
                let node = &order.node.plan.node.hostname;
                console.fail_card(&path.display().to_string(), node, &failure);
                worst = worst.max(failure.exit);
            }
        }
    }
    Ok((cards, worst))
}

/// Looks at one card.
///
/// # Errors
/// Why it may not be written.
pub(super) fn target(path: &Path, force: bool, request: &Request) -> Result<Target, Failure> {
    let mut target = guard::check(&System::default(), path, request)?;
    if force {
        target.force();
    }
    target.refuse_doubts()?;
    Ok(target)
}

/// Asks whether everything on the cards may go, unless that has been answered already.
///
/// # Errors
/// Any answer but yes, and nobody to ask.
pub(super) fn confirm_loss(
    args: &WriteArgs,
    console: &Console,
    cards: &[Card],
    interrupted: &AtomicBool,
) -> Result<(), Failure> {
    // A new file destroys nothing.
    if args.yes || cards.iter().all(|card| card.target.kind == Kind::NewFile) {
        return Ok(());
    }
    let lines: Vec<String> = cards
        .iter()
        .map(|card| {
            let role = card.node().plan.node.role.name();
            format!("  {} -> {} ({role})", card.target.describe(), card.hostname())
        })
        .collect();
    let list = lines.join("\n");
    let it = if cards.len() == 1 { "it" } else { "them" };
    let question = format!("Everything on {it} will be lost:\n{list}\nWrite?");
    confirm(console, &question, &format!("this would overwrite\n{list}"), interrupted)
}

/// Asks; where nobody can answer, `what_would_be` tells what is not done.
///
/// # Errors
/// Any answer but yes, and nobody to ask.
pub(super) fn confirm(
    console: &Console,
    question: &str,
    what_would_be: &str,
    interrupted: &AtomicBool,
) -> Result<(), Failure> {
    if !console.can_ask() {
        let message = format!("not confirmed: {what_would_be}");
        return Err(
            Failure::new(Exit::Refused, message).help("add `--yes` where nobody can answer")
        );
    }
    match console.ask(question, interrupted) {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No) => Err(Failure::new(Exit::Refused, "not confirmed, nothing was written")),
        Ok(Answer::Interrupted) => {
            Err(Failure::new(Exit::Failed, "interrupted, nothing was written"))
        }
        Err(error) => Err(Failure::new(Exit::Failed, format!("reading the answer: {error}"))),
    }
}
