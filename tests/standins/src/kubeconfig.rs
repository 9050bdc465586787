//! Kubeconfig files: of one cluster and one user.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Client;
use crate::config::{scalars, text, yaml};
use crate::{place, tls};

/// Who a file is of.
pub(crate) enum User<'a> {
    /// By a certificate.
    Certificate(&'a tls::Pair),
    /// By a token.
    Token(&'a str),
}

/// A file's text.
pub(crate) fn render(server: &str, ca: &str, cluster: &str, name: &str, user: &User<'_>) -> String {
    let context = format!("{name}@{cluster}");
    let data = |text: &str| Value::from(STANDARD.encode(text));
    let user = match user {
        User::Certificate(pair) => json!({
            "client-certificate-data": data(&pair.certificate), "client-key-data": data(&pair.key),
        }),
        User::Token(token) => json!({"token": token}),
    };
    yaml::text(&json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": context,
        "clusters": [{"name": cluster, "cluster":
            {"certificate-authority-data": data(ca), "server": server}}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": name}}],
        "users": [{"name": name, "user": user}],
    }))
}

/// The kubeconfig of `cluster-info`: the cluster alone.
pub(crate) fn anonymous(server: &str, ca: &str) -> String {
    yaml::text(&json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "",
        "clusters": [{"name": "", "cluster":
            {"certificate-authority-data": STANDARD.encode(ca), "server": server}}],
        "contexts": Value::Null, "users": Value::Null,
    }))
}

/// What a kubeconfig says of its cluster.
pub(crate) struct Cluster {
    /// `https://HOST:PORT`.
    pub(crate) server: String,
    /// PEM.
    pub(crate) ca: String,
}

impl Cluster {
    /// Reads a kubeconfig.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn of(config: &str) -> Result<Self> {
        let documents = yaml::documents(config)?;
        let config = documents.first().context("empty kubeconfig")?;
        Ok(Self {
            server: text(config, "/clusters/0/cluster/server").to_owned(),
            ca: decode(config, "/clusters/0/cluster/certificate-authority-data")?,
        })
    }

    /// Its host and port.
    ///
    /// # Errors
    /// Its address is none.
    pub(crate) fn endpoint(&self) -> Result<(String, u16)> {
        scalars::host_port(self.server.trim_start_matches("https://"))
    }
}

/// A client made from a file of the node.
///
/// # Errors
/// The file is not there, or is not what it should be.
pub(crate) fn client(path: &str) -> Result<Client> {
    let file = place::read(path)?;
    let cluster = Cluster::of(&file)?;
    let documents = yaml::documents(&file)?;
    let config = documents.first().context("empty kubeconfig")?;
    let token = text(config, "/users/0/user/token");
    let pair = if token.is_empty() {
        let named = text(config, "/users/0/user/client-certificate");
        Some(if named.is_empty() {
            tls::Pair {
                certificate: decode(config, "/users/0/user/client-certificate-data")?,
                key: decode(config, "/users/0/user/client-key-data")?,
            }
        } else {
            let both = place::read(named)?;
            tls::Pair { certificate: both.clone(), key: both }
        })
    } else {
        None
    };
    let token = (!token.is_empty()).then_some(token);
    Client::new(cluster.endpoint()?, Some(&cluster.ca), pair.as_ref(), token)
}

fn decode(config: &Value, pointer: &str) -> Result<String> {
    let bytes = STANDARD.decode(text(config, pointer)).context("illegal base64 data")?;
    String::from_utf8(bytes).context("not PEM")
}
