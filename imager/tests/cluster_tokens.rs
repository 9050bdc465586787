//! Tokens of a cluster that is up: through a real API server where there is one, else through a stand-in, which also is
//! what no real one can be.
//!
//! Rung 1: files and local ports, no root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/api.rs"]
mod api;
#[path = "support/api_server.rs"]
mod api_server;
#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;

use api::StandIn;
use api_server::ApiServer;
use desk::{Desk, fails, good, said};

/// A cluster with a master.
fn cluster() -> Desk {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    desk
}

fn token(desk: &Desk) -> (String, String) {
    let token: toml::Table = desk.state("pikube/token.toml").parse().unwrap();
    (token["token"].as_str().unwrap().to_owned(), token["expires"].as_str().unwrap().to_owned())
}

fn id(token: &str) -> &str {
    token.split('.').next().unwrap()
}

/// Some days go by.
fn expire(desk: &Desk) {
    let path = desk.path("state/pikube/token.toml");
    let (_, expires) = token(desk);
    fs::write(&path, desk.state("pikube/token.toml").replace(&expires, "2026-01-01T00:00:00Z"))
        .unwrap();
}

fn on_card(desk: &Desk, card: &str) -> Option<String> {
    let secrets: toml::Table = desk.on_card(card, "pikube-secrets.toml").parse().unwrap();
    secrets["cluster"].get("token").map(|token| token.as_str().unwrap().to_owned())
}

#[test]
fn tokens_are_made_listed_and_taken_back() {
    let desk = cluster();
    let server = ApiServer::start("tokens", &desk, "a.img");
    let (first, _) = token(&desk);
    let address = server.address();
    let at = ["--server", &address];
    let call = |args: &[&str]| {
        let mut command = desk.piflash(&["token"]);
        command.args(args).args(at);
        command
    };
    let mut told = said(&call(&["list"]).output().unwrap());
    assert!(told.contains("cluster `pikube` has no tokens"), "{told}");
    told += &said(&call(&["create", "--description", "for the bosun"]).output().unwrap());
    let (second, expires) = token(&desk);
    assert_ne!(first, second);
    assert_eq!(server.ids(), [id(&second)]);
    assert_eq!(server.data(id(&second), "token-secret").as_deref(), second.split('.').nth(1));
    assert_eq!(server.data(id(&second), "expiration"), Some(expires.clone()));
    assert_eq!(server.data(id(&second), "description").as_deref(), Some("for the bosun"));
    good(&mut call(&["create"]));
    let (third, _) = token(&desk);
    let table = good(&mut call(&["list"]));
    told += &table;
    let line = |id: &str| table.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
    assert!(
        line(id(&third)).contains("get it")
            && line(id(&third)).contains("for cards written by piflash")
    );
    assert!(
        line(id(&second)).contains(&expires) && !line(id(&second)).contains("get it"),
        "{table}"
    );
    // The next card has it.
    desk.write(&["--hostname", "fregate", "b.img"]);
    assert_eq!(on_card(&desk, "b.img").as_ref(), Some(&third));
    told += &good(call(&["list"]).arg("--json"));
    for secret in [&first, &second, &third] {
        assert!(!told.contains(&secret[7..]), "{told}");
    }
    assert!(good(&mut call(&["list", "--show-secrets"])).contains(&third));
    assert!(good(call(&["list", "--show-secrets"]).arg("--json")).contains(&third));

    good(&mut call(&["revoke", id(&second)]));
    assert_eq!(server.ids(), [id(&third)]);
    fails(&mut call(&["revoke", id(&second)]), 3, &["has no token", "piflash token list"]);
    let output = call(&["revoke", &third]).output().unwrap();
    assert!(
        output.status.code() == Some(2) && !said(&output).contains(&third),
        "{}",
        said(&output)
    );
    let told = said(&call(&["revoke", id(&third)]).output().unwrap());
    assert!(told.contains("the next card gets a new one") && server.ids().is_empty(), "{told}");
    desk.write(&["--hostname", "sloop", "--server", &address, "c.img"]);
    assert_eq!(server.ids(), [id(&token(&desk).0)]);
    fails(
        &mut desk.piflash(&["token", "list", "--cluster", "nowhere"]),
        1,
        &["no cluster `nowhere`"],
    );
}

