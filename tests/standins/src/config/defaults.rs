//! What a configuration says where it says nothing, and the older form brought into the shape of v1beta4.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::{Config, text};
use crate::{kubelet, link, place, version};

/// Brings a document of v1beta3 into the shape of v1beta4.
pub(super) fn current_shape(api: &str, mut document: Value) -> Value {
    if api == "kubeadm.k8s.io/v1beta3" {
        for pointer in ["/apiServer", "/controllerManager", "/scheduler", "/etcd/local"] {
            to_list(document.pointer_mut(pointer), "extraArgs");
        }
        to_list(document.pointer_mut("/nodeRegistration"), "kubeletExtraArgs");
        let wait = document.pointer("/apiServer/timeoutForControlPlane").cloned();
        if let Some(wait) = wait {
            document["timeouts"]["controlPlaneComponentHealthCheck"] = wait;
        }
        let wait = document.pointer("/discovery/timeout").cloned();
        if let Some(wait) = wait {
            document["timeouts"]["discovery"] = wait;
        }
    }
    document
}

fn to_list(owner: Option<&mut Value>, key: &str) {
    let Some(owner) = owner.and_then(Value::as_object_mut) else { return };
    if let Some(Value::Object(map)) = owner.remove(key) {
        let list = map.into_iter().map(|(name, value)| json!({"name": name, "value": value}));
        owner.insert(key.to_owned(), Value::Array(list.collect()));
    }
}

/// Fills in what is absent.
///
/// # Errors
/// A value from which others are made cannot be used, in kubeadm's words.
pub(super) fn apply(config: &mut Config) -> Result<()> {
    let own = version::own();
    let join = config.join.clone();
    // A joining node has an InitConfiguration too, made from its own registration and address.
    if let Some(join) = &join {
        let registration = join.get("nodeRegistration").cloned().unwrap_or_default();
        let endpoint = join.pointer("/controlPlane/localAPIEndpoint").cloned().unwrap_or_default();
        config.init = json!({"nodeRegistration": registration, "localAPIEndpoint": endpoint});
    }
    fill(
        &mut config.cluster,
        &json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
            "clusterName": "kubernetes", "certificatesDir": "/etc/kubernetes/pki",
            "imageRepository": if version::own_minor() < 25 { "k8s.gcr.io" } else { "registry.k8s.io" },
            "kubernetesVersion": own, "encryptionAlgorithm": "RSA-2048",
            "networking": {"serviceSubnet": "10.96.0.0/12", "dnsDomain": "cluster.local"},
        }),
    );
    if config.cluster.pointer("/etcd/external").is_none_or(Value::is_null) {
        fill(&mut config.cluster, &json!({"etcd": {"local": {"dataDir": "/var/lib/etcd"}}}));
    }
    fill(
        &mut config.init,
        &json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration",
            "nodeRegistration": {"name": kubelet::host_name(), "criSocket": cri_socket()},
            "localAPIEndpoint": {"bindPort": 6443},
            "timeouts": timeouts(),
        }),
    );
    if let Some(join) = &mut config.join {
        fill(join, &json!({"timeouts": timeouts(), "caCertPath": "/etc/kubernetes/pki/ca.crt"}));
        let token = text(join, "/discovery/bootstrapToken/token").to_owned();
        if !token.is_empty() && text(join, "/discovery/tlsBootstrapToken").is_empty() {
            join["discovery"]["tlsBootstrapToken"] = Value::from(token);
        }
    }
    fill(
        &mut config.kubelet,
        &json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "staticPodPath": "/etc/kubernetes/manifests", "clusterDomain": "cluster.local",
            "healthzBindAddress": "127.0.0.1", "healthzPort": 10248, "rotateCertificates": true,
            "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true},
                "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}},
            "authorization": {"mode": "Webhook"}, "cgroupDriver": "systemd",
        }),
    );
    fill(
        &mut config.proxy,
        &json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        }),
    );
    let services = text(&config.cluster, "/networking/serviceSubnet").to_owned();
    if let Some(address) = super::scalars::address_of(&services, 10) {
        fill(&mut config.kubelet, &json!({"clusterDNS": [address.to_string()]}));
    }
    let name = config.node_name().to_lowercase();
    config.init["nodeRegistration"]["name"] = Value::from(name);
    // Before validation, as the real one: an `expires` beside it is refused, and with it every `expires`.
    let tokens = config.init.get_mut("bootstrapTokens").and_then(Value::as_array_mut);
    for token in tokens.into_iter().flatten() {
        fill(token, &json!({"ttl": "24h0m0s"}));
    }
    address(config, join.as_ref())?;
    version_of(config)
}

