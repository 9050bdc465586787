//! A whole cluster from a file: one node of it, all at once, one card after the other, and what is wrong with it.
//!
//! Rung 1: files, and a terminal of script(1); no root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::fs;

use desk::{Desk, fails, good, said};
use terminal::Terminal;

const SEA: &str = r#"
cluster = "sea"
timezone = "Europe/Paris"
keyboard = "fr"
password-file = "password"
router = "10.55.0.1"
pod-network = "calico"

[[nodes]]
hostname = "laperouse"
role = "master"
address = "10.55.0.10/24"

[[nodes]]
hostname = "pi[01-02]"
address = "10.55.0.[21-22]/24"
keyboard = "gb"

[[nodes]]
hostname = "sloop"
config-txt = ["dtparam=i2c_arm=on"]
"#;

fn desk(text: &str) -> Desk {
    let desk = Desk::new();
    fs::create_dir(desk.path("sea")).unwrap();
    fs::write(desk.path("sea/cluster.toml"), text).unwrap();
    fs::write(desk.path("sea/password"), "swordfish\n").unwrap();
    desk
}

const FILE: [&str; 2] = ["--config", "sea/cluster.toml"];

fn with(args: &[&'static str]) -> Vec<&'static str> {
    [&FILE[..], args].concat()
}

fn plan(desk: &Desk, card: &str) -> toml::Table {
    desk.on_card(card, "pikube.toml").parse().unwrap()
}

fn address(plan: &toml::Table) -> &str {
    plan["network"]["addresses"][0]["address"].as_str().unwrap()
}

/// `NAME ROLE` of the nodes that have a card.
fn nodes(desk: &Desk) -> Vec<String> {
    let table = good(&mut desk.piflash(&["inventory", "--cluster", "sea"]));
    let words = table.lines().skip(1).map(|line| line.split_whitespace().take(2));
    words.map(|words| words.collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_worker_that_is_written_first_knows_the_master_of_the_file() {
    let desk = desk(SEA);
    desk.write(&with(&["--hostname", "pi02", "a.img"]));
    let plan = plan(&desk, "a.img");
    assert_eq!(plan["node"]["role"].as_str(), Some("worker"));
    assert_eq!(address(&plan), "10.55.0.22/24");
    assert_eq!(plan["network"]["addresses"][0]["router"].as_str(), Some("10.55.0.1"));
    assert_eq!(plan["time"]["timezone"].as_str(), Some("Europe/Paris"));
    assert_eq!(plan["system"]["keyboard"].as_str(), Some("gb"));
    assert_eq!(plan["kubernetes"]["pod_network"].as_str(), Some("calico"));
    for (key, value) in [("name", "sea"), ("master", "laperouse"), ("address", "10.55.0.10")] {
        assert_eq!(desk.of_cluster("a.img", key).as_deref(), Some(value), "{key}");
    }
    assert!(desk.on_card("a.img", "pikube-secrets.toml").contains("password_hash"));
    // What is typed wins.
    desk.write(&with(&[
        "--hostname",
        "pi02",
        "--keyboard",
        "de",
        "--address",
        "10.55.0.32/24",
        "a.img",
    ]));
    let plan = self::plan(&desk, "a.img");
    assert_eq!(
        (plan["system"]["keyboard"].as_str(), address(&plan)),
        (Some("de"), "10.55.0.32/24")
    );
    // It is about the node that is named, and no other.
    let further = ["--hostname", "sloop", "--role", "control-plane", "--keyboard", "us", "c.img"];
    desk.write(&with(&further));
    assert_eq!(self::plan(&desk, "c.img")["node"]["role"].as_str(), Some("control-plane"));
    assert_eq!(nodes(&desk), ["pi02 worker", "sloop control-plane"]);
    desk.fails(
        &with(&["--hostname", "pi1", "b.img"]),
        2,
        &["has no node `pi1`", "did you mean `pi01`?"],
    );
    desk.fails(&with(&["--hostname", "pi[01-02]", "b.img"]), 2, &["2 host name(s) for 1 card(s)"]);
    desk.fails(&with(&["b.img"]), 2, &["which of its nodes", "--hostname NAME", "--all"]);
    desk.fails(
        &with(&["--all", "--address", "10.0.0.1/24", "b.img"]),
        2,
        &["put it into the file"],
    );
    desk.fails(&["--all", "--hostname", "x", "b.img"], 2, &["--config"]);
    assert!(!desk.path("b.img").exists());
}

#[test]
fn all_at_once_and_on_where_it_stopped() {
    let desk = desk(SEA);
    let output = desk.writing(&with(&["--all", "a.img", "b.img"])).output().unwrap();
    let told = said(&output);
    assert!(output.status.success() && told.contains("2 node(s) are left: pi02, sloop"), "{told}");
    assert_eq!(nodes(&desk), ["laperouse master", "pi01 worker"]);
    // A dry run shows all that are left, with as many cards as there are.
    let output = desk.writing(&with(&["--all", "--dry-run", "c.img"])).output().unwrap();
    let told = said(&output);
    for part in
        ["these have their cards: laperouse, pi01", "pi02 on", "sloop on", "+ dtparam=i2c_arm=on"]
    {
        assert!(told.contains(part), "{part}\nnot in\n{told}");
    }
    assert!(!desk.path("c.img").exists());
    let lines = good(desk.writing(&with(&["--all", "c.img"])).arg("--json"));
    let left = lines.lines().find(|line| line.contains(r#""event":"left""#)).unwrap();
    assert!(left.contains(r#""cluster":"sea","nodes":["sloop"]"#), "{left}");
    let output = desk.writing(&with(&["--all", "d.img", "e.img"])).output().unwrap();
    assert!(said(&output).contains("e.img: no node is left for it"), "{}", said(&output));
    assert!(desk.on_card("d.img", "config.txt").contains("dtparam=i2c_arm=on"));
    assert!(!desk.on_card("c.img", "config.txt").contains("i2c_arm"));
    assert_eq!(nodes(&desk), ["laperouse master", "pi01 worker", "pi02 worker", "sloop worker"]);
    let token =
        |card| -> toml::Table { desk.on_card(card, "pikube-secrets.toml").parse().unwrap() };
    assert_eq!(token("a.img")["cluster"]["token"], token("d.img")["cluster"]["token"]);
    let output = desk.writing(&with(&["--all", "e.img"])).output().unwrap();
    assert!(said(&output).contains("all nodes have their cards"), "{}", said(&output));
    assert!(output.status.success() && !desk.path("e.img").exists());
    desk.write(&with(&["--all", "--again", "pi02", "e.img"]));
    assert_eq!(plan(&desk, "e.img")["node"]["hostname"].as_str(), Some("pi02"));
    desk.fails(&with(&["--all", "--again", "pi9", "f.img"]), 2, &["has no node `pi9`"]);
    // A card that fails is not done.
    fs::create_dir(desk.path("folder")).unwrap();
    let output =
        desk.writing(&with(&["--all", "--new-cluster", "folder", "g.img"])).output().unwrap();
    assert_eq!((output.status.code(), nodes(&desk)), (Some(3), vec!["pi01 worker".to_owned()]));
}

#[test]
fn the_example_of_the_manual_is_good() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/clusters.md");
    let manual = fs::read_to_string(manual).unwrap();
    let example = manual.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let desk = desk(example);
    fs::write(desk.path("sea/wifi-password"), "sea and salt\n").unwrap();
    let output = desk.writing(&with(&["--all", "--dry-run", "a.img"])).output().unwrap();
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    for name in ["laperouse on", "pi01 on", "pi10 on", "boussole on"] {
        assert!(told.contains(name), "{name}\n{told}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_nothing_is_written() {
    let desk = desk(
        r#"
        time-zone = "Europe/Paris"
        locale = "C"
        wifi-password = "swordfish"
        [[nodes]]
        hostname = "a"
        role = "master"
        address = "10.55.0.10/24"
        timezone = "Sea"
        [[nodes]]
        hostname = "b"
        role = "master"
        address = "10.55.0.10/24"
        ssh-key = "nothing.pub"
        [[nodes]]
        hostname = "a"
        [[nodes]]
        hostname = "c"
        address = "10.55.0.10/24"
        role = "master"
        ntp = ["a b"]
        "#,
    );
    let nothing = desk.path("sea/nothing.pub");
    let mut bare = desk.piflash(&with(&["--all", "--agent-dir", ".", "--yes", "a.img"]));
    let parts = [
        "`time-zone`: is not a known key (did you mean `timezone`?)",
        "`wifi-password`: a password does not belong into this file",
        "`nodes[0].timezone`: ",
        &format!("`nodes[1]`: reading `{}`", nothing.display()),
        "`nodes[2].hostname`: `a` is the name of `nodes[0]` already",
        "`nodes[3].ntp`: ",
        "`locale`: ",
    ];
    fails(&mut bare, 2, &parts);
    let output = bare.output().unwrap();
    assert!(!said(&output).contains("swordfish") && !desk.path("a.img").exists());
    assert_eq!(said(&output).matches("`locale`: ").count(), 1, "{}", said(&output));
    let clashing =
        SEA.replace("\"sloop\"", "\"sloop\"\nrole = \"master\"\naddress = \"10.55.0.21/24\"");
    fs::write(desk.path("sea/cluster.toml"), clashing).unwrap();
    desk.fails(
        &with(&["--hostname", "pi02", "a.img"]),
        2,
        &[
            "`nodes[2].role`: `laperouse` is the master already",
            "`nodes[2].address`: 10.55.0.21 is the address of `pi01`",
        ],
    );
    fs::write(desk.path("sea/cluster.toml"), "cluster = \"sea\nx").unwrap();
    desk.fails(&with(&["--all", "a.img"]), 2, &["sea/cluster.toml`: line 2: "]);
    desk.fails(&["--config", "none.toml", "--all", "a.img"], 2, &["none.toml`: No such file"]);
    // A node of the cluster that the file does not know, also where another node is written.
    fs::write(desk.path("sea/cluster.toml"), SEA).unwrap();
    desk.write(&[
        "--cluster",
        "sea",
        "--hostname",
        "flagship",
        "--address",
        "10.55.0.22/24",
        "b.img",
    ]);
    desk.fails(&with(&["--hostname", "sloop", "a.img"]), 3, &["has a master already: `flagship`"]);
    good(&mut desk.piflash(&["inventory", "--cluster", "sea", "remove", "flagship"]));
    desk.write(&[
        "--cluster",
        "sea",
        "--role",
        "worker",
        "--hostname",
        "x",
        "--address",
        "10.55.0.22/24",
        "b.img",
    ]);
    desk.fails(&with(&["--hostname", "sloop", "a.img"]), 3, &["10.55.0.22 is the address of `x`"]);
    assert!(!desk.path("a.img").exists());
}

#[test]
fn one_reader_and_one_card_after_the_other() {
    let desk = desk(&SEA.replace("pi[01-02]", "pi[01-01]").replace("[21-22]", "[21-21]"));
    let mut call = desk.writing(&with(&["--all", "card"]));
    call.arg("-q");
    let mut terminal = Terminal::run(&call);
    terminal.until("Insert the card for pi01 into card and press Enter");
    // Enter, and the card is still the same.
    terminal.types("\n");
    terminal.until("still holds the card of laperouse");
    terminal.until("press Enter");
    fs::rename(desk.path("card"), desk.path("laperouse.img")).unwrap();
    terminal.types("\n");
    terminal.until("Insert the card for sloop into card and press Enter");
    assert_eq!(nodes(&desk), ["laperouse master", "pi01 worker"]);
    fs::rename(desk.path("card"), desk.path("pi01.img")).unwrap();
    // Ctrl-C: the next call goes on.
    terminal.types("\x03");
    let (code, rest) = terminal.end();
    assert!(code == Some(1) && rest.contains("interrupted; left: sloop"), "{code:?}: {rest}");
    desk.write(&with(&["--all", "card"]));
    for (card, name) in [("laperouse.img", "laperouse"), ("pi01.img", "pi01"), ("card", "sloop")] {
        assert_eq!(plan(&desk, card)["node"]["hostname"].as_str(), Some(name));
    }
}
