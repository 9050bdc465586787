//! The files of the contract as a program outside would write them.

use pikube_config::{FirstbootPlan, Role, Secrets, Swap};
use secrecy::ExposeSecret;

const WHOLE: &str = r#"
schema = 1
flashed_at = "2026-11-21T06:00:00Z"
[node]
hostname = "laperouse"
role = "master"
[cluster]
name = "pikube"
endpoint = "cp.pikube.internal:6443"
ca_hash = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[time]
timezone = "Europe/Paris"
ntp = ["0.debian.pool.ntp.org"]
[system]
locale = "en_GB.UTF-8"
keyboard = "gb"
swap = "off"
apt_mirror = ""
apt_proxy = "http://192.168.1.2:3142"
[user]
name = "pi"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6"]
[network]
interface = "eth0"
[[network.addresses]]
interface = "eth0"
address = "192.168.1.21/24"
router = "192.168.1.1"
dns = ["192.168.1.1"]
[wifi]
country = "FR"
[[wifi.networks]]
ssid = "Café du Port"
security = "wpa3"
hidden = true
[[wifi.networks]]
ssid = "harbour"
[kubernetes]
version = "1.36"
pod_network = "flannel"
pod_cidr = "10.244.0.0/16"
service_cidr = "10.96.0.0/12"
runtime = "docker"
force_low_memory = true
keep_16k_pages = true
runtime_repository = "https://download.docker.com/linux"
downloads = "https://dl.k8s.io"
image_repository = "http://203.0.113.1:5000/k8s"
repository = "https://pkgs.k8s.io/core:/stable:/v1.36/deb/"
addons = []
"#;

#[test]
fn the_whole_plan_reads_and_writes_the_same() {
    let plan = FirstbootPlan::from_toml(WHOLE).unwrap();
    assert_eq!(plan.node.role, Role::Master);
    assert_eq!(FirstbootPlan::from_toml(&plan.to_toml().unwrap()).unwrap(), plan);
}

#[test]
fn a_plan_of_the_legacy_line_says_what_that_means() {
    let supported = FirstbootPlan::from_toml(WHOLE).unwrap();
    assert!(!supported.to_toml().unwrap().contains("support"));
    let mut plan = supported;
    let kubernetes = plan.kubernetes.as_mut().unwrap();
    (kubernetes.legacy, kubernetes.version, kubernetes.repository) =
        (true, "1.23.17".to_owned(), None);
    kubernetes.cni_plugins = Some("https://example.org/cni-plugins-{arch}.tgz".to_owned());
    let text = plan.to_toml().unwrap();
    let warning = "[kubernetes]\n# Kubernetes 1.23.17 is out of support: it gets no fixes";
    assert!(text.contains(warning), "{text}");
    assert_eq!(FirstbootPlan::from_toml(&text).unwrap(), plan);
}

#[test]
fn the_smallest_plan_gets_the_defaults() {
    let plan =
        FirstbootPlan::from_toml("schema = 1\n[node]\nhostname = 'a'\nrole = 'worker'\n").unwrap();
    assert_eq!(plan.system.swap, Swap::Off);
    assert!(plan.network.addresses.is_empty() && plan.wifi.is_none());
    assert!(plan.user.is_none());
}

#[test]
fn all_problems_come_at_once_with_key_paths_and_hints() {
    let text = r#"
schema = 1
hostnme = "x"
time = "now"
[node]
hostnam = "laperouse"
role = "boss"
[system]
swap = 3
[user]
ssh_keys = ["nonsense", 4]
[[network.addresses]]
interface = "eth0"
address = "192.168.1.21"
gateway = "192.168.1.1"
[wifi]
networks = ["harbour"]
[kubernets]
version = "1.36"
"#;
    let problems = FirstbootPlan::from_toml(text).unwrap_err();
    let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    let expected = [
        "`hostnme`: is not a known key",
        "`kubernets`: is not a known key (did you mean `kubernetes`?)",
        "`network.addresses[0].address`: `192.168.1.21` lacks the length of its prefix, as in `192.168.1.21/24`",
        "`node.hostnam`: is not a known key (did you mean `node.hostname`?)",
        "`node.role`: `boss` is not a role; use master, control-plane, worker",
        "`system.swap`: must be a string, not an integer",
        "`time`: is a table, not a string",
        "`user.ssh_keys[0]`: is not an OpenSSH public key; it starts with `nonsense`, not with a type such as ssh-ed25519",
        "`user.ssh_keys[1]`: must be a string, not an integer",
        "`network.addresses[0].gateway`: is not a known key",
        "`wifi.networks[0]`: must be a table, not a string",
        "`wifi.country`: is missing",
        "`node.hostname`: is missing",
        "`user.name`: is missing",
    ];
    for line in expected {
        assert!(lines.iter().any(|found| found == line), "{line}\nnot in\n{problems}");
    }
    assert_eq!(lines.len(), expected.len(), "{problems}");
}

#[test]
fn another_schema_is_the_only_problem_that_is_told() {
    let problems = FirstbootPlan::from_toml("schema = 2\nfuture = true\n").unwrap_err();
    assert_eq!(problems.0.len(), 1);
    assert_eq!(problems.0[0].key, "schema");
}

