//! `piflash --config FILE`: the nodes that a file describes, one of them, or all that have no card yet.
//!
//! The whole file is judged first, also what is not written now. With `--all`, the nodes are written in the order of the
//! file, as many at once as there are cards; where there are more nodes, a person is asked to change the cards. Without
//! a person to ask, the run ends well with the cards that there were, and tells which nodes are left: the same command
//! goes on with them.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pikube_config::nearest;

use super::cards::{self, Order};
use super::members::{self, Member};
use super::write::cards_of;
use super::{clusters, extras, settings};
use crate::boot::{self, NodeFiles};
use crate::card::{self, Request};
use crate::cli::WriteArgs;
use crate::cluster::Enrolment;
use crate::failure::{Exit, Failure};
use crate::moment;
use crate::plan::{self, PlanError};
use crate::progress::json::Message;
use crate::progress::{Answer, Console};

/// Writes what is asked for of the file.
///
/// # Errors
/// Everything that is wrong with the file; what stops all cards.
pub(super) fn run(
    args: &WriteArgs,
    path: &Path,
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Exit, Failure> {
    // What is wrong with what was typed is no problem of the file.
    settings::of(&args.settings)?;
    let (mut common, members) = members::read(args, path)?;
    let look = clusters::begin(&clusters::wish(&common.cluster), true)?;
    let mut left = wanted(args, &members, &look, path, console)?;
    let cluster = look.name().to_owned();
    drop(look);
    if left.len() > common.cards.len() && common.image.image.as_deref() == Some("-") {
        let message =
            "an image from standard input is there once, and there are more nodes than cards";
        return Err(Failure::new(Exit::Usage, message).help("give `--image` a file or an address"));
    }
    let mut written: Vec<String> = Vec::new();
    while !left.is_empty() {
        let now: Vec<String> = left.drain(..left.len().min(common.cards.len())).collect();
        for spare in common.cards.split_off(now.len()) {
            console.note(&format!("{}: no node is left for it", spare.display()));
        }
        if !written.is_empty() && !common.dry_run {
            insert(&common, &now, &written, console, interrupted)?;
        }
        let choose =
            |enrolment: &mut Enrolment| orders(enrolment, &members, &now, console, interrupted);
        let exit = cards_of(&common, choose, console, interrupted)?;
        if exit != Exit::Done {
            return Ok(exit);
        }
        written.extend(now);
        // Its cards are not those of the cluster that it replaced.
        common.cluster.new_cluster = false;
        if !left.is_empty() && !common.dry_run && !console.can_ask() {
            let (nodes, names) = (&left, left.join(", "));
            console.note(&format!(
                "{} node(s) are left: {names}; the same command goes on with them",
                left.len()
            ));
            console.emit(&Message::Left { cluster: &cluster, nodes });
            return Ok(Exit::Done);
        }
    }
    Ok(Exit::Done)
}

/// The names of the nodes that get a card: those that are asked for, or all that have none.
fn wanted(
    args: &WriteArgs,
    members: &[Member],
    cluster: &Enrolment,
    path: &Path,
    console: &Console,
) -> Result<Vec<String>, Failure> {
    let names: Vec<&str> = members.iter().map(|member| member.hostname.as_str()).collect();
    let known = |asked: Vec<String>| {
        for name in &asked {
            if !names.contains(&name.as_str()) {
                let message = format!("cluster file `{}` has no node `{name}`", path.display());
                let help = match nearest(name, names.iter().copied()) {
                    Some(hint) => format!("did you mean `{hint}`?"),
                    None => format!("its nodes: {}", names.join(", ")),
                };
                return Err(Failure::new(Exit::Usage, message).help(help));
            }
        }
        Ok(asked)
    };
    if let Some(asked) = &args.hostname {
        let asked = known(plan::host_names(asked)?)?;
        return match asked.len() == args.cards.len() {
            true => Ok(asked),
            false => Err(PlanError::Count { names: asked.len(), cards: args.cards.len() }.into()),
        };
    }
    if !args.cluster.all {
        let message = format!("cluster file `{}`: which of its nodes is not said", path.display());
        return Err(Failure::new(Exit::Usage, message)
            .help("`--hostname NAME` writes one, `--all` all that have no card yet"));
    }
    let again = known(plan::host_names_of(&args.cluster.again)?)?;
    let has_card = |name: &&str| {
        let mut nodes = cluster.nodes().iter();
        nodes.any(|node| node.hostname == **name && node.written_at.is_some())
            && !again.iter().any(|other| other == *name)
    };
    let (done, left): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| has_card(name));
    if !done.is_empty() {
        let verb =
            if left.is_empty() { "all nodes have their cards" } else { "these have their cards" };
        console.note(&format!("{verb}: {}; `--again NAME` writes one anew", done.join(", ")));
    }
    Ok(left.into_iter().map(str::to_owned).collect())
}

