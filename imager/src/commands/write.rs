//! The main job: image and settings in, prepared cards out.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::cards::{self, Card, Order};
use super::receipt::{self, Source};
use super::{clusters, dry_run, extras, images, kubernetes, settings, token, whole};
use crate::agents::Agents;
use crate::boot::{self, Bits, NodeFiles, Prepared, Survey};
use crate::card::eject;
use crate::card::{self, Job, Options, Request, Written};
use crate::cli::WriteArgs;
use crate::cluster::{Enrolment, Facts};
use crate::failure::{Exit, Failure};
use crate::image::{ByteSize, Head, Patch, Rest, WithBoot as _};
use crate::moment;
use crate::person::Person;
use crate::plan::{self, Laptop, Settings};
use crate::progress::Console;
use crate::progress::json::{Message, Outcome};

/// Writes the cards of a command line, or of a cluster's file.
///
/// # Errors
/// What stopped all cards. Cards that fail one by one are told on the console; the worst is returned as exit code.
pub fn run(
    args: &WriteArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let exit = write(args, console, interrupted)?;
    if args.dry_run {
        console.note("nothing was written");
    }
    Ok(exit)
}

fn write(
    args: &WriteArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    match (&args.cluster.config, &args.hostname) {
        (Some(file), _) => whole::run(args, file, console, interrupted),
        (None, Some(hostname)) => {
            let settings = settings::of(&args.settings)?;
            let names = plan::names(hostname, args.cards.len())?;
            let choose = |enrolment: &mut Enrolment| {
                let identities = enrolment.identities(names, args.role.map(Into::into));
                let nodes = plan::nodes(&identities, &settings, &laptop(), moment::flashing())?;
                let settings = Rc::new(settings);
                let extras = Rc::new(extras::of(&args.extras, console, interrupted)?);
                let order =
                    |node| Order { node, settings: settings.clone(), extras: extras.clone() };
                Ok(nodes.into_iter().map(order).collect())
            };
            cards_of(args, choose, console, interrupted)
        }
        // Clap has refused it.
        (None, None) => Err(Failure::new(Exit::Usage, "there is no host name")),
    }
}

