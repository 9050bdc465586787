//! `kubeadm init`.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{manifests, phases, upload};
use crate::config::{Config, text};
use crate::{faults, kubeconfig, pki, preflight, say, version};

/// Makes this node a control plane.
///
/// # Errors
/// In the real one's words; what was done by then stays, as with the real one.
pub(super) fn run(config: &Config) -> Result<()> {
    say::out(&format!(
        "[init] Using Kubernetes version: {}",
        text(&config.cluster, "/kubernetesVersion")
    ));
    preflight::root(config)?;
    say::out("[preflight] Running pre-flight checks");
    preflight::init(config)?;
    say::out("[preflight] Pulling images required for setting up a Kubernetes cluster");
    say::out(
        "[preflight] This might take a minute or two, depending on the speed of your internet connection",
    );
    if !is_docker(config) {
        preflight::images(config)?;
    }
    faults::after("init", "preflight")?;
    let phase = |name: &'static str| move || format!("error execution phase {name}");
    phases::certificates(config).with_context(phase("certs"))?;
    faults::after("init", "certs")?;
    phases::kubeconfigs(config, true).with_context(phase("kubeconfig"))?;
    faults::after("init", "kubeconfig")?;
    manifests::write(config).with_context(phase("control-plane"))?;
    faults::after("init", "control-plane")?;
    phases::kubelet_start(config, &config.kubelet, false).with_context(phase("kubelet-start"))?;
    faults::after("init", "kubelet-start")?;
    let wait = phase("wait-control-plane");
    phases::wait_for_kubelet(config, &config.kubelet).with_context(wait)?;
    let name = if version::own_minor() < 29 { "admin.conf" } else { "super-admin.conf" };
    let client = kubeconfig::client(&format!("/etc/kubernetes/{name}"))?;
    phases::wait_for_api(config, &client).with_context(wait)?;
    faults::after("init", "wait")?;
    let limit = config.timeout("kubernetesAPICall");
    phases::patiently(limit, || upload::configuration(config, &client))
        .with_context(phase("upload-config"))?;
    faults::after("init", "upload")?;
    phases::mark(config, &client).with_context(phase("mark-control-plane"))?;
    let ca = crate::place::read(&format!("{}/ca.crt", text(&config.cluster, "/certificatesDir")))?;
    phases::patiently(limit, || upload::bootstrap_tokens(config, &ca, &client))
        .with_context(phase("bootstrap-token"))?;
    faults::after("init", "bootstrap-token")?;
    phases::patiently(limit, || upload::addons(config, &client)).with_context(phase("addon"))?;
    faults::after("init", "addon")?;
    end(config, &ca)
}

fn is_docker(config: &Config) -> bool {
    text(&config.init, "/nodeRegistration/criSocket").contains("dockershim")
}

fn end(config: &Config, ca: &str) -> Result<()> {
    let (host, port) = config.endpoint();
    let token = text(&config.init, "/bootstrapTokens/0/token");
    let hash = pki::pin(ca)?;
    let join = format!(
        "kubeadm join {host}:{port} --token {token} \\\n\t--discovery-token-ca-cert-hash {hash}"
    );
    let mut words = String::from(
        "\nYour Kubernetes control-plane has initialized successfully!\n\nTo start using your cluster, you need to run the following as a regular user:\n\n  mkdir -p $HOME/.kube\n  sudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config\n  sudo chown $(id -u):$(id -g) $HOME/.kube/config\n\nAlternatively, if you are the root user, you can run:\n\n  export KUBECONFIG=/etc/kubernetes/admin.conf\n\nYou should now deploy a pod network to the cluster.\nRun \"kubectl apply -f [podnetwork].yaml\" with one of the options listed at:\n  https://kubernetes.io/docs/concepts/cluster-administration/addons/\n\n",
    );
    if config.cluster.get("controlPlaneEndpoint").is_some_and(Value::is_string) {
        words += &format!(
            "You can now join any number of control-plane nodes by copying certificate authorities\nand service account keys on each node and then running the following as root:\n\n  {join} \\\n\t--control-plane \n\n"
        );
    }
    words += &format!(
        "Then you can join any number of worker nodes by running the following on each as root:\n\n{join} "
    );
    say::out(&words);
    Ok(())
}
