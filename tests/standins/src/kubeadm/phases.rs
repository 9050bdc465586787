//! What `init` and `join` both do: certificates, kubeconfigs, the kubelet's files, waiting.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::patches;
use crate::client::{self, Client};
use crate::config::{Config, scalars, text, yaml};
use crate::pki::{self, Authority, Leaf, Use};
use crate::{kubeconfig, place, processes, say, version};

/// Where kubeadm's kubeconfigs are.
const KUBERNETES: &str = "/etc/kubernetes";

/// All certificates of a control plane.
///
/// # Errors
/// A pair that is there cannot be used.
pub(super) fn certificates(config: &Config) -> Result<()> {
    let folder = text(&config.cluster, "/certificatesDir");
    say::out(&format!("[certs] Using certificateDir folder \"{folder}\""));
    let ca = Authority::load_or_make(folder, "ca", "kubernetes")?;
    let node = config.node_name();
    let (address, _) = config.local_endpoint();
    let mut names = vec![node.to_owned()];
    let domain = text(&config.cluster, "/networking/dnsDomain");
    for name in ["kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
        names.push(name.to_owned());
    }
    names.push(format!("kubernetes.default.svc.{domain}"));
    let services = text(&config.cluster, "/networking/serviceSubnet");
    names.extend(scalars::address_of(services, 1).map(|address| address.to_string()));
    names.push(address.clone());
    if !text(&config.cluster, "/controlPlaneEndpoint").is_empty() {
        names.push(config.endpoint().0);
    }
    let more = config.cluster.pointer("/apiServer/certSANs").and_then(Value::as_array);
    let more = more.into_iter().flatten().filter_map(Value::as_str);
    names.extend(more.map(str::to_owned));
    let is_address = |name: &String| name.parse::<std::net::IpAddr>().is_ok();
    let (mut addresses, mut words): (Vec<_>, Vec<_>) = names.into_iter().partition(is_address);
    words.sort();
    words.dedup();
    let mut seen = Vec::new();
    addresses.retain(|address| {
        !seen.contains(address) && {
            seen.push(address.clone());
            true
        }
    });
    let list = |all: &[String]| all.join(" ");
    let said = format!("DNS names [{}] and IPs [{}]", list(&words), list(&addresses));
    let all: Vec<String> = words.into_iter().chain(addresses).collect();
    leaf(&ca, folder, "apiserver", "kube-apiserver", None, all, Use::Server)?;
    say::out(&format!("[certs] apiserver serving cert is signed for {said}"));
    let admins =
        if version::own_minor() < 29 { "system:masters" } else { "kubeadm:cluster-admins" };
    let client = "kube-apiserver-kubelet-client";
    leaf(&ca, folder, "apiserver-kubelet-client", client, Some(admins), vec![], Use::Client)?;
    let proxy = Authority::load_or_make(folder, "front-proxy-ca", "front-proxy-ca")?;
    leaf(&proxy, folder, "front-proxy-client", "front-proxy-client", None, vec![], Use::Client)?;
    let etcd = Authority::load_or_make(folder, "etcd/ca", "etcd-ca")?;
    let own = [node, "localhost", &address, "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    leaf(&etcd, folder, "etcd/server", node, None, own.clone(), Use::Both)?;
    leaf(&etcd, folder, "etcd/peer", node, None, own, Use::Both)?;
    let (check, api) = ("kube-etcd-healthcheck-client", "kube-apiserver-etcd-client");
    leaf(&etcd, folder, "etcd/healthcheck-client", check, None, vec![], Use::Client)?;
    leaf(&etcd, folder, "apiserver-etcd-client", api, None, vec![], Use::Client)?;
    pki::service_accounts(folder)
}

fn leaf(
    authority: &Authority,
    folder: &str,
    base: &str,
    name: &str,
    group: Option<&str>,
    alternatives: Vec<String>,
    purpose: Use,
) -> Result<()> {
    if place::exists(&format!("{folder}/{base}.crt")) {
        say::out(&format!("[certs] Using existing {base} certificate and key on disk"));
        return Ok(());
    }
    say::out(&format!("[certs] Generating \"{base}\" certificate and key"));
    let pair = authority.issue(&Leaf { name, group, alternatives, purpose })?;
    place::write(&format!("{folder}/{base}.key"), &pair.key, 0o600)?;
    place::write(&format!("{folder}/{base}.crt"), &pair.certificate, 0o644)
}

/// The kubeconfigs of a control plane; the kubelet's only on the first, others get theirs by joining.
///
/// # Errors
/// The CA cannot sign.
pub(super) fn kubeconfigs(config: &Config, is_first: bool) -> Result<()> {
    let folder = text(&config.cluster, "/certificatesDir");
    say::out(&format!("[kubeconfig] Using kubeconfig folder \"{KUBERNETES}\""));
    let ca = Authority::load(folder, "ca")?;
    let cluster = text(&config.cluster, "/clusterName");
    let (host, port) = config.endpoint();
    let (address, local_port) = config.local_endpoint();
    let shared = format!("https://{host}:{port}");
    let local = format!("https://{address}:{local_port}");
    let node = format!("system:node:{}", config.node_name());
    let is_modern = version::own_minor() >= 29;
    let admins = if is_modern { "kubeadm:cluster-admins" } else { "system:masters" };
    let mut all = vec![
        ("admin.conf", "kubernetes-admin", Some(admins), &shared),
        ("controller-manager.conf", "system:kube-controller-manager", None, &local),
        ("scheduler.conf", "system:kube-scheduler", None, &local),
    ];
    if is_first {
        let server = if version::own_minor() >= 33 { &local } else { &shared };
        all.push(("kubelet.conf", &node, Some("system:nodes"), server));
        if is_modern {
            let group = Some("system:masters");
            all.push(("super-admin.conf", "kubernetes-super-admin", group, &shared));
        }
    }
    for (file, name, group, server) in all {
        let path = format!("{KUBERNETES}/{file}");
        if place::exists(&path) {
            kubeconfig::client(&path).with_context(|| {
                format!("a kubeconfig file \"{path}\" exists already but has got the wrong form")
            })?;
            say::out(&format!("[kubeconfig] Using existing kubeconfig file: \"{path}\""));
            continue;
        }
        say::out(&format!("[kubeconfig] Writing \"{file}\" kubeconfig file"));
        let leaf = Leaf { name, group, alternatives: vec![], purpose: Use::Client };
        let pair = ca.issue(&leaf)?;
        let user = kubeconfig::User::Certificate(&pair);
        let text = kubeconfig::render(server, &ca.certificate, cluster, name, &user);
        place::write(&path, &text, 0o600)?;
    }
    Ok(())
}

/// The kubelet's own files, and its start.
///
/// # Errors
/// They cannot be written, or it does not start.
pub(super) fn kubelet_start(config: &Config, kubelet: &Value, is_worker: bool) -> Result<()> {
    say::out(
        "[kubelet-start] Writing kubelet environment file with flags to file \"/var/lib/kubelet/kubeadm-flags.env\"",
    );
    let registration = &config.init["nodeRegistration"];
    let socket = text(registration, "/criSocket");
    let mut flags = Vec::new();
    let minor = version::own_minor();
    if minor < 36 && !socket.contains("dockershim") {
        if minor < 27 {
            flags.push("--container-runtime=remote".to_owned());
        }
        flags.push(format!("--container-runtime-endpoint={socket}"));
    }
    if minor < 24 && socket.contains("dockershim") {
        flags.push("--network-plugin=cni".to_owned());
    }
    if minor < 35 {
        let images = super::images(config);
        let pause = images.iter().find(|image| image.contains("/pause:"));
        flags.extend(pause.map(|pause| format!("--pod-infra-container-image={pause}")));
    }
    if is_worker && let Some(taints) = registration.get("taints").and_then(Value::as_array) {
        let taint = |taint: &Value| {
            format!("{}={}:{}", text(taint, "/key"), text(taint, "/value"), text(taint, "/effect"))
        };
        let taints: Vec<String> = taints.iter().map(taint).collect();
        if !taints.is_empty() {
            flags.push(format!("--register-with-taints={}", taints.join(",")));
        }
    }
    let more = registration.get("kubeletExtraArgs").and_then(Value::as_array);
    for argument in more.into_iter().flatten() {
        flags.push(format!("--{}={}", text(argument, "/name"), text(argument, "/value")));
    }
    let line = format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", flags.join(" "));
    place::write("/var/lib/kubelet/kubeadm-flags.env", &line, 0o644)?;
    let mut own = kubelet.clone();
    if minor >= 36 {
        let instance = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": socket,
        });
        say::out(
            "[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/instance-config.yaml\"",
        );
        place::write("/var/lib/kubelet/instance-config.yaml", &yaml::text(&instance), 0o644)?;
        own["containerRuntimeEndpoint"] = Value::from(socket);
    }
    patches::apply(config, &mut own)?;
    say::out(
        "[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"",
    );
    place::write("/var/lib/kubelet/config.yaml", &yaml::text(&own), 0o644)?;
    say::out("[kubelet-start] Starting the kubelet");
    if place::is_node() {
        processes::run("systemctl", &["daemon-reload"])?;
        processes::run("systemctl", &["restart", "kubelet"])?;
    }
    Ok(())
}

