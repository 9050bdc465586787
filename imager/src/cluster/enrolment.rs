//! The cards of one run become nodes of a cluster, which is made with the first of them.
//!
//! In this order: the cluster is taken, every node is looked at, what they get is decided; then the state is saved, and
//! only then may a card become bootable: there is no card whose identity this computer has lost. At last every card
//! that was written is one in the inventory, and of those that failed nothing is left.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use pikube_config::{Cluster as ClusterPlan, FirstbootPlan, Role};

use super::endpoint::Endpoint;
use secrecy::{ExposeSecret as _, SecretString};

use super::store::{Lock, check_name};
use super::token::Token;
use super::{Cluster, DEFAULT, Error, Node, Store, inventory};
use crate::boot::NodeFiles;

/// How long before a token's end a person is told.
const SOON: SignedDuration = SignedDuration::from_hours(48);

/// Which cluster the cards shall be of.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Absent: [`DEFAULT`].
    pub cluster: Option<String>,
    /// Start over where there is one of this name.
    pub new_cluster: bool,
    /// Where its API server is, `host[:port]`. Absent: where it was, by default `cp.CLUSTER.internal`.
    pub endpoint: Option<String>,
    /// IP address that its control planes share. Absent: as it was, by default none.
    pub virtual_ip: Option<String>,
}

/// What is known of a card once it is written.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Image as it was asked for.
    pub image: Option<String>,
    /// SHA-256 of it, hexadecimal.
    pub image_sha256: Option<String>,
    /// Serial number of the card.
    pub serial: Option<String>,
}

/// How the cluster came into this run.
enum Origin {
    /// It was there: its nodes then.
    Kept(Vec<Node>),
    /// It is made with this run.
    Made,
    /// It is made in the place of another; that one's nodes.
    Anew(usize),
}

/// One run's hold on a cluster.
pub struct Enrolment {
    store: Store,
    /// Nobody holds what is only looked at.
    lock: Option<Lock>,
    cluster: Cluster,
    /// What was asked for.
    endpoint: Endpoint,
    /// Nodes that are described, but have no card yet.
    expected: Vec<Node>,
    origin: Origin,
    aside: Option<PathBuf>,
    now: Timestamp,
}

impl Enrolment {
    /// Takes the cluster; with `look_only`, nothing is made on this computer and nothing can be saved.
    ///
    /// # Errors
    /// Another `piflash` has it; its files cannot be used; no keys could be made.
    pub fn begin(
        store: Store,
        wish: &Wish,
        now: Timestamp,
        look_only: bool,
    ) -> Result<Self, Error> {
        let name = wish.cluster.as_deref().unwrap_or(DEFAULT);
        check_name(name)?;
        let lock = if look_only { None } else { Some(store.lock(name)?) };
        let (cluster, origin) = match store.load(name)? {
            Some(cluster) if !wish.new_cluster => {
                let nodes = cluster.nodes.clone();
                (cluster, Origin::Kept(nodes))
            }
            Some(old) => (Cluster::generate(name, now)?, Origin::Anew(old.nodes.len())),
            None => (Cluster::generate(name, now)?, Origin::Made),
        };
        let endpoint = cluster.endpoint.changed(wish)?;
        let expected = Vec::new();
        Ok(Self { store, lock, cluster, endpoint, expected, origin, aside: None, now })
    }

