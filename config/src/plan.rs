//! `pikube.toml`, the firstboot plan (schema 1).

mod kubernetes;
mod network;

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Problems};
use crate::schema::{self, Key, Kind, Need};
use crate::values::{cluster, host, locale, person, wifi};

pub use kubernetes::{
    FIRST_LEGACY_MINOR, FIRST_MINOR, Kubernetes, LAST_LEGACY_MINOR, PodNetwork, Runtime,
};
pub use network::{Address, Network, Security, Wifi, WifiNetwork};

/// What the node shall become. Holds no secrets: those are in [`crate::Secrets`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstbootPlan {
    /// Always [`crate::SCHEMA`].
    pub schema: i64,
    /// When the card was written, RFC 3339 in UTC: the Pi has no clock, time cannot be before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flashed_at: Option<jiff::Timestamp>,
    /// Who the node is.
    pub node: Node,
    /// Which cluster it belongs to; absent until the cluster exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Time zone and NTP servers.
    #[serde(default)]
    pub time: Time,
    /// Locale, keyboard, swap, mirror.
    #[serde(default)]
    pub system: System,
    /// The login user; absent leaves the image's users alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Interfaces and their addresses.
    #[serde(default)]
    pub network: Network,
    /// Wi-Fi; absent leaves it as the image has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wifi: Option<Wifi>,
    /// Kubernetes; absent prepares the system only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
}

/// `[node]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// One RFC 1123 label, lower case.
    pub hostname: String,
    /// What the node does in the cluster.
    pub role: Role,
}

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Starts the cluster (`kubeadm init`).
    Master,
    /// A further control plane (`kubeadm join --control-plane`).
    ControlPlane,
    /// Joins as a worker (`kubeadm join`).
    Worker,
}

impl Role {
    /// All roles, in the order in which help texts name them.
    pub const ALL: [Role; 3] = [Role::Master, Role::ControlPlane, Role::Worker];

    /// The name as in `--role` and `node.role`.
    pub fn name(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::ControlPlane => "control-plane",
            Role::Worker => "worker",
        }
    }
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Name of the cluster, one RFC 1123 label.
    pub name: String,
    /// `host:port` of the API server, a name that every node has in `/etc/hosts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `sha256:` and the hash of the CA's public key, as kubeadm's `caCertHashes` wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_hash: Option<String>,
    /// Until when the token of the secrets lets nodes join, RFC 3339 in UTC: kubeadm's `bootstrapTokens.expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_expires: Option<jiff::Timestamp>,
    /// Host name of the node that starts the cluster; absent where it was not known when the card was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// IP address behind the endpoint's name; absent where the master has none of its own, and `<master>.local` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether `address` is one that the control planes share, which kube-vip keeps on one of them, and no node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_ip: Option<bool>,
}

/// `[time]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// A tzdata name such as `Europe/Paris`; absent leaves the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// NTP servers, names or addresses; empty leaves the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp: Vec<String>,
}

/// `[system]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// A locale as in `/usr/share/i18n/SUPPORTED`: `en_GB.UTF-8`; absent leaves the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// An XKB layout, `gb`, with an optional variant, `de:nodeadkeys`; absent leaves the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyboard: Option<String>,
    /// What becomes of swap.
    #[serde(default)]
    pub swap: Swap,
    /// Base URL for the OS's own packages; empty leaves the image's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub apt_mirror: String,
    /// Proxy of apt, a URL; absent leaves the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apt_proxy: Option<String>,
    /// Kernel modules that are loaded besides those that pods' networks need: `dm_thin_pool`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
}

/// What becomes of swap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Swap {
    /// Turned off for good, as kubelet wants it.
    #[default]
    Off,
    /// Left as the OS has it.
    Keep,
}

/// `[user]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Lines for `authorized_keys`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<String>,
}

