//! Files, daemons and answers.

use pikube_config::FirstbootPlan;

use super::*;
use crate::host::scripted::Node;
use crate::plan::Facts;
use crate::render::runtime as paths;
use crate::steps::{packages, sources};

fn context(change: impl Fn(&mut Kubernetes)) -> Context {
    let mut plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
    change(plan.kubernetes.as_mut().unwrap());
    Context::new(plan, None, Facts::default())
}

/// With all packages.
fn node(context: &Context) -> Node {
    let node = Node::pi();
    (sources::STEP.apply)(context, &node).unwrap();
    (packages::STEP.apply)(context, &node).unwrap();
    node.log.borrow_mut().clear();
    node
}

fn make(context: &Context, node: &Node) {
    assert!(matches!(check(context, node), Ok(Check::Needed(_))));
    apply(context, node).unwrap();
    assert_eq!(check(context, node).unwrap(), Check::Satisfied);
}

fn count(node: &Node, line: &str) -> usize {
    node.log.borrow().iter().filter(|found| found.starts_with(line)).count()
}

#[test]
fn containerd_2_and_docker_run_and_are_restarted_only_for_something_new() {
    let plain = context(|_| ());
    let node = node(&plain);
    make(&plain, &node);
    let toml = node.get(paths::CONTAINERD);
    assert!(
        toml.starts_with("version = 3\n")
            && toml.contains("sandbox = 'registry.k8s.io/pause:3.10.2'")
    );
    assert!(
        node.get(paths::DROP_IN).contains("\nExecStart=\nExecStart=/usr/bin/containerd --config")
    );
    assert!(node.get(paths::NETWORK_MANAGER).contains("interface-name:veth*"));
    for unit in ["containerd.service", "docker.service", "kubelet.service"] {
        assert!(units::is_enabled(&node, unit).unwrap(), "{unit}");
    }
    assert!(!node.active.borrow().contains("kubelet.service"), "kubeadm starts it");
    assert!(!node.exists(paths::DOCKER).unwrap(), "docker's settings are the user's");
    apply(&plain, &node).unwrap();
    assert_eq!(count(&node, "systemctl restart containerd.service"), 1);
    let mirror = context(|kubernetes| {
        kubernetes.image_repository = Some("http://203.0.113.1:5000/k8s".to_owned());
    });
    make(&mirror, &node);
    assert!(node.get(paths::CONTAINERD).contains("'203.0.113.1:5000/k8s/pause:3.10.2'"));
    assert!(node.get("/etc/containerd/certs.d/203.0.113.1:5000/hosts.toml").contains("http://"));
    assert_eq!(count(&node, "systemctl restart containerd.service"), 2);
    assert_eq!(count(&node, "systemctl start docker.service"), 1);

    // The next boot: docker is on its way up, and a restart would begin anew.
    node.active.borrow_mut().remove("docker.service");
    make(&mirror, &node);
    assert_eq!(count(&node, "systemctl start docker.service"), 2);
    assert_eq!(count(&node, "systemctl restart docker.service"), 0);
}

#[test]
fn the_system_s_containerd_gets_the_older_format_and_docker_may_be_left_out() {
    let own = context(|kubernetes| {
        kubernetes.runtime_repository = None;
        kubernetes.runtime = Runtime::Containerd;
    });
    let node = node(&own);
    make(&own, &node);
    let toml = node.get(paths::CONTAINERD);
    assert!(toml.starts_with("version = 2\n") && toml.contains("sandbox_image = \"registry"));
    assert!(!node.active.borrow().contains("docker.service"));
}

#[test]
fn a_runtime_that_is_killed_before_it_has_read_its_settings_is_restarted() {
    let plain = context(|_| ());
    let node = node(&plain);
    make(&plain, &node);
    node.put(paths::CONTAINERD, "version = 3\n");
    node.fail("systemctl restart containerd.service", 1, "Job failed", 1);
    assert!(apply(&plain, &node).is_err());
    assert!(matches!(check(&plain, &node), Ok(Check::Needed(why)) if why.contains("has not read")));
    make(&plain, &node);
}

#[test]
fn a_runtime_that_stays_silent_is_waited_for_and_named() {
    let plain = context(|_| ());
    let node = node(&plain);
    node.fail("crictl", 1, "x\nunknown service runtime.v1.RuntimeService", 999);
    let Err(Stop::Again(what)) = apply(&plain, &node) else { panic!() };
    assert!(what.contains("CRI does not answer: unknown service"), "{what}");
    assert!(count(&node, "sleep") > 30);
    node.failing.borrow_mut().clear();
    assert_eq!(check(&plain, &node).unwrap(), Check::Satisfied);
    // Plain binaries come without crictl.
    node.entries.borrow_mut().remove("/usr/bin/crictl");
    assert_eq!(check(&plain, &node).unwrap(), Check::Satisfied);
    assert_eq!(count(&node, "ctr plugins ls"), 2);
}

#[test]
fn a_containerd_that_is_too_old_is_told() {
    let legacy = context(|kubernetes| {
        kubernetes.legacy = true;
        kubernetes.version = "1.25.16".to_owned();
    });
    let node = Node::pi();
    node.put("/usr/bin/containerd", "");
    node.put(
        "/etc/containerd-says",
        "containerd containerd.io 1.2.13 7ad184331fa3e55e52b890ea95e65ba581ae3429\n",
    );
    let Err(Stop::Person { what, help }) = apply(&legacy, &node) else { panic!() };
    assert!(what.contains("needs containerd 1.6 or later, not 1.2"), "{what}");
    assert!(help.contains("1.23 or older"), "{help}");
}

#[test]
fn docker_itself_gets_the_systemd_driver_where_nobody_has_set_one() {
    let legacy = context(|kubernetes| {
        kubernetes.legacy = true;
        kubernetes.version = "1.23.17".to_owned();
    });
    let hypriot = || {
        let node = Node::pi();
        node.put("/usr/bin/dockerd", "");
        node.put("/lib/systemd/system/docker.service", "");
        node.put("/lib/systemd/system/kubelet.service", "");
        node.put("/run/docker.sock", "");
        node
    };
    let node = hypriot();
    node.put(paths::DOCKER, "{\"labels\":[\"os=linux\"]}");
    make(&legacy, &node);
    assert!(node.get(paths::DOCKER).contains("native.cgroupdriver=systemd"));
    assert!(node.get(paths::DOCKER).contains("os=linux"));
    assert!(!node.exists(paths::CONTAINERD).unwrap() && !node.exists(paths::CRICTL).unwrap());
    assert_eq!(count(&node, "systemctl restart docker.service"), 1);
    let node = hypriot();
    let own = "{\"exec-opts\":[\"native.cgroupdriver=cgroupfs\"]}";
    node.put(paths::DOCKER, own);
    make(&legacy, &node);
    assert_eq!(node.get(paths::DOCKER), own);
    let node = hypriot();
    node.put(paths::DOCKER, "{");
    let Err(Stop::Person { what, .. }) = apply(&legacy, &node) else { panic!() };
    assert!(what.contains(paths::DOCKER), "{what}");
}
