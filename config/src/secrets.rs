//! `pikube-secrets.toml`: what the launcher takes off the card.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::problem::{Problem, Problems};
use crate::schema::{self, Key, Kind, Need};
use crate::values::{cluster, person, wifi};

/// Secrets of one node. `Debug` shows only which are there.
#[derive(Clone, Default)]
pub struct Secrets {
    /// crypt(5) hash of the login user's password.
    pub password_hash: Option<SecretString>,
    /// Bootstrap token, `abcdef.0123456789abcdef`.
    pub token: Option<SecretString>,
    /// The cluster's CA certificate, PEM; only on control-plane cards, beside the key.
    pub ca_certificate: Option<SecretString>,
    /// The cluster's CA key, PEM; only on control-plane cards.
    pub ca_key: Option<SecretString>,
    /// Key that signs service accounts' tokens, PEM; only on control-plane cards.
    pub sa_key: Option<SecretString>,
    /// Its public half, PEM; only on control-plane cards.
    pub sa_public_key: Option<SecretString>,
    /// Certificate of the front proxy's CA, PEM; only on control-plane cards.
    pub front_proxy_ca_certificate: Option<SecretString>,
    /// Its key, PEM; only on control-plane cards.
    pub front_proxy_ca_key: Option<SecretString>,
    /// Certificate of etcd's CA, PEM; only on control-plane cards.
    pub etcd_ca_certificate: Option<SecretString>,
    /// Its key, PEM; only on control-plane cards.
    pub etcd_ca_key: Option<SecretString>,
    /// Passwords of the plan's Wi-Fi networks, as far as they have one.
    pub wifi_passwords: Vec<WifiPassword>,
}

/// The password of one Wi-Fi network.
#[derive(Clone)]
pub struct WifiPassword {
    /// Name of the network, as in the plan.
    pub ssid: String,
    /// Pass phrase, or the key made from it, 64 hexadecimal digits.
    pub password: SecretString,
}

const KEYS: &[Key] = &[
    Key { path: "schema", kind: Kind::Schema, need: Need::Always },
    Key {
        path: "user.password_hash",
        kind: Kind::Secret(person::password_hash),
        need: Need::Optional,
    },
    Key { path: "cluster.token", kind: Kind::Secret(cluster::token), need: Need::Optional },
    Key { path: "cluster.ca_certificate", kind: Kind::Secret(cluster::pem), need: Need::Optional },
    Key { path: "cluster.ca_key", kind: Kind::Secret(cluster::pem), need: Need::Optional },
    Key { path: "cluster.sa_key", kind: Kind::Secret(cluster::pem), need: Need::Optional },
    Key { path: "cluster.sa_public_key", kind: Kind::Secret(cluster::pem), need: Need::Optional },
    Key {
        path: "cluster.front_proxy_ca_certificate",
        kind: Kind::Secret(cluster::pem),
        need: Need::Optional,
    },
    Key {
        path: "cluster.front_proxy_ca_key",
        kind: Kind::Secret(cluster::pem),
        need: Need::Optional,
    },
    Key {
        path: "cluster.etcd_ca_certificate",
        kind: Kind::Secret(cluster::pem),
        need: Need::Optional,
    },
    Key { path: "cluster.etcd_ca_key", kind: Kind::Secret(cluster::pem), need: Need::Optional },
    Key { path: "wifi.networks", kind: Kind::Tables(WIFI_KEYS), need: Need::Optional },
];

const WIFI_KEYS: &[Key] = &[
    Key { path: "ssid", kind: Kind::Text(wifi::ssid), need: Need::Always },
    Key { path: "password", kind: Kind::Secret(wifi::password), need: Need::Always },
];

/// The file's shape. Never leaves this module, so that no secret is serialised by accident.
#[derive(Serialize, Deserialize, Default)]
struct File {
    schema: i64,
    #[serde(default)]
    user: UserFile,
    #[serde(default)]
    cluster: ClusterFile,
    #[serde(default)]
    wifi: WifiFile,
}

#[derive(Serialize, Deserialize, Default)]
struct UserFile {
    password_hash: Option<Zeroizing<String>>,
}

#[derive(Serialize, Deserialize, Default)]
struct ClusterFile {
    token: Option<Zeroizing<String>>,
    ca_certificate: Option<Zeroizing<String>>,
    ca_key: Option<Zeroizing<String>>,
    sa_key: Option<Zeroizing<String>>,
    sa_public_key: Option<Zeroizing<String>>,
    front_proxy_ca_certificate: Option<Zeroizing<String>>,
    front_proxy_ca_key: Option<Zeroizing<String>>,
    etcd_ca_certificate: Option<Zeroizing<String>>,
    etcd_ca_key: Option<Zeroizing<String>>,
}

#[derive(Serialize, Deserialize, Default)]
struct WifiFile {
    #[serde(default)]
    networks: Vec<WifiNetworkFile>,
}

#[derive(Serialize, Deserialize)]
struct WifiNetworkFile {
    ssid: String,
    password: Zeroizing<String>,
}

