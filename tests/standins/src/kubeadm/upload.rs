//! What `init` puts into the API.

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::Client;
use crate::config::{Config, scalars, text, yaml};
use crate::{kubeconfig, say, token, version};

const SYSTEM: &str = "/api/v1/namespaces/kube-system";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// The configurations that joining nodes read, and what makes `admin.conf` an administrator's.
///
/// # Errors
/// The API server refuses.
pub(super) fn configuration(config: &Config, client: &Client) -> Result<()> {
    binding(client, "kubeadm:cluster-admins", "cluster-admin", "Group", "kubeadm:cluster-admins")?;
    say::out(
        "[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace",
    );
    let data = json!({"ClusterConfiguration": yaml::text(&config.cluster)});
    put(client, "ConfigMap", "kubeadm-config", "data", &data)?;
    say::out(
        "[kubelet] Creating a ConfigMap \"kubelet-config\" in namespace kube-system with the configuration for the kubelets in the cluster",
    );
    let name = match version::own_minor() {
        minor @ ..=23 => format!("kubelet-config-1.{minor}"),
        _ => "kubelet-config".to_owned(),
    };
    put(client, "ConfigMap", &name, "data", &json!({"kubelet": yaml::text(&config.kubelet)}))
}

/// Tokens, and `cluster-info` for who has nothing else.
///
/// # Errors
/// The API server refuses.
pub(super) fn bootstrap_tokens(config: &Config, ca: &str, client: &Client) -> Result<()> {
    let tokens = config.init.get("bootstrapTokens").and_then(Value::as_array).cloned();
    let mut tokens = tokens.filter(|tokens| !tokens.is_empty()).unwrap_or(vec![json!({})]);
    for given in &mut tokens {
        if text(given, "/token").is_empty() {
            given["token"] = random()?.into();
        }
    }
    for given in tokens {
        say::out(&format!("[bootstrap-token] Using token: {}", text(&given, "/token")));
        client.put(&format!("{SYSTEM}/secrets"), &token::secret(&given)?)?;
    }
    say::out("[bootstrap-token] Configuring bootstrap tokens, cluster-info ConfigMap, RBAC Roles");
    let group = "system:bootstrappers:kubeadm:default-node-token";
    binding(client, "kubeadm:get-nodes", "kubeadm:get-nodes", "Group", group)?;
    binding(client, "kubeadm:kubelet-bootstrap", "system:node-bootstrapper", "Group", group)?;
    let approver = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
    binding(client, "kubeadm:node-autoapprove-bootstrap", approver, "Group", group)?;
    say::out(
        "[bootstrap-token] Creating the \"cluster-info\" ConfigMap in the \"kube-public\" namespace",
    );
    let (host, port) = config.endpoint();
    let info = kubeconfig::anonymous(&format!("https://{host}:{port}"), ca);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"kubeconfig": info},
        "metadata": {"name": "cluster-info", "namespace": "kube-public"},
    });
    client.put("/api/v1/namespaces/kube-public/configmaps", &map).map(drop)
}

/// CoreDNS and kube-proxy.
///
/// # Errors
/// The API server refuses.
pub(super) fn addons(config: &Config, client: &Client) -> Result<()> {
    let images = super::images(config);
    let image = |name: &str| {
        let wanted = format!("/{name}:");
        images.iter().find(|image| image.contains(&wanted)).cloned().unwrap_or_default()
    };
    let apps = "/apis/apps/v1/namespaces/kube-system";
    let labels = json!({"k8s-app": "kube-dns"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {
                "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"},
                    {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
                "containers": [{"name": "coredns", "image": image("coredns")}]}}},
    });
    client.put(&format!("{apps}/deployments"), &deployment)?;
    let services = text(&config.cluster, "/networking/serviceSubnet");
    let address = scalars::address_of(services, 10).map(|address| address.to_string());
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": {"clusterIP": address, "selector": labels, "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]},
    });
    client.put(&format!("{SYSTEM}/services"), &service)?;
    say::out("[addons] Applied essential addon: CoreDNS");
    let mut proxy = config.proxy.clone();
    let pods = text(&config.cluster, "/networking/podSubnet");
    if !pods.is_empty() && proxy.get("clusterCIDR").is_none() {
        proxy["clusterCIDR"] = Value::from(pods);
    }
    put(client, "ConfigMap", "kube-proxy", "data", &json!({"config.conf": yaml::text(&proxy)}))?;
    let labels = json!({"k8s-app": "kube-proxy"});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "kube-proxy", "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"hostNetwork": true,
                "tolerations": [{"operator": "Exists"}],
                "containers": [{"name": "kube-proxy", "image": image("kube-proxy")}]}}},
    });
    client.put(&format!("{apps}/daemonsets"), &set)?;
    say::out("[addons] Applied essential addon: kube-proxy");
    Ok(())
}

/// `kubeadm token create`.
///
/// # Errors
/// The API server refuses.
pub(super) fn create_token(client: &Client) -> Result<()> {
    let token = random()?;
    client.put(&format!("{SYSTEM}/secrets"), &token::secret(&json!({"token": token}))?)?;
    say::out(&token);
    Ok(())
}

fn random() -> Result<String> {
    let mut bytes = [0; 22];
    getrandom::fill(&mut bytes)?;
    let letters = b"abcdefghijklmnopqrstuvwxyz012345";
    let text: String = bytes.iter().map(|byte| letters[usize::from(byte % 32)] as char).collect();
    Ok(format!("{}.{}", &text[..6], &text[6..]))
}

fn put(client: &Client, kind: &str, name: &str, key: &str, value: &Value) -> Result<()> {
    let mut object = json!({
        "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system"},
    });
    object[key] = value.clone();
    client.put(&format!("{SYSTEM}/configmaps"), &object).map(drop)
}

fn binding(client: &Client, name: &str, role: &str, kind: &str, subject: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}],
    });
    client.put(&format!("{RBAC}/clusterrolebindings"), &object).map(drop)
}
