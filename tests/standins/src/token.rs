//! Bootstrap tokens: their secrets in kube-system, and the signatures they make (`cluster-bootstrap/token/jws`).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::config::{scalars, text};
use crate::time;

/// The type of a token's secret.
pub(crate) const SECRET: &str = "bootstrap.kubernetes.io/token";
/// In front of a token's id, the key of its signature in `cluster-info`.
pub(crate) const SIGNATURE: &str = "jws-kubeconfig-";

/// A detached signature (JWS, HS256) of a text by a token.
pub(crate) fn signature(content: &str, id: &str, secret: &str) -> String {
    let head = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
    let payload = URL_SAFE_NO_PAD.encode(content);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{head}.{payload}").as_bytes());
    format!("{head}..{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The secret of a token of an `InitConfiguration`.
///
/// # Errors
/// The token or a time is none.
pub(crate) fn secret(token: &Value) -> anyhow::Result<Value> {
    let (id, word) = scalars::token(text(token, "/token"))?;
    let list = |key: &str, default: &str| -> Vec<String> {
        let list = token.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let list: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let default = || default.split(' ').map(str::to_owned).collect();
        if list.is_empty() { default() } else { list }
    };
    let mut data = Map::new();
    let mut add = |key: &str, value: &str| data.insert(key.into(), STANDARD.encode(value).into());
    add("token-id", id);
    add("token-secret", word);
    if !text(token, "/description").is_empty() {
        add("description", text(token, "/description"));
    }
    for usage in list("usages", "signing authentication") {
        add(&format!("usage-bootstrap-{usage}"), "true");
    }
    let groups = list("groups", "system:bootstrappers:kubeadm:default-node-token");
    add("auth-extra-groups", &groups.join(","));
    let ttl = match text(token, "/ttl") {
        "" => scalars::duration("24h")?,
        ttl => scalars::duration(ttl)?,
    };
    match text(token, "/expires") {
        "" if ttl.is_zero() => {}
        "" => drop(add("expiration", &time::rfc3339(time::now() + ttl))),
        expires => drop(add("expiration", expires)),
    }
    Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "type": SECRET, "data": data,
        "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
    }))
}

/// What a token's secret says.
pub(crate) struct Token {
    /// The part that is no secret.
    pub(crate) id: String,
    /// The part that is.
    pub(crate) secret: String,
    /// Groups of who shows it.
    pub(crate) groups: Vec<String>,
    /// Whether it signs `cluster-info`.
    pub(crate) signs: bool,
    /// Whether it lets anyone in.
    pub(crate) authenticates: bool,
}

impl Token {
    /// Reads a secret; `None` where it is none of a token, or is over.
    pub(crate) fn of(object: &Value, now: Timestamp) -> Option<Self> {
        let data = |key: &str| {
            let bytes = STANDARD.decode(text(object, &format!("/data/{key}"))).ok()?;
            String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
        };
        if text(object, "/type") != SECRET || is_over(object, now) {
            return None;
        }
        let groups = data("auth-extra-groups").unwrap_or_default();
        let groups = groups.split(',').filter(|group| !group.is_empty()).map(str::to_owned);
        Some(Self {
            id: data("token-id")?,
            secret: data("token-secret")?,
            groups: groups.chain(["system:bootstrappers".to_owned()]).collect(),
            signs: data("usage-bootstrap-signing").as_deref() == Some("true"),
            authenticates: data("usage-bootstrap-authentication").as_deref() == Some("true"),
        })
    }
}

/// Whether the secret is one of a token whose time is over; one that cannot be read is.
pub(crate) fn is_over(object: &Value, now: Timestamp) -> bool {
    let end = text(object, "/data/expiration");
    if text(object, "/type") != SECRET || end.is_empty() {
        return false;
    }
    let end = STANDARD.decode(end).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let end = end.and_then(|end| scalars::time(&end).ok());
    end.is_none_or(|end| end <= now)
}
