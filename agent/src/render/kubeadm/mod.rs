//! kubeadm's configuration: `kubeadm.k8s.io/v1beta4`, and `v1beta3` for the legacy line (`kubernetes-on-pi.md` §3.3,
//! §3.4, §4.5). Every value comes from a plan that was checked, so that none needs more than its quotes.

pub mod control_plane;
mod documents;
mod renewal;
mod shown;
mod v1beta3;
mod v1beta4;

use pikube_config::{Cluster, FirstbootPlan, Kubernetes, Role, Swap};
use zeroize::Zeroizing;

use super::{File, text};

pub use renewal::{NOWHERE, renewal};
pub use shown::{PLACEHOLDER_TOKEN, shown};

/// Where the configuration is, while it is needed: it holds the token.
pub const PATH: &str = "/etc/pikube/kubeadm.yaml";
/// Where kubeadm finds what is this node's own and not the cluster's.
const PATCHES: &str = "/etc/pikube/patches";

/// The node's own part of the kubelet's configuration, under the name by which kubeadm knows what it is for (kubeadm,
/// `util/patches/patches.go`; since 1.25).
pub fn patch(plan: &FirstbootPlan) -> Option<File> {
    let is_wanted = plan.system.swap == Swap::Keep && !plan.kubernetes.as_ref()?.legacy;
    is_wanted
        .then(|| text(format!("{PATCHES}/kubeletconfiguration+merge.yaml"), documents::WITH_SWAP))
}

/// A node and its place in its cluster.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    /// The whole plan.
    pub plan: &'a FirstbootPlan,
    /// Its table.
    pub kubernetes: &'a Kubernetes,
    /// Its table.
    pub cluster: &'a Cluster,
    /// What is installed: `1.36.4`.
    pub version: &'a str,
    /// The node's own address in the cluster's network.
    pub address: &'a str,
    /// The bootstrap token.
    pub token: &'a str,
    /// How long it still lets nodes in, in seconds, by the Pi's clock: kubeadm's file takes no point in time (its
    /// `expires` always clashes with the `ttl` that kubeadm itself fills in, `bootstraptoken/v1/defaults.go`).
    pub token_ttl_s: i64,
}

impl Member<'_> {
    /// The configuration for this node's role.
    pub fn configuration(&self) -> Zeroizing<String> {
        let first = match (self.kubernetes.legacy, self.plan.node.role) {
            (true, Role::Master) => v1beta3::init(self),
            (true, _) => v1beta3::join(self),
            (false, Role::Master) => v1beta4::init(self),
            (false, _) => v1beta4::join(self),
        };
        if self.plan.node.role != Role::Master {
            return first;
        }
        let (kubelet, proxy) = (documents::KUBELET, documents::KUBE_PROXY);
        Zeroizing::new(format!("{}---\n{kubelet}---\n{proxy}", *first))
    }

    fn name(&self) -> &str {
        &self.plan.node.hostname
    }

    /// The rest of `apiServer`, and the other programs of a control plane; `settings` writes their arguments as a version
    /// wants them.
    fn programs(&self, settings: fn(&[(&str, String)]) -> String) -> String {
        format!(
            "{}{}{}controllerManager:\n{}scheduler:\n{}",
            self.cert_sans(),
            settings(&control_plane::api_server(self.kubernetes)),
            control_plane::VOLUMES,
            settings(&control_plane::controller_manager()),
            settings(&control_plane::scheduler()),
        )
    }

    /// `host:port` of the API server.
    fn endpoint(&self) -> &str {
        self.cluster.endpoint.as_deref().unwrap_or_default()
    }

    /// Every name and address by which somebody may call the API server.
    fn names(&self) -> Vec<String> {
        let host = host(self.endpoint());
        let master = self.cluster.master.as_deref().unwrap_or(self.name());
        let mut names: Vec<String> = vec![
            self.name().to_owned(),
            format!("{}.local", self.name()),
            host.to_owned(),
            self.address.to_owned(),
            "127.0.0.1".to_owned(),
            "localhost".to_owned(),
            master.to_owned(),
            format!("{master}.local"),
        ];
        names.extend(self.cluster.address.clone());
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Preflight errors that are no reason to stop here. The legacy line has no crictl, and docker brings no conntrack:
    /// kubeadm asks for both and needs neither.
    fn ignored(&self) -> String {
        let mut ignored = Vec::new();
        if self.kubernetes.force_low_memory {
            ignored.push("Mem");
        }
        if self.kubernetes.legacy {
            ignored.extend(["FileExisting-crictl", "FileExisting-conntrack"]);
        }
        format!("[{}]", ignored.join(", "))
    }

    /// What both versions say of the token and of this API server.
    fn beginnings(&self) -> String {
        format!(
            "\
bootstrapTokens:
- token: \"{token}\"
  description: \"written to the cards by piflash\"
  ttl: {ttl}s
  usages:
  - signing
  - authentication
  groups:
  - system:bootstrappers:kubeadm:default-node-token
localAPIEndpoint:
  advertiseAddress: \"{address}\"
  bindPort: 6443
",
            token = self.token,
            ttl = self.token_ttl_s,
            address = self.address,
        )
    }

    /// What both versions say of the cluster's name and version.
    fn identity(&self) -> String {
        format!(
            "clusterName: \"{}\"\nkubernetesVersion: \"v{}\"\ncontrolPlaneEndpoint: \"{}\"\n",
            self.cluster.name,
            self.version,
            self.endpoint(),
        )
    }

    /// What both versions say of images and networks.
    fn networking(&self) -> String {
        format!(
            "\
{images}networking:
  podSubnet: \"{pods}\"
  serviceSubnet: \"{services}\"
  dnsDomain: cluster.local
",
            images = self.images(),
            pods = self.kubernetes.pod_cidr,
            services = self.kubernetes.service_cidr,
        )
    }

    /// The names in the API server's certificate.
    fn cert_sans(&self) -> String {
        let lines = self.names().into_iter().map(|name| format!("  - \"{name}\"\n"));
        format!("  certSANs:\n{}", lines.collect::<String>())
    }

    /// How a joining node finds the cluster, and knows it.
    fn bootstrap_token(&self) -> String {
        format!(
            "  bootstrapToken:
    apiServerEndpoint: \"{endpoint}\"
    token: \"{token}\"
    caCertHashes:
    - \"{hash}\"
",
            endpoint = self.endpoint(),
            token = self.token,
            hash = self.ca_hash(),
        )
    }

    /// What a further control plane says of its own API server; nothing for a worker.
    fn control_plane(&self) -> String {
        match self.plan.node.role {
            Role::ControlPlane => format!(
                "controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: \"{}\"\n    bindPort: 6443\n",
                self.address
            ),
            _ => String::new(),
        }
    }

    /// Where the node's own part is; nothing where it has none.
    fn patches(&self) -> String {
        patch(self.plan)
            .map(|_| format!("patches:\n  directory: \"{PATCHES}\"\n"))
            .unwrap_or_default()
    }

    fn ca_hash(&self) -> &str {
        self.cluster.ca_hash.as_deref().unwrap_or_default()
    }

    fn images(&self) -> String {
        self.kubernetes
            .images()
            .map(|images| format!("imageRepository: \"{images}\"\n"))
            .unwrap_or_default()
    }
}

/// `host` of `host:port`.
pub fn host(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host)
}

#[cfg(test)]
mod tests;
