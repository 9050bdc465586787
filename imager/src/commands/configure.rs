//! `piflash configure CARD`: other settings on a card that is written already, from this program or another.
//!
//! Only the files of the boot partition change, and of these only what must: the same settings again change no byte. The
//! node notices at its next boot.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::cards::{self, Card};
use super::write::{laptop, warn};
use super::{dry_run, extras, settings};
use crate::agents::Agents;
use crate::boot::{self, NodeFiles, Prepared, Survey};
use crate::card::{self, CardState, ReadCard, Request, System};
use crate::cli::ConfigureArgs;
use crate::failure::{Exit, Failure};
use crate::moment;
use crate::plan::{self, Settings};
use crate::progress::Console;
use crate::progress::json::{Message, Outcome};

/// Changes the card.
///
/// # Errors
/// What is wrong with the settings or the card; a card that could not be changed says in which state it is.
pub fn run(
    args: &ConfigureArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let settings = settings::of(&args.settings)?;
    let extras = extras::of(&args.extras, console, interrupted)?;
    let agents = Agents::of(args.agent_dir.as_deref())?;
    let target = cards::target(&args.card, args.force, &Request::default())?;
    // Held from here on, so that nobody changes what was looked at.
    let device = match args.dry_run {
        true => None,
        false => Some(card::open(&System::default(), &target)?),
    };
    let read = card::read(&target.canonical)?;
    read.forget_cached();
    let survey = boot::survey(&read)?;
    let node = node(args, &settings, &read, &survey)?;
    let card = Card { path: args.card.clone(), node, target };
    console.note(&format!("{} holds {}", card.name(), survey.os.name()));
    console.emit(&card.message());
    let prepared = [boot::prepare(&read, &survey.os, &card.node, &agents, &extras)?];
    warn(&survey, &prepared, console);
    let cards = [card];
    let Some(device) = device else {
        dry_run::show(&cards, &prepared, console);
        return Ok(Exit::Done);
    };
    let ([card], [prepared]) = (cards, prepared);
    if prepared.is_unchanged() {
        console.result(&format!("{}: nothing to change, nothing was written", card.name()));
    } else {
        if !args.yes {
            let what = format!("{} of {}", files(&prepared), card.target.describe());
            let question = format!("These files change:\n  {what}\nWrite?");
            cards::confirm(console, &question, &format!("this would change {what}"), interrupted)?;
        }
        let amended =
            card::amend(Box::new(device), read.boot_partition(), read.fat(), &prepared.patch);
        amended.map_err(|error| card::Failure { error, state: CardState::Amended })?;
        console.result(&format!("{}: changed and verified: {}", card.name(), files(&prepared)));
    }
    let changed: Vec<&str> = prepared.edits.iter().map(|edit| edit.name.as_str()).collect();
    let outcome = Outcome::Configured { changed: &changed };
    let (name, node) = (card.name(), card.hostname());
    console.emit(&Message::Result { card: name, node, ok: true, exit: 0, outcome });
    Ok(Exit::Done)
}

/// What the card has with what is asked for; a card that piflash has not prepared needs a name and a role.
fn node(
    args: &ConfigureArgs,
    settings: &Settings,
    read: &ReadCard,
    survey: &Survey,
) -> Result<NodeFiles, Failure> {
    let (hostname, role) = (args.hostname.as_deref(), args.role.map(Into::into));
    if let Some(before) = boot::existing(read)? {
        let now = moment::flashing();
        return Ok(plan::changed(&before, hostname, role, settings, &laptop(), now)?);
    }
    let Some(identity) = hostname.zip(role) else {
        let message =
            format!("configuring card `{}`: piflash has not prepared it", read.path().display());
        return Err(Failure::new(Exit::Usage, message)
            .help("say what the node shall be with `--role` and `--hostname`"));
    };
    let mut node = plan::nodes(identity, settings, &laptop(), 1, moment::flashing())?.remove(0);
    if !survey.os.has_locales() {
        plan::without_locale_defaults(&mut node, settings);
    }
    Ok(node)
}

fn files(prepared: &Prepared) -> String {
    let names: Vec<&str> = prepared.edits.iter().map(|edit| edit.name.as_str()).collect();
    names.join(", ")
}