/// Waits until the kubelet says that it is well.
///
/// # Errors
/// It does not, in time.
pub(super) fn wait_for_kubelet(config: &Config, kubelet: &Value) -> Result<()> {
    let port = kubelet.get("healthzPort").and_then(Value::as_u64).unwrap_or(10248);
    let port = place::port(u16::try_from(port)?);
    let limit = config.timeout("kubeletHealthCheck");
    say::out(&format!(
        "[kubelet-check] Waiting for a healthy kubelet at http://127.0.0.1:{port}/healthz. This can take up to {limit:?}"
    ));
    let began = Instant::now();
    while began.elapsed() < limit {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            say::out(&format!(
                "[kubelet-check] The kubelet is healthy after {:?}",
                began.elapsed()
            ));
            return Ok(());
        }
        crate::time::sleep(Duration::from_millis(500));
    }
    say::out(&format!("[kubelet-check] The kubelet is not healthy after {limit:?}"));
    say::out(
        "\nUnfortunately, an error has occurred, likely caused by:\n\t- The kubelet is not running\n\t- The kubelet is unhealthy due to a misconfiguration of the node in some way (required cgroups disabled)\n\nIf you are on a systemd-powered system, you can try to troubleshoot the error with the following commands:\n\t- 'systemctl status kubelet'\n\t- 'journalctl -xeu kubelet'\n",
    );
    bail!(
        "failed while waiting for the kubelet to start: The HTTP call equal to 'curl -sSL http://127.0.0.1:{port}/healthz' returned error: Get \"http://127.0.0.1:{port}/healthz\": dial tcp 127.0.0.1:{port}: connect: connection refused"
    )
}

