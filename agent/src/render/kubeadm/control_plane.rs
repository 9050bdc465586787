//! How the programs of a control plane are told to guard the cluster, as the CIS benchmark's kubeadm baseline asks and as
//! far as it costs a Pi nothing: arguments for the cluster's kubeadm configuration, and the files that these name. The
//! arguments are the cluster's (kubeadm keeps them, and a further control plane gets them), so that every control plane
//! needs every one of the files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pikube_config::Kubernetes;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{File, text};

/// The folder of these files, on the node and in the API server's pod.
pub const FOLDER: &str = "/etc/kubernetes/pikube";
/// The key for Secrets in etcd. [`encryption`] makes its contents.
pub const ENCRYPTION: &str = "/etc/kubernetes/pikube/encryption.yaml";
/// What is logged of who does what.
const AUDIT_POLICY: &str = "/etc/kubernetes/pikube/audit-policy.yaml";
/// How admission plugins are set.
const ADMISSION: &str = "/etc/kubernetes/pikube/admission.yaml";
/// What sets the key for Secrets apart from anything else that may be derived from the same key.
const SECRETS_AT_REST: &[u8] = b"pikube: secrets at rest, 1";
/// The log's folder.
const AUDIT_FOLDER: &str = "/var/log/kubernetes/audit";

/// Folders that only root may look into, with those above them, and their modes.
pub const FOLDERS: [(&str, u32); 3] =
    [("/var/lib/etcd", 0o700), ("/var/log/kubernetes", 0o755), (AUDIT_FOLDER, 0o700)];

/// How long the certificates last that the cluster signs for kubelets, in hours: ten years, as the CA itself. A kubelet
/// asks for its next one when 70 to 90 per cent of that are over (client-go, `certificate_manager.go`), so that at least
/// one year is left at any time: a cluster that is off for a year comes up again. Nothing would renew a worker's
/// certificate that ended meanwhile.
const SIGNING_HOURS: u32 = 10 * 365 * 24;

/// The first minor version in which PodSecurity is on by default.
const FIRST_POD_SECURITY: u32 = 23;
/// The first minor version that knows the first stable form of PodSecurity's configuration.
const FIRST_STABLE_POD_SECURITY: u32 = 25;

/// For `apiServer.extraVolumes`, which have one form in all versions of kubeadm's configuration.
pub(super) const VOLUMES: &str = "  extraVolumes:
  - name: pikube
    hostPath: /etc/kubernetes/pikube
    mountPath: /etc/kubernetes/pikube
    readOnly: true
    pathType: Directory
  - name: audit
    hostPath: /var/log/kubernetes/audit
    mountPath: /var/log/kubernetes/audit
    readOnly: false
    pathType: DirectoryOrCreate
";

/// For `apiServer.extraArgs`. 50 MB of audit log at most, written in batches.
pub(super) fn api_server(kubernetes: &Kubernetes) -> Vec<(&'static str, String)> {
    let mut arguments = vec![
        ("audit-policy-file", AUDIT_POLICY.to_owned()),
        ("audit-log-path", format!("{AUDIT_FOLDER}/audit.log")),
        ("audit-log-mode", "batch".to_owned()),
        ("audit-log-maxsize", "10".to_owned()),
        ("audit-log-maxbackup", "4".to_owned()),
        ("audit-log-maxage", "30".to_owned()),
        ("encryption-provider-config", ENCRYPTION.to_owned()),
        ("kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt".to_owned()),
        ("profiling", "false".to_owned()),
    ];
    if has_pod_security(kubernetes) {
        arguments.insert(0, ("admission-control-config-file", ADMISSION.to_owned()));
    }
    arguments
}

/// For `controllerManager.extraArgs`. Pods that have ended stay in etcd until there are more than these; by default 12500.
pub(super) fn controller_manager() -> [(&'static str, String); 3] {
    [
        ("cluster-signing-duration", format!("{SIGNING_HOURS}h0m0s")),
        ("profiling", "false".to_owned()),
        ("terminated-pod-gc-threshold", "500".to_owned()),
    ]
}

/// For `scheduler.extraArgs`.
pub(super) fn scheduler() -> [(&'static str, String); 1] {
    [("profiling", "false".to_owned())]
}

/// The files that hold no secret.
pub fn files(kubernetes: &Kubernetes) -> Vec<File> {
    let own = |path: &str, content: String| File { mode: 0o600, ..text(path, content) };
    let mut files = vec![own(AUDIT_POLICY, include_str!("audit-policy.yaml").to_owned())];
    if has_pod_security(kubernetes) {
        files.push(own(ADMISSION, admission(kubernetes)));
    }
    files
}

/// The API server's `EncryptionConfiguration`, with a key that is derived (HMAC-SHA-256) from `sa_key`, the PEM of the key
/// that signs service accounts' tokens. That has 256 bits of randomness, is on control planes only, and lasts as long as the
/// cluster: so all control planes have the same one, a card that is written anew has it again, and so has a cluster that is
/// restored from a backup.
///
/// `secretbox` because no Pi before the 5 has instructions for AES, and because
/// its key needs no change after so many writes, as that of `aesgcm` does. `identity` reads what was written before.
pub fn encryption(sa_key: &str) -> Zeroizing<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(sa_key.as_bytes()).expect("HMAC takes any key");
    mac.update(SECRETS_AT_REST);
    let bytes = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
    let key = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
    Zeroizing::new(format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - secrets
  providers:
  - secretbox:
      keys:
      - name: pikube-1
        secret: {}
  - identity: {{}}
",
        key.as_str()
    ))
}

fn has_pod_security(kubernetes: &Kubernetes) -> bool {
    kubernetes.minor() >= FIRST_POD_SECURITY
}

/// Whoever makes a pod that could take over its node is warned; nothing is refused. The pods of the cluster's own parts
/// need what is warned of.
fn admission(kubernetes: &Kubernetes) -> String {
    let version = if kubernetes.minor() >= FIRST_STABLE_POD_SECURITY { "v1" } else { "v1beta1" };
    format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/{version}
    kind: PodSecurityConfiguration
    defaults:
      enforce: privileged
      enforce-version: latest
      audit: baseline
      audit-version: latest
      warn: baseline
      warn-version: latest
    exemptions:
      usernames: []
      runtimeClasses: []
      namespaces: [kube-system, kube-flannel]
"
    )
}
