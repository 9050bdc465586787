//! Certificates of a control plane in memory, as the years go by.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::*;
use crate::certificates::request::tests::{Wanted, csr, node_list};
use crate::commands::certificates::act_on;
use crate::commands::run::run_on;
use crate::host::scripted::Node;
use crate::host::scripted::kubernetes::{NODES, RENEWED, REQUESTS, SIGNED, kubeconfig_of};

const KUBELET: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// A certificate that ends on the first day of a year.
fn until(year: i32) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["laperouse".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    params.self_signed(&key).unwrap().pem()
}

/// A master that is done, whose certificates end with 2029, and whose kubelet's ends with `kubelet`.
fn master(kubelet: i32) -> Node {
    let node = Node::pi();
    run_on(&node, &node).unwrap();
    let old = until(2029);
    for path in ["apiserver.crt", "apiserver-etcd-client.crt", "etcd/server.crt"] {
        node.put(&format!("/etc/kubernetes/pki/{path}"), &old);
    }
    for name in ["admin", "super-admin", "scheduler"] {
        node.put(&format!("/etc/kubernetes/{name}.conf"), kubeconfig_of(&old));
    }
    node.put("/home/captain/.kube/config", kubeconfig_of(&old));
    node.put(KUBELET, until(kubelet));
    node.put(RENEWED, until(2034));
    node.active.borrow_mut().insert("kubelet.service".to_owned());
    node.log.borrow_mut().clear();
    node
}

fn at(node: &Node, year: i16, month: i8) {
    node.now.set(format!("{year}-{month:02}-01T00:00:00Z").parse().unwrap());
}

fn asked_for(node: &Node, start: &str) -> Vec<String> {
    node.log.borrow().iter().filter(|line| line.starts_with(start)).cloned().collect()
}

#[test]
fn the_step_sets_up_what_looks_after_them_and_a_reset_takes_it_away() {
    let node = master(2036);
    for unit in
        ["timers.target.wants/pikube-approve.timer", "timers.target.wants/pikube-renew.timer"]
    {
        assert!(node.exists(&format!("/etc/systemd/system/{unit}")).unwrap(), "{unit}");
    }
    // The kubelet starts nothing with certificates that have ended.
    let unit = node.get("/etc/systemd/system/pikube-renew.service");
    assert!(unit.contains("\nBefore=kubelet.service\n"), "{unit}");
    assert!(
        node.exists("/etc/systemd/system/multi-user.target.wants/pikube-renew.service").unwrap()
    );
    assert!(node.active.borrow().contains("pikube-approve.timer"));
    crate::commands::reset::reset_on(&node).unwrap();
    let left: Vec<String> =
        node.lasting().into_keys().filter(|path| path.contains("/pikube-")).collect();
    assert!(
        !left.iter().any(|path| path.contains("renew") || path.contains("approve")),
        "{left:?}"
    );
    assert!(!node.active.borrow().contains("pikube-approve.timer"));
}

#[test]
fn what_ends_soon_is_renewed_once_and_started_anew() {
    let node = master(2036);
    at(&node, 2028, 6);
    assert_eq!(act_on(&node, renew).unwrap(), Vec::<String>::new());
    assert!(asked_for(&node, "kubeadm certs").is_empty());
    at(&node, 2028, 8);
    let lines = act_on(&node, renew).unwrap();
    assert!(lines[0].contains("apiserver.crt") && lines[0].contains("2029-01-01"), "{lines:?}");
    assert_eq!(node.get("/etc/kubernetes/pki/etcd/server.crt"), node.get(RENEWED));
    assert_eq!(node.get("/home/captain/.kube/config"), node.get("/etc/kubernetes/admin.conf"));
    assert_eq!(asked_for(&node, "crictl").iter().filter(|line| line.contains(" stop ")).count(), 4);
    node.log.borrow_mut().clear();
    assert!(act_on(&node, renew).unwrap().is_empty());
    assert!(asked_for(&node, "kubeadm certs").is_empty() && asked_for(&node, "crictl").is_empty());
}

#[test]
fn after_years_without_power_a_control_plane_comes_up_with_certificates_that_hold() {
    let node = master(2030);
    node.boot();
    node.active.borrow_mut().remove("kubelet.service");
    at(&node, 2031, 5);
    let own = "somebody else's";
    node.put("/home/captain/.kube/config", own);
    let lines = act_on(&node, renew).unwrap();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let pair = node.get(KUBELET);
    assert!(pair.starts_with(&node.get(RENEWED)) && pair.contains("PRIVATE KEY"), "{pair}");
    assert!(node.read_link(KUBELET).unwrap().is_some(), "the kubelet moves the link on");
    assert_eq!(node.access("/var/lib/kubelet/pki/kubelet-client-pikube.pem").unwrap().mode, 0o600);
    // The kubelet is not up yet and would wait for this for ever.
    assert!(
        asked_for(&node, "systemctl restart").is_empty() && asked_for(&node, "crictl").is_empty()
    );
    assert_eq!(node.get("/home/captain/.kube/config"), own);
    assert!(act_on(&node, renew).unwrap().is_empty());
}

#[test]
fn an_agent_that_was_killed_before_the_restart_makes_up_for_it() {
    let node = master(2036);
    at(&node, 2028, 8);
    node.fail("crictl", 1, "killed", 1);
    assert!(act_on(&node, renew).is_err());
    node.log.borrow_mut().clear();
    assert!(act_on(&node, renew).unwrap().is_empty());
    assert_eq!(asked_for(&node, "crictl").iter().filter(|line| line.contains(" stop ")).count(), 4);
}

#[test]
fn a_node_that_is_none_yet_has_nothing_to_look_after() {
    let node = Node::pi();
    assert!(act_on(&node, renew).unwrap().is_empty() && act_on(&node, approve).unwrap().is_empty());
    assert!(asked_for(&node, "kube").is_empty());
}

#[test]
fn a_kubelet_s_own_request_is_approved_and_any_other_is_told_of_once() {
    let node = master(2036);
    let own = csr(&Wanted::of("fregate", "192.168.1.22"));
    let mut theirs =
        csr(&Wanted { names: vec!["kubernetes".into()], ..Wanted::of("fregate", "192.168.1.22") });
    theirs["metadata"] = json!({ "name": "csr-theirs", "uid": "2", "resourceVersion": "7" });
    let list = |items: &[&Value]| json!({ "items": items }).to_string();
    node.put(REQUESTS, list(&[&own, &theirs]));
    node.put(
        NODES,
        node_list(&[("laperouse", "192.168.1.21"), ("fregate", "192.168.1.22")]).to_string(),
    );
    let lines = act_on(&node, approve).unwrap();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("approved") && lines[0].contains("`fregate`"), "{lines:?}");
    assert!(lines[1].contains("`csr-theirs`") && lines[1].contains("`kubernetes`"), "{lines:?}");
    let signed = node.get(SIGNED);
    let (path, body) = signed.trim().split_once(' ').unwrap();
    assert!(path.ends_with("/certificatesigningrequests/csr-own/approval"), "{path}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"]["conditions"][0]["type"], "Approved");
    // What was judged is what is approved, or nothing.
    assert_eq!(body["metadata"]["resourceVersion"], own["metadata"]["resourceVersion"]);
    assert_eq!(body["spec"], own["spec"]);

    node.put(REQUESTS, list(&[&body, &theirs]));
    assert_eq!(act_on(&node, approve).unwrap(), Vec::<String>::new());
    assert_eq!(node.get(SIGNED), signed);
}
