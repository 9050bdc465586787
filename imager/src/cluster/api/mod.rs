//! The cluster's API server, as its administrator: a certificate made for the call, and nobody trusted but the
//! cluster's own CA.
//!
//! The connection goes to an address, the name that is verified is the endpoint's, as with `tls-server-name` in the
//! kubeconfig. No proxy is asked: nodes are in the network of this computer.

mod bootstrap;
mod error;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::blocking::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Cluster, Error, endpoint, kubeconfig};

pub use bootstrap::ApiToken;
pub(super) use bootstrap::{LIST, manifest, path, tokens};
pub use error::ApiError;

/// Until there is a connection: a node that is off does not answer at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Until there is an answer: a Pi that has just begun is slow.
const ANSWER: Duration = Duration::from_secs(30);
/// Most that an answer may have, bytes.
const MAX_BYTES: u64 = 4 << 20;
/// Characters of a server's own words that are repeated.
const MAX_WORDS: usize = 300;
const JSON: &str = "application/json";

/// The servers that may answer, and how to get in.
pub(super) struct Api {
    tls: ClientConfig,
    name: String,
    /// `https://host:port` of each, in the order in which they are tried.
    servers: Vec<String>,
}

impl Api {
    /// With a fresh certificate; `asked` is the only server that is tried, where it is given.
    ///
    /// # Errors
    /// There is no server to ask; the CA's key cannot be used.
    pub(super) fn new(
        cluster: &Cluster,
        asked: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let failed = |message: String| Error::Keys { cluster: cluster.name.clone(), message };
        let admin = cluster.identity.admin(now).map_err(|error| failed(error.to_string()))?;
        let (certificate, key) = (admin.pair.public.as_bytes(), admin.pair.key.expose_secret());
        let pem = |error: rustls::pki_types::pem::Error| failed(error.to_string());
        let tls = |error: rustls::Error| failed(error.to_string());
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(cluster.identity.ca.public.as_bytes());
        roots.add(ca.map_err(pem)?).map_err(tls)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate).map_err(pem)?],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(pem)?,
            )
            .map_err(tls)?;
        let servers = kubeconfig::servers(cluster, asked)?;
        Ok(Self { tls: config, name: cluster.endpoint_name(), servers })
    }

    /// One request; servers that cannot be reached are passed over.
    ///
    /// # Errors
    /// [`ApiError`], of the first server where none can be reached.
    pub(super) fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Zeroizing<String>>,
    ) -> Result<Value, ApiError> {
        let mut first = None;
        for server in &self.servers {
            match self.once(server, method, path, body) {
                Err(error) if error.is_unreachable() => {
                    first.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        let none = || ApiError::Unreachable { server: String::new(), why: "there is none".into() };
        Err(first.unwrap_or_else(none))
    }

    fn once(
        &self,
        server: &str,
        method: &Method,
        path: &str,
        body: Option<&Zeroizing<String>>,
    ) -> Result<Value, ApiError> {
        let (host, port) = endpoint::split(server.trim_start_matches("https://"));
        let unreachable = |why: String| ApiError::Unreachable { server: server.to_owned(), why };
        let addresses: Vec<SocketAddr> = (host, port)
            .to_socket_addrs()
            .map_err(|error| unreachable(format!("finding the address of `{host}`: {error}")))?
            .collect();
        let client = Client::builder()
            .user_agent(concat!("piflash/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.tls.clone())
            .resolve_to_addrs(&self.name, &addresses)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .map_err(|error| unreachable(error.to_string()))?;
        let mut request =
            client.request(method.clone(), format!("https://{}:{port}{path}", self.name));
        request = request.header(ACCEPT, JSON);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON).body(body.as_bytes().to_vec());
        }
        let response = request.send().map_err(|error| ApiError::of(server, &self.name, &error))?;
        let code = response.status().as_u16();
        let mut text = Zeroizing::new(Vec::new());
        let read =
            std::io::Read::read_to_end(&mut std::io::Read::take(response, MAX_BYTES), &mut text);
        read.map_err(|error| unreachable(error.to_string()))?;
        let answer: Option<Value> = serde_json::from_slice(&text).ok();
        match (code, answer) {
            (200..=299, Some(answer)) => Ok(answer),
            (200..=299, None) => Err(ApiError::Garbled { server: server.to_owned() }),
            (code, answer) => {
                let words = answer.as_ref().and_then(|answer| answer["message"].as_str());
                let message = words.map(|words| words.chars().take(MAX_WORDS).collect());
                Err(ApiError::Said { server: server.to_owned(), code, message })
            }
        }
    }
}
