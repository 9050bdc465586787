//! What kubeadm checks of values that have the right type (`apis/kubeadm/validation`), in its words.

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Config, scalars, text};

/// Complaints, each with the path of the value.
struct Complaints(Vec<String>);

impl Complaints {
    fn add(&mut self, path: &str, value: &str, why: &str) {
        self.0.push(format!("{path}: Invalid value: \"{value}\": {why}"));
    }

    fn end(self) -> Result<()> {
        match &self.0[..] {
            [] => Ok(()),
            [one] => bail!("{one}"),
            all => bail!("[{}]", all.join(", ")),
        }
    }
}

/// `InitConfiguration` and `ClusterConfiguration`.
pub(super) fn init(config: &Config) -> Result<()> {
    let mut complaints = Complaints(Vec::new());
    let endpoint = text(&config.cluster, "/controlPlaneEndpoint");
    if !endpoint.is_empty() {
        // an address of IPv6 without a port is no host with one
        let host = match endpoint.contains(':') && endpoint.parse::<std::net::IpAddr>().is_err() {
            true => scalars::host_port(endpoint)?.0,
            false => endpoint.to_owned(),
        };
        if host.parse::<std::net::IpAddr>().is_err() && scalars::subdomain(&host).is_some() {
            bail!(
                "hostport {endpoint}: host '{host}' must be a valid IP address or a valid RFC-1123 DNS subdomain"
            );
        }
    }
    registration(&config.init, &mut complaints);
    port(&config.init, "localAPIEndpoint.bindPort", &mut complaints);
    certificate_key(&config.init, "certificateKey", &mut complaints);
    for (at, token) in list(&config.init, "/bootstrapTokens").iter().enumerate() {
        bootstrap_token(token, &format!("bootstrapTokens.{at}"), &mut complaints);
    }
    cluster(&config.cluster, &mut complaints);
    complaints.end()
}

fn cluster(cluster: &Value, complaints: &mut Complaints) {
    for (name, is_needed) in [("serviceSubnet", true), ("podSubnet", false)] {
        let subnets = text(cluster, &format!("/networking/{name}"));
        if subnets.is_empty() && !is_needed {
            continue;
        }
        let path = format!("networking.{name}");
        let parsed: Vec<_> = subnets.split(',').map(scalars::cidr).collect();
        if parsed.contains(&None) {
            complaints.add(&path, subnets, "couldn't parse subnet");
        } else if parsed.len() > 1 {
            let families = parsed.iter().flatten().map(|(address, _)| address.is_ipv4());
            if parsed.len() > 2 || families.collect::<std::collections::BTreeSet<_>>().len() < 2 {
                complaints.add(&path, subnets, "expected one (IPv4 or IPv6) CIDR or two CIDRs from each family for dual-stack networking");
            }
        }
    }
    sizes(cluster, complaints);
    let domain = text(cluster, "/networking/dnsDomain");
    if let Some(why) = scalars::subdomain(domain) {
        complaints.add("networking.dnsDomain", domain, why);
    }
    for owner in ["apiServer.certSANs", "etcd.local.serverCertSANs", "etcd.local.peerCertSANs"] {
        names(cluster, owner, complaints);
    }
    etcd(cluster, complaints);
    let images = text(cluster, "/imageRepository");
    if images.contains("://") || images.contains(' ') {
        complaints.add("imageRepository", images, "invalid image repository format");
    }
    let algorithm = text(cluster, "/encryptionAlgorithm");
    let known = ["ECDSA-P256", "ECDSA-P384", "RSA-2048", "RSA-3072", "RSA-4096"];
    if !known.contains(&algorithm) {
        let why = format!(
            "Invalid encryption algorithm \"{algorithm}\". Must be one of [{}]",
            known.join(" ")
        );
        complaints.add("encryptionAlgorithm", algorithm, &why);
    }
    absolute(cluster, "certificatesDir", "path is not absolute", complaints);
    let own = crate::version::own_minor();
    let until = |last, gate| if own <= last { gate } else { "" };
    let gates = [
        until(35, "ControlPlaneKubeletLocalMode"),
        until(36, "NodeLocalCRISocket"),
        until(36, "PublicKeysECDSA"),
        "RootlessControlPlane",
        "WaitForAllControlPlaneComponents",
    ];
    for gate in cluster
        .get("featureGates")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|map| map.keys())
    {
        if !gates.contains(&gate.as_str()) {
            complaints.0.push(format!(
                "featureGates: Invalid value: {}: {gate} is not a valid feature name.",
                cluster["featureGates"]
            ));
        }
    }
    for part in ["apiServer", "controllerManager", "scheduler", "etcd/local"] {
        arguments(cluster, &format!("/{part}/extraArgs"), complaints);
    }
}