/// What these nodes become, with all others of the file in view.
fn orders(
    enrolment: &mut Enrolment,
    members: &[Member],
    names: &[String],
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<Vec<Order>, Failure> {
    let asked: Vec<_> = members
        .iter()
        .map(|member| (member.hostname.clone(), member.args.role.map(Into::into)))
        .collect();
    let roles = enrolment.roles(&asked);
    let nodes: Vec<NodeFiles> = members
        .iter()
        .zip(roles)
        .map(|(member, role)| {
            let mut node = member.node.clone();
            (node.plan.node.role, node.plan.flashed_at) = (role, Some(moment::flashing()));
            node
        })
        .collect();
    enrolment.expect(nodes.iter().map(|node| &node.plan))?;
    let mut orders = Vec::new();
    for name in names {
        let mut all = members.iter().zip(&nodes);
        let Some((member, node)) = all.find(|(member, _)| member.hostname == *name) else {
            continue;
        };
        let extras = Rc::new(extras::of(&member.args.extras, console, interrupted)?);
        orders.push(Order { node: node.clone(), settings: member.settings.clone(), extras });
    }
    Ok(orders)
}

/// Waits until a person has put the cards for these nodes in.
///
/// # Errors
/// He does not want to.
fn insert(
    args: &WriteArgs,
    names: &[String],
    written: &[String],
    console: &Console,
    interrupted: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let pairs = names.iter().zip(&args.cards);
    let list: Vec<String> =
        pairs.map(|(name, card)| format!("the card for {name} into {}", card.display())).collect();
    let request = format!("Insert {} and press Enter", list.join(", "));
    loop {
        match console.wait(&request, interrupted) {
            Ok(Answer::Yes) => {}
            Ok(Answer::No | Answer::Interrupted) => {
                let message = format!("interrupted; left: {}", names.join(", "));
                return Err(
                    Failure::new(Exit::Failed, message).help("the same command goes on with them")
                );
            }
            Err(error) => {
                let message = format!("reading the answer: {error}");
                return Err(Failure::new(Exit::Failed, message));
            }
        }
        let why_not = args.cards.iter().find_map(|card| not_ready(args, card, written));
        match why_not {
            None => return Ok(()),
            Some(why) => console.warn(&why),
        }
    }
}

/// Why a card cannot be the next one: there is none, or it is one that has just been written.
fn not_ready(args: &WriteArgs, path: &Path, written: &[String]) -> Option<String> {
    let target = match cards::target(path, args.force, &Request::default()) {
        Ok(target) => target,
        Err(failure) => return Some(failure.message),
    };
    // What cannot be read as a card of ours is none of those.
    let card = card::read(&target.canonical).ok()?;
    let node = boot::existing(&card).ok()??.plan.node.hostname;
    written.contains(&node).then(|| {
        format!("{} still holds the card of {node}, which has just been written", path.display())
    })
}
