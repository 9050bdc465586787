//! `kubeadm join`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use super::{manifests, phases};
use crate::api::members;
use crate::client::Client;
use crate::config::{Config, scalars, text, yaml};
use crate::kubeconfig::{self, Cluster, User};
use crate::pki::{self, Authority, Leaf, Use};
use crate::{faults, link, place, preflight, processes, say, token, version};

/// How often discovery is tried (kubeadm, `DiscoveryRetryInterval`).
const RETRY: Duration = Duration::from_secs(5);

/// Makes this node one of a cluster.
///
/// # Errors
/// In the real one's words; what was done by then stays, as with the real one.
pub(super) fn run(config: &Config) -> Result<()> {
    let join = config.join.clone().unwrap_or_default();
    let control_plane = join.get("controlPlane").is_some_and(|part| !part.is_null());
    preflight::root(config)?;
    say::out("[preflight] Running pre-flight checks");
    default_route(&join)?;
    preflight::join(config)?;
    faults::after("join", "preflight")?;
    let cluster = discover(config, &join).context(
        "error execution phase preflight: couldn't validate the identity of the API Server",
    )?;
    faults::after("join", "discovery")?;
    let bootstrap = text(&join, "/discovery/tlsBootstrapToken").to_owned();
    let client = Client::new(cluster.endpoint()?, Some(&cluster.ca), None, Some(&bootstrap))?;
    let (mut config, kubelet) = fetch(config, &client)?;
    if control_plane {
        prepare(&mut config)?;
        faults::after("join", "control-plane-prepare")?;
    }
    start(&config, &kubelet, &cluster, &bootstrap, &client, control_plane)
        .context("error execution phase kubelet-start")?;
    let wait = "error execution phase kubelet-wait-bootstrap";
    if control_plane {
        etcd(&config, &cluster).context("error execution phase etcd-join")?;
        faults::after("join", "etcd-join")?;
    }
    phases::wait_for_kubelet(&config, &kubelet).context(wait)?;
    bootstrapped(&config).context(wait)?;
    faults::after("join", "wait")?;
    place::remove("/etc/kubernetes/bootstrap-kubelet.conf")?;
    if control_plane {
        let admin = kubeconfig::client("/etc/kubernetes/admin.conf")?;
        // its own API server, not the one that the shared name leads to
        let own = Client::new(config.local_endpoint(), Some(&cluster.ca), None, None)?;
        phases::wait_for_api(&config, &own).context("error execution phase wait-control-plane")?;
        phases::mark(&config, &admin).context("error execution phase control-plane-join")?;
        say::out(
            "\nThis node has joined the cluster and a new control plane instance was created:\n\n* Certificate signing request was sent to apiserver and approval was received.\n* The Kubelet was informed of the new secure connection details.\n* Control plane label and taint were applied to the new node.\n* The Kubernetes control plane instances scaled up.\n* A new etcd member was added to the local/stacked etcd cluster.\n\nTo start administering your cluster from this node, you need to run the following as a regular user:\n\n\tmkdir -p $HOME/.kube\n\tsudo cp -i /etc/kubernetes/admin.conf $HOME/.kube/config\n\tsudo chown $(id -u):$(id -g) $HOME/.kube/config\n\nRun 'kubectl get nodes' to see this node join the cluster.\n",
        );
    } else {
        say::out(
            "\nThis node has joined the cluster:\n* Certificate signing request was sent to apiserver and a response was received.\n* The Kubelet was informed of the new secure connection details.\n\nRun 'kubectl get nodes' on the control-plane to see this node join the cluster.\n",
        );
    }
    Ok(())
}

/// Before 1.37 not even a worker joins without one.
fn default_route(join: &Value) -> Result<()> {
    let is_given = !text(join, "/controlPlane/localAPIEndpoint/advertiseAddress").is_empty();
    if version::own_minor() < 37 && !is_given && link::default_address().is_none() {
        bail!("unable to select an IP from default routes.");
    }
    Ok(())
}

