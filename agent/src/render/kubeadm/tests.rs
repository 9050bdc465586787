//! The configurations, whole. The real kubeadm 1.36 has read those that it knows: `kubeadm config validate --config`.

use pikube_config::FirstbootPlan;

use super::*;

const PLAN: &str = r#"
schema = 1
[node]
hostname = "laperouse"
role = "master"
[cluster]
name = "pikube"
endpoint = "cp.pikube.internal:6443"
ca_hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
master = "laperouse"
[kubernetes]
version = "1.36"
repository = "https://pkgs.example.org/v1.36/deb/"
image_repository = "http://registry.example.org:5000/k8s"
downloads = "https://downloads.example.org"
cni_plugins = "https://downloads.example.org/cni-{arch}.tgz"
"#;

fn plan(changes: &[(&str, &str)]) -> FirstbootPlan {
    let text = changes.iter().fold(PLAN.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    FirstbootPlan::from_toml(&text).unwrap()
}

fn rendered(changes: &[(&str, &str)], version: &str) -> String {
    let plan = plan(changes);
    let member = Member {
        plan: &plan,
        kubernetes: plan.kubernetes.as_ref().unwrap(),
        cluster: plan.cluster.as_ref().unwrap(),
        version,
        address: "192.168.1.21",
        token: "abcdef.0123456789abcdef",
        token_ttl_s: 604_312,
    };
    member.configuration().to_string()
}

const WORKER: (&str, &str) = ("role = \"master\"", "role = \"worker\"");
const CONTROL_PLANE: (&str, &str) = ("role = \"master\"", "role = \"control-plane\"");
const LEGACY: (&str, &str) = ("version = \"1.36\"", "version = \"1.23.17\"\nlegacy = true");

/// `PIKUBE_UPDATE_GOLDEN=1` writes what is meant.
fn is_golden(name: &str, text: &str) {
    let path = format!("{}/src/render/kubeadm/golden/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PIKUBE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

#[test]
fn whole_configurations() {
    is_golden("init", &rendered(&[], "1.36.4"));
    is_golden("join", &rendered(&[WORKER], "1.36.4"));
    is_golden("join-control-plane", &rendered(&[CONTROL_PLANE], "1.36.4"));
    is_golden("legacy-init", &rendered(&[LEGACY], "1.23.17"));
    is_golden("legacy-join", &rendered(&[LEGACY, WORKER], "1.23.17"));
}

#[test]
fn settings_that_change_it() {
    const PATCHES: &str = "\npatches:\n  directory: \"/etc/pikube/patches\"\n";
    let swap = ("[kubernetes]", "[system]\nswap = \"keep\"\n[kubernetes]");
    for role in [("role", "role"), WORKER, CONTROL_PLANE] {
        let own = rendered(&[swap, role], "1.36.4");
        assert!(own.contains(PATCHES) && !own.contains("failSwapOn: false"), "{own}");
        assert!(!rendered(&[role], "1.36.4").contains("patches"), "{role:?}");
        let legacy = rendered(&[swap, role, LEGACY], "1.23.17");
        assert!(legacy.contains("fail-swap-on: \"false\"\n") && !legacy.contains("patches"));
    }
    let low = rendered(&[("[kubernetes]", "[kubernetes]\nforce_low_memory = true")], "1.36.4");
    assert!(low.contains("ignorePreflightErrors: [Mem]"));
    let containerd = ("[kubernetes]", "[kubernetes]\nruntime = \"containerd\"");
    assert!(rendered(&[LEGACY, containerd], "1.23.17").contains("containerd.sock"));
    let later = ("version = \"1.36\"", "version = \"1.26.15\"\nlegacy = true");
    assert!(rendered(&[later], "1.26.15").contains("containerd.sock"));
    let plain =
        rendered(&[("image_repository = \"http://registry.example.org:5000/k8s\"", "")], "1.36.4");
    assert!(!plain.contains("imageRepository"));
}

#[test]
fn shown_with_placeholders() {
    let static_address = (
        "[kubernetes]",
        "[[network.addresses]]\ninterface = \"eth0\"\naddress = \"192.168.1.21/24\"\n[kubernetes]",
    );
    let wifi = ("[[network.addresses]]", "[network]\ninterface = \"wlan0\"\n[[network.addresses]]");
    let shown = |changes: &[(&str, &str)]| shown(&plan(changes)).unwrap().text().to_owned();
    // All that differs from the node's own is the time that the token has left.
    let exact = ("version = \"1.36\"", "version = \"1.36.4\"");
    for role in [("role", "role"), WORKER, CONTROL_PLANE] {
        let own = rendered(&[role], "1.36.4").replace("604312s", "604800s");
        assert_eq!(shown(&[role, exact, static_address]), own);
    }
    let unknown = shown(&[]);
    assert!(unknown.contains("advertiseAddress: \"192.0.2.1\"\n"), "{unknown}");
    assert!(unknown.contains("kubernetesVersion: \"v1.36.0\"\n"), "{unknown}");
    // The cluster's interface is another than the one with the static address.
    assert!(shown(&[static_address, wifi]).contains("advertiseAddress: \"192.0.2.1\"\n"));
    let bare = "schema = 1\n[node]\nhostname = \"a\"\nrole = \"worker\"\n";
    assert_eq!(super::shown(&FirstbootPlan::from_toml(bare).unwrap()), None);
}

/// As `openssl dgst -sha256 -hmac` makes it: another one would leave a cluster's Secrets unreadable.
#[test]
fn the_key_for_secrets_is_the_same_on_every_control_plane() {
    let pem =
        |body: &str| format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let text = control_plane::encryption(&pem("c2E="));
    assert!(text.contains("secret: Xz1rrkb/2HWveB3Qdsoinaq/QsZXzboUXlFnDTVUOe0=\n"), "{}", *text);
    assert_ne!(*text, *control_plane::encryption(&pem("c2I=")));
}
