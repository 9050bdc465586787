//! A node that is done gets another plan, as the launcher leaves it: installed, the marker gone.

use super::*;
use crate::host::scripted::{HASH, Node};

const PLAN: &str = "/etc/pikube/pikube.toml";
const MARKER: &str = "/var/lib/pikube/done";
const SECRETS: &str = "/etc/pikube/pikube-secrets.toml";
const ETH0: &str = "/etc/NetworkManager/system-connections/pikube-eth0.nmconnection";
const WIFI: &str = "/etc/NetworkManager/system-connections/pikube-wifi-1.nmconnection";

/// Done with its first plan, then changed and booted again.
fn changed(changes: &[(&str, &str)]) -> Node {
    let node = Node::pi();
    run_on(&node, &node).unwrap();
    let plan = changes.iter().fold(node.get(PLAN), |plan, (from, to)| plan.replace(from, to));
    assert_ne!(plan, node.get(PLAN));
    node.put(PLAN, plan);
    node.entries.borrow_mut().remove(MARKER);
    node.boot();
    node.said.borrow_mut().clear();
    node.log.borrow_mut().clear();
    node
}

fn run(node: &Node) {
    assert!(run_on(node, node).is_ok(), "{:#?}", node.said.borrow());
    assert!(node.exists(MARKER).unwrap());
}

#[test]
fn only_the_difference_is_applied_and_nothing_that_came_with_the_secrets_is_lost() {
    let node = changed(&[("192.168.1.21/24", "192.168.1.22/24"), ("laperouse", "fregate")]);
    let before = node.lasting();
    run(&node);
    assert!(node.get(ETH0).contains("192.168.1.22/24"));
    assert_eq!(node.get("/etc/hostname"), "fregate\n");
    assert!(node.get(WIFI).contains("psk=swordfishSECRET\n"), "the password is kept");
    assert!(node.get("/etc/shadow").contains(HASH), "so is the user's");
    let after = node.lasting();
    let different: Vec<&String> = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value))
        .map(|(p, _)| p)
        .collect();
    assert_eq!(
        different,
        [ETH0, "/etc/hostname", "/etc/hosts", MARKER, "/var/lib/pikube/pikube.toml"]
    );
    let journal = node.get(crate::journal::PATH);
    assert!(
        journal.contains(r#""step":"plan","event":"changed""#)
            && journal.contains("node, cluster, network")
    );
}

#[test]
fn settings_that_are_gone_are_taken_back() {
    let plan = crate::host::scripted::PLAN;
    let from = plan.find("[network]").unwrap();
    let network = &plan[from..plan.find("[user]").unwrap()];
    let node = changed(&[
        (network, ""),
        ("apt_mirror = \"http://mirror.example.org/pub/debian\"\n", ""),
        ("apt_proxy = \"http://192.168.1.2:3142\"\n", ""),
    ]);
    run(&node);
    assert!(!node.exists(ETH0).unwrap() && !node.exists(WIFI).unwrap());
    assert!(!node.exists("/etc/apt/apt.conf.d/90-pikube-proxy").unwrap());
    assert_eq!(node.get("/etc/apt/sources.list"), "deb http://a.example.org/debian trixie main\n");
    let preconfigured = "/etc/NetworkManager/system-connections/preconfigured.nmconnection";
    assert!(node.exists(preconfigured).unwrap(), "somebody else's");
}

#[test]
fn another_user_is_made_and_the_old_one_stays() {
    let node = changed(&[("captain", "admiral")]);
    node.put(SECRETS, "schema = 1\n[user]\npassword_hash = \"$6$saltsalt$admiral0123456789\"\n");
    run(&node);
    let shadow = node.get("/etc/shadow");
    assert!(
        shadow.contains("admiral:$6$saltsalt$admiral")
            && shadow.contains(&format!("captain:{HASH}"))
    );
    let said = node.said.borrow();
    assert!(
        said.iter().any(|line| line.starts_with("<4>") && line.contains("`captain` stays")),
        "{said:#?}"
    );
}

#[test]
fn an_image_s_known_password_is_taken_from_another_user_too() {
    // `pi` has one that the plan does not give; what the journal knows of `captain` says nothing about `pi`.
    let node = changed(&[("captain", "pi")]);
    node.put("/etc/shadow", node.get("/etc/shadow").replace("pi:!:", "pi:$5$raspberry:"));
    run(&node);
    assert!(node.get("/etc/shadow").contains("pi:*:"), "{}", node.get("/etc/shadow"));
}

#[test]
fn another_role_is_a_warning() {
    let node = changed(&[("\"master\"", "\"worker\"")]);
    run(&node);
    assert!(node.said.borrow().iter().any(|line| line.contains("was `master` and is `worker`")));
}

#[test]
fn new_secrets_alone_are_used() {
    let node = changed(&[("06:00:00Z", "07:00:00Z")]);
    let secrets = crate::host::scripted::SECRETS.replace("swordfish", "clownfish");
    node.put(SECRETS, secrets);
    run(&node);
    assert!(node.get(WIFI).contains("psk=clownfishSECRET\n"));
    assert!(!node.exists(SECRETS).unwrap());
    assert!(!node.get(crate::journal::PATH).contains("changed"), "the plan is the same");
}

#[test]
fn the_power_can_go_at_any_operation_of_a_change() {
    let changes: [(&str, &str); 3] = [
        ("192.168.1.21/24", "192.168.1.22/24"),
        ("captain", "admiral"),
        ("ssid = \"harbour\"", "ssid = \"harbour\"\nhidden = true"),
    ];
    let whole = changed(&changes);
    let before = whole.operations();
    run(&whole);
    let (lasting, count) = (whole.lasting(), whole.operations() - before);
    assert!(count > 30, "{count} operations");
    for cut in 1..=count {
        let node = changed(&changes);
        node.power_for(cut);
        assert!(run_on(&node, &node).is_err(), "cut at {cut}");
        node.boot();
        run(&node);
        super::tests::assert_same(&node, &lasting, cut);
    }
}
