//! TLS bootstrap: the token of `bootstrap-kubelet.conf` becomes a certificate of this node.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Told;
use crate::config::{text, yaml};
use crate::kubeconfig::{self, Cluster};
use crate::{pki, place, time};

/// Where the certificate is, with its key.
const PEM: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// Seconds to wait for the signer.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks for a certificate and writes the kubeconfig that uses it.
///
/// # Errors
/// There is no file to begin with, or the API server refuses.
pub(super) fn run(told: &Told) -> Result<()> {
    let file = &told.flags.bootstrap;
    if !place::exists(file) {
        bail!(
            "failed to run Kubelet: unable to load bootstrap kubeconfig: stat {file}: no such file or directory"
        );
    }
    let client = kubeconfig::client(file)?;
    let (request, key) = pki::request(&told.name)?;
    let name = format!("node-csr-{}", &pki_name(&request));
    let collection = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {"request": STANDARD.encode(&request),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"]},
    });
    client
        .ask("POST", collection, Some(&object))
        .context("cannot create certificate signing request")?;
    let began = Instant::now();
    let certificate = loop {
        let object = client.get(&format!("{collection}/{name}"))?;
        let signed = text(&object, "/status/certificate");
        if !signed.is_empty() {
            break String::from_utf8(STANDARD.decode(signed)?)?;
        }
        let failed = object.pointer("/status/conditions/0/type").and_then(Value::as_str);
        if failed == Some("Failed") || failed == Some("Denied") {
            bail!("certificate signing request {name} failed: {}", object["status"]);
        }
        if began.elapsed() > LIMIT {
            bail!("certificate signing request {name} was not signed");
        }
        time::sleep(Duration::from_millis(300));
    };
    place::write(PEM, &format!("{certificate}{key}"), 0o600)?;
    let cluster = Cluster::of(&place::read(file)?)?;
    let config = yaml::text(&json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "default-context",
        "clusters": [{"name": "default-cluster", "cluster": {"server": cluster.server,
            "certificate-authority-data": STANDARD.encode(&cluster.ca)}}],
        "contexts": [{"name": "default-context",
            "context": {"cluster": "default-cluster", "namespace": "default", "user": "default-auth"}}],
        "users": [{"name": "default-auth", "user": {"client-certificate": PEM, "client-key": PEM}}],
    }));
    place::write(&told.flags.kubeconfig, &config, 0o600)
}

/// A name that is the same for the same request.
fn pki_name(request: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, request.as_bytes());
    hash.as_ref().iter().take(16).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
