//! Sample plans of all roles and options, and what the agent renders of them.

use pikube_agent::render::kubeadm;
use pikube_config::FirstbootPlan;

const ROLES: [&str; 3] = ["master", "control-plane", "worker"];

/// What an option changes: its name, and text in place of text of [`plan`].
const OPTIONS: &[(&str, &[(&str, &str)])] = &[
    ("nothing asked for", &[]),
    (
        "virtual address",
        &[("master = ", "address = \"192.168.1.250\"\nvirtual_ip = true\nmaster = ")],
    ),
    ("static master", &[("master = ", "address = \"192.168.1.20\"\nmaster = ")]),
    ("IPv6 address", &[("master = ", "address = \"fd00:1::20\"\nmaster = ")]),
    ("endpoint is an address", &[("cp.pikube.internal:6443", "192.168.1.20:6443")]),
    ("endpoint with a port", &[("cp.pikube.internal:6443", "k8s.example.org:8443")]),
    ("swap kept", &[("[kubernetes]", "[system]\nswap = \"keep\"\n[kubernetes]")]),
    ("containerd alone", &[("[kubernetes]", "[kubernetes]\nruntime = \"containerd\"")]),
    (
        "registry",
        &[("[kubernetes]", "[kubernetes]\nimage_repository = \"registry.example.org:5000/k8s\"")],
    ),
    (
        "registry without TLS",
        &[("[kubernetes]", "[kubernetes]\nimage_repository = \"http://10.0.0.2:5000\"")],
    ),
    ("pod addresses", &[("[kubernetes]", "[kubernetes]\npod_cidr = \"10.32.0.0/12\"")]),
    ("few pods", &[("[kubernetes]", "[kubernetes]\npod_cidr = \"172.20.0.0/23\"")]),
    ("many pods", &[("[kubernetes]", "[kubernetes]\npod_cidr = \"11.0.0.0/8\"")]),
    ("few services", &[("[kubernetes]", "[kubernetes]\nservice_cidr = \"172.30.0.0/28\"")]),
    (
        "service addresses",
        &[(
            "[kubernetes]",
            "[kubernetes]\nservice_cidr = \"10.240.0.0/16\"\npod_cidr = \"10.32.0.0/12\"",
        )],
    ),
    ("low memory", &[("[kubernetes]", "[kubernetes]\nforce_low_memory = true")]),
    (
        "Calico",
        &[(
            "[kubernetes]",
            "[kubernetes]\npod_network = \"calico\"\npod_network_manifest = \"https://example.org/calico.yaml\"",
        )],
    ),
    ("no pod network", &[("[kubernetes]", "[kubernetes]\npod_network = \"none\"")]),
    (
        "static address",
        &[(
            "[kubernetes]",
            "[[network.addresses]]\ninterface = \"eth0\"\naddress = \"192.168.1.21/24\"\nrouter = \"192.168.1.1\"\n[kubernetes]",
        )],
    ),
    (
        "two networks",
        &[(
            "[kubernetes]",
            "[network]\ninterface = \"eth1\"\n[[network.addresses]]\ninterface = \"eth0\"\naddress = \"10.0.0.7/8\"\n[[network.addresses]]\ninterface = \"eth1\"\naddress = \"172.16.5.9/30\"\n[kubernetes]",
        )],
    ),
    (
        "static IPv6 address",
        &[(
            "[kubernetes]",
            "[[network.addresses]]\ninterface = \"eth0\"\naddress = \"fd00:1::21/64\"\n[kubernetes]",
        )],
    ),
    (
        "long name",
        &[(
            "hostname = \"laperouse\"",
            "hostname = \"a23456789-123456789-123456789-123456789-123456789-123456789-123\"",
        )],
    ),
    ("name that begins with a digit", &[("hostname = \"laperouse\"", "hostname = \"1pi\"")]),
    ("cluster's name", &[("name = \"pikube\"", "name = \"la-boussole-2\"")]),
    ("token's end", &[("master = ", "token_expires = \"2026-12-05T00:00:00Z\"\nmaster = ")]),
];

fn plan(role: &str, version: &str) -> String {
    format!(
        r#"
schema = 1
[node]
hostname = "laperouse"
role = "{role}"
[cluster]
name = "pikube"
endpoint = "cp.pikube.internal:6443"
ca_hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
master = "astrolabe"
[kubernetes]
version = "{version}"
repository = "https://packages.example.org/deb/"
"#
    )
}

fn shown(text: &str) -> String {
    let plan = FirstbootPlan::from_toml(text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    kubeadm::shown(&plan).unwrap().text().to_owned()
}

/// `kubeadm.yaml` of every role with every option, and with all that go together, each under its name; the plan names the
/// patch version, and where nothing else is asked for also only the minor one.
pub fn rendered(version: &str) -> Vec<(String, String)> {
    let version = version.trim_start_matches('v');
    let minor = version.rsplit_once('.').unwrap().0;
    let together = ["virtual address", "swap kept", "registry", "low memory", "static address"];
    let all: Vec<(&str, &str)> = OPTIONS
        .iter()
        .filter(|(name, _)| together.contains(name))
        .flat_map(|(_, changes)| changes.iter().copied())
        .collect();
    let options = OPTIONS.iter().copied().chain([("all together", &all[..])]);
    let mut rendered = Vec::new();
    for (option, changes) in options {
        for role in ROLES {
            let versions = if changes.is_empty() { &[version, minor][..] } else { &[version][..] };
            for version in versions {
                let text = changes.iter().fold(plan(role, version), |text, (from, to)| {
                    assert!(text.contains(from), "{from}");
                    text.replacen(from, to, 1)
                });
                rendered.push((format!("{option}, {role}, {version}"), shown(&text)));
            }
        }
    }
    rendered
}

/// Of the legacy line: v1beta3.
pub fn legacy() -> Vec<String> {
    let mut texts = Vec::new();
    for version in ["1.22.17", "1.23.17", "1.26.15"] {
        for role in ROLES {
            for swap in ["off", "keep"] {
                let legacy = format!(
                    "[system]\nswap = \"{swap}\"\n[kubernetes]\nlegacy = true\ndownloads = \"https://example.org\"\n\
                     cni_plugins = \"https://example.org/cni-{{arch}}.tgz\""
                );
                let text = plan(role, version).replace("[kubernetes]", &legacy);
                texts.push(shown(&text));
            }
        }
    }
    texts
}