/// Names for which a certificate is made.
fn names(cluster: &Value, path: &str, complaints: &mut Complaints) {
    let pointer = format!("/{}", path.replace('.', "/"));
    for name in list(cluster, &pointer).iter().filter_map(Value::as_str) {
        let plain = name.strip_prefix("*.").unwrap_or(name).to_lowercase();
        if let Some(why) = scalars::subdomain(&plain)
            && name.parse::<std::net::IpAddr>().is_err()
        {
            let why = format!(
                "altname is not a valid IP address, DNS label or a DNS label with subdomain wildcards: {why}"
            );
            complaints.add(path, name, &why);
        }
    }
}

fn etcd(cluster: &Value, complaints: &mut Complaints) {
    let part = |name: &str| cluster["etcd"].get(name).filter(|part| !part.is_null());
    if part("local").is_some() && part("external").is_some() {
        complaints.add("etcd", "", ".Etcd.Local and .Etcd.External are mutually exclusive");
    } else if let Some(external) = part("external") {
        if list(external, "/endpoints").is_empty() {
            complaints.add(
                "etcd.external.endpoints",
                "",
                "at least one endpoint must be specified",
            );
        }
    } else {
        absolute(cluster, "etcd.local.dataDir", "path is not absolute", complaints);
    }
}

fn absolute(owner: &Value, path: &str, why: &str, complaints: &mut Complaints) {
    let value = text(owner, &format!("/{}", path.replace('.', "/")));
    if !value.starts_with('/') {
        complaints.add(path, value, why);
    }
}

/// The key with which uploaded certificates are encrypted.
fn certificate_key(owner: &Value, path: &str, complaints: &mut Complaints) {
    let key = text(owner, &format!("/{}", path.replace('.', "/")));
    if key.is_empty() {
        return;
    }
    if let Some(bad) = key.chars().find(|letter| !letter.is_ascii_hexdigit()) {
        let why = format!("certificate key decoding error: encoding/hex: invalid byte: {bad:?}");
        complaints.add(path, key, &why);
    } else if key.len() % 2 == 1 {
        let why = "certificate key decoding error: encoding/hex: odd length hex string";
        complaints.add(path, key, why);
    } else if key.len() != 64 {
        complaints.add(path, key, "invalid certificate key length. Must be a hex encoded 32 bytes");
    }
}

/// Networks large enough, and services' not too large.
fn sizes(cluster: &Value, complaints: &mut Complaints) {
    let services = text(cluster, "/networking/serviceSubnet");
    if let Some((std::net::IpAddr::V4(_), bits)) = scalars::cidr(services) {
        if bits > 28 {
            let why = format!(
                "subnet with {} address(es) is too small, the minimum is 10",
                1_u64 << (32 - bits)
            );
            complaints.add("networking.serviceSubnet", services, &why);
        } else if bits < 12 {
            complaints.add("networking.serviceSubnet", services, "specified service subnet is too large; for 32-bit addresses, the mask must be >= 12");
        }
    }
    let pods = text(cluster, "/networking/podSubnet");
    if let Some((std::net::IpAddr::V4(_), bits)) = scalars::cidr(pods) {
        let why = match bits {
            ..8 => {
                format!("pod subnet mask ({bits}) and node-mask (24) difference is greater than 16")
            }
            8..=24 => return,
            _ => format!(
                "the size of pod subnet with mask {bits} is smaller than the size of node subnet with mask 24"
            ),
        };
        complaints.add("networking.podSubnet", pods, &why);
    }
}

fn registration(owner: &Value, complaints: &mut Complaints) {
    let name = text(owner, "/nodeRegistration/name");
    if name.is_empty() {
        complaints.0.push("nodeRegistration.name: Required value: --node-name or .nodeRegistration.name in the config file is a required value. It seems like this value couldn't be automatically detected in your environment, please specify the desired value using the CLI or config file.".into());
    } else if let Some(why) = scalars::subdomain(name) {
        complaints.add("nodeRegistration.name", name, why);
    }
    pull_policy(owner, complaints);
    let ignored = list(owner, "/nodeRegistration/ignorePreflightErrors");
    let is_all =
        ignored.iter().filter_map(Value::as_str).any(|name| name.eq_ignore_ascii_case("all"));
    if is_all && ignored.len() > 1 && crate::version::own_minor() < 35 {
        complaints.add(
            "ignore-preflight-errors",
            "all",
            "don't specify individual checks if 'all' is used",
        );
    }
    arguments(owner, "/nodeRegistration/kubeletExtraArgs", complaints);
}

fn pull_policy(owner: &Value, complaints: &mut Complaints) {
    let policy = text(owner, "/nodeRegistration/imagePullPolicy");
    if !["", "Always", "IfNotPresent", "Never"].contains(&policy) {
        complaints.add("nodeRegistration.imagePullPolicy", policy, "invalid pull policy");
    }
}

fn port(owner: &Value, path: &str, complaints: &mut Complaints) {
    let port = owner.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_i64);
    if let Some(port) = port.filter(|port| !(0..=65535).contains(port)) {
        complaints.0.push(format!("{path}: Invalid value: {port}: port number is not valid"));
    }
}

