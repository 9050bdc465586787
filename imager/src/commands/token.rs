//! `piflash token`, and the token that a card needs when the cluster's has run out.

use jiff::Timestamp;
use pikube_config::FirstbootPlan;
use secrecy::ExposeSecret as _;

use super::clusters;
use crate::cli::{TokenArgs, TokenCommand, TokenSourceArgs};
use crate::cluster::{ApiToken, Cluster, Enrolment};
use crate::failure::{Exit, Failure};
use crate::plan;
use crate::progress::Console;
use crate::progress::json::{self, Message};

/// Lists the tokens of a cluster that is up, makes one or takes one back.
///
/// # Errors
/// There is no such cluster or token; the API server does not do it.
pub fn run(args: &TokenArgs, console: &Console) -> Result<Exit, Failure> {
    let (store, name, now) = (clusters::store()?, &args.cluster, Timestamp::now());
    let server = args.server.as_deref();
    match &args.command {
        TokenCommand::List { show_secrets } => {
            let cluster = Cluster::open(&store, name)?;
            let tokens = cluster.tokens(server, now)?;
            for token in &tokens {
                emit(&cluster, token, *show_secrets, console);
            }
            match tokens.is_empty() {
                true => console.note(&format!("cluster `{name}` has no tokens")),
                false => console.result(&table(&cluster, &tokens, *show_secrets, now)),
            }
        }
        TokenCommand::Create { description } => {
            let cluster = Cluster::create_token(&store, name, server, description.as_deref(), now)?;
            let (id, until) = (cluster.token_id(), cluster.token_expires());
            console.result(&format!("cluster `{name}` has a new token `{id}` until {until}"));
            console.note("the cards that are written from now on get it");
            console.emit(&Message::Token(json::Token {
                cluster: name,
                id,
                expires: Some(until.to_string()),
                description: description.as_deref(),
                joins: true,
                own: true,
                token: None,
            }));
        }
        TokenCommand::Revoke { id } => {
            let own = Cluster::revoke_token(&store, name, id, server, now)?;
            console.result(&format!("cluster `{name}` has no token `{id}` any more"));
            if own {
                console.note("cards that have it let no node join; the next card gets a new one, older ones with `piflash configure CARD`");
            }
        }
    }
    Ok(Exit::Done)
}

/// Sees to it that these nodes can get a token that lets them join: one that is handed in, or a new one where the
/// cluster's has run out.
///
/// # Errors
/// What is handed in is none; the API server cannot be asked.
pub(super) fn ready<'a>(
    enrolment: &mut Enrolment,
    source: &TokenSourceArgs,
    plans: impl Iterator<Item = &'a FirstbootPlan>,
    look_only: bool,
    console: &Console,
) -> Result<(), Failure> {
    if let Some(path) = &source.token_file {
        let note = enrolment.hand_in(&plan::read_token(path)?)?;
        match note {
            Some(_) if look_only => console.note(&format!(
                "cluster `{}` would get the token of `{}`",
                enrolment.name(),
                path.display()
            )),
            note => note.iter().for_each(|note| console.note(note)),
        }
    }
    if enrolment.needs_token(plans) && !look_only {
        console.note(&format!(
            "the token of cluster `{}` has run out: asking its API server for a new one",
            enrolment.name()
        ));
        console.note(&enrolment.mint(source.server.as_deref())?);
    }
    Ok(())
}

fn emit(cluster: &Cluster, token: &ApiToken, show: bool, console: &Console) {
    console.emit(&Message::Token(json::Token {
        cluster: cluster.name(),
        id: &token.id,
        expires: token.expires.map(|at| at.to_string()),
        description: token.description.as_deref(),
        joins: token.joins,
        own: cluster.is_own_token(&token.id),
        token: show.then(|| token.token.expose_secret()),
    }));
}

/// One line each, in columns.
fn table(cluster: &Cluster, tokens: &[ApiToken], show: bool, now: Timestamp) -> String {
    let heading = if show { "TOKEN" } else { "ID" };
    let mut lines = vec![format!("{heading:<23}  {:<20}  {:<8}  DESCRIPTION", "EXPIRES", "CARDS")];
    for token in tokens {
        let name = if show { token.token.expose_secret() } else { token.id.as_str() };
        let expires = match token.expires {
            Some(at) if at <= now => "ran out".to_owned(),
            Some(at) => at.to_string(),
            None => "never".to_owned(),
        };
        let cards = match (cluster.is_own_token(&token.id), token.joins) {
            (true, _) => "get it",
            (false, true) => "-",
            (false, false) => "no join",
        };
        let description = token.description.as_deref().unwrap_or("-");
        lines.push(format!("{name:<23}  {expires:<20}  {cards:<8}  {description}"));
    }
    lines.join("\n")
}
