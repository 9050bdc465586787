//! Several control planes, instead of a replicated etcd: the member that has been there longest leads. The others send
//! it every request in the name of who asked, and copy what it has; when it is gone, each serves from its copy. Nothing
//! decides between two copies that have both been written: a test that wants quorum wants the real one.
//!
//! A new member is a learner until it is promoted, and while there is one no other can begin, as with etcd.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::auth::User;
use super::http::{Answer, Request};
use super::store::{self, Key};
use super::{Flags, Server};
use crate::client::Client;
use crate::config::text;
use crate::pki::{Authority, Leaf, Use};
use crate::{kubelet, place, say};

/// Where members are kept, in a namespace that kubectl does not see.
const API: &str = "standin/v1";
/// On a node that joined: who was there before it.
pub(crate) const LEADER_FILE: &str = "/var/lib/etcd/member/leader";

/// The other members.
pub(super) struct Members {
    leader: Option<Client>,
}

impl Members {
    /// Reads who leads; nobody does where this node was the first.
    ///
    /// # Errors
    /// The CA cannot sign for this member.
    pub(super) fn new(flags: &Flags) -> Result<Self> {
        let Ok(leader) = place::read(LEADER_FILE) else { return Ok(Self { leader: None }) };
        let (host, port) = crate::config::scalars::host_port(leader.trim())?;
        let ca = Authority::load(&flags.certificates, "ca")?;
        let pair = ca.issue(&Leaf {
            name: "etcd-member",
            group: Some("system:masters"),
            alternatives: vec![],
            purpose: Use::Client,
        })?;
        let client = Client::new((host, port), Some(&ca.certificate), Some(&pair), None)?;
        Ok(Self { leader: Some(client) })
    }

    /// Whether another member leads.
    pub(super) fn is_following(&self) -> bool {
        self.leader.is_some()
    }
}

/// Copies what the leader has, for ever.
pub(super) fn run(server: &Server) {
    let Some(leader) = &server.members.leader else { return };
    loop {
        if let Ok(dump) = leader.get("/standin/dump") {
            match server.store().follow(&dump) {
                Ok(()) => {}
                Err(error) => say::log('E', &format!("etcd: {error:#}")),
            }
            server.announce();
        }
        crate::time::sleep(Duration::from_millis(500));
    }
}

/// The leader's answer, where another leads and can be reached. Watches are served here, from the copy.
pub(super) fn forwarded(server: &Server, user: &User, request: &Request) -> Option<Answer> {
    let leader = server.members.leader.as_ref()?;
    let is_own = matches!(&request.path[..], "/healthz" | "/livez" | "/readyz" | "/version");
    if is_own || matches!(request.parameter("watch"), "true" | "1") {
        return None;
    }
    let mut leader = leader.clone();
    let mut headers = format!("Impersonate-User: {}\r\n", user.name);
    for group in &user.groups {
        headers += &format!("Impersonate-Group: {group}\r\n");
    }
    leader.headers = headers;
    let kind = request.header("content-type").trim_start_matches("application/").to_owned();
    let kind = if kind.is_empty() { "json".to_owned() } else { kind };
    let (status, body) = leader.raw(&request.method, &request.target, &kind, &request.body).ok()?;
    Some(Answer::passed_on(status, body))
}

/// The members' own requests; only masters make them.
pub(super) fn answer(server: &Server, user: &User, request: &Request) -> Answer {
    if !user.is_of("system:masters") {
        return super::auth::no_path(user, request);
    }
    let name = request.parameter("name");
    match (&request.method[..], &request.path[..]) {
        ("GET", "/standin/dump") => Answer::json(200, &server.store().dump()),
        ("POST", "/standin/learner") => {
            let mut store = server.store();
            let other = store
                .list(API, "learners", "")
                .into_iter()
                .any(|learner| text(learner, "/metadata/name") != name);
            if other {
                return Answer::refusal(
                    409,
                    "Conflict",
                    "etcdserver: too many learner members in cluster",
                );
            }
            let put = store.put(&learner(name), json!({"metadata": {}}));
            done(put.map(drop))
        }
        ("POST", "/standin/promote") => {
            let removed = server.store().remove(&learner(name));
            done(
                removed
                    .and_then(|learner| learner.map(drop).context("etcdserver: member not found")),
            )
        }
        _ => Answer::unknown(),
    }
}

fn learner(name: &str) -> Key {
    store::key(API, "learners", "", name)
}

fn done(done: Result<()>) -> Answer {
    match done {
        Ok(()) => Answer::json(200, &json!({})),
        Err(error) => Answer::refusal(412, "PreconditionFailed", &format!("{error:#}")),
    }
}

/// Becomes a member of the cluster that this client (a master's) reaches: takes a copy of all it has.
///
/// # Errors
/// Another one is becoming one, in etcd's words; or the cluster cannot be reached.
pub(crate) fn join(client: &Client, name: &str, data: &str, leader: &str) -> Result<()> {
    client.ask("POST", &format!("/standin/learner?name={name}"), None).with_context(
        || "error creating local etcd static pod manifest file: etcdclient: failed to add learner",
    )?;
    let dump: Value = client.get("/standin/dump")?;
    // as long as a member takes to be in sync: another one that comes now is refused
    crate::time::sleep(kubelet::SYNC);
    place::write(&format!("{data}/member/snap/db.json"), &dump.to_string(), 0o600)?;
    place::write(LEADER_FILE, leader, 0o600)?;
    client
        .ask("POST", &format!("/standin/promote?name={name}"), None)
        .map(drop)
        .context("error creating local etcd static pod manifest file: can only promote a learner member which is in sync with leader")
}