/// Writes cards at once; nothing is touched before everything that can be wrong has been looked at. `choose` tells what
/// each shall become, as far as the cluster that has been taken does not.
///
/// # Errors
/// As [`run`].
pub(super) fn cards_of(
    args: &WriteArgs,
    choose: impl FnOnce(&mut Enrolment) -> Result<Vec<Order>, Failure>,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    let mut enrolment = clusters::begin(&clusters::wish(&args.cluster), args.dry_run)?;
    let mut orders = choose(&mut enrolment)?;
    let plans = orders.iter().map(|order| &order.node.plan);
    token::ready(&mut enrolment, &args.cluster.token, plans, args.dry_run, console)?;
    let notes = enrolment.admit(orders.iter_mut().map(|order| &mut order.node))?;
    let agents = Agents::of(args.agent_dir.as_deref())?;
    let image = images::open(&args.image, console, interrupted)?;
    let request = Request {
        image: image.identity().map(|identity| (image.path().to_owned(), identity)),
        image_bytes: image.size_bytes(),
    };
    let (mut cards, worst) = cards::look(args, orders, &request, console)?;
    if cards.is_empty() {
        return Ok(worst);
    }
    let (name, fingerprint) = (image.path().display().to_string(), image.fingerprint());
    console.note(&format!("reading {name}"));
    let (head, rest) = image.into_head(interrupted, &mut |_| {})?;
    let survey = boot::survey(&head)?;
    if !survey.os.has_locales() {
        for card in &mut cards {
            plan::without_locale_defaults(&mut card.order.node, &card.order.settings);
        }
    }
    let mut enrolment = Some(enrolment);
    let table =
        kubernetes::table(&kubernetes::of(&args.kubernetes), &survey.os, console, interrupted)?;
    let mut doubts = Vec::new();
    for card in &mut cards {
        card.order.node.plan.kubernetes.clone_from(&table);
        doubts.extend(plan::fits(&survey.os, card.node())?);
    }
    doubts.dedup();
    doubts.iter().for_each(|doubt| console.warn(doubt));
    if survey.os.bits == Bits::ThirtyTwo && table.is_none() {
        // There is no Kubernetes on it: what would be in its hands is of no use to it.
        cards.iter_mut().for_each(|card| Enrolment::release(&mut card.order.node));
        enrolment = None;
    } else {
        notes.iter().for_each(|note| console.note(note));
    }
    let (os, size_bytes) = (survey.os.name(), rest.size_bytes());
    console.note(&describe(&head, &rest, &survey));
    survey.notes.iter().for_each(|note| console.note(note));
    console.emit(&Message::Image { path: name.clone(), os: &os, size_bytes });
    for card in &cards {
        console.emit(&card.message());
    }
    if let Some(card) = cards.first() {
        note_of_defaults(card.node(), &card.order.settings, console);
    }
    for card in cards.iter().filter(|card| !plan::has_login(card.node())) {
        console.warn(&format!(
            "nobody can log in to `{}`: there is no ssh key and no password",
            card.hostname()
        ));
    }
    let prepared = cards
        .iter()
        .map(|card| boot::prepare(&head, &survey.os, card.node(), &agents, &card.order.extras))
        .collect::<Result<Vec<_>, _>>()?;
    warn(&prepared, console);
    cards.iter().for_each(|card| card.warn_of_readers(console));
    if args.dry_run {
        dry_run::show(&cards, &prepared, console);
        return Ok(worst);
    }
    confirm_new_cluster(args, console, enrolment.as_ref(), interrupted)?;
    cards::confirm_loss(args, console, &cards, interrupted)?;
    if let Some(enrolment) = &mut enrolment
        && let Some(aside) = enrolment.save(cards.iter().map(Card::node))?
    {
        console.note(&format!("the cluster before this one is set aside: {}", aside.display()));
    }
    let names: Vec<String> = cards.iter().map(|card| card.hostname().to_owned()).collect();
    let patches = prepared.into_iter().map(|prepared| prepared.patch);
    let (jobs, refused) = open(cards, patches, console);
    let options = Options { verify: !args.no_verify };
    let progress = console.follow(jobs.iter().map(|(card, _)| card.followed()).collect());
    let (cards, jobs): (Vec<Card>, Vec<Job>) = jobs.into_iter().unzip();
    let results = card::write(&head, rest, jobs, &options, &progress, interrupted);
    drop(progress);
    let source = Source { name, sha256: fingerprint.get().map(|sum| sum.to_string()) };
    let results = results
        .into_iter()
        .map(|result| result.map_err(|failure| sharpen(failure, args, console, interrupted)));
    let ends: Vec<Exit> = cards
        .iter()
        .zip(results)
        .map(|(card, result)| finish(card, result, &source, console))
        .collect();
    if let Some(mut enrolment) = enrolment {
        let facts = |name: &String| {
            let mut written = cards.iter().zip(&ends).filter(|(_, exit)| **exit == Exit::Done);
            written.find(|(card, _)| card.hostname() == name).map(|(card, _)| Facts {
                image: Some(source.name.clone()),
                image_sha256: source.sha256.clone(),
                serial: card.target.serial.clone(),
            })
        };
        let ends = names.iter().map(|name| (name.as_str(), facts(name)));
        enrolment.settle(ends, moment::flashing())?.iter().for_each(|note| console.note(note));
        enrolment.lacks_master().iter().for_each(|warning| console.warn(warning));
    }
    Ok(ends.into_iter().fold(worst.max(refused), Exit::max))
}

/// Asks whether the cluster that there is may be set aside.
///
/// # Errors
/// Any answer but yes, and nobody to ask.
fn confirm_new_cluster(
    args: &WriteArgs,
    console: &Console,
    enrolment: Option<&Enrolment>,
    interrupted: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let replaced = enrolment.and_then(|enrolment| Some((enrolment.name(), enrolment.replaces()?)));
    let Some((name, nodes)) = replaced.filter(|_| !args.yes) else { return Ok(()) };
    let what = format!("set cluster `{name}` with {nodes} node(s) aside");
    let question = format!(
        "A new cluster `{name}` begins, which cards and kubeconfigs of the one before do not fit.\nStart over?"
    );
    cards::confirm(console, &question, &format!("this would {what}"), interrupted)
}