/// The cluster that the token and the pinned keys prove (`discovery/token/token.go`).
fn discover(config: &Config, join: &Value) -> Result<Cluster> {
    let bootstrap = &join["discovery"]["bootstrapToken"];
    let endpoint = scalars::host_port(text(bootstrap, "/apiServerEndpoint"))?;
    let (id, secret) = scalars::token(text(bootstrap, "/token"))?;
    let limit = config.timeout("discovery");
    let named = format!("{}:{}", endpoint.0, endpoint.1);
    say::more(&format!(
        "[discovery] Created cluster-info discovery client, requesting info from \"{named}\""
    ));
    let anyone = Client::new(endpoint.clone(), None, None, None)?;
    let info = cluster_info(&anyone, id, limit)?;
    let pins: Vec<&str> = bootstrap["caCertHashes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for pin in &pins {
        allow(pin).context("invalid discovery token CA certificate hash")?;
    }
    let content = text(&info, "/data/kubeconfig");
    if content.is_empty() {
        bail!(
            "there is no kubeconfig key in the cluster-info ConfigMap. This API Server isn't set up for token bootstrapping, can't connect"
        );
    }
    let signature = text(&info, &format!("/data/{}{id}", token::SIGNATURE));
    if signature.is_empty() {
        bail!(
            "token id \"{id}\" is invalid for this cluster or it has expired. Use \"kubeadm token create\" on the control-plane node to create a new valid token"
        );
    }
    if signature != token::signature(content, id, secret) {
        bail!(
            "failed to verify JWS signature of received cluster info object, can't trust this API Server"
        );
    }
    let cluster = Cluster::of(content)?;
    if pins.is_empty() {
        return Ok(cluster);
    }
    let own = pki::pin(&cluster.ca)
        .context("failed to parse cluster CA from the cluster-info ConfigMap")?;
    if !pins.iter().any(|pin| pin.eq_ignore_ascii_case(&own)) {
        bail!(
            "cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"{own}\" are pinned"
        );
    }
    say::more(&format!(
        "[discovery] Requesting info from \"{named}\" again to validate TLS against the pinned public key"
    ));
    let sure = Client::new(endpoint, Some(&cluster.ca), None, None)?;
    let again = cluster_info(&sure, id, limit)?;
    if text(&again, "/data/kubeconfig") != content {
        bail!(
            "the second kubeconfig from the cluster-info ConfigMap (using validated TLS) was different from the first"
        );
    }
    Ok(cluster)
}

fn allow(pin: &str) -> Result<()> {
    let Some((kind, hex)) = pin.split_once(':') else {
        bail!("invalid hash, expected \"format:hex-value\". Known format(s) are: sha256");
    };
    if !kind.eq_ignore_ascii_case("sha256") {
        bail!("unknown hash format \"{kind}\". Known format(s) are: sha256");
    }
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) || hex.len() % 2 == 1 {
        bail!("invalid hash \"{pin}\", could not decode SHA-256 from hex");
    }
    if hex.len() != 64 {
        bail!(
            "invalid hash \"{pin}\", expected a 32 byte SHA-256 hash, found {} bytes",
            hex.len() / 2
        );
    }
    Ok(())
}

fn cluster_info(client: &Client, id: &str, limit: Duration) -> Result<Value> {
    let began = Instant::now();
    loop {
        let last = match client.get("/api/v1/namespaces/kube-public/configmaps/cluster-info") {
            Ok(info) if info["data"].get(format!("{}{id}", token::SIGNATURE)).is_some() => {
                return Ok(info);
            }
            Ok(_) => anyhow!(
                "could not find a JWS signature in the cluster-info ConfigMap for token ID \"{id}\""
            ),
            Err(error) => error.context("failed to request the cluster-info ConfigMap"),
        };
        if began.elapsed() + RETRY.min(limit) > limit {
            return Err(last);
        }
        crate::time::sleep(RETRY.min(limit));
    }
}

/// The cluster's own configuration and its kubelets', read with the token.
fn fetch(config: &Config, client: &Client) -> Result<(Config, Value)> {
    say::out(
        "[preflight] Reading configuration from the \"kubeadm-config\" ConfigMap in namespace \"kube-system\"...",
    );
    say::out(
        "[preflight] Use 'kubeadm init phase upload-config kubeadm --config your-config-file' to re-upload it.",
    );
    let limit = config.timeout("kubernetesAPICall");
    let what = "error execution phase preflight: unable to fetch the kubeadm-config ConfigMap: failed to get config map";
    let map = |name: &str, key: &str| -> Result<Value> {
        let path = format!("/api/v1/namespaces/kube-system/configmaps/{name}");
        let object = phases::patiently(limit, || client.get(&path)).context(what)?;
        let documents = yaml::documents(text(&object, &format!("/data/{key}")))?;
        documents.into_iter().next().context(what)
    };
    let name = match version::own_minor() {
        minor @ ..=23 => format!("kubelet-config-1.{minor}"),
        _ => "kubelet-config".to_owned(),
    };
    let cluster = map("kubeadm-config", "ClusterConfiguration")?;
    let kubelet = map(&name, "kubelet")?;
    let (init, join) = (config.init.clone(), config.join.clone());
    let (own, proxy) = (config.kubelet.clone(), config.proxy.clone());
    Ok((Config { init, cluster, join, kubelet: own, proxy }, kubelet))
}

