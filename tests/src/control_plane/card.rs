//! What a master's card carries, laid out as kubeadm wants it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use pikube_agent::certificates::request::Guarded;
use pikube_agent::render::kubeadm::{self, control_plane};
use pikube_config::{FirstbootPlan, Role, Secrets};
use secrecy::{ExposeSecret as _, SecretString};

/// Plan and secrets of a master, as they are on its boot partition.
#[derive(Debug)]
pub struct Card {
    pub(super) plan: FirstbootPlan,
    secrets: Secrets,
}

impl Card {
    /// From the texts of `pikube.toml` and `pikube-secrets.toml`.
    ///
    /// # Errors
    /// They are none, or not a master's.
    pub fn new(plan: &str, secrets: &str) -> Result<Self> {
        let plan = FirstbootPlan::from_toml(plan).context("pikube.toml")?;
        let secrets = Secrets::from_toml(secrets).context("pikube-secrets.toml")?;
        ensure!(plan.node.role == Role::Master, "the card is no master's");
        Ok(Self { plan, secrets })
    }

    /// The bootstrap token.
    pub(super) fn token(&self) -> Result<&str> {
        open(&self.secrets.token, "token")
    }

    /// Puts the cluster's certificates and keys into `folder`, under kubeadm's names (`constants.go`).
    pub(super) fn write_identity(&self, folder: &Path) -> Result<()> {
        let secrets = &self.secrets;
        fs::create_dir_all(folder.join("etcd"))?;
        for (name, secret) in [
            ("ca.crt", &secrets.ca_certificate),
            ("ca.key", &secrets.ca_key),
            ("sa.pub", &secrets.sa_public_key),
            ("sa.key", &secrets.sa_key),
            ("front-proxy-ca.crt", &secrets.front_proxy_ca_certificate),
            ("front-proxy-ca.key", &secrets.front_proxy_ca_key),
            ("etcd/ca.crt", &secrets.etcd_ca_certificate),
            ("etcd/ca.key", &secrets.etcd_ca_key),
        ] {
            fs::write(folder.join(name), open(secret, name)?)?;
        }
        Ok(())
    }

    /// Puts what the programs of a control plane are told to read below `folder`, as the agent does it in `/`.
    pub(super) fn write_control_plane(&self, folder: &Path) -> Result<()> {
        let kubernetes = self.plan.kubernetes.as_ref().context("the plan has no Kubernetes")?;
        let below = |path: &str| folder.join(path.trim_start_matches('/'));
        fs::create_dir_all(below(control_plane::FOLDER))?;
        for file in control_plane::files(kubernetes) {
            fs::write(below(&file.path), file.text())?;
        }
        let key = open(&self.secrets.sa_key, "sa.key")?;
        fs::write(below(control_plane::ENCRYPTION), control_plane::encryption(key).as_bytes())?;
        for (path, _) in control_plane::FOLDERS {
            fs::create_dir_all(below(path))?;
        }
        Ok(())
    }

    /// What kubeadm is given when the agent has it renew certificates; they are in `folder`.
    pub(super) fn renewal(&self, folder: &Path, version: &str) -> Result<String> {
        let kubernetes = self.plan.kubernetes.as_ref().context("the plan has no Kubernetes")?;
        let cluster = self.plan.cluster.as_ref().context("the plan has no cluster")?;
        let text = kubeadm::renewal(kubernetes, cluster, version.trim_start_matches('v'));
        let own =
            format!("kind: ClusterConfiguration\ncertificatesDir: {}/pki\n", folder.display());
        Ok(text.replace("kind: ClusterConfiguration\n", &own))
    }

    /// What no certificate of a kubelet may be for.
    pub(super) fn guarded(&self) -> Result<Guarded> {
        let kubernetes = self.plan.kubernetes.as_ref().context("the plan has no Kubernetes")?;
        let cluster = self.plan.cluster.as_ref().context("the plan has no cluster")?;
        Ok(Guarded::of(kubernetes, cluster))
    }

    /// The `kubeadm.yaml` that `pikube-agent render` makes of the plan, changed only in what cannot be as on the node:
    ///
    /// * the placeholder becomes the card's token, the version that of the programs
    /// * certificates and etcd's data are in `folder`, not in `/etc` and `/var`
    /// * the API server has a port of its own
    ///
    /// The address stays that of the node: kubeadm takes no loopback address, and the certificate is for 127.0.0.1 too.
    pub(super) fn configuration(&self, folder: &Path, version: &str, port: u16) -> Result<String> {
        let shown = kubeadm::shown(&self.plan).context("the plan has no Kubernetes")?;
        let mut text = shown.text().replace(kubeadm::PLACEHOLDER_TOKEN, self.token()?);
        let folder = folder.display();
        for (line, new) in [
            ("  bindPort: ", format!("  bindPort: {port}")),
            ("kubernetesVersion: ", format!("kubernetesVersion: {version}")),
            (
                "kind: ClusterConfiguration",
                format!(
                    "kind: ClusterConfiguration\ncertificatesDir: {folder}/pki\netcd:\n  local:\n    dataDir: {folder}/etcd"
                ),
            ),
        ] {
            let found = text.lines().find(|found| found.starts_with(line));
            let found = found.with_context(|| format!("no `{line}` in kubeadm.yaml"))?.to_owned();
            text = text.replacen(&format!("{found}\n"), &format!("{new}\n"), 1);
        }
        Ok(text)
    }
}

fn open<'a>(secret: &'a Option<SecretString>, name: &str) -> Result<&'a str> {
    let secret = secret.as_ref().with_context(|| format!("the card's secrets lack {name}"))?;
    Ok(secret.expose_secret())
}
