//! Further control planes: what their cards carry, and where the nodes find the API server.
//!
//! Rung 1: files, no root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;

use desk::{Desk, fails, good, said, shell};

/// A switch of a card's cluster table.
fn is_virtual(desk: &Desk, card: &str) -> Option<bool> {
    let plan: toml::Table = desk.on_card(card, "pikube.toml").parse().unwrap();
    plan["cluster"].get("virtual_ip").map(|value| value.as_bool().unwrap())
}

fn server(desk: &Desk) -> (String, String) {
    let text = good(&mut desk.piflash(&["kubeconfig"]));
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.unwrap().trim().to_owned()
    };
    (value("server:"), value("tls-server-name:"))
}

#[test]
fn a_control_plane_has_all_four_pairs_and_a_worker_none() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--address", "10.55.0.10/24", "a.img"]);
    let further = [
        "--role",
        "control-plane",
        "--hostname",
        "astrolabe",
        "--address",
        "10.55.0.11/24",
        "b.img",
    ];
    desk.write(&further);
    desk.write(&["--hostname", "fregate", "c.img"]);
    let secrets =
        |card| -> toml::Table { desk.on_card(card, "pikube-secrets.toml").parse().unwrap() };
    for card in ["a.img", "b.img"] {
        for (key, file) in [
            ("ca_certificate", "ca.crt"),
            ("ca_key", "ca.key"),
            ("sa_public_key", "sa.pub"),
            ("sa_key", "sa.key"),
            ("front_proxy_ca_certificate", "front-proxy-ca.crt"),
            ("front_proxy_ca_key", "front-proxy-ca.key"),
            ("etcd_ca_certificate", "etcd-ca.crt"),
            ("etcd_ca_key", "etcd-ca.key"),
        ] {
            let kept = desk.state(&format!("pikube/{file}"));
            assert_eq!(
                secrets(card)["cluster"][key].as_str(),
                Some(kept.as_str()),
                "{card}: {key}"
            );
        }
        assert_eq!(
            shell(&desk, &format!("strings {card} | grep -c 'BEGIN PRIVATE KEY'")).trim(),
            "4"
        );
    }
    assert_eq!(shell(&desk, "strings c.img | grep -c 'PRIVATE KEY' || true").trim(), "0");
    for card in ["a.img", "b.img", "c.img"] {
        assert_eq!(desk.of_cluster(card, "endpoint").as_deref(), Some("cp.pikube.internal:6443"));
        assert_eq!(desk.of_cluster(card, "address").as_deref(), Some("10.55.0.10"));
        assert_eq!(is_virtual(&desk, card), None);
    }
}

#[test]
fn a_virtual_address_is_the_clusters_and_no_nodes() {
    let desk = Desk::new();
    let shared = ["--virtual-ip", "10.55.0.250"];
    let master = ["--hostname", "laperouse", "--address", "10.55.0.10/24", "a.img"];
    let with = |virtual_ip: &'static str| [&["--virtual-ip", virtual_ip], &master[..]].concat();
    desk.fails(
        &with("10.55.0.10"),
        3,
        &["10.55.0.10 is the cluster's virtual address", "`laperouse` would"],
    );
    desk.fails(
        &with("10.56.0.1"),
        3,
        &["10.56.0.1 is not in the network of `laperouse`, 10.55.0.10/24"],
    );
    desk.fails(&with("sea"), 2, &["--virtual-ip", "`sea` is not an IP address"]);
    assert!(!desk.path("a.img").exists() && !desk.path("state/pikube").exists());
    desk.write(&with("10.55.0.250"));
    // Later cards know it.
    let further = ["--role", "control-plane", "--hostname", "astrolabe", "--address"];
    let at = |address: &'static str| [&further[..], &[address, "b.img"]].concat();
    desk.fails(&at("10.55.0.250/24"), 3, &["which no node has for its own"]);
    desk.fails(&at("10.56.0.11/24"), 3, &["not in the network of `astrolabe`"]);
    desk.write(&at("10.55.0.11/24"));
    desk.write(&["--hostname", "fregate", "--address", "10.56.0.12/24", "c.img"]);
    for card in ["a.img", "b.img", "c.img"] {
        assert_eq!(desk.of_cluster(card, "endpoint").as_deref(), Some("cp.pikube.internal:6443"));
        assert_eq!(desk.of_cluster(card, "address").as_deref(), Some("10.55.0.250"));
        assert_eq!(is_virtual(&desk, card), Some(true));
    }
    assert_eq!(server(&desk), ("https://10.55.0.250:6443".into(), "cp.pikube.internal".into()));
    let set = ["inventory", "set", "fregate", "--address", "10.55.0.250"];
    fails(&mut desk.piflash(&set), 3, &["the cluster's virtual address"]);
    let mut configure = desk.piflash(&["configure", "--agent-dir", ".", "--yes"]);
    configure.args(["c.img", "--address", "10.55.0.250/24"]);
    fails(&mut configure, 3, &["the cluster's virtual address"]);
    // The master moves, the cluster's address does not.
    let mut configure = desk.piflash(&["configure", "--agent-dir", ".", "--yes"]);
    configure.args(["a.img", "--address", "10.55.0.20/24"]);
    good(&mut configure);
    assert_eq!(desk.of_cluster("a.img", "address").as_deref(), Some("10.55.0.250"));
    // Another one would be news to the cards that there are.
    let other = ["--virtual-ip", "10.55.0.251", "--hostname", "sloop", "d.img"];
    desk.fails(&other, 3, &["at 10.55.0.250, as the card of `laperouse` says", "--new-cluster"]);
    desk.write(&[&shared[..], &["--hostname", "sloop", "d.img"]].concat());
}

