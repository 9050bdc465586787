//! `piflash configure CARD`: other settings on a card that is written already, from this program or another.
//!
//! Only the files of the boot partition change, and of these only what must: the same settings again change no byte. The
//! node notices at its next boot.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use super::cards::{self, Card, Order};
use super::write::{laptop, note_of_defaults, warn};
use super::{clusters, dry_run, extras, kubernetes, settings, token};
use crate::agents::Agents;
use crate::boot::{self, Bits, NodeFiles, Prepared, Survey};
use crate::card::{self, CardState, ReadCard, Request, System};
use crate::cli::ConfigureArgs;
use crate::cluster::{Enrolment, Facts, Renaming, Wish};
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
    let (node, membership) = node(args, &settings, &read, &survey, console, interrupted)?;
    let order = Order { node, settings: Rc::new(settings), extras: Rc::new(extras) };
    let card = Card { path: args.card.clone(), order, target };
    console.note(&format!("{} holds {}", card.name(), survey.os.name()));
    survey.notes.iter().for_each(|note| console.note(note));
    console.emit(&card.message());
    let prepared = [boot::prepare(&read, &survey.os, card.node(), &agents, &card.order.extras)?];
    warn(&prepared, console);
    card.warn_of_readers(console);
    let cards = [card];
    let Some(device) = device else {
        dry_run::show(&cards, &prepared, console);
        console.note("nothing was written");
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
        let membership = membership.before(&card)?;
        let amended = card::amend(Box::new(device), &read, &prepared.patch);
        let done = amended.map_err(|error| card::Failure { error, state: CardState::Amended });
        membership.after(&card, done.is_ok(), console)?;
        done?;
        console.result(&format!("{}: changed and verified: {}", card.name(), files(&prepared)));
    }
    let changed: Vec<&str> = prepared.edits.iter().map(|edit| edit.name.as_str()).collect();
    let outcome = Outcome::Configured { changed: &changed };
    let (name, node) = (card.name(), card.hostname());
    console.emit(&Message::Result { card: name, node, ok: true, exit: 0, outcome });
    Ok(Exit::Done)
}

/// What the change means for the cluster that the card is of.
enum Membership {
    /// It is of none, or of one that this computer does not know.
    None,
    /// It becomes a node with this change.
    New(Box<Enrolment>),
    /// It is a node already.
    Known(Box<Renaming>),
}

impl Membership {
    /// Saves what must not be lost before the card can boot.
    fn before(mut self, card: &Card) -> Result<Self, Failure> {
        if let Membership::New(enrolment) = &mut self {
            enrolment.save(std::iter::once(card.node()))?;
        }
        Ok(self)
    }

    /// Enters what has become of the card.
    fn after(self, card: &Card, changed: bool, console: &Console) -> Result<(), Failure> {
        match self {
            Membership::New(mut enrolment) => {
                let facts = || Facts { serial: card.target.serial.clone(), ..Facts::default() };
                let end = (card.hostname(), changed.then(facts));
                let note = enrolment.settle(std::iter::once(end), moment::flashing())?;
                note.iter().for_each(|note| console.note(note));
                enrolment.lacks_master().iter().for_each(|warning| console.warn(warning));
            }
            Membership::Known(renaming) if changed => renaming.finish(&card.node().plan)?,
            Membership::Known(_) | Membership::None => {}
        }
        Ok(())
    }
}