#[test]
fn a_worker_gets_a_new_token_when_the_old_one_has_run_out() {
    let desk = cluster();
    let server = ApiServer::start("a worker's token", &desk, "a.img");
    desk.write(&["--hostname", "fregate", "b.img"]);
    let (old, _) = token(&desk);
    expire(&desk);
    let address = server.address();
    let (at, server_option) = (address.as_str(), "--server");
    // Looking asks nobody.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unasked = nobody.local_addr().unwrap().to_string();
    let args = ["--hostname", "sloop", "--dry-run", server_option, &unasked, "c.img"];
    let told = said(&desk.writing(&args).output().unwrap());
    nobody.set_nonblocking(true).unwrap();
    assert!(told.contains("a new one will be made") && nobody.accept().is_err(), "{told}");
    let output =
        desk.writing(&["--hostname", "sloop", server_option, at, "c.img"]).output().unwrap();
    let (new, expires) = token(&desk);
    let told = said(&output);
    assert!(output.status.success() && told.contains("ran out on 2026-01-01"), "{told}");
    assert!(!told.contains(&new[7..]) && new != old, "{told}");
    assert_eq!(on_card(&desk, "c.img").as_ref(), Some(&new));
    assert_eq!(desk.of_cluster("c.img", "token_expires"), Some(expires.clone()));
    assert_eq!(server.ids(), [id(&new)]);
    // It is kept, even where the card comes to nothing.
    expire(&desk);
    fs::create_dir(desk.path("folder")).unwrap();
    let output =
        desk.writing(&["--hostname", "brig", server_option, at, "folder"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(token(&desk).0 != new && !desk.nodes().iter().any(|node| node.starts_with("brig")));
    assert_eq!(server.ids().len(), 2);

    // A card that was never booted gets the token of the day with any change, one that was on demand.
    let configure = |args: &[&str]| {
        let mut command = desk.piflash(&["configure", "--agent-dir", ".", "--yes"]);
        command.args(args);
        command
    };
    good(&mut configure(&["b.img", "--keyboard", "fr"]));
    assert_eq!(on_card(&desk, "b.img"), Some(old.clone()), "its own is still good");
    let place = format!("{}@@{}", desk.path("b.img").display(), desk.image.boot_offset_bytes);
    let put = |name: &str, text: &str| {
        fs::write(desk.path(name), text).unwrap();
        let mut mcopy = std::process::Command::new("mcopy");
        good(mcopy.args(["-o", "-i", &place]).arg(desk.path(name)).arg(format!("::{name}")));
    };
    let plan = desk.on_card("b.img", "pikube.toml");
    let expires = desk.of_cluster("b.img", "token_expires").unwrap();
    put("pikube.toml", &plan.replace(&expires, "2026-01-01T00:00:00Z"));
    good(&mut configure(&["b.img"]));
    assert_eq!(on_card(&desk, "b.img"), Some(token(&desk).0));
    assert_eq!(desk.of_cluster("b.img", "token_expires"), Some(token(&desk).1));
    let told = good(&mut configure(&["b.img"]));
    assert!(told.contains("nothing to change"), "{told}");
    // Booted: its secrets are gone from the card.
    put("pikube.toml", &plan.replace(&expires, "2026-01-01T00:00:00Z"));
    let mut mdel = std::process::Command::new("mdel");
    good(mdel.args(["-i", &place, "::pikube-secrets.toml"]));
    put("pikube-launch.log", "installed\n");
    assert!(good(&mut configure(&["b.img"])).contains("nothing to change"));
    good(&mut configure(&["b.img", "--new-token"]));
    assert_eq!(on_card(&desk, "b.img"), Some(token(&desk).0));
    // Where the cluster is not kept, nobody has one to give.
    let mut elsewhere = configure(&["b.img", "--new-token"]);
    elsewhere.env("PIKUBE_STATE_DIR", desk.path("elsewhere"));
    fails(&mut elsewhere, 3, &["does not know `fregate`", "piflash cluster import"]);
}

/// A card that an interrupted change has robbed of its secrets, and whose node never started.
#[test]
fn what_a_card_has_lost_is_put_back_from_the_cluster() {
    let desk = cluster();
    desk.write(&["--hostname", "fregate", "b.img"]);
    let configure = |card: &str| {
        let mut command = desk.piflash(&["configure", "--agent-dir", ".", "--yes", card]);
        let output = command.env("SOURCE_DATE_EPOCH", "1790000000").output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    for card in ["a.img", "b.img"] {
        configure(card);
        let (plan, secrets) =
            (desk.on_card(card, "pikube.toml"), desk.on_card(card, "pikube-secrets.toml"));
        let place = format!("{}@@{}", desk.path(card).display(), desk.image.boot_offset_bytes);
        let mut mdel = std::process::Command::new("mdel");
        good(mdel.args(["-i", &place, "::pikube-secrets.toml"]));
        let told = configure(card);
        assert!(told.contains("put back from this computer"), "{told}");
        let got = desk.on_card(card, "pikube-secrets.toml");
        for line in secrets.lines().filter(|line| !line.starts_with("password")) {
            assert!(got.contains(line), "{line} of {card} is lost");
        }
        assert_eq!(desk.on_card(card, "pikube.toml"), plan);
        assert!(configure(card).contains("nothing to change"));
    }
}

#[test]
fn what_the_api_server_may_be_and_the_ways_out() {
    let desk = cluster();
    desk.write(&["--cluster", "other", "--hostname", "laperouse", "o.img"]);
    expire(&desk);
    let kept = desk.state("pikube/token.toml");
    let ways =
        ["ran out on 2026-01-01", "kubeadm token create", "--token-file", "piflash configure"];
    let write = |at: &str, words: &[&str]| {
        let args = ["--hostname", "sloop", "--server", at, "c.img"];
        let mut command = desk.writing(&args);
        fails(&mut command, 1, &[&ways[..], words].concat());
        assert!(!desk.path("c.img").exists());
        assert_eq!(desk.state("pikube/token.toml"), kept);
    };
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    write(&closed, &["reaching the API server", "Connection refused", "is the master up"]);
    write("nowhere.invalid", &["finding the address of `nowhere.invalid`"]);
    // What gets through TLS is asked for tokens, and would have one afterwards.
    let refused = |server: &StandIn, words: &[&str]| {
        write(&server.address, words);
        assert_eq!(server.list()["items"].as_array().unwrap().len(), 0);
    };
    let names = ["laperouse", "cp.pikube.internal"];
    let stranger = StandIn::start(&desk, "other", &names, "other");
    refused(&stranger, &["its certificate is not of this cluster's CA"]);
    let renamed = StandIn::start(&desk, "pikube", &["cp.other.internal"], "pikube");
    refused(&renamed, &["its certificate is not for `cp.pikube.internal`"]);
    let strange = StandIn::start(&desk, "pikube", &names, "other");
    refused(&strange, &["does not know the cluster's administrator", "--cluster NAME"]);
}

#[test]
fn a_token_of_kubeadm_is_handed_in_by_a_file() {
    let desk = cluster();
    expire(&desk);
    let args = ["--hostname", "sloop", "--token-file", "token", "c.img"];
    fs::write(desk.path("token"), "swordfish\n").unwrap();
    let output = desk.writing(&args).output().unwrap();
    let told = said(&output);
    assert!(
        output.status.code() == Some(2) && told.contains("no token") && !told.contains("swordfish")
    );
    fs::write(desk.path("token"), "abcdef.0123456789abcdef\n").unwrap();
    let kept = desk.state("pikube/token.toml");
    let told = said(&desk.writing(&[&args[..], &["--dry-run"]].concat()).output().unwrap());
    assert!(told.contains("would get the token of `token`"), "{told}");
    assert!(!told.contains("has another token") && desk.state("pikube/token.toml") == kept);
    let told = said(&desk.writing(&args).output().unwrap());
    assert!(told.contains("has another token now") && !told.contains("0123456789abcdef"), "{told}");
    assert_eq!(on_card(&desk, "c.img").as_deref(), Some("abcdef.0123456789abcdef"));
    assert_eq!(token(&desk).0, "abcdef.0123456789abcdef");
    // Later cards need no file.
    desk.write(&["--hostname", "brig", "d.img"]);
    assert_eq!(on_card(&desk, "d.img").as_deref(), Some("abcdef.0123456789abcdef"));
}
