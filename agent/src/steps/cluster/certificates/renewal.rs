//! Renews the certificates of a control plane that end soon or have ended, with the CA that is on it: kubeadm does it, with no
//! network and no cluster. What runs with the old ones is started anew; at boot nothing runs yet.

use std::time::Duration;

use pikube_config::Kubernetes;

use super::super::{crictl, kubeconfig, kubectl, member};
use crate::certificates::expiry;
use crate::host::{Access, Command, Host, Look};
use crate::plan::Context;
use crate::render::kubeadm;
use crate::render::runtime::Cri;
use crate::step::Stop;
use crate::steps::{owed, units};

/// What kubeadm signs, and what it renews (kubeadm, `renewal/manager.go`).
const CERTIFICATES: [&str; 7] = [
    "/etc/kubernetes/pki/apiserver.crt",
    "/etc/kubernetes/pki/apiserver-etcd-client.crt",
    "/etc/kubernetes/pki/apiserver-kubelet-client.crt",
    "/etc/kubernetes/pki/front-proxy-client.crt",
    "/etc/kubernetes/pki/etcd/server.crt",
    "/etc/kubernetes/pki/etcd/peer.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
];
/// Kubeconfigs with a certificate in them; the second one since Kubernetes 1.29.
const KUBECONFIGS: [&str; 4] = [
    kubectl::ADMIN,
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
];
/// The kubelet's own certificate and key (kubelet's certificate store): a link, which it moves on.
const KUBELET: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// What the link points to when the agent has made it.
const KUBELET_RENEWED: &str = "/var/lib/kubelet/pki/kubelet-client-pikube.pem";
/// kubeadm's configuration for it; no secret is in it.
const CONFIGURATION: &str = "/run/pikube/renewal.yaml";
/// What has to be started anew with new certificates. etcd first: the API server ends without it.
const COMPONENTS: [&str; 4] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const RESTART: &str = "control-plane-restart";
const LIMIT: Duration = Duration::from_secs(300);

