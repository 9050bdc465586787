//! The card of a node is changed: the inventory follows, under the same hold from the first look to the last word.

use jiff::Timestamp;
use pikube_config::{FirstbootPlan, Role};
use secrecy::SecretString;

use super::store::Lock;
use super::token::Token;
use super::{Cluster, Error, Node, Store, inventory};
use crate::boot::NodeFiles;

/// A node that gets another name or address, or none of both.
pub struct Renaming {
    store: Store,
    /// Nobody holds what is only looked at.
    lock: Option<Lock>,
    cluster: Cluster,
    before: String,
}

impl Renaming {
    /// Takes the cluster of a card with the plan `old`; `None` where this computer does not know it as a node.
    ///
    /// # Errors
    /// Another `piflash` has the cluster; name or address of the plan `new` are another node's.
    pub fn begin(
        store: Store,
        old: &FirstbootPlan,
        new: &FirstbootPlan,
        look_only: bool,
    ) -> Result<Option<Self>, Error> {
        let Some(of) = &old.cluster else { return Ok(None) };
        let before = old.node.hostname.clone();
        let find = |store: &Store| {
            let cluster = store.load(&of.name)?;
            Ok(cluster.filter(|cluster| {
                of.ca_hash.as_ref() == Some(&cluster.ca_hash)
                    && cluster.nodes.iter().any(|node| node.hostname == before)
            }))
        };
        // A lock is for what there is.
        if find(&store)?.is_none() {
            return Ok(None);
        }
        let lock = if look_only { None } else { Some(store.lock(&of.name)?) };
        let Some(cluster) = find(&store)? else { return Ok(None) };
        cluster.endpoint.check(new)?;
        let new = Node::of(new);
        if new.hostname != before && cluster.nodes.iter().any(|node| node.hostname == new.hostname)
        {
            let message = format!("`{}` is another node of cluster `{}`", new.hostname, of.name);
            return Err(Error::Refused { message, help: "use another name".into() });
        }
        for address in &new.addresses {
            inventory::clash(&of.name, &cluster.nodes, &before, *address)?;
        }
        Ok(Some(Self { store, lock, cluster, before }))
    }

    /// The cluster, as it is before the change.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Puts back what a card should have of its cluster's secrets and has not, where its node has not started yet, so
    /// cannot have taken them: they were lost, in a change that was interrupted perhaps. What a person should know about it.
    pub fn put_back(&self, card: &mut NodeFiles) -> Option<String> {
        let serves = card.plan.node.role != Role::Worker;
        let lost = card.secrets.token.is_none()
            || serves && card.secrets.identity_mut().iter().any(|secret| secret.is_none());
        if !lost {
            return None;
        }
        self.cluster.entrust(card);
        if let Some(of) = &mut card.plan.cluster {
            of.token_expires = Some(self.cluster.token.expires);
        }
        Some(format!(
            "the card had lost secrets of cluster `{}` before its node ever started: they are put back from this computer",
            self.cluster.name
        ))
    }

    /// Whether the token on a card that is about to change lets its node join no more; `asked` for one that nobody knows
    /// of, as its node has taken it off the card.
    pub fn has_old_token(card: &NodeFiles, now: Timestamp, asked: bool) -> bool {
        let expires = card.plan.cluster.as_ref().and_then(|cluster| cluster.token_expires);
        let is_over = expires.is_none_or(|expires| expires <= now);
        asked || card.secrets.token.is_some() && is_over
    }

    /// Gives the card the cluster's token, which is made anew where it has run out as well: by the master's card itself,
    /// else by the API server. What a person should know about it.
    ///
    /// # Errors
    /// What is handed in is none; the API server cannot be asked; the token cannot be kept.
    pub fn renew_token(
        &mut self,
        node: &mut NodeFiles,
        server: Option<&str>,
        handed_in: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<String, Error> {
        let (name, cluster) = (self.cluster.name.clone(), &mut self.cluster);
        let Some(lock) = &self.lock else {
            return Ok(format!("the card would get a token of cluster `{name}` that is valid"));
        };
        match handed_in {
            Some(text) => cluster.token = Token::handed_in(text, now)?,
            None if !cluster.token.is_over(now) => {}
            None if node.plan.node.role == Role::Master => {
                cluster.token = cluster.fresh_token(now)?
            }
            None => cluster.renew_token(server, now)?,
        }
        self.store.save(lock, cluster)?;
        node.secrets.token = Some(cluster.token.text.clone());
        if let Some(of) = &mut node.plan.cluster {
            of.token_expires = Some(cluster.token.expires);
        }
        Ok(format!("the card gets a token of cluster `{name}` until {}", cluster.token.expires))
    }

    /// Enters what the card says now.
    ///
    /// # Errors
    /// The inventory cannot be written.
    pub fn finish(mut self, plan: &FirstbootPlan) -> Result<(), Error> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let new = Node::of(plan);
        let node = self.cluster.node(&self.before)?;
        (node.hostname, node.addresses, node.user) = (new.hostname, new.addresses, new.user);
        self.store.save(lock, &self.cluster)
    }
}
