//! Whom to trust: the certificates of this computer, and Mozilla's where it has none.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::error::HttpError;

/// TLS with ring; `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the certificates of the system.
pub(super) fn config() -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    // A single certificate that cannot be read must not take away all the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Client { problem: error.to_string() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