/// Every key of the file; the order is the one in which missing keys are reported.
const KEYS: &[Key] = &[
    Key { path: "schema", kind: Kind::Schema, need: Need::Always },
    Key { path: "flashed_at", kind: Kind::Text(locale::timestamp), need: Need::Optional },
    Key { path: "node.hostname", kind: Kind::Text(host::hostname), need: Need::Always },
    Key { path: "node.role", kind: Kind::Text(cluster::role), need: Need::Always },
    Key { path: "cluster.name", kind: Kind::Text(host::hostname), need: Need::WithTable },
    Key { path: "cluster.endpoint", kind: Kind::Text(host::shared_endpoint), need: Need::Optional },
    Key { path: "cluster.ca_hash", kind: Kind::Text(cluster::ca_hash), need: Need::Optional },
    Key {
        path: "cluster.token_expires",
        kind: Kind::Text(locale::timestamp),
        need: Need::Optional,
    },
    Key { path: "cluster.master", kind: Kind::Text(host::hostname), need: Need::Optional },
    Key { path: "cluster.address", kind: Kind::Text(host::ip), need: Need::Optional },
    Key { path: "cluster.virtual_ip", kind: Kind::Switch, need: Need::Optional },
    Key { path: "time.timezone", kind: Kind::Text(locale::timezone), need: Need::Optional },
    Key { path: "time.ntp", kind: Kind::Texts(host::server), need: Need::Optional },
    Key { path: "system.locale", kind: Kind::Text(locale::locale), need: Need::Optional },
    Key { path: "system.keyboard", kind: Kind::Text(locale::keyboard), need: Need::Optional },
    Key { path: "system.swap", kind: Kind::Text(cluster::swap), need: Need::Optional },
    Key { path: "system.apt_mirror", kind: Kind::Text(host::url_or_empty), need: Need::Optional },
    Key { path: "system.apt_proxy", kind: Kind::Text(host::url), need: Need::Optional },
    Key { path: "system.modules", kind: Kind::Texts(host::kernel_module), need: Need::Optional },
    Key { path: "user.name", kind: Kind::Text(person::user_name), need: Need::WithTable },
    Key { path: "user.ssh_keys", kind: Kind::Texts(person::ssh_key), need: Need::Optional },
    Key { path: "network.interface", kind: Kind::Text(host::interface), need: Need::Optional },
    Key {
        path: "network.addresses",
        kind: Kind::Tables(network::ADDRESS_KEYS),
        need: Need::Optional,
    },
    Key { path: "wifi.country", kind: Kind::Text(wifi::country), need: Need::WithTable },
    Key { path: "wifi.networks", kind: Kind::Tables(network::WIFI_KEYS), need: Need::WithTable },
    Key { path: "kubernetes.version", kind: Kind::Text(cluster::version), need: Need::WithTable },
    Key { path: "kubernetes.legacy", kind: Kind::Switch, need: Need::Optional },
    Key {
        path: "kubernetes.pod_network",
        kind: Kind::Text(cluster::pod_network),
        need: Need::Optional,
    },
    Key { path: "kubernetes.pod_cidr", kind: Kind::Text(cluster::pod_cidr), need: Need::Optional },
    Key {
        path: "kubernetes.service_cidr",
        kind: Kind::Text(cluster::service_cidr),
        need: Need::Optional,
    },
    Key { path: "kubernetes.runtime", kind: Kind::Text(cluster::runtime), need: Need::Optional },
    Key { path: "kubernetes.force_low_memory", kind: Kind::Switch, need: Need::Optional },
    Key { path: "kubernetes.keep_16k_pages", kind: Kind::Switch, need: Need::Optional },
    Key { path: "kubernetes.repository", kind: Kind::Text(host::url), need: Need::Optional },
    Key {
        path: "kubernetes.repository_key",
        kind: Kind::Text(cluster::public_key),
        need: Need::Optional,
    },
    Key {
        path: "kubernetes.runtime_repository",
        kind: Kind::Text(host::url),
        need: Need::Optional,
    },
    Key {
        path: "kubernetes.runtime_repository_key",
        kind: Kind::Text(cluster::public_key),
        need: Need::Optional,
    },
    Key { path: "kubernetes.downloads", kind: Kind::Text(host::url), need: Need::Optional },
    Key { path: "kubernetes.cni_plugins", kind: Kind::Text(host::url), need: Need::Optional },
    Key {
        path: "kubernetes.image_repository",
        kind: Kind::Text(cluster::image_repository),
        need: Need::Optional,
    },
    Key {
        path: "kubernetes.pod_network_manifest",
        kind: Kind::Text(host::url),
        need: Need::Optional,
    },
    Key {
        path: "kubernetes.pod_network_manifest_sha256",
        kind: Kind::Text(cluster::sha256),
        need: Need::Optional,
    },
    Key { path: "kubernetes.addons", kind: Kind::Texts(host::hostname), need: Need::Optional },
];

impl FirstbootPlan {
    /// Every key that a plan may have, `network.addresses[].router` for one of each item of a list.
    pub fn keys() -> Vec<String> {
        schema::paths(KEYS)
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// All problems of the text at once, each with its key path.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        let table = schema::parse(text)?;
        schema::check(&table, KEYS)?;
        let plan: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| Problems(vec![Problem::new("", error.message())]))?;
        plan.validate()?;
        Ok(plan)
    }

    /// Host name and role as far as they are valid, whatever else is wrong with the text: so that a report on a plan
    /// that cannot be used still says whose it is.
    pub fn identity(text: &str) -> (Option<String>, Option<Role>) {
        let table = schema::parse(text).unwrap_or_default();
        let value = |key| table.get("node").and_then(|node| node.get(key)?.as_str());
        let hostname = value("hostname").filter(|name| host::hostname(name).is_ok());
        let role = Role::ALL.into_iter().find(|role| Some(role.name()) == value("role"));
        (hostname.map(str::to_owned), role)
    }

    /// The plan as it is written to the card.
    ///
    /// # Errors
    /// The problems of a plan that [`FirstbootPlan::from_toml`] would refuse: nothing that the agent cannot read
    /// is ever written.
    pub fn to_toml(&self) -> Result<String, Problems> {
        let mut text = toml::to_string(self)
            .map_err(|error| Problems(vec![Problem::new("", error.to_string())]))?;
        if let Some(warning) = self.kubernetes.as_ref().and_then(Kubernetes::warning) {
            const TABLE: &str = "\n[kubernetes]\n";
            text = text.replacen(TABLE, &format!("{TABLE}# {warning}\n"), 1);
        }
        Self::from_toml(&text)?;
        Ok(text)
    }

    /// What no single key can tell.
    fn validate(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        self.network.validate(&mut problems);
        if let Some(wifi) = &self.wifi {
            wifi.validate(&mut problems);
        }
        if let Some(kubernetes) = &self.kubernetes {
            kubernetes.validate(&mut problems);
            if self.cluster.is_none() {
                problems.push(Problem::new("cluster", "is missing: `kubernetes` needs it"));
            }
        }
        problems.or(())
    }
}