/// What a further control plane needs before its kubelet starts.
fn prepare(config: &mut Config) -> Result<()> {
    let folder = text(&config.cluster, "/certificatesDir").to_owned();
    let shared = [
        "ca.crt",
        "ca.key",
        "sa.key",
        "sa.pub",
        "front-proxy-ca.crt",
        "front-proxy-ca.key",
        "etcd/ca.crt",
        "etcd/ca.key",
    ];
    let mut missing = Vec::new();
    for name in shared {
        if !place::exists(&format!("{folder}/{name}")) {
            missing.push(format!("failure loading {}: couldn't load {folder}/{name}: open {folder}/{name}: no such file or directory", match name {
                "ca.crt" | "ca.key" => "certificate for CA",
                "sa.key" | "sa.pub" => "key for service account",
                "front-proxy-ca.crt" | "front-proxy-ca.key" => "certificate for front-proxy CA",
                _ => "certificate for etcd CA",
            }));
        }
    }
    if text(&config.cluster, "/controlPlaneEndpoint").is_empty() {
        missing = vec!["unable to add a new control plane instance to a cluster that doesn't have a stable controlPlaneEndpoint address".into()];
    }
    if !missing.is_empty() {
        let list = match &missing[..] {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        };
        bail!(
            "error execution phase preflight: \nOne or more conditions for hosting a new control plane instance is not satisfied.\n\n{list}\n\nPlease ensure that:\n* The cluster has a stable controlPlaneEndpoint address.\n* The certificates that must be shared among control plane instances are provided.\n\n"
        );
    }
    say::out(
        "[preflight] Running pre-flight checks before initializing the new control plane instance",
    );
    preflight::further_control_plane(config)?;
    preflight::images(config)?;
    let phase = "error execution phase control-plane-prepare";
    phases::certificates(config).context(phase)?;
    phases::kubeconfigs(config, false).context(phase)
}

fn start(
    config: &Config,
    kubelet: &Value,
    cluster: &Cluster,
    token: &str,
    client: &Client,
    control_plane: bool,
) -> Result<()> {
    // A control plane's kubelet talks to its own API server, once that is there; here, to the one that is.
    let user = User::Token(token);
    let file = kubeconfig::render(
        &cluster.server,
        &cluster.ca,
        "kubernetes",
        "tls-bootstrap-token-user",
        &user,
    );
    place::write("/etc/kubernetes/bootstrap-kubelet.conf", &file, 0o600)?;
    let ca = config.join.as_ref().map_or("", |join| text(join, "/caCertPath"));
    if !place::exists(ca) {
        place::write(ca, &cluster.ca, 0o644)?;
    }
    faults::after("join", "bootstrap")?;
    let name = config.node_name();
    let node = match client.find(&format!("/api/v1/nodes/{name}")) {
        Ok(node) => node.unwrap_or_default(),
        Err(error) => return Err(error.context(format!("cannot get Node \"{name}\""))),
    };
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
    if conditions.into_iter().flatten().any(is_ready) {
        bail!(
            "a Node with name \"{name}\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node"
        );
    }
    if place::is_node() {
        // it crash-loops until it has its configuration; stopped, there is no race for the files
        let _ = processes::run("systemctl", &["stop", "kubelet"]);
    }
    phases::kubelet_start(config, kubelet, !control_plane)?;
    faults::after("join", "kubelet-start")
}

/// A copy of what the cluster has, and the static pods that serve it.
fn etcd(config: &Config, cluster: &Cluster) -> Result<()> {
    let folder = text(&config.cluster, "/certificatesDir");
    let ca = Authority::load(folder, "ca")?;
    let (name, group) = ("kubernetes-super-admin", Some("system:masters"));
    let pair = ca.issue(&Leaf { name, group, alternatives: vec![], purpose: Use::Client })?;
    let master = Client::new(cluster.endpoint()?, Some(&cluster.ca), Some(&pair), None)?;
    let data = text(&config.cluster, "/etcd/local/dataDir");
    let began = Instant::now();
    let leader = loop {
        match leader(&master, config.node_name()) {
            // a control plane's pods appear a little after it
            Err(_) if began.elapsed() < config.timeout("etcdAPICall") => {
                crate::time::sleep(Duration::from_millis(500));
            }
            other => break other?,
        }
    };
    members::join(&master, config.node_name(), data, &leader)?;
    manifests::write(config)
}

/// Address and port of the control plane that has been there longest, as its API server's pod tells.
fn leader(client: &Client, own: &str) -> Result<String> {
    let pods = client
        .get("/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver")?;
    let mut others: Vec<(&str, &str)> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pod| text(pod, "/spec/nodeName") != own)
        .map(|pod| {
            let annotations = &pod["metadata"]["annotations"];
            let endpoint =
                annotations.get("kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint");
            let endpoint = endpoint.and_then(Value::as_str).unwrap_or_default();
            (text(pod, "/metadata/creationTimestamp"), endpoint)
        })
        .collect();
    others.sort_unstable();
    let (_, endpoint) = others.first().context("could not retrieve the list of etcd endpoints")?;
    Ok((*endpoint).to_owned())
}

/// Waits for the kubelet's own certificate, and for its node.
fn bootstrapped(config: &Config) -> Result<()> {
    say::out("[kubelet-start] Waiting for the kubelet to perform the TLS Bootstrap");
    let limit = config.timeout("tlsBootstrap");
    let began = Instant::now();
    let path = format!("/api/v1/nodes/{}", config.node_name());
    loop {
        let client = kubeconfig::client("/etc/kubernetes/kubelet.conf");
        if client.is_ok_and(|client| matches!(client.find(&path), Ok(Some(_)))) {
            return Ok(());
        }
        if began.elapsed() > limit {
            bail!("failed while waiting for TLS bootstrap: timed out waiting for the condition");
        }
        crate::time::sleep(Duration::from_millis(500));
    }
}
