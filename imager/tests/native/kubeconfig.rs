//! `piflash kubeconfig` with the real kubectl, of the control plane's own version and of its neighbours.

use std::fs;
use std::process::Command;

use pikube_tests::control_plane::ControlPlane;
use pikube_tests::kubernetes::{Programs, VERSION};

use super::desk::{Desk, good, said};
use super::{cluster, started};

/// kubectl of a version as its user types it: everything comes from `~/.kube/config`.
fn kubectl(desk: &Desk, version: &str, args: &[&str]) -> Command {
    let mut command = Command::new(Programs::of(version, &[]).unwrap().path("kubectl"));
    command.args(args).env_clear().env("HOME", desk.path("home"));
    command
}

fn merge(desk: &Desk, plane: &ControlPlane, cluster: &str) {
    let mut command = desk.piflash(&["kubeconfig", "--merge", "--cluster", cluster]);
    good(command.args(["--server", &plane.address()]));
}

#[test]
fn kubectl_is_in_with_what_was_merged() {
    let Some((desk, plane)) = cluster("kubectl with the merged kubeconfig", &[]) else { return };
    merge(&desk, &plane, "pikube");
    let ask = |args: &[&str]| good(&mut kubectl(&desk, VERSION, args));
    assert_eq!(ask(&["config", "current-context"]).trim(), "pikube");
    assert_eq!(ask(&["get", "--raw", "/readyz"]), "ok");
    let who = ask(&[
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username} {.status.userInfo.groups}",
    ]);
    assert!(
        who.starts_with("kubernetes-admin ") && who.contains("kubeadm:cluster-admins"),
        "{who}"
    );
    assert_eq!(ask(&["auth", "can-i", "*", "*"]).trim(), "yes");
    let applied = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hold, namespace: default}\ndata: {a: b}\n";
    fs::write(desk.path("hold.yaml"), applied).unwrap();
    let file = desk.path("hold.yaml").display().to_string();
    let said = ask(&["apply", "--server-side", "--field-manager=piflash", "-f", &file]);
    assert!(said.contains("configmap/hold serverside-applied"), "{said}");

    // A second cluster beside it, each by its context, whichever is selected.
    desk.write(&["--cluster", "other", "--hostname", "astrolabe", "o.img"]);
    let programs = Programs::of(VERSION, &[]).unwrap();
    let other = started("the second cluster of a kubeconfig", &programs, &desk, "o.img");
    other.admit_administrators().unwrap();
    merge(&desk, &other, "other");
    let mut contexts: Vec<String> =
        ask(&["config", "get-contexts", "-o", "name"]).lines().map(str::to_owned).collect();
    contexts.sort();
    assert_eq!(contexts, ["other", "pikube"]);
    assert_eq!(ask(&["config", "current-context"]).trim(), "other");
    let maps = |context: &str| ask(&["--context", context, "get", "cm", "-o", "name"]);
    assert!(maps("pikube").contains("configmap/hold") && !maps("other").contains("configmap/hold"));
    ask(&["config", "use-context", "pikube"]);
    assert!(ask(&["get", "cm", "-o", "name"]).contains("configmap/hold"));
    // Merged again over kubectl's own way of writing the file: renewed, not doubled.
    merge(&desk, &plane, "pikube");
    assert_eq!(ask(&["config", "get-contexts", "-o", "name"]).lines().count(), 2);
    assert_eq!(ask(&["get", "--raw", "/readyz"]), "ok");
}

#[test]
fn nobody_is_in_with_another_cluster_s_certificate() {
    let Some((desk, plane)) = cluster("kubectl of another cluster", &[]) else { return };
    desk.write(&["--cluster", "other", "--hostname", "astrolabe", "o.img"]);
    merge(&desk, &plane, "other");
    let ready = ["get", "--raw", "/version"];
    let output = kubectl(&desk, VERSION, &ready).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("x509"), "{}", said(&output));
    // Where it trusts the server blindly, the server does not know it.
    let config = desk.path("home/.kube/config");
    let text = fs::read_to_string(&config).unwrap();
    let lines = text.lines().filter(|line| !line.contains("certificate-authority-data"));
    let blind = lines.collect::<Vec<_>>().join("\n");
    let name = "    tls-server-name: cp.other.internal";
    fs::write(&config, blind.replace(name, "    insecure-skip-tls-verify: true")).unwrap();
    let output = kubectl(&desk, VERSION, &["get", "nodes"]).output().unwrap();
    let told = said(&output);
    assert!(!output.status.success() && told.contains("You must be logged in"), "{told}");
}

#[test]
fn the_neighbouring_versions_of_kubectl_are_in_too() {
    let test = "version skew of kubectl";
    let Some((desk, plane)) = cluster(test, &[]) else { return };
    merge(&desk, &plane, "pikube");
    for version in ["v1.35.4", "v1.37.2"] {
        if Programs::or_skip(&format!("{test}, {version}"), version, &["kubectl"]).is_none() {
            continue;
        }
        let output = kubectl(&desk, version, &["version"]).output().unwrap();
        let told = said(&output);
        assert!(output.status.success(), "{told}");
        assert!(told.contains(&format!("Client Version: {version}")), "{told}");
        assert!(told.contains(&format!("Server Version: {VERSION}")), "{told}");
        assert!(!told.contains("WARNING"), "{told}");
        assert_eq!(good(&mut kubectl(&desk, version, &["get", "--raw", "/readyz"])), "ok");
        assert_eq!(good(&mut kubectl(&desk, version, &["auth", "can-i", "*", "*"])).trim(), "yes");
    }
}