/// What the card has with what is asked for; a card that piflash has not prepared needs a name, and becomes a node.
fn node(
    args: &ConfigureArgs,
    settings: &Settings,
    read: &ReadCard,
    survey: &Survey,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<(NodeFiles, Membership), Failure> {
    let asked = kubernetes::of(&args.kubernetes);
    let (hostname, role) = (args.hostname.as_deref(), args.role.map(Into::into));
    if let Some(before) = boot::existing(read)? {
        let now = moment::flashing();
        let mut node = plan::changed(&before, hostname, role, settings, &laptop(), now)?;
        if !asked.is_silent() {
            node.plan.kubernetes = kubernetes::table(&asked, &survey.os, console, interrupted)?;
        }
        plan::fits(&survey.os, &node)?.iter().for_each(|warning| console.warn(warning));
        if before.plan.user.is_none() && node.plan.user.is_some() {
            note_of_defaults(&node, settings, console);
        }
        let membership = known(args, survey, &before, &mut node, console)?;
        return Ok((node, membership));
    }
    let Some(hostname) = hostname else {
        let message =
            format!("configuring card `{}`: piflash has not prepared it", read.path().display());
        return Err(Failure::new(Exit::Usage, message)
            .help("say what the node shall be with `--hostname`, and `--role` if you like"));
    };
    let names = plan::names(hostname, 1)?;
    let wish = Wish { cluster: args.cluster.clone(), ..Wish::default() };
    let mut enrolment = clusters::begin(&wish, args.dry_run)?;
    let identities = enrolment.identities(names, role);
    let mut nodes = plan::nodes(&identities, settings, &laptop(), moment::flashing())?;
    let table = kubernetes::table(&asked, &survey.os, console, interrupted)?;
    let mut membership = Membership::None;
    if survey.os.bits == Bits::SixtyFour || table.is_some() {
        let plans = nodes.iter().map(|node| &node.plan);
        token::ready(&mut enrolment, &args.token, plans, args.dry_run, console)?;
        enrolment.admit(nodes.iter_mut())?.iter().for_each(|note| console.note(note));
        membership = Membership::New(Box::new(enrolment));
    }
    let mut node = nodes.remove(0);
    note_of_defaults(&node, settings, console);
    node.plan.kubernetes = table;
    if !survey.os.has_locales() {
        plan::without_locale_defaults(&mut node, settings);
    }
    plan::fits(&survey.os, &node)?.iter().for_each(|warning| console.warn(warning));
    Ok((node, membership))
}

/// A card that is of a cluster stays what it is in it; where this computer knows the cluster, its inventory follows.
fn known(
    args: &ConfigureArgs,
    survey: &Survey,
    before: &NodeFiles,
    after: &mut NodeFiles,
    console: &Console,
) -> Result<Membership, Failure> {
    let old = &before.plan;
    let Some(of) = &old.cluster else { return Ok(Membership::None) };
    let refuse = |message: String| {
        let help = "write the card anew: `piflash --hostname NAME CARD`";
        Err(Failure::new(Exit::Refused, message).help(help))
    };
    let name = &old.node.hostname;
    if after.plan.node.role != old.node.role {
        let role = old.node.role.name();
        return refuse(format!("`{name}` is `{role}` in cluster `{}` and stays it", of.name));
    }
    if args.cluster.as_ref().is_some_and(|asked| *asked != of.name) {
        return refuse(format!("`{name}` is a node of cluster `{}` and stays it", of.name));
    }
    let renaming = Renaming::begin(clusters::store()?, old, &after.plan, args.dry_run)?;
    let asked = args.new_token || args.token.token_file.is_some();
    let Some(mut renaming) = renaming else {
        if asked {
            let message =
                format!("this computer does not know `{name}` as a node of cluster `{}`", of.name);
            return Err(Failure::new(Exit::Refused, message)
                .help("tokens are given where the cluster is kept: `piflash cluster list`, `piflash cluster import FILE`"));
        }
        return Ok(Membership::None);
    };
    if !survey.launched
        && let Some(note) = renaming.put_back(after)
    {
        console.warn(&note);
        after.plan.flashed_at = Some(moment::flashing());
    }
    if after.plan.cluster != old.cluster && renaming.cluster().nodes().len() > 1 {
        console.warn(&format!(
            "the cards of the other nodes of cluster `{}` look for its master where it was: change them as well, by writing them again",
            of.name
        ));
    }
    // Like any other token: whether it has run out is not a question of reproducible cards.
    if Renaming::has_old_token(after, Timestamp::now(), asked) {
        let handed_in = args.token.token_file.as_deref().map(plan::read_token).transpose()?;
        let server = args.token.server.as_deref();
        match renaming.renew_token(after, server, handed_in.as_ref(), Timestamp::now()) {
            Ok(note) => {
                console.note(&note);
                after.plan.flashed_at = Some(moment::flashing());
            }
            Err(error) if asked => return Err(error.into()),
            // The rest can be changed nevertheless.
            Err(error) => {
                let failure = Failure::from(error);
                let help = failure.help.map(|help| format!("; {help}")).unwrap_or_default();
                console.warn(&format!("{}{help}", failure.message));
            }
        }
    }
    Ok(Membership::Known(Box::new(renaming)))
}

fn files(prepared: &Prepared) -> String {
    let names: Vec<&str> = prepared.edits.iter().map(|edit| edit.name.as_str()).collect();
    names.join(", ")
}
