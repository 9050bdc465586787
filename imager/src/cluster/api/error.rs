//! Why the API server did not do what was asked.

use std::error::Error as StdError;

use rustls::CertificateError;
use thiserror::Error;

/// No message quotes a secret.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Nobody is there.
    #[error("reaching the API server {server}: {why}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// The innermost reason.
        why: String,
    },
    /// Somebody else is there, or somebody whose clock or ours is wrong.
    #[error("trusting the API server {server}: {why}")]
    Distrusted {
        /// Its URL.
        server: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// It does not take the administrator's certificate.
    #[error("the API server {server} does not know the cluster's administrator: {why}")]
    Unknown {
        /// Its URL.
        server: String,
        /// What it said.
        why: String,
    },
    /// It answered with an error.
    #[error("the API server {server} says {code}{}", message.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
    Said {
        /// Its URL.
        server: String,
        /// HTTP status.
        code: u16,
        /// Its own words.
        message: Option<String>,
    },
    /// It answered with what no API server says.
    #[error("the API server {server} answers with something else than JSON")]
    Garbled {
        /// Its URL.
        server: String,
    },
}

impl ApiError {
    /// What a request says that got no answer. `name` is the one that the certificate has to have.
    pub(super) fn of(server: &str, name: &str, error: &reqwest::Error) -> Self {
        let server = server.to_owned();
        match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(wrong)) => {
                let why = match wrong {
                    CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                        "its certificate is not of this cluster's CA, it is another cluster's or a stranger's".into()
                    }
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. } => {
                        format!("its certificate is not for `{name}`")
                    }
                    CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. } => {
                        format!("{wrong}: is the date of this computer right?")
                    }
                    other => other.to_string(),
                };
                Self::Distrusted { server, why }
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                Self::Unknown { server, why: format!("it refused the certificate ({alert:?})") }
            }
            _ if error.is_timeout() => Self::Unreachable { server, why: "no answer".into() },
            _ => Self::Unreachable { server, why: root_cause(error) },
        }
    }

    /// Whether another server may be tried.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, ApiError::Unreachable { .. })
    }

    /// HTTP status, where there is one.
    pub(in crate::cluster) fn code(&self) -> Option<u16> {
        match self {
            ApiError::Said { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            ApiError::Unreachable { .. } => {
                "is the master up, and in the network of this computer? `--server HOST` says where its API server is"
            }
            ApiError::Distrusted { .. } => {
                "`--server HOST` says where the cluster's own API server is; `--cluster NAME` which cluster is meant"
            }
            ApiError::Unknown { .. } | ApiError::Said { code: 401, .. } => {
                "is the cluster that answers the one that was made here? `--cluster NAME` says which is meant"
            }
            ApiError::Said { code: 403, .. } => {
                "kubeadm gives these rights to `kubeadm:cluster-admins` at the end of its init: wait until the master is done"
            }
            ApiError::Said { code: 500.., .. } => "try again when the master has settled",
            ApiError::Said { .. } | ApiError::Garbled { .. } => return None,
        }
        .to_owned())
    }
}

/// TLS's own reason, wherever in the chain it is: `io::Error` hides what it wraps from `source`.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
