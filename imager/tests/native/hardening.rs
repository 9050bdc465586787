//! What the card's control plane is told to guard the cluster with, as the real programs understand it.

use std::fs;

use super::{control_plane, eventually};

const SECRET: &str = "kraken-under-the-keel";
const PLAIN: &str = "barnacle-on-the-hull";

/// Whether any file below a folder holds these bytes.
fn holds(folder: &std::path::Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.file_type().unwrap().is_dir() {
        true => holds(&entry.path(), text),
        false => memchr::memmem::find(&fs::read(entry.path()).unwrap(), text.as_bytes()).is_some(),
    })
}

#[test]
fn secrets_are_encrypted_in_etcd_and_the_audit_log_says_who_read_them() {
    let Some((_desk, plane)) = control_plane("encryption and audit", &[]) else { return };
    let literal = format!("--from-literal=a={SECRET}");
    plane.ask(["create", "secret", "generic", "treasure", &literal]).unwrap();
    plane.ask(["create", "configmap", "map", &format!("--from-literal=a={PLAIN}")]).unwrap();
    let read = plane.ask(["get", "secret", "treasure", "-o", "jsonpath={.data.a}"]).unwrap();
    assert!(!read.is_empty());
    let etcd = plane.path("etcd");
    assert!(holds(&etcd, PLAIN), "etcd's files are looked at where they are");
    assert!(holds(&etcd, "k8s:enc:secretbox:v1:pikube-1:"));
    assert!(!holds(&etcd, SECRET), "the Secret is in etcd as it is");

    let log = eventually("the audit log", || {
        let log = fs::read_to_string(plane.path("var/log/kubernetes/audit/audit.log")).ok()?;
        let has = |verb: &str| {
            log.lines().any(|line| {
                line.contains("\"name\":\"treasure\"")
                    && line.contains(&format!("\"verb\":\"{verb}\""))
            })
        };
        (has("create") && has("get")).then_some(log)
    });
    assert!(!log.contains(SECRET) && !log.contains(&read) && !log.contains("\"requestObject\""));
    for constant in ["\"resource\":\"leases\"", "\"resource\":\"events\""] {
        assert!(!log.contains(constant), "{constant} is logged");
    }
}

#[test]
fn a_pod_that_could_take_over_its_node_is_warned_of_and_profiling_is_off() {
    let Some((_desk, plane)) = control_plane("pod security and profiling", &[]) else { return };
    let run = ["run", "pirate", "--image=x", "--privileged", "--dry-run=server"];
    let warning = "would violate PodSecurity \"baseline:latest\": privileged";
    eventually("the warning", || {
        let output = plane.kubectl(run).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Until the controller manager has made the namespace's account, no pod is taken at all.
        (output.status.success() && said.contains(warning)).then_some(())
    });
    let own = [&run[..], &["--namespace=kube-system"]].concat();
    eventually("a pod of the cluster's own", || {
        let output = plane.kubectl(&own).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then(|| assert!(!said.contains("PodSecurity"), "{said}"))
    });
    let output = plane.kubectl(["get", "--raw", "/debug/pprof/"]).output().unwrap();
    assert!(!output.status.success(), "the API server shows its profile");
}
