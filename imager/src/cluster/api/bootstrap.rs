//! Bootstrap tokens as the API server keeps them: Secrets in kube-system, exactly as kubeadm makes them (kubeadm,
//! `bootstraptoken/v1`, `EncodeTokenSecretData`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use pikube_config::values::cluster;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cluster::token::Token;

/// Where all of them are.
pub(in crate::cluster) const LIST: &str =
    "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken";
const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const PREFIX: &str = "bootstrap-token-";
/// The group whose members may ask for a node's certificate (kubeadm, `NodeBootstrapTokenAuthGroup`).
const GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";

/// One token that the cluster knows.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// The part before the point, which is no secret.
    pub id: String,
    /// All of it. `Debug` is redacted.
    pub token: SecretString,
    /// When it ends; absent: never.
    pub expires: Option<Timestamp>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether nodes can join with it: it authenticates, signs, and is of kubeadm's group.
    pub joins: bool,
}

/// Where one of them is; absent: where new ones go.
pub(in crate::cluster) fn path(id: Option<&str>) -> String {
    match id {
        Some(id) => format!("{SECRETS}/{PREFIX}{id}"),
        None => SECRETS.to_owned(),
    }
}

/// A token as a Secret.
pub(in crate::cluster) fn manifest(token: &Token, description: &str) -> Zeroizing<String> {
    let (id, secret) = token.text.expose_secret().split_once('.').unwrap_or_default();
    let expires = token.expires.to_string();
    let data: serde_json::Map<String, Value> = [
        ("token-id", id),
        ("token-secret", secret),
        ("expiration", &expires),
        ("usage-bootstrap-authentication", "true"),
        ("usage-bootstrap-signing", "true"),
        ("auth-extra-groups", GROUP),
        ("description", description),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (key.to_owned(), STANDARD.encode(value).into()))
    .collect();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": format!("{PREFIX}{id}"), "namespace": "kube-system" },
        "type": TYPE,
        "data": data,
    });
    Zeroizing::new(secret.to_string())
}

/// The tokens of a list of Secrets; what is none is passed over, as kubeadm does.
pub(in crate::cluster) fn tokens(list: &Value) -> Vec<ApiToken> {
    list["items"].as_array().into_iter().flatten().filter_map(token).collect()
}

fn token(secret: &Value) -> Option<ApiToken> {
    let text = |key: &str| -> Option<Zeroizing<String>> {
        let bytes = STANDARD.decode(secret["data"][key].as_str()?).ok()?;
        String::from_utf8(bytes).ok().map(Zeroizing::new)
    };
    let is = |key: &str| text(key).is_some_and(|value| *value == "true");
    let (id, rest) = (text("token-id")?, text("token-secret")?);
    let token = Zeroizing::new(format!("{}.{}", id.as_str(), rest.as_str()));
    let named = secret["metadata"]["name"].as_str()?.strip_prefix(PREFIX)? == id.as_str();
    if !named || cluster::token(&token).is_err() {
        return None;
    }
    let groups = text("auth-extra-groups");
    let in_group = groups.is_some_and(|groups| groups.split(',').any(|group| group == GROUP));
    Some(ApiToken {
        id: id.to_string(),
        token: SecretString::from(token.as_str()),
        expires: text("expiration").and_then(|text| text.parse().ok()),
        description: text("description").map(|text| text.to_string()),
        joins: in_group && is("usage-bootstrap-authentication") && is("usage-bootstrap-signing"),
    })
}
