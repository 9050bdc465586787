//! Which packages a plan asks for. Pure.

use pikube_config::Runtime;

use crate::steps::origin::{Origin, RuntimeFrom};
use crate::steps::package_manager::Installed;

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: &'static str,
    /// What its version begins with; any version without.
    pub version: Option<String>,
    /// Whether upgrades have to pass it over: kubelet and control plane are upgraded by kubeadm, in order (D18).
    pub held: bool,
}

impl Wanted {
    fn any(name: &'static str) -> Self {
        Self { name, version: None, held: false }
    }

    /// Whether what is installed is this. On a node of a cluster any version will do.
    pub fn is_right(&self, installed: Option<&Installed>, any_version: bool) -> bool {
        let Some(installed) = installed else { return false };
        let version = self.version.as_ref();
        let fits = any_version || version.is_none_or(|start| installed.version.starts_with(start));
        fits && (installed.held || !self.held)
    }

    /// As apt-get(8) takes it: the part after the number of the version is the package's own.
    pub fn argument(&self) -> String {
        match &self.version {
            Some(start) => format!("{}={start}*", self.name),
            None => self.name.to_owned(),
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        match &self.version {
            Some(start) => format!("{} {}", self.name, start.trim_end_matches(['-', '.'])),
            None => self.name.to_owned(),
        }
    }
}

/// What every node needs besides: certificates for TLS, kube-proxy's and the pod network's tool, and names that end in
/// `.local`, which nodes find each other by (`kubernetes-on-pi.md` D12, §5).
const BESIDES: [&str; 4] = ["ca-certificates", "iptables", "avahi-daemon", "libnss-mdns"];

/// Everything that apt has to bring.
pub fn wanted(origin: &Origin<'_>) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for name in origin.runtime_packages() {
        let held = *name == "containerd.io";
        wanted.push(Wanted { held, ..Wanted::any(name) });
    }
    if origin.repository.is_some() {
        let version = &origin.plan.version;
        // The package's own revision comes after a hyphen: `1.36.4-1.1`.
        let start =
            if origin.plan.is_exact() { format!("{version}-") } else { format!("{version}.") };
        for name in ["kubelet", "kubeadm", "kubectl"] {
            wanted.push(Wanted { name, version: Some(start.clone()), held: true });
        }
        wanted.extend(["cri-tools", "kubernetes-cni"].map(Wanted::any));
    }
    wanted.extend(BESIDES.map(Wanted::any));
    if origin.repository.is_none() {
        // The kubelet's package brings it; kubeadm of the legacy line looks for it.
        wanted.push(Wanted::any("conntrack"));
    }
    wanted
}

/// What is wrong with a version of containerd for a minor version of Kubernetes (containerd, `RELEASES.md`;
/// `kubernetes-on-pi.md` §2, §11).
pub fn containerd_problem(version: (u32, u32), minor: u32) -> Option<String> {
    let (least, why) = match minor {
        ..=34 => ((1, 6), "1.6"),
        35 | 36 => ((1, 7), "1.7"),
        _ => ((2, 0), "2.0"),
    };
    let (major, second) = version;
    (version < least).then(|| {
        format!("Kubernetes 1.{minor} needs containerd {why} or later, not {major}.{second}")
    })
}

/// What to do about it.
pub fn containerd_help(origin: &Origin<'_>) -> &'static str {
    match (origin.runtime, origin.plan.runtime) {
        (RuntimeFrom::Image, _) => "use Kubernetes 1.23 or older with the docker of this image",
        (RuntimeFrom::System, Runtime::Docker | Runtime::Containerd) => {
            "use docker's repository (`kubernetes.runtime_repository`), or an older Kubernetes"
        }
        (RuntimeFrom::Docker(_), _) => "use an image of a newer release, or an older Kubernetes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_packages() {
        let held = |version: &str| Installed { version: version.to_owned(), held: true };
        let exact = Wanted { name: "kubelet", version: Some("1.36.4-".to_owned()), held: true };
        assert_eq!(
            (exact.argument(), exact.shown()),
            ("kubelet=1.36.4-*".into(), "kubelet 1.36.4".into())
        );
        assert!(exact.is_right(Some(&held("1.36.4-1.1")), false));
        assert!(!exact.is_right(Some(&held("1.36.40-1.1")), false));
        assert!(exact.is_right(Some(&held("1.35.9-1.1")), true), "a node of a cluster");
        assert!(!exact.is_right(Some(&Installed { held: false, ..held("1.36.4-1.1") }), true));
        assert!(!exact.is_right(None, true));
        let minor = Wanted { version: Some("1.36.".to_owned()), ..exact };
        assert!(minor.is_right(Some(&held("1.36.40-1.1")), false));
        assert!(!minor.is_right(Some(&held("1.3.0-1.1")), false));
    }

    #[test]
    fn the_matrix_of_containerd_and_kubernetes() {
        for (version, minor, fits) in [
            ((1, 6), 34, true),
            ((1, 6), 35, false),
            ((1, 7), 36, true),
            ((1, 7), 37, false),
            ((2, 1), 37, true),
            ((1, 2), 24, false),
        ] {
            assert_eq!(containerd_problem(version, minor).is_none(), fits, "{version:?} {minor}");
        }
    }
}