/// Opens every card; those that cannot be opened are told, and the worst of that.
fn open(
    cards: Vec<Card>,
    patches: impl Iterator<Item = Patch>,
    console: &Console,
) -> (Vec<(Card, Job)>, Exit) {
    let mut jobs = Vec::new();
    let mut worst = Exit::Done;
    for (card, patch) in cards.into_iter().zip(patches) {
        match card.open() {
            Ok(device) => jobs.push((card, Job::new(device, patch))),
            Err(failure) => {
                console.fail_card(&card.name(), card.hostname(), &failure);
                worst = worst.max(failure.exit);
            }
        }
    }
    (jobs, worst)
}

/// Names the byte where a card differs from the image: behind the boot partition only digests of it were kept. The
/// image is decoded once more for that, where it can be.
fn sharpen(
    failure: card::Failure,
    args: &WriteArgs,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> card::Failure {
    let card::Failure { error, state } = failure;
    let error = error.sharpen(|offset, found| {
        if args.image.image.as_deref() == Some("-") {
            return None;
        }
        console.note("decoding the image once more, to find the byte that differs");
        let image = images::open(&args.image, console, interrupted).ok()?;
        image.first_difference(offset, found).ok()?
    });
    card::Failure { error, state }
}

/// The last word on one card.
fn finish(
    card: &Card,
    result: Result<Written, card::Failure>,
    source: &Source,
    console: &Console,
) -> Exit {
    let (name, node) = (card.name(), card.hostname());
    match result {
        Ok(written) => {
            let ejected = eject::eject(&card.target);
            let receipt = receipt::of(&card.target, &written, source, ejected, &card.node().plan);
            console.result(&receipt::describe(&card.target, node, &receipt, ejected));
            let before = card.target.contents.as_ref();
            if written.left_bytes > 0
                && before.is_some_and(|before| before.reaches_behind(written.bytes))
            {
                console.warn(&format!(
                    "{name}: the reader cannot erase: {} behind the image still hold what was there before, such as the keys of an old cluster, until the node writes there",
                    ByteSize(written.left_bytes).short()
                ));
            }
            let outcome = Outcome::Done { receipt: &receipt };
            console.emit(&Message::Result { card: name, node, ok: true, exit: 0, outcome });
            Exit::Done
        }
        Err(failure) => {
            let failure = Failure::from(failure);
            console.fail_card(&name, node, &failure);
            failure.exit
        }
    }
}

pub(super) fn laptop() -> Laptop {
    usable_laptop().0
}

/// This computer's settings, and why keys of it are left out.
fn usable_laptop() -> (Laptop, Vec<String>) {
    Laptop::ask("/".as_ref(), &Person::of_this_process(), |name| std::env::var(name).ok())
        .with_usable_keys()
}

/// What this computer was asked for and cannot give: keys that are none, a name that no login user can have.
pub(super) fn note_of_defaults(node: &NodeFiles, settings: &Settings, console: &Console) {
    let (laptop, left_out) = usable_laptop();
    if settings.ssh_keys.is_empty() {
        left_out.iter().for_each(|why| console.note(why));
    }
    if let Some(user) = plan::fallback_user(node, settings, &laptop) {
        console.note(&format!(
            "the login user is `{user}`, since a node can have no user of your name on this computer; `--user NAME` names another"
        ));
    }
}

/// What holds for all cards is said once.
pub(super) fn warn(prepared: &[Prepared], console: &Console) {
    let mut said: Vec<&str> = Vec::new();
    for warning in prepared.iter().flat_map(|prepared| &prepared.warnings) {
        if !said.contains(&warning.as_str()) {
            console.warn(warning);
            said.push(warning);
        }
    }
}

fn describe(head: &Head, rest: &Rest, survey: &Survey) -> String {
    let size = rest.size_bytes().map(|bytes| format!(", {}", ByteSize(bytes).short()));
    format!(
        "{}{}; boot partition {} `{}`, {}, {} free",
        survey.os.name(),
        size.unwrap_or_default(),
        survey.fat,
        survey.label,
        ByteSize(head.boot_partition().size_bytes).short(),
        ByteSize(survey.free_bytes).short(),
    )
}