fn arguments(owner: &Value, pointer: &str, complaints: &mut Complaints) {
    for (at, argument) in list(owner, pointer).iter().enumerate() {
        if text(argument, "/name").is_empty() {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            complaints
                .0
                .push(format!("{path}: Invalid value: \"index {at}\": argument has no name"));
        }
    }
}

fn bootstrap_token(token: &Value, path: &str, complaints: &mut Complaints) {
    let has = |key: &str| token.get(key).is_some_and(|value| !value.is_null());
    if has("ttl") && has("expires") {
        complaints.add(
            path,
            "",
            "the BootstrapToken .TTL and .Expires fields are mutually exclusive",
        );
    }
    let usages = list(token, "/usages");
    let words = |list: &[Value]| Value::Array(list.to_vec()).to_string();
    for usage in usages.iter().filter_map(Value::as_str) {
        if !["signing", "authentication"].contains(&usage) {
            complaints.0.push(format!("{path}.usages: Invalid value: {}: invalid bootstrap token usage string: {usage}, valid usage options: signing,authentication", words(usages)));
        }
    }
    let groups = list(token, "/groups");
    let is_authenticating = usages.is_empty() || usages.contains(&Value::from("authentication"));
    if !groups.is_empty() && !is_authenticating {
        complaints.0.push(format!("{path}.groups: Invalid value: {}: token groups cannot be specified unless --usages includes \"authentication\"", words(groups)));
    }
    for group in groups.iter().filter_map(Value::as_str) {
        let name = group.strip_prefix("system:bootstrappers:").unwrap_or_default();
        let is_good = name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b":-".contains(&byte)
        });
        if name.is_empty() || !is_good || name.ends_with([':', '-']) {
            complaints.0.push(format!("{path}.groups: Invalid value: {}: bootstrap group \"{group}\" is invalid (must match \\Asystem:bootstrappers:[a-z0-9:-]{{0,255}}[a-z0-9]\\z)", words(groups)));
        }
    }
}

/// `JoinConfiguration`.
pub(super) fn join(join: &Value) -> Result<()> {
    let mut complaints = Complaints(Vec::new());
    let bootstrap = join.pointer("/discovery/bootstrapToken").filter(|value| !value.is_null());
    let file = join.pointer("/discovery/file").filter(|value| !value.is_null());
    match (bootstrap, file) {
        (None, None) => complaints.add("discovery", "", "bootstrapToken or file must be set"),
        (Some(_), Some(_)) => {
            complaints.add("discovery", "", "bootstrapToken and file cannot both be set");
        }
        (Some(bootstrap), None) => discovery(bootstrap, &mut complaints),
        (None, Some(_)) => complaints.add("discovery.file", "", "not supported by the stand-in"),
    }
    let token = text(join, "/discovery/tlsBootstrapToken");
    if !token.is_empty() && scalars::token(token).is_err() {
        complaints.add("discovery.tlsBootstrapToken", token, "the bootstrap token is invalid");
    }
    certificate_key(join, "controlPlane.certificateKey", &mut complaints);
    port(join, "controlPlane.localAPIEndpoint.bindPort", &mut complaints);
    let why = "the ca certificate path must be an absolute path";
    absolute(join, "caCertPath", why, &mut complaints);
    if !Value::is_null(join.get("nodeRegistration").unwrap_or(&Value::Null)) {
        let name = text(join, "/nodeRegistration/name").to_lowercase();
        if let Some(why) = scalars::subdomain(&name).filter(|_| !name.is_empty()) {
            complaints.add("nodeRegistration.name", &name, why);
        }
        pull_policy(join, &mut complaints);
        arguments(join, "/nodeRegistration/kubeletExtraArgs", &mut complaints);
    }
    complaints.end()
}

fn discovery(bootstrap: &Value, complaints: &mut Complaints) {
    let endpoint = text(bootstrap, "/apiServerEndpoint");
    let path = "discovery.bootstrapToken.apiServerEndpoint";
    if endpoint.is_empty() {
        complaints.0.push(format!("{path}: Required value: APIServerEndpoint is not set"));
    } else if !endpoint.contains(':') {
        // the port itself is only looked at when it is dialled
        complaints.add(path, endpoint, &format!("address {endpoint}: missing port in address"));
    } else if !endpoint.starts_with('[') && endpoint.matches(':').count() > 1 {
        complaints.add(path, endpoint, &format!("address {endpoint}: too many colons in address"));
    }
    let hashes = list(bootstrap, "/caCertHashes");
    let is_unsafe = bootstrap.get("unsafeSkipCAVerification").and_then(Value::as_bool);
    if hashes.is_empty() && is_unsafe != Some(true) {
        complaints.add("discovery.bootstrapToken.caCertHashes", "", "using token-based discovery without caCertHashes can be unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file or pass --discovery-token-unsafe-skip-ca-verification flag to continue");
    }
    let token = text(bootstrap, "/token");
    if scalars::token(token).is_err() {
        complaints.add("discovery.bootstrapToken.token", token, "the bootstrap token is invalid");
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