#[test]
fn an_endpoint_of_ones_own() {
    let desk = Desk::new();
    desk.fails(
        &["--endpoint", "api.sea:8443", "--hostname", "laperouse", "a.img"],
        2,
        &["--endpoint", "load balancer"],
    );
    desk.write(&[
        "--endpoint",
        "api.sea",
        "--hostname",
        "laperouse",
        "--address",
        "10.55.0.10/24",
        "a.img",
    ]);
    assert_eq!(desk.of_cluster("a.img", "endpoint").as_deref(), Some("api.sea:6443"));
    assert_eq!(desk.of_cluster("a.img", "address").as_deref(), Some("10.55.0.10"));
    assert_eq!(server(&desk), ("https://10.55.0.10:6443".into(), "api.sea".into()));
    // The only card is written again: nobody else knows the old one.
    desk.write(&["--endpoint", "10.55.0.5:8443", "--hostname", "laperouse", "a.img"]);
    assert_eq!(desk.of_cluster("a.img", "endpoint").as_deref(), Some("10.55.0.5:8443"));
    assert_eq!(desk.of_cluster("a.img", "address").as_deref(), Some("10.55.0.5"));
    assert_eq!(server(&desk), ("https://10.55.0.5:8443".into(), "kubernetes".into()));
    desk.write(&["--hostname", "fregate", "b.img"]);
    assert_eq!(desk.of_cluster("b.img", "endpoint").as_deref(), Some("10.55.0.5:8443"));
    desk.fails(
        &["--endpoint", "api.sea", "--hostname", "sloop", "c.img"],
        3,
        &["as the card of `laperouse` says"],
    );
}

#[test]
fn a_file_describes_three_control_planes() {
    let desk = Desk::new();
    let text = r#"
        virtual-ip = "10.55.0.250"
        router = "10.55.0.1"
        [[nodes]]
        hostname = "cp[1-3]"
        role = "control-plane"
        address = "10.55.0.[11-13]/24"
        [[nodes]]
        hostname = "laperouse"
        role = "master"
        address = "10.55.0.10/24"
    "#;
    fs::write(desk.path("c.toml"), text).unwrap();
    desk.write(&["--config", "c.toml", "--all", "a.img", "b.img", "c.img", "d.img"]);
    assert_eq!(
        desk.nodes(),
        ["cp1 control-plane", "cp2 control-plane", "cp3 control-plane", "laperouse master"]
    );
    assert_eq!(desk.of_cluster("a.img", "master").as_deref(), Some("laperouse"));
    assert_eq!(is_virtual(&desk, "b.img"), Some(true));
    fs::write(desk.path("c.toml"), text.replace("0.250", "0.13")).unwrap();
    let told = ["10.55.0.13 is the cluster's virtual address", "`cp3` would"];
    desk.fails(&["--config", "c.toml", "--all", "--new-cluster", "e.img"], 3, &told);
    let output =
        desk.writing(&["--config", "c.toml", "--hostname", "cp1", "e.img"]).output().unwrap();
    assert!(output.status.code() == Some(3) && !desk.path("e.img").exists(), "{}", said(&output));
}

/// The very lines that the project promises.
#[test]
fn three_cards_in_two_calls_are_a_cluster() {
    let desk = Desk::new();
    fs::copy(desk.image.path(), desk.path("os.img")).unwrap();
    let line = "\
        piflash() { program \"$@\" --image os.img --agent-dir .; }\n\
        piflash --hostname laperouse a.img --yes && piflash --hostname 'fregate,black-pearl' b.img c.img --yes && program inventory";
    let mut sh = std::process::Command::new("sh");
    let call = desk.piflash(&[]);
    for (name, value) in call.get_envs() {
        match value {
            Some(value) => sh.env(name, value),
            None => sh.env_remove(name),
        };
    }
    let line = line.replace("program", env!("CARGO_BIN_EXE_piflash"));
    let table = good(sh.args(["-c", &line]).current_dir(desk.folder.path()));
    let roles: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    let expected = [["laperouse", "master"], ["fregate", "worker"], ["black-pearl", "worker"]];
    assert!(expected.iter().all(|row| roles.iter().any(|found| found[..] == row[..])), "{table}");
    assert_eq!(desk.nodes().len(), 3);
    for card in ["b.img", "c.img"] {
        assert_eq!(
            shell(&desk, &format!("strings {card} | grep -ci 'private key' || true")).trim(),
            "0"
        );
    }
}