/// Waits until the API server answers at the cluster's endpoint.
///
/// # Errors
/// It does not, in time.
pub(super) fn wait_for_api(config: &Config, client: &Client) -> Result<()> {
    let limit = config.timeout("controlPlaneComponentHealthCheck");
    let (address, port) = config.local_endpoint();
    say::out(&format!(
        "[control-plane-check] Waiting for healthy control plane components. This can take up to {limit:?}"
    ));
    say::out(&format!(
        "[control-plane-check] Checking kube-apiserver at https://{address}:{port}/livez"
    ));
    let began = Instant::now();
    loop {
        match client.raw("GET", "/livez", "json", b"") {
            Ok((200, _)) => break,
            Ok((status, _)) if began.elapsed() > limit => bail!("failed while waiting for the control plane to start: kube-apiserver check failed at https://{address}:{port}/livez: status {status}"),
            Err(error) if began.elapsed() > limit => return Err(error.context(format!("failed while waiting for the control plane to start: kube-apiserver check failed at https://{address}:{port}/livez"))),
            _ => crate::time::sleep(Duration::from_millis(500)),
        }
    }
    say::out(&format!(
        "[control-plane-check] kube-apiserver is healthy after {:?}",
        began.elapsed()
    ));
    Ok(())
}

/// Calls again until the time is over, unless the API server has answered with a refusal.
///
/// # Errors
/// The last one.
pub(super) fn patiently<T>(limit: Duration, call: impl Fn() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match call() {
            Err(error) if client::code(&error).is_none() && began.elapsed() < limit => {
                crate::time::sleep(Duration::from_millis(500));
            }
            other => return other,
        }
    }
}

/// Labels and taints of a control plane, and where its runtime is.
///
/// # Errors
/// The API server refuses, or the node does not appear in time.
pub(super) fn mark(config: &Config, client: &Client) -> Result<()> {
    let name = config.node_name();
    let path = format!("/api/v1/nodes/{name}");
    let began = Instant::now();
    let limit = config.timeout("kubernetesAPICall");
    while client.find(&path)?.is_none() {
        if began.elapsed() > limit {
            bail!("nodes \"{name}\" not found");
        }
        crate::time::sleep(Duration::from_millis(500));
    }
    let default =
        || json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
    let taints = config.init["nodeRegistration"].get("taints").filter(|taints| !taints.is_null());
    let taints = taints.cloned().unwrap_or_else(default);
    let mut labels = json!({
        "node-role.kubernetes.io/control-plane": "",
        "node.kubernetes.io/exclude-from-external-load-balancers": "",
    });
    if version::own_minor() < 24 {
        labels["node-role.kubernetes.io/master"] = Value::from("");
    }
    say::out(&format!(
        "[mark-control-plane] Marking the node {name} as control-plane by adding the labels: [node-role.kubernetes.io/control-plane node.kubernetes.io/exclude-from-external-load-balancers]"
    ));
    say::out(&format!(
        "[mark-control-plane] Marking the node {name} as control-plane by adding the taints {taints}"
    ));
    let change = json!({"metadata": {"labels": labels}, "spec": {"taints": taints}});
    client.ask("PATCH", &path, Some(&change)).map(drop)
}
