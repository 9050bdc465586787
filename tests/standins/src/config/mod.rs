//! Configuration files, read as kubeadm reads them: strictly, with its defaults, and refused in its words.

pub(crate) mod defaults;
pub(crate) mod scalars;
pub(crate) mod schema;
mod validate;
pub(crate) mod yaml;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{place, say, version};
use schema::Schema;

/// What a command wants of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Only to know whether it is good.
    Validate,
    /// `init`, and what goes before it.
    Init,
    /// `join`.
    Join,
}

/// A good configuration with its defaults, in the shape of v1beta4 whatever the file was.
pub(crate) struct Config {
    /// `InitConfiguration`; of a join, what its `nodeRegistration` and `localAPIEndpoint` make of it.
    pub(crate) init: Value,
    /// `ClusterConfiguration`.
    pub(crate) cluster: Value,
    /// `JoinConfiguration`, if there is one.
    pub(crate) join: Option<Value>,
    /// `KubeletConfiguration`.
    pub(crate) kubelet: Value,
    /// `KubeProxyConfiguration`.
    pub(crate) proxy: Value,
}

const KINDS: [&str; 7] = [
    "InitConfiguration",
    "ClusterConfiguration",
    "JoinConfiguration",
    "ResetConfiguration",
    "UpgradeConfiguration",
    "KubeletConfiguration",
    "KubeProxyConfiguration",
];

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Whatever the real one refuses it for.
    pub(crate) fn load(path: &str, purpose: Purpose) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("unable to read config from \"{path}\""))?;
        Self::parse(&text, purpose)
    }

    /// What flags alone say.
    ///
    /// # Errors
    /// The version is none.
    pub(crate) fn of_flags(version: Option<&str>, repository: Option<&str>) -> Result<Self> {
        let mut text =
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n".to_owned();
        for (key, value) in [("kubernetesVersion", version), ("imageRepository", repository)] {
            text +=
                &value.map(|value| format!("{key}: {}\n", Value::from(value))).unwrap_or_default();
        }
        // nothing of this host matters
        text += "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 1.2.3.4}\n";
        if version::own_minor() < 31 {
            text = text.replace("v1beta4", "v1beta3");
        }
        Self::parse(&text, Purpose::Init)
    }

    fn parse(text: &str, purpose: Purpose) -> Result<Self> {
        let mut found: Vec<(&'static str, Value)> = Vec::new();
        let documents = yaml::documents(text).map_err(|error| named(text, error))?;
        if yaml::has_empty_document(text) {
            check("", "", &Value::Null)?;
        }
        for document in documents {
            let of = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default();
            let (api, kind) = (of("apiVersion").to_owned(), of("kind").to_owned());
            let kind = check(&api, &kind, &document)?;
            if found.iter().any(|(other, _)| *other == kind) {
                bail!("invalid configuration: kind \"{kind}\" is specified twice in YAML file");
            }
            found.push((kind, defaults::current_shape(&api, document)));
        }
        let take = |kind: &str| {
            found.iter().find(|(found, _)| *found == kind).map(|(_, document)| document.clone())
        };
        let (init, cluster, join) = (take(KINDS[0]), take(KINDS[1]), take(KINDS[2]));
        match purpose {
            Purpose::Init if init.is_none() && cluster.is_none() => {
                bail!(
                    "no InitConfiguration or ClusterConfiguration kind was found in the YAML file"
                )
            }
            Purpose::Join if join.is_none() => {
                bail!("no JoinConfiguration found in config file")
            }
            _ => {}
        }
        let is_init = purpose != Purpose::Join && (init.is_some() || cluster.is_some());
        let mut config = Self {
            init: init.unwrap_or_default(),
            cluster: cluster.unwrap_or_default(),
            join: join.filter(|_| purpose != Purpose::Init),
            kubelet: take("KubeletConfiguration").unwrap_or_default(),
            proxy: take("KubeProxyConfiguration").unwrap_or_default(),
        };
        defaults::apply(&mut config)?;
        if is_init {
            validate::init(&config)?;
        }
        if let Some(join) = &config.join {
            validate::join(join)?;
        }
        Ok(config)
    }

    /// The node's name.
    pub(crate) fn node_name(&self) -> &str {
        text(&self.init, "/nodeRegistration/name")
    }

    /// Address and port of the API server on this node.
    pub(crate) fn local_endpoint(&self) -> (String, u16) {
        let port = self.init.pointer("/localAPIEndpoint/bindPort").and_then(Value::as_u64);
        let port = port
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .unwrap_or(6443);
        (text(&self.init, "/localAPIEndpoint/advertiseAddress").to_owned(), port)
    }

    /// Host and port at which the cluster is reached: `controlPlaneEndpoint`, else this node.
    pub(crate) fn endpoint(&self) -> (String, u16) {
        let local = self.local_endpoint();
        let named = text(&self.cluster, "/controlPlaneEndpoint");
        match scalars::host_port(named) {
            Ok(endpoint) => endpoint,
            Err(_) if named.is_empty() => local,
            Err(_) => (named.to_owned(), local.1),
        }
    }

    /// One of the `timeouts` of this node's configuration.
    pub(crate) fn timeout(&self, name: &str) -> Duration {
        let of = self.join.as_ref().unwrap_or(&self.init);
        let text = text(of, &format!("/timeouts/{name}")).to_owned();
        scalars::duration(&text).unwrap_or(Duration::from_secs(60))
    }

    /// Names of the checks that may fail.
    pub(crate) fn ignored(&self) -> Vec<String> {
        let list = self.init.pointer("/nodeRegistration/ignorePreflightErrors");
        let list = list.and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase).collect()
    }
}

