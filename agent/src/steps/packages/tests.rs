//! What apt and the downloads do, and what becomes of it.

use pikube_config::{FirstbootPlan, Runtime};

use super::*;
use crate::host::scripted::Node;
use crate::host::scripted::packages::checksum;
use crate::plan::Facts;
use crate::steps::sources;

fn context(change: impl Fn(&mut pikube_config::Kubernetes)) -> Context {
    let mut plan = FirstbootPlan::from_toml(crate::host::scripted::PLAN).unwrap();
    change(plan.kubernetes.as_mut().unwrap());
    Context::new(plan, None, Facts::default())
}

fn plain() -> Context {
    context(|_| ())
}

/// With package sources.
fn node(context: &Context) -> Node {
    let node = Node::pi();
    (sources::STEP.apply)(context, &node).unwrap();
    node
}

fn make(context: &Context, node: &Node) {
    assert!(matches!(check(context, node), Ok(Check::Needed(_))));
    apply(context, node).unwrap();
    assert_eq!(check(context, node).unwrap(), Check::Satisfied);
}

fn person(context: &Context, node: &Node) -> (String, String) {
    // What a server does not have is asked for several times.
    let stop = (0..6).find_map(|_| match apply(context, node) {
        Err(Stop::Again(_)) => None,
        other => Some(other),
    });
    match stop {
        Some(Err(Stop::Person { what, help })) => (what, help),
        other => panic!("{other:?}"),
    }
}

fn again(context: &Context, node: &Node) -> String {
    match apply(context, node) {
        Err(Stop::Again(what)) => what,
        other => panic!("{other:?}"),
    }
}

fn version(node: &Node, name: &str) -> Option<String> {
    let status = node.get("/var/lib/dpkg/status");
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name} ")))?;
    Some(line.to_owned())
}

#[test]
fn one_transaction_brings_what_the_plan_names_and_holds_it() {
    let node = node(&plain());
    let ahead = download(&plain(), &node).unwrap().unwrap().to_string();
    make(&plain(), &node);
    for (name, state) in [
        ("kubelet", "1.36.4-1.1 hi"),
        ("kubectl", "1.36.4-1.1 hi"),
        ("containerd.io", "2.2.1-1~debian.13~trixie hi"),
        ("docker-ce", "5:29.1.0-1~debian.13~trixie ii"),
        ("libnss-mdns", "0.15.1-4 ii"),
    ] {
        assert_eq!(version(&node, name).as_deref(), Some(state), "{name}");
    }
    let log = node.log.borrow();
    let installs: Vec<&String> = log.iter().filter(|line| line.contains(" install ")).collect();
    assert_eq!(installs.len(), 1);
    assert_eq!(ahead.replace(" --download-only", ""), *installs[0]);
    assert!(!installs[0].contains("avahi"), "what is there is left alone");
    for option in ["-y", "Lock::Timeout", "Retries", "--force-confdef", "--force-confold"] {
        assert!(installs[0].contains(option), "{option}");
    }
    drop(log);
    assert!(download(&plain(), &node).unwrap().is_none());
}

#[test]
fn a_minor_version_is_its_newest_patch_and_a_changed_patch_is_exchanged() {
    let minor = context(|kubernetes| kubernetes.version = "1.36".to_owned());
    let node = node(&minor);
    make(&minor, &node);
    assert_eq!(version(&node, "kubeadm").as_deref(), Some("1.36.4-1.1 hi"));
    let older = context(|kubernetes| kubernetes.version = "1.36.3".to_owned());
    make(&older, &node);
    assert_eq!(version(&node, "kubeadm").as_deref(), Some("1.36.3-1.1 hi"));
    // A node of a cluster is upgraded by kubeadm, not by a new plan.
    node.put(INITIALISED, "");
    assert_eq!(check(&plain(), &node).unwrap(), Check::Satisfied);
}

#[test]
fn a_version_that_is_not_there_is_told_with_those_that_are() {
    let context = context(|kubernetes| kubernetes.version = "1.36.9".to_owned());
    let (what, help) = person(&context, &node(&context));
    assert!(what.ends_with("has no kubelet 1.36.9; it has 1.36.4, 1.36.3"), "{what}");
    assert!(help.contains("kubernetes.version"));
}

