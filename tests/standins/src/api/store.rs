//! The objects, in memory and in one file that a power cut leaves as it was or as it is to be.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{place, time};

/// Changes that a watch can still be told.
const MEMORY: usize = 4096;

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Group and version, as in `apiVersion`.
    pub(super) api: String,
    /// Plural.
    pub(super) resource: String,
    /// Empty for what is in none.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

/// A change.
#[derive(Clone)]
pub(super) struct Event {
    /// When.
    pub(super) revision: u64,
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub(super) kind: &'static str,
    /// Of what.
    pub(super) key: Key,
    /// The object, after it; before it where it is gone.
    pub(super) object: Value,
}

/// The store.
pub(super) struct Store {
    file: String,
    /// The number of the last change.
    pub(super) revision: u64,
    objects: BTreeMap<Key, Value>,
    events: VecDeque<Event>,
}

impl Store {
    /// Opens a file, or begins one with what every cluster has.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(super) fn open(file: &str) -> Result<Self> {
        let (revision, objects, events) = (1, BTreeMap::new(), VecDeque::new());
        let mut store = Self { file: file.to_owned(), revision, objects, events };
        if place::exists(file) {
            store.load(&serde_json::from_str(&place::read(file)?).context("the store")?);
            return Ok(store);
        }
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
            store.put(&key("v1", "namespaces", "", name), object)?;
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name}});
            store.put(&key("v1", "serviceaccounts", name, "default"), account)?;
        }
        Ok(store)
    }

    /// Everything, as the file has it.
    pub(super) fn dump(&self) -> Value {
        let objects = self
            .objects
            .iter()
            .map(|(key, object)| json!([key.api, key.resource, key.namespace, key.name, object]));
        json!({"revision": self.revision, "objects": objects.collect::<Vec<_>>()})
    }

    fn load(&mut self, dump: &Value) {
        self.revision = dump.get("revision").and_then(Value::as_u64).unwrap_or(1);
        self.objects.clear();
        for entry in dump.get("objects").and_then(Value::as_array).into_iter().flatten() {
            let of = |at: usize| entry.get(at).and_then(Value::as_str).unwrap_or_default();
            let object = entry.get(4).cloned().unwrap_or_default();
            self.objects.insert(key(of(0), of(1), of(2), of(3)), object);
        }
    }

    /// Takes over what another member has, if that is newer; watches are told by what differs.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn follow(&mut self, dump: &Value) -> Result<()> {
        let theirs = dump.get("revision").and_then(Value::as_u64).unwrap_or(0);
        if theirs <= self.revision {
            return Ok(());
        }
        let before = std::mem::take(&mut self.objects);
        self.load(dump);
        let mut events = Vec::new();
        for (key, object) in &self.objects {
            match before.get(key) {
                None => events.push(("ADDED", key.clone(), object.clone())),
                Some(old) if old != object => {
                    events.push(("MODIFIED", key.clone(), object.clone()));
                }
                _ => {}
            }
        }
        let gone = before.into_iter().filter(|(key, _)| !self.objects.contains_key(key));
        events.extend(gone.map(|(key, object)| ("DELETED", key, object)));
        for (kind, key, object) in events {
            self.tell(kind, &key, object);
        }
        self.save()
    }

    /// An object.
    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects of a resource, in one namespace or in all.
    pub(super) fn list(&self, api: &str, resource: &str, namespace: &str) -> Vec<&Value> {
        let is_wanted = |key: &Key| {
            key.api == api
                && key.resource == resource
                && (namespace.is_empty() || key.namespace == namespace)
        };
        self.objects.iter().filter(|(key, _)| is_wanted(key)).map(|(_, object)| object).collect()
    }

    /// Names of the objects in a namespace, to empty it.
    pub(super) fn within(&self, namespace: &str) -> Vec<Key> {
        self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect()
    }

    /// Stores an object, with the metadata that the server gives; as it is then. One that would not change does not.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Result<Value> {
        let old = self.objects.get(key).cloned();
        let metadata = &mut object["metadata"];
        metadata["name"] = Value::from(key.name.as_str());
        if !key.namespace.is_empty() {
            metadata["namespace"] = Value::from(key.namespace.as_str());
        }
        for (field, new) in
            [("uid", Value::from(uid())), ("creationTimestamp", time::stamp().into())]
        {
            let kept = old.as_ref().and_then(|old| old["metadata"].get(field)).cloned();
            metadata[field] = kept.unwrap_or(new);
        }
        let version = old.as_ref().map(|old| old["metadata"]["resourceVersion"].clone());
        metadata["resourceVersion"] = version.unwrap_or_default();
        if old.as_ref() == Some(&object) {
            return Ok(object);
        }
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        self.objects.insert(key.clone(), object.clone());
        self.tell(kind, key, object.clone());
        self.save()?;
        Ok(object)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn remove(&mut self, key: &Key) -> Result<Option<Value>> {
        let Some(object) = self.objects.remove(key) else { return Ok(None) };
        self.revision += 1;
        self.tell("DELETED", key, object.clone());
        self.save()?;
        Ok(Some(object))
    }

    /// Changes after this one; `None` where they are forgotten.
    pub(super) fn since(&self, revision: u64) -> Option<Vec<Event>> {
        let oldest = self.events.front().map_or(self.revision, |event| event.revision - 1);
        (revision >= oldest.min(self.revision)).then(|| {
            self.events.iter().filter(|event| event.revision > revision).cloned().collect()
        })
    }

    fn tell(&mut self, kind: &'static str, key: &Key, object: Value) {
        if self.events.len() == MEMORY {
            self.events.pop_front();
        }
        let (revision, key) = (self.revision, key.clone());
        self.events.push_back(Event { revision, kind, key, object });
    }

    fn save(&self) -> Result<()> {
        place::write(&self.file, &self.dump().to_string(), 0o600)
    }
}

/// A key.
pub(super) fn key(api: &str, resource: &str, namespace: &str, name: &str) -> Key {
    let [api, resource, namespace, name] = [api, resource, namespace, name].map(str::to_owned);
    Key { api, resource, namespace, name }
}

/// A new UID (RFC 9562, version 4).
pub(super) fn uid() -> String {
    let mut bytes = [0_u8; 16];
    // without random numbers there is no TLS and nobody is here
    let _ = getrandom::fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
