//! How a person gets into the cluster: a kubeconfig, made from what this computer has, before any node is up.
//!
//! No administrator's certificate is kept: every call makes a key and a certificate of its own, which last a year. To
//! renew one is to call again.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use pikube_config::Role;
use pikube_config::values::host;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{Cluster, Error, PORT};

/// One cluster's entries.
pub struct Kubeconfig {
    /// Name of cluster and context.
    pub name: String,
    /// Name of the user.
    pub user: String,
    /// PEM, in base64.
    pub(super) authority: String,
    /// `https://HOST:PORT`
    pub server: String,
    /// Name in the API server's certificate.
    pub(super) tls_name: String,
    certificate: String,
    key: Zeroizing<String>,
    /// Day on which the certificate ends.
    pub until: Date,
}

/// URL of the API server: of the host asked for, else of the endpoint's own address, else of the master's static one,
/// else of the master's name.
///
/// # Errors
/// It is no host; there is no master yet.
pub fn server(cluster: &Cluster, asked: Option<&str>) -> Result<String, Error> {
    // There is always one.
    Ok(servers(cluster, asked)?.swap_remove(0))
}

/// URLs of all API servers that may answer, the likeliest first; only that of the host asked for, where one is.
///
/// # Errors
/// It is no host; there is none yet.
pub(super) fn servers(cluster: &Cluster, asked: Option<&str>) -> Result<Vec<String>, Error> {
    if let Some(asked) = asked {
        let wrong = |message| Error::Value { option: "`--server`", message };
        let bare = asked.strip_prefix("https://").unwrap_or(asked).trim_end_matches('/');
        let asked = match host::server(bare) {
            Ok(()) => url(bare),
            Err(message) => match host::endpoint(bare) {
                Ok(()) => format!("https://{bare}"),
                Err(_) => return Err(wrong(message)),
            },
        };
        return Ok(vec![asked]);
    }
    let own = cluster.endpoint.own_server().map(|own| format!("https://{own}"));
    let of = |role: Role| cluster.nodes.iter().filter(move |node| node.role == role);
    let nodes = of(Role::Master).chain(of(Role::ControlPlane)).map(|node| match node.address() {
        Some(address) => url(&address.to_string()),
        None => url(&format!("{}.local", node.hostname)),
    });
    let servers: Vec<String> = own.into_iter().chain(nodes).collect();
    if servers.is_empty() {
        return Err(Error::Refused {
            message: format!("cluster `{}` has no master yet", cluster.name),
            help: "write the master's card, or say where the API server is with `--server`".into(),
        });
    }
    Ok(servers)
}

fn url(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("https://[{address}]:{PORT}"),
        _ => format!("https://{host}:{PORT}"),
    }
}

impl Kubeconfig {
    /// With a fresh certificate.
    ///
    /// # Errors
    /// No random numbers; the CA's key cannot be used.
    pub fn new(cluster: &Cluster, server: String, now: Timestamp) -> Result<Self, Error> {
        let admin = cluster.identity.admin(now).map_err(|error| Error::Keys {
            cluster: cluster.name.clone(),
            message: error.to_string(),
        })?;
        Ok(Self {
            name: cluster.name.clone(),
            user: format!("{}-admin", cluster.name),
            authority: STANDARD.encode(&cluster.identity.ca.public),
            server,
            // kubeadm puts the endpoint's name into every API server's certificate, whatever the nodes are called.
            tls_name: cluster.endpoint_name(),
            certificate: STANDARD.encode(&admin.pair.public),
            key: Zeroizing::new(STANDARD.encode(admin.pair.key.expose_secret())),
            until: admin.until,
        })
    }

    /// One without secrets, as long as a real one.
    #[cfg(any(test, fuzzing))]
    pub(super) fn example() -> Self {
        Self {
            name: "pikube".into(),
            user: "pikube-admin".into(),
            authority: "QQ".repeat(400),
            server: "https://10.0.0.7:6443".into(),
            tls_name: "cp.pikube.internal".into(),
            certificate: "Qg".repeat(400),
            key: Zeroizing::new("Qw".repeat(100)),
            until: Date::constant(2027, 11, 28),
        }
    }

    /// The whole file. Labels, base64 and URLs need no quotes.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(16 << 10));
        text.push_str("apiVersion: v1\nkind: Config\n");
        for (key, entry) in [
            ("clusters", self.cluster_entry()),
            ("users", self.user_entry()),
            ("contexts", self.context_entry()),
        ] {
            text.push_str(key);
            text.push_str(":\n");
            text.push_str(&entry);
        }
        text.push_str(&format!("current-context: {}\n", self.name));
        text
    }

    pub(super) fn cluster_entry(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "- name: {}\n  cluster:\n    certificate-authority-data: {}\n    server: {}\n    tls-server-name: {}\n",
            self.name, self.authority, self.server, self.tls_name
        ))
    }

    pub(super) fn user_entry(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "- name: {}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
            self.user,
            self.certificate,
            self.key.as_str()
        ))
    }

    pub(super) fn context_entry(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "- name: {0}\n  context:\n    cluster: {0}\n    user: {1}\n",
            self.name, self.user
        ))
    }
}