#[test]
fn the_system_s_own_packages_and_versions_that_do_not_go_together() {
    let own = |version: &str, runtime| {
        context(|kubernetes| {
            kubernetes.runtime_repository = None;
            kubernetes.version = version.to_owned();
            kubernetes.runtime = runtime;
        })
    };
    let docker = own("1.36.4", Runtime::Docker);
    let made = node(&docker);
    make(&docker, &made);
    assert!(version(&made, "docker.io").is_some() && version(&made, "docker-cli").is_some());
    assert_eq!(version(&made, "containerd").as_deref(), Some("1.7.24~ds1-6+deb13u1 ii"));
    let alone = own("1.36.4", Runtime::Containerd);
    let made = node(&alone);
    make(&alone, &made);
    assert!(version(&made, "docker.io").is_none());
    let newer = own("1.37.1", Runtime::Containerd);
    let made = node(&newer);
    let (what, help) = person(&newer, &made);
    assert!(what.contains("1.37 needs containerd 2.0 or later, not 1.7"), "{what}");
    assert!(help.contains("runtime_repository") && version(&made, "containerd").is_none());
}

#[test]
fn what_apt_stumbles_over_is_mended_once_waited_for_or_told() {
    let says = |text: &str, times| {
        let node = node(&plain());
        node.fail("apt-get -y", 100, text, times);
        node
    };
    for mended in [
        "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ",
        "E: Failed to fetch https://x.example.org/kubelet_1.36.4-1.1_arm64.deb  404  Not Found [IP: x]\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
        "E: Unable to locate package kubelet",
        "E: Unable to correct problems, you have held broken packages.",
        "Errors were encountered while processing:\n docker-ce\nE: Sub-process /usr/bin/dpkg returned an error code (1)",
    ] {
        make(&plain(), &says(mended, 1));
    }
    let node = says(
        "E: Failed to fetch https://x.example.org/k.deb  Hash Sum mismatch\n   Hashes of expected file:",
        1,
    );
    assert!(again(&plain(), &node).contains("Hash Sum mismatch"));
    assert!(node.log.borrow().iter().any(|line| line == "apt-get clean"));
    make(&plain(), &node);
    for passing in [
        "E: Failed to fetch https://x.example.org/k.deb  503  Service Unavailable [IP: x]",
        "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)",
        "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\nE: Failed to fetch https://x.example.org/k.deb  Connection timed out",
    ] {
        let node = says(passing, 1);
        again(&plain(), &node);
        make(&plain(), &node);
    }
    for (told, part) in [
        (
            "The following packages have unmet dependencies:\n docker-ce : Depends: containerd.io but it is not going to be installed\nE: Unable to correct problems, you have held broken packages.",
            "docker-ce : Depends: containerd.io",
        ),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "no space left"),
        (
            "Errors were encountered while processing:\n docker-ce\nE: Sub-process /usr/bin/dpkg returned an error code (1)",
            "`docker-ce` cannot be installed",
        ),
    ] {
        let (what, _) = person(&plain(), &says(told, 9));
        assert!(what.contains(part), "{what}");
    }
}

#[test]
fn lists_that_cannot_be_had_again_are_no_proof_that_a_package_is_not_there() {
    let node = node(&plain());
    let url = "https://packages.example.org/v1.36/deb/InRelease";
    node.fail("apt-get -y", 100, "E: Unable to locate package kubelet", 1);
    let update = package_manager::apt_get(["update"]).to_string();
    node.failing.borrow_mut().insert(
        0,
        (update, 0, format!("W: Failed to fetch {url}  503  Service Unavailable [IP: x]"), 1),
    );
    assert!(again(&plain(), &node).contains("503"));
    make(&plain(), &node);
}

/// A web server with binaries.
fn downloads(node: &Node, version: &str, architecture: &str) {
    for name in ["kubelet", "kubeadm", "kubectl"] {
        let url =
            format!("web:https://downloads.example.org/v{version}/bin/linux/{architecture}/{name}");
        node.put(&url, format!("the binary {name} of {version}"));
        node.put(&format!("{url}.sha256"), checksum(&node.get(&url)));
    }
    let url = format!("web:https://downloads.example.org/cni-{architecture}.tgz");
    node.put(&url, "plugins");
    node.put(
        &format!("{url}.sha256"),
        format!("{}  cni-{architecture}.tgz\n", checksum("plugins")),
    );
}

fn legacy(version: &str) -> Context {
    context(|kubernetes| {
        kubernetes.legacy = true;
        kubernetes.version = version.to_owned();
    })
}

/// HypriotOS: armhf, docker on the image, no mirror that lives.
fn hypriot() -> Node {
    let node = Node::pi();
    node.put("/etc/other-architecture", "armhf\n");
    node.put("/usr/bin/dockerd", "");
    downloads(&node, "1.23.17", "arm");
    node
}

