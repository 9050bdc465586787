//! Certificates of a running control plane, looked after as the agent does it on the node.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use pikube_agent::certificates::expiry;
use pikube_agent::certificates::request::{self, Verdict};
use serde_json::Value;

use super::{Card, ControlPlane, said, text};

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

impl ControlPlane {
    /// Judges the requests of kubelets that there are, and approves those that are to be approved; the name of each with the
    /// verdict.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn approve_kubelets(&self, card: &Card) -> Result<Vec<(String, Verdict)>> {
        let signer = request::SIGNER.replace('/', "%2F");
        let path = format!("{REQUESTS}?fieldSelector=spec.signerName%3D{signer}");
        let requests: Value = serde_json::from_str(&self.ask(["get", "--raw", &path])?)?;
        let nodes: Value = serde_json::from_str(&self.ask(["get", "--raw", "/api/v1/nodes"])?)?;
        let (nodes, guarded) = (request::nodes(&nodes), card.guarded()?);
        let mut verdicts = Vec::new();
        for csr in requests["items"].as_array().context("no list of requests")? {
            let name = csr["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let verdict = request::judge(csr, &nodes, &guarded);
            if matches!(verdict, Verdict::Approve(_)) {
                self.replace(&format!("{REQUESTS}/{name}/approval"), &request::approval(csr))?;
            }
            verdicts.push((name, verdict));
        }
        Ok(verdicts)
    }

    fn replace(&self, path: &str, object: &Value) -> Result<()> {
        let file = self.path("object.json");
        fs::write(&file, object.to_string())?;
        let mut kubectl = self.kubectl(["replace", "--raw", path, "--filename=-"]);
        said(kubectl.stdin(Stdio::from(fs::File::open(file)?))).map(drop)
    }

    /// A kubeconfig for a user, signed by the cluster's CA.
    ///
    /// # Errors
    /// kubeadm fails.
    pub fn kubeconfig_of(&self, user: &str, group: &str) -> Result<String> {
        let mut kubeadm = Command::new(self.programs.path("kubeadm"));
        kubeadm.args(["kubeconfig", "user", "--client-name", user, "--org", group, "--config"]);
        kubeadm.arg(self.path("kubeadm.yaml"));
        Ok(text(&said(&mut kubeadm)?.stdout))
    }

    /// Has kubeadm renew the certificates with what the agent gives it, without asking the cluster.
    ///
    /// # Errors
    /// kubeadm fails.
    pub fn renew_certificates(&self, card: &Card) -> Result<()> {
        let file = self.path("renewal.yaml");
        fs::write(&file, card.renewal(self.folder.path(), self.programs.version())?)?;
        let mut kubeadm = Command::new(self.programs.path("kubeadm"));
        kubeadm.args(["certs", "renew", "all", "--config"]).arg(file);
        said(&mut kubeadm).map(drop)
    }
}

/// When a certificate ends, in seconds since 1970.
#[must_use]
pub fn end_s(pem: &str) -> Option<i64> {
    expiry::end(pem).map(|end| end.as_second())
}