/// Renews what is to be renewed; what was done, line by line.
///
/// # Errors
/// kubeadm fails; any I/O error.
pub fn renew(context: &Context, host: &dyn Host) -> Result<Vec<String>, Stop> {
    let (kubernetes, _) = member::tables(context)?;
    // A node that kubeadm is at work on is none yet.
    if !member::is_marked(context, host)? || host.exists(kubeadm::PATH)? {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    if let Some(first) = due(host)? {
        owed::note(host, RESTART)?;
        let before = host.read(kubectl::ADMIN)?.map(zeroize::Zeroizing::new);
        configure(context, host)?;
        let renew = ["certs", "renew", "all", "--config", CONFIGURATION];
        host.run(&Command::new("kubeadm", renew).within(LIMIT))?;
        host.sync();
        if let Some(before) = before {
            kubeconfig::follow(&context.plan, &before, host)?;
        }
        lines.push(format!("renewed the certificates of the control plane: {first}"));
    }
    if let Some(end) = kubelet_is_due(host)? {
        configure(context, host)?;
        replace_kubelets(context, host)?;
        lines.push(format!("renewed the kubelet's certificate: it ended on {end}"));
    }
    if owed::is(host, RESTART)? {
        restart(kubernetes, host)?;
        owed::settle(host, RESTART)?;
    }
    Ok(lines)
}

/// The first certificate that ends soon, and when.
fn due(host: &dyn Look) -> Result<Option<String>, Stop> {
    let now = host.now();
    for path in CERTIFICATES.into_iter().chain(KUBECONFIGS) {
        let Some(text) = host.text(path)?.map(zeroize::Zeroizing::new) else { continue };
        let end = match expiry::embedded(&text, "client-certificate-data") {
            Some(certificate) => expiry::end(&certificate),
            None => expiry::end(&text),
        };
        if let Some(end) = end.filter(|end| expiry::is_due(*end, now, expiry::AHEAD_S)) {
            return Ok(Some(format!("`{path}` ended, or ends, on {end}")));
        }
    }
    Ok(None)
}

fn kubelet_is_due(host: &dyn Look) -> Result<Option<jiff::Timestamp>, Stop> {
    let text = host.text(KUBELET)?.map(zeroize::Zeroizing::new);
    let end = text.and_then(|text| expiry::end(&text));
    Ok(end.filter(|end| expiry::is_due(*end, host.now(), expiry::KUBELET_AHEAD_S)))
}

fn configure(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    let (kubernetes, cluster) = member::tables(context)?;
    // Not the plan's: the node may have been upgraded since.
    let command = Command::new("kubeadm", ["version", "-o", "short"]);
    let answer = host.ask(&command)?.ok(&command)?;
    let version = answer.stdout.trim().trim_start_matches('v');
    let text = kubeadm::renewal(kubernetes, cluster, version);
    host.write(CONFIGURATION, text.as_bytes(), Access::root(0o600))?;
    Ok(())
}

/// A certificate for the kubelet, as `kubeadm init` has made its first one; the kubelet takes it at its next start.
fn replace_kubelets(context: &Context, host: &dyn Host) -> Result<(), Stop> {
    let name = format!("--client-name=system:node:{}", context.plan.node.hostname);
    let words =
        ["kubeconfig", "user", "--org=system:nodes", name.as_str(), "--config", CONFIGURATION];
    let command = Command::new("kubeadm", words).within(LIMIT);
    let answer = host.ask(&command)?.ok(&command)?;
    let stdout = zeroize::Zeroizing::new(answer.stdout);
    let part = |key| expiry::embedded(&stdout, key);
    let (Some(certificate), Some(key)) = (part("client-certificate-data"), part("client-key-data"))
    else {
        return Err(Stop::person(
            "renewing the kubelet's certificate: `kubeadm kubeconfig user` gave none",
            "take the node out of its cluster and write its card anew",
        ));
    };
    let pair = zeroize::Zeroizing::new(format!("{}{}", *certificate, *key));
    host.write(KUBELET_RENEWED, pair.as_bytes(), Access::root(0o600))?;
    host.link(KUBELET_RENEWED, KUBELET)?;
    host.sync();
    if is_running(host)? {
        units::systemctl(host, "restart", "kubelet.service")?;
    }
    Ok(())
}

/// Whether the kubelet runs, or is started over and over. At boot it waits for the renewal, and is neither: nothing is to be
/// started anew then, and to wait for it would be for ever.
fn is_running(host: &dyn Look) -> Result<bool, Stop> {
    let state = units::state(host, "kubelet.service")?;
    Ok(state.is_some_and(|state| ["active", "activating"].contains(&state.as_str())))
}

/// Ends the control plane's containers; the kubelet starts each anew.
fn restart(kubernetes: &Kubernetes, host: &dyn Host) -> Result<(), Stop> {
    if !is_running(host)? {
        return Ok(());
    }
    for component in COMPONENTS {
        let (list, stop): (Command, fn(&str) -> Command) = match Cri::of(kubernetes) {
            Cri::Containerd => {
                let name = format!("^{component}$");
                let words = ["ps", "--quiet", "--state=Running", "--name", name.as_str()];
                (crictl::command(&words), |id| crictl::command(&["stop", "--timeout=30", id]))
            }
            Cri::Dockershim => {
                let label = format!("label=io.kubernetes.container.name={component}");
                let words = ["ps", "--quiet", "--filter", label.as_str()];
                (Command::new("docker", words), |id| {
                    Command::new("docker", ["stop", "--time=30", id])
                })
            }
        };
        let answer = host.ask(&list)?.ok(&list)?;
        for id in answer.stdout.split_whitespace() {
            host.run(&stop(id).within(LIMIT))?;
        }
    }
    Ok(())
}