    /// How many nodes the cluster has that would be set aside.
    pub fn replaces(&self) -> Option<usize> {
        match self.origin {
            Origin::Anew(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The cluster's name.
    pub fn name(&self) -> &str {
        &self.cluster.name
    }

    /// The role of each name; see [`inventory`](Node).
    pub fn roles(&self, names: &[(String, Option<Role>)]) -> Vec<Role> {
        inventory::roles(&self.cluster.nodes, names)
    }

    /// Names with their roles, where the same role, or none, was asked for all of them.
    pub fn identities(&self, names: Vec<String>, asked: Option<Role>) -> Vec<(String, Role)> {
        let asked: Vec<_> = names.iter().map(|name| (name.clone(), asked)).collect();
        names.into_iter().zip(self.roles(&asked)).collect()
    }

    /// Its nodes, before this run. None where it is made anew.
    pub fn nodes(&self) -> &[Node] {
        &self.cluster.nodes
    }

    /// Looks at nodes that shall come into the cluster, now or with later cards.
    ///
    /// # Errors
    /// A clash with a node of the cluster, or of one of them with another.
    pub fn expect<'a>(
        &mut self,
        plans: impl Iterator<Item = &'a FirstbootPlan>,
    ) -> Result<(), Error> {
        let mut all = self.cluster.nodes.clone();
        for plan in plans {
            self.endpoint.check(plan)?;
            let new = Node::of(plan);
            inventory::admit(&self.cluster.name, &all, &new)?;
            // What is on a card counts more than what shall be on one.
            if self.cluster.nodes.iter().all(|node| node.hostname != new.hostname) {
                inventory::put(&mut all, new.clone());
                self.expected.push(new);
            }
        }
        Ok(())
    }

    /// Gives every node what it needs of the cluster; what a person should know about it.
    ///
    /// # Errors
    /// A clash with another node; a token that has run out.
    pub fn admit<'a>(
        &mut self,
        nodes: impl Iterator<Item = &'a mut NodeFiles>,
    ) -> Result<Vec<String>, Error> {
        let mut nodes: Vec<&mut NodeFiles> = nodes.collect();
        let mut notes = Vec::new();
        let names: Vec<String> = nodes.iter().map(|node| node.plan.node.hostname.clone()).collect();
        self.cluster.move_endpoint(self.endpoint.clone(), &names)?;
        let mut all = self.cluster.nodes.clone();
        all.extend(self.expected.iter().filter(|node| !names.contains(&node.hostname)).cloned());
        for node in nodes.iter() {
            self.endpoint.check(&node.plan)?;
            let new = Node::of(&node.plan);
            notes.extend(inventory::admit(&self.cluster.name, &all, &new)?);
            inventory::put(&mut all, new);
        }
        notes.extend(self.renew_token(&nodes)?);
        let master = all.iter().find(|node| node.role == Role::Master);
        let endpoint = &self.cluster.endpoint;
        let address = endpoint.address().or_else(|| master.and_then(Node::address));
        let plan = ClusterPlan {
            name: self.cluster.name.clone(),
            endpoint: Some(endpoint.of(&self.cluster.name)),
            ca_hash: Some(self.cluster.ca_hash.clone()),
            token_expires: Some(self.cluster.token.expires),
            master: master.map(|node| node.hostname.clone()),
            address: address.map(|address| address.to_string()),
            virtual_ip: endpoint.virtual_ip.is_some().then_some(true),
        };
        for node in &mut nodes {
            node.plan.cluster = Some(plan.clone());
            self.cluster.entrust(node);
        }
        Ok(notes)
    }

    /// Whether these nodes need a token that only the API server can make: theirs has run out, and the master, whose card
    /// brings one into the cluster, is not among them.
    pub fn needs_token<'a>(&self, mut nodes: impl Iterator<Item = &'a FirstbootPlan>) -> bool {
        self.cluster.token.is_over(self.now) && nodes.all(|plan| plan.node.role != Role::Master)
    }

    /// Makes a token through the API server and keeps it; what a person should know about it.
    ///
    /// # Errors
    /// The API server cannot be reached or does not take it, with the ways out.
    pub fn mint(&mut self, server: Option<&str>) -> Result<String, Error> {
        let (name, over) = (self.cluster.name.clone(), self.cluster.token.expires);
        self.cluster.renew_token(server, self.now)?;
        self.keep_token()?;
        Ok(format!(
            "the token of cluster `{name}` ran out on {over}; the API server has a new one, until {}",
            self.cluster.token.expires
        ))
    }

    /// Takes a token that somebody made on the master, and keeps it; what a person should know about it.
    ///
    /// # Errors
    /// It is none; it cannot be kept.
    pub fn hand_in(&mut self, token: &SecretString) -> Result<Option<String>, Error> {
        let handed_in = Token::handed_in(token, self.now)?;
        if handed_in.text.expose_secret() == self.cluster.token.text.expose_secret() {
            return Ok(None);
        }
        self.cluster.token = handed_in;
        self.keep_token()?;
        Ok(Some(format!(
            "cluster `{}` has another token now; nodes have to be up by {}, kubeadm's usual day",
            self.cluster.name, self.cluster.token.expires
        )))
    }

    /// A token that the cluster has must not be lost, whatever becomes of the cards. A new cluster is kept with its
    /// first card.
    fn keep_token(&self) -> Result<(), Error> {
        match (&self.lock, &self.origin) {
            (Some(lock), Origin::Kept(nodes)) => {
                let kept = Cluster { nodes: nodes.clone(), ..self.cluster.clone() };
                self.store.save(lock, &kept)
            }
            _ => Ok(()),
        }
    }

