//! Changes of objects: merge (RFC 7396), strategic merge as if it were one, server-side apply, JSON patch (RFC 6902).

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

/// Applies a change of this content type.
///
/// # Errors
/// It is none.
pub(super) fn apply(kind: &str, object: &mut Value, body: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(body).context("not UTF-8")?;
    match kind.split(';').next().unwrap_or_default() {
        "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
            merge(object, &serde_json::from_str(text)?);
        }
        "application/apply-patch+yaml" => {
            let documents = crate::config::yaml::documents(text)?;
            merge(object, documents.first().context("an empty body")?);
        }
        "application/json-patch+json" => {
            for operation in serde_json::from_str::<Vec<Value>>(text)? {
                operate(object, &operation)?;
            }
        }
        other => bail!("the body of the request was in an unknown format - {other}"),
    }
    Ok(())
}

/// A merge patch (RFC 7396); the keys of strategic merge that say how are passed over.
pub(crate) fn merge(object: &mut Value, change: &Value) {
    let Some(change) = change.as_object() else {
        *object = change.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(map) = object.as_object_mut() else { return };
    for (key, value) in change.iter().filter(|(key, _)| !key.starts_with('$')) {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn operate(object: &mut Value, operation: &Value) -> Result<()> {
    let of = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default();
    let (path, value) = (of("path"), operation.get("value").cloned().unwrap_or_default());
    if of("op") == "test" {
        if object.pointer(path) != Some(&value) {
            bail!("the server rejected our request due to an error in our request: test failed");
        }
        return Ok(());
    }
    let (parent, last) = path.rsplit_once('/').context("a path")?;
    let last = last.replace("~1", "/").replace("~0", "~");
    let parent = object.pointer_mut(parent).with_context(|| format!("no {path}"))?;
    match (of("op"), parent) {
        ("add" | "replace", Value::Object(map)) => drop(map.insert(last, value)),
        ("remove", Value::Object(map)) => {
            map.remove(&last).with_context(|| format!("no {path}"))?;
        }
        ("add", Value::Array(list)) if last == "-" => list.push(value),
        ("add", Value::Array(list)) => {
            let at: usize = last.parse()?;
            list.insert(at.min(list.len()), value);
        }
        ("replace", Value::Array(list)) => {
            let at: usize = last.parse()?;
            *list.get_mut(at).context("no such item")? = value;
        }
        ("remove", Value::Array(list)) => {
            let at: usize = last.parse()?;
            if at >= list.len() {
                bail!("no {path}");
            }
            list.remove(at);
        }
        (other, _) => bail!("operation {other}"),
    }
    Ok(())
}