#[test]
fn text_that_is_not_toml_names_the_place() {
    let problems = FirstbootPlan::from_toml("schema = 1\n[node\n").unwrap_err();
    assert!(problems.to_string().starts_with("line 2, column "), "{problems}");
}

#[test]
fn a_router_outside_the_network_is_a_problem() {
    let text = WHOLE.replace("router = \"192.168.1.1\"", "router = \"192.168.2.1\"");
    let problems = FirstbootPlan::from_toml(&text).unwrap_err();
    assert_eq!(problems.0[0].key, "network.addresses[0].router");
}

#[test]
fn interfaces_and_networks_are_there_once() {
    let address = |interface: &str, last: u8| {
        format!(
            "[[network.addresses]]\ninterface = '{interface}'\naddress = '10.0.0.{last}/24'\nrouter = '10.0.0.1'\n"
        )
    };
    let text = format!(
        "schema = 1\n[node]\nhostname = 'a'\nrole = 'worker'\n{}{}[wifi]\ncountry = 'FR'\nnetworks = [{{ ssid = 'a' }}, {{ ssid = 'a' }}]\n",
        address("eth0", 2),
        address("eth0", 3)
    );
    let problems = FirstbootPlan::from_toml(&text).unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    let expected =
        ["network.addresses[1].interface", "network.addresses[1].router", "wifi.networks[1].ssid"];
    assert_eq!(keys, expected, "{problems}");
}

#[test]
fn secrets_round_trip_and_never_show() {
    let text = "schema = 1\n[user]\npassword_hash = '$6$saltsalt$0123456789abcdef'\n[cluster]\ntoken = 'abcdef.0123456789abcdef'\n\
                [[wifi.networks]]\nssid = 'harbour'\npassword = 'sea and salt'\n";
    let secrets = Secrets::from_toml(text).unwrap();
    let again = Secrets::from_toml(&secrets.to_toml().unwrap()).unwrap();
    assert_eq!(again.wifi_password("harbour").unwrap().expose_secret(), "sea and salt");
    assert_eq!(again.token.unwrap().expose_secret(), "abcdef.0123456789abcdef");
    let shown = r#"Secrets(["user.password_hash", "cluster.token", "wifi.networks"])"#;
    assert_eq!(format!("{secrets:?}"), shown);
}

#[test]
fn a_bad_secret_is_told_without_its_value() {
    let text = "schema = 1\n[user]\npassword_hash = 'swordfish'\npasword = 'swordfish'\n[cluster]\ntoken = \"swordfish";
    for text in [text, text.split("[cluster]").next().unwrap()] {
        let problems = Secrets::from_toml(text).unwrap_err();
        assert!(!problems.to_string().contains("swordfish"), "{problems}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_but_never_panics(text in "\\PC{0,200}") {
        let _ = FirstbootPlan::from_toml(&text);
        let _ = Secrets::from_toml(&text);
    }

    #[test]
    fn any_hostname_that_passes_survives_the_file(name in "[a-zA-Z0-9._-]{0,70}") {
        let text = format!("schema = 1\n[node]\nhostname = '{name}'\nrole = 'worker'\n");
        if let Ok(plan) = FirstbootPlan::from_toml(&text) {
            proptest::prop_assert_eq!(plan.node.hostname, name);
        }
    }
}

#[test]
fn a_plan_that_cannot_be_used_still_says_whose_it_is() {
    let text = "schema = 1\nflashed_at = 7\n[node]\nhostname = 'fregate'\nrole = 'worker'\n";
    assert!(FirstbootPlan::from_toml(text).is_err());
    assert_eq!(FirstbootPlan::identity(text), (Some("fregate".to_owned()), Some(Role::Worker)));
    let text = "[node]\nhostname = 'Fregate'\nrole = 'boss'\n";
    assert_eq!(FirstbootPlan::identity(text), (None, None));
    assert_eq!(FirstbootPlan::identity("not TOML"), (None, None));
}

#[test]
fn kubernetes_that_cannot_be_is_refused_with_every_reason() {
    let kubernetes = |table: &str| {
        let text = format!("schema = 1\n[node]\nhostname = \"a\"\nrole = \"worker\"\n{table}");
        FirstbootPlan::from_toml(&text).unwrap_err().to_string()
    };
    for (table, parts) in [
        ("[kubernetes]\nversion = \"1.36\"", &["`cluster`: is missing", "repository"][..]),
        ("[kubernetes]\nversion = \"1.28.1\"", &["older than 1.31", "legacy line"][..]),
        (
            "[kubernetes]\nversion = \"1.27\"\nlegacy = true\npod_network = \"calico\"",
            &["ends with 1.26", "needs a patch", "downloads", "cni_plugins", "Calico has no"][..],
        ),
        (
            "[kubernetes]\nversion = \"1.36\"\npod_cidr = \"10.0.0.0/8\"",
            &["service_cidr`: overlaps"][..],
        ),
    ] {
        let said = kubernetes(table);
        for part in parts {
            assert!(said.contains(part), "{part} not in {said}");
        }
    }
}