    /// The master's card brings the token into the cluster, so with it there can be a new one.
    fn renew_token(&mut self, nodes: &[&mut NodeFiles]) -> Result<Option<String>, Error> {
        let cluster = &mut self.cluster;
        let (name, expires) = (cluster.name.clone(), cluster.token.expires);
        if !cluster.token.is_over(self.now) {
            let soon = cluster.token.is_over(self.now + SOON);
            return Ok(soon.then(|| {
                format!("the token of cluster `{name}` runs out on {expires}: new nodes have to be up by then")
            }));
        }
        if nodes.iter().any(|node| node.plan.node.role == Role::Master) {
            cluster.token = cluster.fresh_token(self.now)?;
            return Ok(Some(format!(
                "the token of cluster `{name}` ran out on {expires}; cards of workers that never booted need a new one: `piflash configure CARD`"
            )));
        }
        // Nothing is made while somebody only looks.
        Ok(Some(format!(
            "the token of cluster `{name}` ran out on {expires}: a new one will be made through the API server"
        )))
    }

    /// Takes back what [`Enrolment::admit`] gave, for a card that cannot be of a cluster.
    pub fn release(node: &mut NodeFiles) {
        node.plan.cluster = None;
        node.secrets.token = None;
        for secret in node.secrets.identity_mut() {
            *secret = None;
        }
    }

    /// Whether nodes would wait for a master of which there is no card; what to do about it.
    pub fn lacks_master(&self) -> Option<String> {
        let name = &self.cluster.name;
        let is_master = |node: &Node| node.role == Role::Master;
        let lacks = !self.cluster.nodes.is_empty()
            && !self.cluster.nodes.iter().chain(&self.expected).any(is_master);
        lacks.then(|| format!("cluster `{name}` has no master: its nodes wait until there is one, `--role master` writes its card"))
    }

    /// Keeps the cluster with these nodes, before their cards become bootable. Where another one was in its place, the
    /// path that it has now.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn save<'a>(
        &mut self,
        nodes: impl Iterator<Item = &'a NodeFiles>,
    ) -> Result<Option<PathBuf>, Error> {
        for node in nodes {
            inventory::put(&mut self.cluster.nodes, Node::of(&node.plan));
        }
        let Some(lock) = &self.lock else { return Ok(None) };
        match self.origin {
            Origin::Kept(_) => self.store.save(lock, &self.cluster)?,
            Origin::Made => self.store.create(lock, &self.cluster)?,
            Origin::Anew(_) => {
                self.aside = Some(self.store.supersede(lock, &self.cluster, self.now)?);
            }
        }
        Ok(self.aside.clone())
    }

    /// Enters what became of the cards: of those that failed, the inventory says what it said before. What a person
    /// should know of it.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn settle<'a>(
        &mut self,
        ends: impl Iterator<Item = (&'a str, Option<Facts>)>,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let before = match &mut self.origin {
            Origin::Kept(nodes) => std::mem::take(nodes),
            _ => Vec::new(),
        };
        for (hostname, facts) in ends {
            let nodes = &mut self.cluster.nodes;
            let Some(index) = nodes.iter().position(|node| node.hostname == hostname) else {
                continue;
            };
            match (facts, before.iter().find(|node| node.hostname == hostname)) {
                (Some(facts), _) => {
                    let node = &mut nodes[index];
                    (node.image, node.image_sha256) = (facts.image, facts.image_sha256);
                    (node.card_serial, node.written_at) = (facts.serial, Some(now));
                }
                (None, Some(before)) => nodes[index] = before.clone(),
                (None, None) => {
                    nodes.remove(index);
                }
            }
        }
        let Some(lock) = &self.lock else { return Ok(None) };
        let is_new = !matches!(self.origin, Origin::Kept(_));
        if is_new && self.cluster.nodes.is_empty() {
            self.store.forget(lock, &self.cluster.name, self.aside.as_ref())?;
            return Ok(None);
        }
        self.store.save(lock, &self.cluster)?;
        let (name, path) = (&self.cluster.name, lock.root.join(&self.cluster.name));
        Ok(is_new.then(|| {
            format!(
                "cluster `{name}` is made; its keys are in {}, without them nobody can extend it",
                path.display()
            )
        }))
    }
}
