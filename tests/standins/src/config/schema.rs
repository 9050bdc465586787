//! The fields that Kubernetes' own types have, and the strict decoder over them.
//!
//! The lists in `schema/` are made from the Go types of Kubernetes 1.36: a type's name, then its fields with their
//! types, resolved to the few below.

use std::collections::HashMap;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;

use super::scalars;

/// The types of one API version.
pub(crate) struct Schema {
    /// Group and version, as in `apiVersion`.
    pub(crate) api: &'static str,
    types: HashMap<&'static str, Vec<(&'static str, &'static str)>>,
}

impl Schema {
    /// The schema of this `apiVersion`, if there is one.
    pub(crate) fn of(api: &str) -> Option<Self> {
        let (api, text) = match api {
            "kubeadm.k8s.io/v1beta4" => {
                ("kubeadm.k8s.io/v1beta4", include_str!("../schema/kubeadm-v1beta4.txt"))
            }
            "kubeadm.k8s.io/v1beta3" => {
                ("kubeadm.k8s.io/v1beta3", include_str!("../schema/kubeadm-v1beta3.txt"))
            }
            "kubelet.config.k8s.io/v1beta1" => {
                ("kubelet.config.k8s.io/v1beta1", include_str!("../schema/kubelet-v1beta1.txt"))
            }
            "kubeproxy.config.k8s.io/v1alpha1" => (
                "kubeproxy.config.k8s.io/v1alpha1",
                include_str!("../schema/kubeproxy-v1alpha1.txt"),
            ),
            _ => return None,
        };
        let mut types: HashMap<_, Vec<_>> = HashMap::new();
        let mut name = "";
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("  ").and_then(|field| field.split_once(": ")) {
                Some(field) => types.entry(name).or_default().push(field),
                None => name = line,
            }
        }
        Some(Self { api, types })
    }

    /// Whether there is such a kind: a type that has one.
    pub(crate) fn has_kind(&self, kind: &str) -> bool {
        self.types.get(kind).is_some_and(|fields| fields.contains(&("kind", "string")))
    }

    /// Whether a document is of its kind: types first, as the decoder finds them, then unknown fields, all of them.
    ///
    /// # Errors
    /// It is not, in the decoder's words.
    pub(crate) fn check(&self, kind: &'static str, document: &Value) -> Result<()> {
        let mut unknown = Vec::new();
        self.object(kind, document, "", kind, &mut unknown)?;
        if unknown.is_empty() {
            return Ok(());
        }
        let fields: Vec<String> =
            unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        bail!("strict decoding error: {}", fields.join(", "))
    }

    /// A type as Go's decoder calls it.
    fn go(&self, name: &str) -> String {
        let (_, version) = self.api.split_once('/').unwrap_or(("", self.api));
        match name {
            "Taint" | "EnvVar" => format!("v1.{name}"),
            name if self.types.contains_key(name) => format!("{version}.{name}"),
            name => name.to_owned(),
        }
    }

    fn object(
        &self,
        name: &'static str,
        value: &Value,
        path: &str,
        owner: &str,
        unknown: &mut Vec<String>,
    ) -> Result<()> {
        let Some(map) = value.as_object() else {
            let (word, path, name) = (word(value), plain(path), self.go(name));
            bail!(
                "json: cannot unmarshal {word} into Go struct field {owner}.{path} of type {name}"
            );
        };
        let fields = self.types.get(name).ok_or_else(|| anyhow!("no type {name}"))?;
        for (key, value) in map {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match fields.iter().find(|(field, _)| field == key) {
                Some((_, kind)) => {
                    self.value(kind, value, &path, name, unknown)?;
                }
                None => unknown.push(path),
            }
        }
        Ok(())
    }

    fn value(
        &self,
        kind: &'static str,
        value: &Value,
        path: &str,
        owner: &str,
        unknown: &mut Vec<String>,
    ) -> Result<()> {
        if value.is_null() {
            return Ok(());
        }
        let wrong = |wanted: &str| {
            let (word, path) = (word(value), plain(path));
            anyhow!(
                "json: cannot unmarshal {word} into Go struct field {owner}.{path} of type {wanted}"
            )
        };
        if let Some(inner) = kind.strip_prefix("list ") {
            let items = value.as_array().ok_or_else(|| wrong(&format!("[]{}", self.go(inner))))?;
            for (at, item) in items.iter().enumerate() {
                self.value(inner, item, &format!("{path}[{at}]"), owner, unknown)?;
            }
            return Ok(());
        }
        if let Some(inner) = kind.strip_prefix("map ") {
            let map = value.as_object().ok_or_else(|| wrong(&format!("map[string]{inner}")))?;
            for item in map.values() {
                self.value(inner, item, path, owner, unknown)?;
            }
            return Ok(());
        }
        match kind {
            "string" => value.as_str().map(drop).ok_or_else(|| wrong("string")),
            "bool" => value.as_bool().map(drop).ok_or_else(|| wrong("bool")),
            "float" => value.as_f64().map(drop).ok_or_else(|| wrong("float64")),
            "int32" | "int64" | "uint32" => {
                let range = match kind {
                    "int32" => i64::from(i32::MIN)..=i64::from(i32::MAX),
                    "uint32" => 0..=i64::from(u32::MAX),
                    _ => i64::MIN..=i64::MAX,
                };
                let number = value.as_i64().filter(|number| range.contains(number));
                number.map(drop).ok_or_else(|| wrong(kind))
            }
            "duration" => {
                let text = value.as_str().ok_or_else(|| wrong("string"))?;
                scalars::duration(text).map(drop)
            }
            "duration-or-int" => match value.as_str() {
                Some(text) => scalars::duration(text).map(drop),
                None => value.as_i64().map(drop).ok_or_else(|| wrong("string")),
            },
            "time" => scalars::time(value.as_str().ok_or_else(|| wrong("string"))?).map(drop),
            "token" => scalars::token(value.as_str().unwrap_or_default()).map(drop),
            "quantity" => match value {
                Value::Number(_) => Ok(()),
                other => scalars::quantity(other.as_str().unwrap_or_default()),
            },
            "any" => Ok(()),
            name => self.object(name, value, path, owner, unknown),
        }
    }
}

/// A path without the places in lists: the decoder names fields only.
fn plain(path: &str) -> String {
    path.split('.')
        .map(|part| part.split('[').next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(".")
}

/// What Go's decoder calls a value.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
