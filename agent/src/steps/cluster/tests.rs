//! The whole run of a master and of a worker on a node in memory, with the power cut anywhere.

use pikube_config::{FirstbootPlan, Role, Secrets};

use super::*;
use crate::commands::run::run_on;
use crate::host::scripted::kubernetes::OBJECTS;
use crate::host::scripted::{Node, TOKEN};
use crate::host::{Host as _, Look as _};
use crate::plan::{Context, Facts, steps};
use crate::step::{Check, Stop};

fn context(node: &Node) -> Context {
    let plan = FirstbootPlan::from_toml(&node.get("/etc/pikube/pikube.toml")).unwrap();
    let secrets = Secrets::from_toml(&node.get("/etc/pikube/pikube-secrets.toml")).ok();
    Context::new(plan, secrets, Facts::of(node, false).unwrap())
}

fn commands(node: &Node, start: &str) -> usize {
    node.log.borrow().iter().filter(|line| line.starts_with(start)).count()
}

#[test]
fn a_master_makes_its_cluster_with_the_identity_of_its_card() {
    let node = Node::pi();
    run_on(&node, &node).unwrap();
    assert_eq!(commands(&node, "kubeadm init"), 1);
    assert!(node.get("/etc/kubernetes/pki/ca.crt").contains("\nCA\n"));
    assert!(node.get("/etc/kubernetes/pki/sa.pub").contains("\nSA\n"));
    assert_eq!(node.access("/etc/kubernetes/pki/ca.key").unwrap().mode, 0o600);
    assert_eq!(node.access("/home/captain/.kube/config").unwrap().owner, (1001, 1001));
    assert!(node.get("/etc/hosts").contains("192.168.1.21\tcp.pikube.internal\n"));
    assert!(node.get(OBJECTS).contains("daemonset/flannel"));
    assert!(!node.exists("/etc/pikube/kubeadm.yaml").unwrap());
    assert!(!node.exists("/run/containerd/probe").unwrap(), "the pod that was tried is left");
    let told = [node.said.borrow().join("\n"), node.log.borrow().join("\n")];
    for text in told.iter().chain(node.lasting().values().map(|(content, ..)| content)) {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[test]
fn a_worker_waits_for_its_master_and_joins() {
    let node = Node::worker();
    node.answering.borrow_mut().remove(":6443");
    let context = context(&node);
    let Err(Stop::Again(what)) = (join::STEP.apply)(&context, &node) else { panic!() };
    assert!(what.contains("the control plane, `laperouse`, is not there yet"), "{what}");
    assert!(node.get("/etc/hosts").contains("192.168.1.10\tcp.pikube.internal\n"));
    node.answering.borrow_mut().insert(":6443".to_owned(), Vec::new());
    node.put("/run/dns/laperouse.local", "192.168.1.12\n");
    (join::STEP.apply)(&context, &node).unwrap();
    assert!(node.get("/etc/hosts").contains("192.168.1.12\tcp.pikube.internal\n"), "it has moved");
    assert_eq!((join::STEP.check)(&context, &node).unwrap(), Check::Satisfied);
}

/// Whatever the moment at which the power goes: one cluster, one identity, no second init of what is complete.
#[test]
fn the_power_can_go_at_any_operation() {
    for make in [Node::pi, Node::worker] {
        let whole = make();
        let before = whole.operations();
        run_on(&whole, &whole).unwrap();
        let (lasting, count) = (whole.lasting(), whole.operations() - before);
        for cut in 1..=count {
            let node = make();
            node.power_for(cut);
            assert!(run_on(&node, &node).is_err(), "cut at {cut}");
            let complete = node.get(OBJECTS).contains("daemonset/kube-proxy");
            let joined = !node.get("/etc/kubernetes/kubelet.conf").is_empty()
                && context(&node).plan.node.role == Role::Worker;
            node.boot();
            node.log.borrow_mut().clear();
            run_on(&node, &node)
                .unwrap_or_else(|_| panic!("cut at {cut}: {:#?}", node.said.borrow()));
            crate::commands::run::tests::assert_same(&node, &lasting, cut);
            let inits = commands(&node, "kubeadm init") + commands(&node, "kubeadm join");
            assert!(!(complete || joined) || inits == 0, "a second time, cut at {cut}");
            assert!(!(complete || joined) || commands(&node, "kubeadm reset") == 0, "cut at {cut}");
        }
    }
}

#[test]
fn what_a_kubeadm_has_begun_is_undone_before_the_next_one() {
    let node = Node::pi();
    node.fail("kubeadm init", 1, "error: timed out waiting for the condition", 2);
    run_on(&node, &node).unwrap();
    assert_eq!(commands(&node, "kubeadm init"), 3);
    let said = node.said.borrow().join("\n");
    assert!(said.contains("`kubeadm init`: timed out waiting for the condition"), "{said}");
}

/// What kubeadm says once it has asked for its whole discovery time, whether the token was revoked or the control plane is
/// not that far.
#[test]
fn a_token_that_the_cluster_does_not_show_is_told_and_tried_on() {
    let node = Node::worker();
    let said = "error execution phase preflight: couldn't validate the identity of the API Server: could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"\nTo see the stack trace of this error execute with --v=5 or higher";
    node.fail("kubeadm join", 1, said, 3);
    run_on(&node, &node).unwrap();
    assert_eq!(commands(&node, "kubeadm join"), 4);
    let all = node.said.borrow();
    let told: Vec<&String> =
        all.iter().filter(|line| line.contains("that it has this card's token")).collect();
    for part in ["revoked", "still starting", "piflash token list", "configure --new-token"] {
        assert!(told[0].contains(part), "{told:?}");
    }
    assert_eq!(told.iter().filter(|line| line.starts_with('<')).count(), 1, "once: {told:?}");
    assert_eq!(node.get(crate::journal::PATH).matches("card's token").count(), 1);
}

/// crictl's lines are never the same twice; what is told of them is.
#[test]
fn an_image_that_cannot_be_pulled_is_told_once() {
    let node = Node::worker();
    for second in 10..20 {
        let line = format!(
            "time=\"2026-11-28T14:31:{second}Z\" level=fatal msg=\"pulling image: rpc error: code = Unknown desc = failed to pull and unpack image \\\"registry.k8s.io/pause:3.10.2\\\": dial tcp 192.168.1.21:410{second}->203.0.113.9:443: i/o timeout\""
        );
        node.fail(
            "crictl --runtime-endpoint=unix:///run/containerd/containerd.sock pull",
            1,
            &line,
            1,
        );
    }
    run_on(&node, &node).unwrap();
    let journal = node.get(crate::journal::PATH);
    assert_eq!(journal.matches("failed to pull and unpack image").count(), 1, "{journal}");
    assert!(!journal.contains("level=fatal") && !journal.contains(":41010"), "{journal}");
}

/// With a sum on the card, what comes in the manifest's place is not applied.
#[test]
fn a_manifest_is_the_one_that_the_card_means() {
    const URL: &str = "https://calico.example.org/calico.yaml";
    const MANIFEST: &str = "apiVersion: apps/v1\nkind: DaemonSet\n";
    let node = Node::pi();
    node.put(&format!("web:{URL}"), MANIFEST);
    let sum = crate::host::scripted::packages::checksum(MANIFEST);
    let with = |sum: &str| {
        let mut context = context(&node);
        let kubernetes = context.plan.kubernetes.as_mut().unwrap();
        kubernetes.pod_network = pikube_config::PodNetwork::Calico;
        kubernetes.pod_network_manifest = Some(URL.to_owned());
        kubernetes.pod_network_manifest_sha256 = Some(sum.to_owned());
        (pod_network::STEP.apply)(&context, &node)
    };
    for helper in [true, false] {
        if !helper {
            node.entries.borrow_mut().remove("/usr/lib/apt/apt-helper");
            node.put("/usr/bin/curl", "");
        }
        let other = "0a".repeat(32);
        let Err(Stop::Again(what)) = with(&other) else { panic!() };
        assert!(what.contains(URL) && what.to_lowercase().contains("sum"), "{what}");
        assert_eq!(
            commands(
                &node,
                "kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=20s apply"
            ),
            0
        );
        // It gets as far as to the API server, which is not there.
        let Err(Stop::Again(what)) = with(&sum) else { panic!() };
        assert!(what.contains("applying the network's manifest"), "{what}");
        node.log.borrow_mut().clear();
    }
}

#[test]
fn a_node_of_somebody_else_is_left_alone() {
    for path in ["/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests/etcd.yaml"] {
        let node = Node::pi();
        node.put(path, "theirs");
        assert!(run_on(&node, &node).is_err());
        assert_eq!(commands(&node, "kubeadm reset") + commands(&node, "kubeadm init"), 0);
        assert!(node.said.borrow().join("\n").contains("pikube-agent reset"));
        assert_eq!(node.get(path), "theirs");
    }
}

#[test]
fn a_card_of_another_cluster_does_not_take_a_node_away_from_its_own() {
    let node = Node::worker();
    run_on(&node, &node).unwrap();
    let plan = node.get("/etc/pikube/pikube.toml");
    node.put("/etc/pikube/pikube.toml", plan.replace("sha256:e3b0", "sha256:0000"));
    let Err(Stop::Person { what, help }) = (join::STEP.check)(&context(&node), &node) else {
        panic!()
    };
    assert!(what.contains("`pikube`") && help.contains("pikube-agent reset"), "{what}");
    // Another name of the master, or another address, is no other cluster.
    node.put("/etc/pikube/pikube.toml", plan.replace("master = \"laperouse\"", "master = \"x\""));
    assert_eq!((join::STEP.check)(&context(&node), &node).unwrap(), Check::Satisfied);
}

#[test]
fn what_cannot_heal_stops_at_once() {
    let late = Node::worker();
    late.set_clock("2027-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let Err(Stop::Person { what, help }) = (join::STEP.apply)(&context(&late), &late) else {
        panic!()
    };
    assert!(what.contains("2026-12-05") && help.contains("piflash configure"), "{what}");
    assert_eq!(commands(&late, "kubeadm"), 0);
    // The date of a web server is no proof of it.
    late.drop_below("/run/systemd/timesync");
    late.put("/run/pikube/time", "packages.example.org\n");
    let Err(Stop::Again(what)) = (join::STEP.apply)(&context(&late), &late) else { panic!() };
    assert!(what.contains("which may be wrong") && what.contains("--new-token"), "{what}");

    let small = Node::pi();
    small.put("/proc/meminfo", "MemTotal:         944392 kB\n");
    let Err(Stop::Person { what, help }) = (board::STEP.check)(&context(&small), &small) else {
        panic!()
    };
    assert!(what.contains("922") && help.contains("--force-low-memory"), "{what}");
    let worker = Node::worker();
    worker.put("/proc/meminfo", "MemTotal:         944392 kB\n");
    worker.root_bytes.set(31_000_000_000);
    assert_eq!((board::STEP.check)(&context(&worker), &worker).unwrap(), Check::Satisfied);
    worker.root_bytes.set(2_000_000_000);
    let Err(Stop::Person { what, .. }) = (board::STEP.check)(&context(&worker), &worker) else {
        panic!()
    };
    assert!(what.contains("2000 MB"), "{what}");
}

#[test]
fn ready_alone_is_not_the_end() {
    let node = Node::pi();
    let context = context(&node);
    for step in steps(&context.plan) {
        if step.id == "pod-network" {
            break;
        }
        if matches!((step.check)(&context, &node).unwrap(), Check::Needed(_)) {
            (step.apply)(&context, &node).unwrap();
        }
    }
    let Err(Stop::Again(what)) = (ready::STEP.apply)(&context, &node) else { panic!() };
    assert!(what.contains("cni plugin not initialized"), "{what}");
    (pod_network::STEP.apply)(&context, &node).unwrap();
    node.answering.borrow_mut().clear();
    let Err(Stop::Again(what)) = (ready::STEP.apply)(&context, &node) else { panic!() };
    assert!(what.contains("DNS at 10.96.0.10"), "{what}");
}

#[test]
fn a_reset_gives_the_node_back() {
    let node = Node::pi();
    run_on(&node, &node).unwrap();
    let told = crate::commands::reset::reset_on(&node).unwrap();
    assert!(told.contains("`laperouse` is out of its cluster"), "{told}");
    let left: Vec<String> = node
        .lasting()
        .into_keys()
        .filter(|path| {
            ["/etc/kubernetes/", "/var/lib/etcd/", "/etc/cni", "/.kube/"]
                .iter()
                .any(|part| path.contains(part))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!node.get("/etc/hosts").contains("cp.pikube.internal"));
    assert!(node.get("/etc/hostname").contains("laperouse"));
    // What the user has written stays.
    let node = Node::pi();
    run_on(&node, &node).unwrap();
    node.put("/home/captain/.kube/config", "of another cluster");
    crate::commands::reset::reset_on(&node).unwrap();
    assert_eq!(node.get("/home/captain/.kube/config"), "of another cluster");
}