/// The text at this place (JSON pointer), or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Says of which document a decoder complains: the first kind of the file is as near as the real one's guess.
fn named(text: &str, error: anyhow::Error) -> anyhow::Error {
    if !error.to_string().starts_with("strict") {
        return error;
    }
    let line = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    error.context(unmarshal(&line("apiVersion:"), &line("kind:")))
}

fn check(api: &str, kind: &str, document: &Value) -> Result<&'static str> {
    let (group, number) = api.split_once('/').unwrap_or(("", api));
    if api.is_empty() || kind.is_empty() {
        bail!(
            "invalid configuration for GroupVersionKind {group}/{number}, Kind={kind}: kind and apiVersion is mandatory information that must be specified"
        );
    }
    if matches!(api, "kubeadm.k8s.io/v1beta1" | "kubeadm.k8s.io/v1beta2") {
        bail!(
            "your configuration file uses an old API spec: \"{api}\" (kind: \"{kind}\"). Please use kubeadm v1.22 instead and run 'kubeadm config migrate --old-config old-config-file --new-config new-config-file', which will write the new, similar spec using a newer API version."
        );
    }
    let minor = version::own_minor();
    let is_too_new = api == "kubeadm.k8s.io/v1beta4" && minor < 31;
    let is_too_old = api == "kubeadm.k8s.io/v1beta3" && minor > 36;
    if is_too_new || is_too_old {
        bail!(
            "no kind \"{kind}\" is registered for version \"{api}\" in scheme \"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme/scheme.go:28\""
        );
    }
    let known = KINDS.into_iter().find(|known| *known == kind);
    let (Some(schema), Some(kind)) = (Schema::of(api), known) else {
        bail!("unknown configuration APIs: []schema.GroupVersionKind{{{}}}", gvk(api, kind));
    };
    if !schema.has_kind(kind) {
        bail!("unknown configuration APIs: []schema.GroupVersionKind{{{}}}", gvk(api, kind));
    }
    if schema.api == "kubeadm.k8s.io/v1beta3" && minor > 30 {
        say::log(
            'W',
            &format!(
                "your configuration file uses a deprecated API spec: \"{api}\" (kind: \"{kind}\"). Please use 'kubeadm config migrate --old-config old-config-file --new-config new-config-file', which will write the new, similar spec using a newer API version."
            ),
        );
    }
    schema.check(kind, document).with_context(|| unmarshal(api, kind))?;
    if kind == "KubeletConfiguration" && minor < 27 {
        let newer = [
            "containerRuntimeEndpoint",
            "imageServiceEndpoint",
            "maxParallelImagePulls",
            "imageMaximumGCAge",
            "failCgroupV1",
            "crashLoopBackOff",
            "userNamespaces",
            "containerLogMaxWorkers",
            "containerLogMonitorInterval",
            "imagePullCredentialsVerificationPolicy",
        ];
        if let Some(field) = newer.into_iter().find(|field| document.get(field).is_some()) {
            bail!("{}: strict decoding error: unknown field \"{field}\"", unmarshal(api, kind));
        }
    }
    Ok(kind)
}

fn unmarshal(api: &str, kind: &str) -> String {
    format!("error unmarshaling configuration {}", gvk(api, kind))
}

fn gvk(api: &str, kind: &str) -> String {
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    format!("schema.GroupVersionKind{{Group:\"{group}\", Version:\"{version}\", Kind:\"{kind}\"}}")
}

/// The kubelet's own files, which it reads with the same strictness: `config.yaml` under `instance-config.yaml`.
///
/// # Errors
/// In the kubelet's words.
pub(crate) fn kubelet(path: &str) -> Result<Value> {
    let full = place::at(path);
    let text = place::read(path).with_context(|| {
        format!(
            "failed to load kubelet config file, path: {path}, error: failed to load Kubelet config file {path}, error failed to read kubelet config file \"{}\"",
            full.display()
        )
    })?;
    let mut documents = yaml::documents(&text)?;
    let document = if documents.is_empty() { Value::Null } else { documents.remove(0) };
    check(text_of(&document, "apiVersion"), text_of(&document, "kind"), &document)
        .with_context(|| format!("failed to load kubelet config file, path: {path}"))?;
    Ok(document)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
