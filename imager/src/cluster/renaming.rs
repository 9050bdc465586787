//! The card of a node is changed: the inventory follows, under the same hold from the first look to the last word.

use pikube_config::FirstbootPlan;

use super::store::Lock;
use super::{Cluster, Error, Node, Store, inventory};

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