impl Secrets {
    /// Whether there is nothing to keep secret; no file is written then.
    pub fn is_empty(&self) -> bool {
        self.present().is_empty()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// All problems at once; no message quotes a value.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        let table = schema::parse(text)?;
        schema::check(&table, KEYS)?;
        // serde's message could quote a value: after the check above it can only be an error of this program.
        let file: File = table
            .try_into()
            .map_err(|_| Problems(vec![Problem::new("", "does not have the shape of schema 1")]))?;
        let secret =
            |value: Option<Zeroizing<String>>| value.map(|text| SecretString::from(text.as_str()));
        Ok(Self {
            password_hash: secret(file.user.password_hash),
            token: secret(file.cluster.token),
            ca_certificate: secret(file.cluster.ca_certificate),
            ca_key: secret(file.cluster.ca_key),
            sa_key: secret(file.cluster.sa_key),
            sa_public_key: secret(file.cluster.sa_public_key),
            front_proxy_ca_certificate: secret(file.cluster.front_proxy_ca_certificate),
            front_proxy_ca_key: secret(file.cluster.front_proxy_ca_key),
            etcd_ca_certificate: secret(file.cluster.etcd_ca_certificate),
            etcd_ca_key: secret(file.cluster.etcd_ca_key),
            wifi_passwords: file.wifi.networks.into_iter().map(WifiPassword::from).collect(),
        })
    }

    /// The file's text, wiped from memory when dropped.
    ///
    /// # Errors
    /// The problems of secrets that [`Secrets::from_toml`] would refuse.
    pub fn to_toml(&self) -> Result<Zeroizing<String>, Problems> {
        let open = |secret: &Option<SecretString>| {
            secret.as_ref().map(|secret| Zeroizing::new(secret.expose_secret().to_owned()))
        };
        let file = File {
            schema: crate::SCHEMA,
            user: UserFile { password_hash: open(&self.password_hash) },
            cluster: ClusterFile {
                token: open(&self.token),
                ca_certificate: open(&self.ca_certificate),
                ca_key: open(&self.ca_key),
                sa_key: open(&self.sa_key),
                sa_public_key: open(&self.sa_public_key),
                front_proxy_ca_certificate: open(&self.front_proxy_ca_certificate),
                front_proxy_ca_key: open(&self.front_proxy_ca_key),
                etcd_ca_certificate: open(&self.etcd_ca_certificate),
                etcd_ca_key: open(&self.etcd_ca_key),
            },
            wifi: WifiFile {
                networks: self.wifi_passwords.iter().map(WifiNetworkFile::from).collect(),
            },
        };
        let text = Zeroizing::new(
            toml::to_string(&file)
                .map_err(|_| Problems(vec![Problem::new("", "cannot be written as TOML")]))?,
        );
        Self::from_toml(&text)?;
        Ok(text)
    }

    fn present(&self) -> Vec<&'static str> {
        [
            ("user.password_hash", &self.password_hash),
            ("cluster.token", &self.token),
            ("cluster.ca_certificate", &self.ca_certificate),
            ("cluster.ca_key", &self.ca_key),
            ("cluster.sa_key", &self.sa_key),
            ("cluster.sa_public_key", &self.sa_public_key),
            ("cluster.front_proxy_ca_certificate", &self.front_proxy_ca_certificate),
            ("cluster.front_proxy_ca_key", &self.front_proxy_ca_key),
            ("cluster.etcd_ca_certificate", &self.etcd_ca_certificate),
            ("cluster.etcd_ca_key", &self.etcd_ca_key),
        ]
        .into_iter()
        .filter_map(|(key, secret)| secret.as_ref().map(|_| key))
        .chain((!self.wifi_passwords.is_empty()).then_some("wifi.networks"))
        .collect()
    }

    /// The cluster's identity: what only cards of control planes have.
    pub fn identity_mut(&mut self) -> [&mut Option<SecretString>; 8] {
        [
            &mut self.ca_certificate,
            &mut self.ca_key,
            &mut self.sa_public_key,
            &mut self.sa_key,
            &mut self.front_proxy_ca_certificate,
            &mut self.front_proxy_ca_key,
            &mut self.etcd_ca_certificate,
            &mut self.etcd_ca_key,
        ]
    }

    /// The password of a Wi-Fi network.
    pub fn wifi_password(&self, ssid: &str) -> Option<&SecretString> {
        self.wifi_passwords.iter().find(|network| network.ssid == ssid).map(|found| &found.password)
    }
}

impl From<WifiNetworkFile> for WifiPassword {
    fn from(file: WifiNetworkFile) -> Self {
        Self { ssid: file.ssid, password: SecretString::from(file.password.as_str()) }
    }
}

impl From<&WifiPassword> for WifiNetworkFile {
    fn from(network: &WifiPassword) -> Self {
        let password = Zeroizing::new(network.password.expose_secret().to_owned());
        Self { ssid: network.ssid.clone(), password }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secrets").field(&self.present()).finish()
    }
}
