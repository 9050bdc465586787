//! Clusters are made on this computer, before any of their nodes exists: CA, token, inventory, kubeconfig.
//!
//! * [`Store`]: where they are kept, so that only their owner reads them.
//! * [`Enrolment`]: the cards of one run become nodes of a cluster.
//! * [`inventory`](Node): the nodes that there are.
//! * [`Kubeconfig`]: how a person gets in.
//! * [`ApiToken`]: what the API server of a cluster that is up knows of its tokens.

mod ansible;
mod api;
mod backup;
mod endpoint;
mod enrolment;
mod error;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod identity;
mod inventory;
mod kubeconfig;
mod kubectl_lock;
mod merge;
mod renaming;
mod store;
mod token;
mod tokens;

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use pikube_config::Role;

use endpoint::Endpoint;
use identity::Identity;
use token::Token;

use crate::boot::NodeFiles;

pub use api::{ApiError, ApiToken};
pub use backup::{Imported, export, import};
pub use enrolment::{Enrolment, Facts, Wish};
pub use error::Error;
pub use inventory::Node;
pub use kubeconfig::{Kubeconfig, server};
pub use merge::{Merged, merge_into, target};
pub use renaming::Renaming;
pub use store::Store;

/// The cluster that is meant where none is named.
pub const DEFAULT: &str = "pikube";

/// Port of the API server.
const PORT: u16 = 6443;

/// One cluster. `Debug` shows no secret.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    created_at: Timestamp,
    endpoint: Endpoint,
    nodes: Vec<Node>,
    identity: Identity,
    ca_hash: String,
    token: Token,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.name).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A new one without nodes, in memory only.
    ///
    /// # Errors
    /// The system has no random numbers.
    fn generate(name: &str, now: Timestamp) -> Result<Self, Error> {
        let failed = |message: String| Error::Keys { cluster: name.to_owned(), message };
        let identity = Identity::generate(now).map_err(|error| failed(error.to_string()))?;
        let ca_hash = identity.ca_hash().map_err(|error| failed(error.to_string()))?;
        let token = Token::generate(now).map_err(|error| failed(error.to_string()))?;
        let (name, nodes, endpoint) = (name.to_owned(), Vec::new(), Endpoint::default());
        Ok(Self { name, created_at: now, endpoint, nodes, identity, ca_hash, token })
    }

    /// One that is kept.
    ///
    /// # Errors
    /// There is none of this name, or its files cannot be used.
    pub fn open(store: &Store, name: &str) -> Result<Self, Error> {
        store::check_name(name)?;
        store.load(name)?.ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its nodes, in the order in which their cards were first written.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// When it was made.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// `host:port` of its API server, as its nodes know it.
    pub fn endpoint(&self) -> String {
        self.endpoint.of(&self.name)
    }

    /// Until when its token lets nodes join.
    pub fn token_expires(&self) -> Timestamp {
        self.token.expires
    }

    /// The nodes as Ansible reads them.
    pub fn ansible(&self) -> String {
        ansible::inventory(self)
    }

    /// The nodes as TOML, with no secret in it.
    pub fn toml(&self) -> String {
        #[derive(serde::Serialize)]
        struct File<'a> {
            cluster: &'a str,
            node: &'a [Node],
        }
        // Text keys and plain values: there is nothing that TOML could not hold.
        toml::to_string(&File { cluster: &self.name, node: &self.nodes }).unwrap_or_default()
    }

    /// Gives a node an address, or with none says that DHCP does.
    ///
    /// # Errors
    /// There is no such node; another has the address; the inventory cannot be written.
    pub fn set_address(
        store: &Store,
        name: &str,
        hostname: &str,
        address: Option<IpAddr>,
    ) -> Result<Self, Error> {
        Self::change(store, name, |cluster| {
            if let Some(address) = address {
                cluster.endpoint.leaves(address, hostname)?;
                inventory::clash(&cluster.name, &cluster.nodes, hostname, address)?;
            }
            cluster.node(hostname)?.addresses = address.into_iter().collect();
            Ok(())
        })
    }

    /// Takes a node off the inventory.
    ///
    /// # Errors
    /// There is no such node; the inventory cannot be written.
    pub fn remove(store: &Store, name: &str, hostname: &str) -> Result<Self, Error> {
        Self::change(store, name, |cluster| {
            cluster.node(hostname)?;
            cluster.nodes.retain(|node| node.hostname != hostname);
            Ok(())
        })
    }

    fn change(
        store: &Store,
        name: &str,
        change: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        // Without it, a typing mistake would leave a lock behind.
        Self::open(store, name)?;
        let lock = store.lock(name)?;
        let mut cluster = Self::open(store, name)?;
        change(&mut cluster)?;
        store.save(&lock, &cluster)?;
        Ok(cluster)
    }

    fn node(&mut self, hostname: &str) -> Result<&mut Node, Error> {
        let names: Vec<String> = self.nodes.iter().map(|node| node.hostname.clone()).collect();
        let known = names.join(", ");
        let message = format!("cluster `{}` has no node `{hostname}`", self.name);
        let help = format!("its nodes: {known}");
        self.nodes
            .iter_mut()
            .find(|node| node.hostname == hostname)
            .ok_or(Error::Refused { message, help })
    }

    /// A worker's card gets the token; the cluster's keys are for those that serve it.
    pub(super) fn entrust(&self, node: &mut NodeFiles) {
        let (identity, secrets) = (&self.identity, &mut node.secrets);
        secrets.token = Some(self.token.text.clone());
        if node.plan.node.role == Role::Worker {
            return;
        }
        secrets.ca_certificate = Some(identity.ca.public.as_str().into());
        secrets.ca_key = Some(identity.ca.key.clone());
        secrets.sa_public_key = Some(identity.service_accounts.public.as_str().into());
        secrets.sa_key = Some(identity.service_accounts.key.clone());
        secrets.front_proxy_ca_certificate = Some(identity.front_proxy.public.as_str().into());
        secrets.front_proxy_ca_key = Some(identity.front_proxy.key.clone());
        secrets.etcd_ca_certificate = Some(identity.etcd.public.as_str().into());
        secrets.etcd_ca_key = Some(identity.etcd.key.clone());
    }

    /// Name of the API server, which every node has in `/etc/hosts`: static Go programs cannot resolve `.local`.
    fn endpoint_name(&self) -> String {
        self.endpoint.tls_name(&self.name)
    }
}