fn timeouts() -> Value {
    json!({
        "controlPlaneComponentHealthCheck": "4m0s", "kubeletHealthCheck": "4m0s",
        "kubernetesAPICall": "1m0s", "etcdAPICall": "2m0s", "tlsBootstrap": "5m0s", "discovery": "5m0s",
    })
}

/// Where the runtime listens if the file does not say: docker's shim up to 1.23, containerd's socket since.
fn cri_socket() -> &'static str {
    let is_docker =
        place::exists("/run/docker.sock") || !place::exists("/run/containerd/containerd.sock");
    if version::own_minor() < 24 && is_docker {
        "/var/run/dockershim.sock"
    } else {
        "unix:///var/run/containerd/containerd.sock"
    }
}

/// The advertised address: an address, and that of the default route where none is given.
fn address(config: &mut Config, join: Option<&Value>) -> Result<()> {
    let given = text(&config.init, "/localAPIEndpoint/advertiseAddress").to_owned();
    if !given.is_empty() {
        let is_address = given.parse::<std::net::IpAddr>();
        let Ok(address) = is_address else {
            bail!(
                "couldn't use \"{given}\" as \"apiserver-advertise-address\", must be ipv4 or ipv6 address"
            );
        };
        if !address.is_unspecified() {
            return Ok(());
        }
    }
    match link::default_address() {
        Some(address) => {
            config.init["localAPIEndpoint"]["advertiseAddress"] = Value::from(address.to_string());
            Ok(())
        }
        // Since 1.37 a worker may do without one.
        None if join.is_some_and(|join| join.get("controlPlane").is_none())
            && version::own_minor() >= 37 =>
        {
            Ok(())
        }
        None => bail!("unable to select an IP from default routes."),
    }
}

/// A version that is one, and that this kubeadm can make.
fn version_of(config: &mut Config) -> Result<()> {
    let wanted = text(&config.cluster, "/kubernetesVersion").to_owned();
    let Some((major, minor, patch)) = version::parts(&wanted) else {
        let words = ["stable", "latest", "ci"];
        if words.iter().any(|word| wanted.starts_with(word)) {
            bail!(
                "could not fetch a Kubernetes version from the internet: unable to get URL \"https://dl.k8s.io/release/{wanted}.txt\""
            );
        }
        bail!(
            "version \"{wanted}\" doesn't match patterns for neither semantic version nor labels (stable, latest, ...)"
        );
    };
    let oldest = version::own_minor() - 1;
    // What comes before a release is older than it (semver.org, 11).
    let before_release = patch == 0 && wanted.contains('-');
    if (major, minor) < (1, oldest) || (major, minor) == (1, oldest) && before_release {
        bail!(
            "this version of kubeadm only supports deploying clusters with the control plane version >= 1.{oldest}.0. Current version: {wanted}"
        );
    }
    Ok(())
}

/// Puts in what is absent, maps into maps; lists and values stay as they are.
fn fill(value: &mut Value, with: &Value) {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    let (Some(map), Some(with)) = (value.as_object_mut(), with.as_object()) else { return };
    for (key, with) in with {
        let entry = map.entry(key.clone()).or_insert(Value::Null);
        match with {
            Value::Object(_) => fill(entry, with),
            other if entry.is_null() || entry == "" => *entry = other.clone(),
            _ => {}
        }
    }
}
