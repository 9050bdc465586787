//! What of Kubernetes comes from where on this node: from a repository, from the system's own packages, as plain
//! binaries, or is there already.

use pikube_config::{Kubernetes, Runtime, names};

use super::programs;
use crate::host::{Access, Error, Host, Look};
use crate::plan::Context;
use crate::render::runtime::Cri;
use crate::render::variables;

/// Where things come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// What the plan says.
    pub plan: &'a Kubernetes,
    /// The apt repository of kubelet, kubeadm and kubectl; `None` where they are plain binaries.
    pub repository: Option<&'a str>,
    /// The runtime's packages.
    pub runtime: RuntimeFrom<'a>,
}

/// Where the container runtime comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeFrom<'a> {
    /// Docker's repository, without the distribution at its end.
    Docker(&'a str),
    /// The operating system's packages.
    System,
    /// It is there already, and stays as it is: the legacy line, whose mirrors may be dead.
    Image,
}

impl<'a> Origin<'a> {
    /// Of a plan with Kubernetes; `None` of another.
    pub fn of(context: &'a Context, host: &dyn Look) -> Result<Option<Self>, Error> {
        let Some(plan) = &context.plan.kubernetes else { return Ok(None) };
        let repository = match &plan.repository {
            Some(repository) if !plan.legacy && refusal(host, repository)?.is_none() => {
                Some(repository.as_str())
            }
            _ => None,
        };
        let runtime = match &plan.runtime_repository {
            _ if plan.legacy => {
                let program = match Cri::of(plan) {
                    Cri::Dockershim => "dockerd",
                    Cri::Containerd => "containerd",
                };
                if programs::has(host, program)? { RuntimeFrom::Image } else { RuntimeFrom::System }
            }
            Some(url) => RuntimeFrom::Docker(url),
            None => RuntimeFrom::System,
        };
        Ok(Some(Self { plan, repository, runtime }))
    }

    /// Whether apt is needed at all.
    pub fn needs_apt(&self) -> bool {
        self.repository.is_some() || self.runtime != RuntimeFrom::Image
    }

    /// The runtime's packages.
    pub fn runtime_packages(&self) -> &'static [&'static str] {
        match (self.runtime, self.plan.runtime) {
            (RuntimeFrom::Docker(_), Runtime::Docker) => {
                &["containerd.io", "docker-ce", "docker-ce-cli"]
            }
            (RuntimeFrom::Docker(_), Runtime::Containerd) => &["containerd.io"],
            (RuntimeFrom::System, Runtime::Docker) => &["docker.io", "containerd"],
            (RuntimeFrom::System, Runtime::Containerd) => &["containerd"],
            (RuntimeFrom::Image, _) => &[],
        }
    }
}

/// The operating system (os-release(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// `debian`, `raspbian`, `ubuntu`.
    pub id: String,
    /// As in `trixie`.
    pub codename: String,
}

impl System {
    /// Of this node.
    pub fn of(host: &dyn Look) -> Result<Self, Error> {
        let text = host.text("/etc/os-release")?.unwrap_or_default();
        let value = |key| variables::get(&text, key).unwrap_or_default();
        Ok(Self { id: value("ID"), codename: value("VERSION_CODENAME") })
    }

    /// What docker's repository calls it. Derivatives of Debian have its packages.
    pub fn distribution(&self) -> &'static str {
        if self.id == "ubuntu" { "ubuntu" } else { "debian" }
    }
}

/// Where we note that apt has refused a repository for good.
fn refusal_path() -> String {
    format!("{}/repository-refused", names::STATE_DIR)
}

/// Why apt has refused this repository; `None` where it has not.
pub fn refusal(host: &dyn Look, repository: &str) -> Result<Option<String>, Error> {
    let text = host.text(&refusal_path())?.unwrap_or_default();
    let (refused, why) = text.split_once('\n').unwrap_or_default();
    Ok((refused == repository).then(|| why.trim().to_owned()))
}

/// From now on Kubernetes comes as plain binaries.
pub fn refuse(host: &dyn Host, repository: &str, why: &str) -> Result<(), Error> {
    host.write(&refusal_path(), format!("{repository}\n{why}\n").as_bytes(), Access::root(0o644))
}