#[test]
fn the_legacy_line_comes_as_binaries_without_apt() {
    let node = hypriot();
    node.fail("apt-get", 100, "E: a mirror that is dead", 99);
    let context = legacy("1.23.17");
    make(&context, &node);
    assert_eq!(node.get("/usr/bin/kubelet"), "the binary kubelet of 1.23.17");
    assert_eq!(node.access("/usr/bin/kubeadm"), Some(crate::host::Access::root(0o755)));
    assert!(node.exists("/opt/cni/bin/loopback").unwrap());
    assert!(
        node.get("/usr/lib/systemd/system/kubelet.service")
            .contains("ExecStart=/usr/bin/kubelet\n")
    );
    assert!(node.list("/var/cache/pikube").unwrap().is_empty());
    assert!(!node.log.borrow().iter().any(|line| line.starts_with("apt-get")));
    node.put("/usr/bin/kubelet", "another");
    assert!(
        matches!(check(&context, &node), Ok(Check::Needed(why)) if why.contains("/usr/bin/kubelet"))
    );
}

#[test]
fn a_binary_that_is_not_what_its_checksum_says_is_never_installed() {
    let node = hypriot();
    let url = "web:https://downloads.example.org/v1.23.17/bin/linux/arm/kubeadm";
    node.put(url, "half a bin");
    let context = legacy("1.23.17");
    assert!(again(&context, &node).contains("Hash Sum mismatch"));
    node.put(&format!("{url}.sha256"), "<html>Hotel</html>");
    assert!(again(&context, &node).contains("no checksum"));
    assert!(!node.exists("/usr/bin/kubeadm").unwrap());
    node.entries.borrow_mut().remove(&format!("{url}.sha256"));
    let (what, help) = person(&context, &node);
    assert!(what.contains("404") && help.contains("kubernetes.version"), "{what}");
    downloads(&node, "1.23.17", "arm");
    let fetched = |node: &Node| {
        let wanted = "/bin/linux/arm/kubelet /var/cache";
        node.log.borrow().iter().filter(|line| line.contains(wanted)).count()
    };
    assert_eq!(fetched(&node), 1);
    make(&context, &node);
    assert_eq!(fetched(&node), 1, "what is whole is not fetched again");
}

#[test]
fn the_power_can_go_while_binaries_are_installed() {
    let context = legacy("1.23.17");
    let whole = hypriot();
    let before = whole.operations();
    make(&context, &whole);
    let (lasting, count) = (whole.lasting(), whole.operations() - before);
    assert!(count > 40, "{count}");
    for cut in 1..=count {
        let node = hypriot();
        node.power_for(cut);
        assert!(apply(&context, &node).is_err(), "cut at {cut}");
        node.boot();
        if check(&context, &node).unwrap() != Check::Satisfied {
            apply(&context, &node).unwrap();
        }
        assert_eq!(check(&context, &node).unwrap(), Check::Satisfied, "cut at {cut}");
        let found = node.lasting();
        for (path, value) in &lasting {
            assert_eq!(found.get(path), Some(value), "{path}, cut at {cut}");
        }
    }
}

#[test]
fn binaries_take_the_place_of_packages_that_apt_refuses_with_the_newest_patch() {
    let minor = context(|kubernetes| kubernetes.version = "1.36".to_owned());
    let node = node(&minor);
    let repository = minor.plan.kubernetes.as_ref().unwrap().repository.clone().unwrap();
    crate::steps::origin::refuse(&node, &repository, "its key has expired").unwrap();
    downloads(&node, "1.36.5", "arm64");
    node.put("web:https://downloads.example.org/release/stable-1.36.txt", "v1.36.5\n");
    make(&minor, &node);
    assert_eq!(node.get("/usr/bin/kubectl"), "the binary kubectl of 1.36.5");
    assert!(version(&node, "kubelet").is_none() && version(&node, "docker-ce").is_some());
    assert!(version(&node, "conntrack").is_some());
}

#[test]
fn a_legacy_system_without_docker_gets_the_system_s_or_says_so() {
    let context = legacy("1.23.17");
    let node = hypriot();
    node.entries.borrow_mut().remove("/usr/bin/dockerd");
    (sources::STEP.apply)(&context, &node).unwrap();
    make(&context, &node);
    assert!(node.exists("/usr/sbin/dockerd").unwrap());
    let node = hypriot();
    node.entries.borrow_mut().remove("/usr/bin/dockerd");
    node.fail("apt-get", 100, "E: Unable to locate package docker.io", 99);
    let (what, help) = person(&context, &node);
    assert!(what.contains("no docker") && help.contains("image"), "{what}: {help}");
}
