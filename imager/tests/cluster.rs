//! A cluster that is made with its first card: what openssl says of its keys, what is on the cards, which nodes it has.
//!
//! Rung 1: files, no root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;

use desk::{Desk, fails, good, said, shell};

#[test]
fn three_nodes_and_what_is_on_their_cards() {
    let desk = Desk::new();
    let mut told = desk.write(&["--hostname", "laperouse", "--address", "10.55.0.10/24", "a.img"]);
    told += &desk.write(&["--hostname", "fregate,black-pearl", "b.img", "c.img"]);
    assert_eq!(desk.nodes(), ["laperouse master", "fregate worker", "black-pearl worker"]);
    let table = good(&mut desk.piflash(&["inventory"]));
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 4 && lines[1].contains("10.55.0.10"), "{table}");
    told += &table;
    told += &good(&mut desk.piflash(&["inventory", "--format", "toml"]));
    told +=
        &said(&desk.writing(&["--hostname", "x", "--dry-run", "-v", "d.img"]).output().unwrap());

    // The recipe of the Kubernetes documentation, with `pkey` where it has `rsa`.
    let hash = "openssl x509 -pubkey -noout -in state/pikube/ca.crt | openssl pkey -pubin -outform der | sha256sum";
    let hash = format!("sha256:{}", shell(&desk, hash).split(' ').next().unwrap());
    let token: toml::Table = desk.state("pikube/token.toml").parse().unwrap();
    let secret = token["token"].as_str().unwrap();
    for card in ["a.img", "b.img", "c.img"] {
        for (key, value) in [
            ("name", "pikube"),
            ("endpoint", "cp.pikube.internal:6443"),
            ("ca_hash", &hash),
            ("master", "laperouse"),
            ("address", "10.55.0.10"),
            ("token_expires", token["expires"].as_str().unwrap_or_default()),
        ] {
            if !value.is_empty() {
                assert_eq!(desk.of_cluster(card, key).as_deref(), Some(value), "{card}: {key}");
            }
        }
        let secrets: toml::Table = desk.on_card(card, "pikube-secrets.toml").parse().unwrap();
        assert_eq!(secrets["cluster"]["token"].as_str(), Some(secret));
        let keys = shell(&desk, &format!("strings {card} | grep -c 'PRIVATE KEY' || true"));
        let (begin_and_end, all) = (2, secrets["cluster"].as_table().unwrap().len());
        let expected = if card == "a.img" { (4 * begin_and_end, 9) } else { (0, 1) };
        assert_eq!((keys.trim().parse().unwrap(), all), expected, "{card}");
        if card == "a.img" {
            let key = secrets["cluster"]["ca_key"].as_str().unwrap();
            assert_eq!(key, desk.state("pikube/ca.key"));
        }
    }
    assert!(!told.contains(secret) && !told.contains("PRIVATE"), "{told}");
}

#[test]
fn openssl_takes_the_certificates_for_what_kubeadm_makes() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    for (file, name) in
        [("ca", "kubernetes"), ("front-proxy-ca", "front-proxy-ca"), ("etcd-ca", "etcd-ca")]
    {
        let file = format!("state/pikube/{file}");
        shell(&desk, &format!("openssl verify -x509_strict -CAfile {file}.crt {file}.crt"));
        let text = shell(&desk, &format!("openssl x509 -noout -text -in {file}.crt"));
        for part in [
            format!("Subject: CN = {name}\n").as_str(),
            "Not Before: Jan  1 00:00:00 2024 GMT",
            "X509v3 Basic Constraints: critical\n                CA:TRUE\n",
            "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment, Certificate Sign\n",
            format!("DNS:{name}\n").as_str(),
            "NIST CURVE: P-256",
            "ecdsa-with-SHA256",
        ] {
            assert!(text.contains(part), "{part}\nnot in\n{text}");
        }
        let years =
            |n: i64| format!("openssl x509 -noout -checkend {} -in {file}.crt", n * 365 * 86400);
        shell(&desk, &years(9));
        shell(&desk, &format!("! {}", years(11)));
        let public = |from: &str| shell(&desk, &format!("openssl {from} -outform der | sha256sum"));
        let by_key = public(&format!("pkey -pubout -in {file}.key"));
        let of_certificate = format!("x509 -pubkey -noout -in {file}.crt | openssl pkey -pubin");
        assert_eq!(by_key, public(&of_certificate));
    }
    let own = shell(&desk, "openssl pkey -pubout -in state/pikube/sa.key");
    assert_eq!(own, desk.state("pikube/sa.pub"));
    good(&mut desk.piflash(&["kubeconfig", "--server", "10.0.0.1"]));
    let line = "grep client-certificate-data kc | cut -d: -f2 | base64 -di > admin.crt";
    fs::write(desk.path("kc"), good(&mut desk.piflash(&["kubeconfig"]))).unwrap();
    shell(&desk, line);
    shell(
        &desk,
        "openssl verify -purpose sslclient -x509_strict -CAfile state/pikube/ca.crt admin.crt",
    );
    let text = shell(&desk, "openssl x509 -noout -text -in admin.crt");
    for part in [
        "O = kubeadm:cluster-admins, CN = kubernetes-admin",
        "CA:FALSE",
        "Digital Signature, Key Encipherment\n",
        "TLS Web Client Authentication\n",
    ] {
        assert!(text.contains(part), "{part}\nnot in\n{text}");
    }
    shell(&desk, "openssl x509 -noout -checkend 31000000 -in admin.crt");
    shell(&desk, "! openssl x509 -noout -checkend 31622400 -in admin.crt");
}

#[test]
fn clashes_are_refused_before_a_byte_is_written() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--address", "10.55.0.10/24", "a.img"]);
    desk.write(&["--hostname", "fregate", "--address", "10.55.0.11/24", "b.img"]);
    let ways = ["has a master already: `laperouse`", "--new-cluster", "--role control-plane"];
    desk.fails(&["--role", "master", "--hostname", "x", "c.img"], 3, &ways);
    desk.fails(&["--role", "master", "--hostname", "fregate", "c.img"], 3, &["is `worker`"]);
    desk.fails(&["--role", "worker", "--hostname", "laperouse", "c.img"], 3, &["is `master`"]);
    let taken = ["--hostname", "x,y", "--address", "10.55.0.[10-11]/24", "c.img", "d.img"];
    desk.fails(&taken, 3, &["10.55.0.10 is the address of `laperouse`"]);
    desk.fails(&["--role", "master", "--hostname", "x,y", "c.img", "d.img"], 2, &["one card"]);
    desk.fails(&["--cluster", "No", "--hostname", "x", "c.img"], 2, &["--cluster"]);
    assert!(!desk.path("c.img").exists() && !desk.path("d.img").exists());
    // The same again is a lost card.
    let (ca, token) = (desk.state("pikube/ca.crt"), desk.state("pikube/token.toml"));
    desk.write(&["--hostname", "laperouse", "--address", "10.55.0.10/24", "a.img"]);
    desk.write(&["--role", "control-plane", "--hostname", "flagship", "c.img"]);
    assert_eq!((desk.state("pikube/ca.crt"), desk.state("pikube/token.toml")), (ca.clone(), token));
    assert!(desk.on_card("c.img", "pikube-secrets.toml").contains("etcd_ca_key"));
    assert_eq!(desk.nodes(), ["laperouse master", "fregate worker", "flagship control-plane"]);
    // Another cluster has names and addresses of its own.
    desk.write(&["--cluster", "other", "--hostname", "laperouse", "d.img"]);
    assert_ne!(desk.state("other/ca.crt"), ca);
    // By hand.
    let change = |args: &[&str]| desk.piflash(args);
    good(&mut change(&["inventory", "set", "flagship", "--address", "10.55.0.12"]));
    fails(
        &mut change(&["inventory", "set", "fregate", "--address", "10.55.0.12"]),
        3,
        &["flagship"],
    );
    fails(&mut change(&["inventory", "set", "nobody", "--address", "10.0.0.1"]), 3, &["fregate"]);
    fails(&mut change(&["inventory", "set", "fregate", "--address", "sea"]), 2, &["--address"]);
    fails(&mut change(&["inventory", "--cluster", "nowhere"]), 1, &["no cluster `nowhere`"]);
    good(&mut change(&["inventory", "remove", "fregate"]));
    let hosts = good(&mut change(&["inventory", "--format", "ansible"]));
    assert!(hosts.contains("flagship ansible_host=10.55.0.12 ansible_user=captain\n"), "{hosts}");
    assert!(!hosts.contains("fregate"), "{hosts}");
    desk.write(&["--cluster", "3-masts", "--hostname", "barque", "e.img"]);
    let hosts = good(&mut change(&["inventory", "--cluster", "3-masts", "--format", "ansible"]));
    assert!(hosts.contains("[_3_masts_masters]\nbarque ansible_host=barque.local"), "{hosts}");
}

#[test]
fn starting_over_keeps_the_cluster_before() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let ca = desk.state("pikube/ca.crt");
    let over = ["--new-cluster", "--hostname", "flagship"];
    let mut unanswered = desk.piflash(&over);
    unanswered.args(["--agent-dir", ".", "--image"]).arg(desk.image.path()).arg("b.img");
    fails(&mut unanswered, 3, &["this would set cluster `pikube` with 1 node(s) aside", "--yes"]);
    assert!(!desk.path("b.img").exists());
    let wrong = "0".repeat(64);
    let failing = [&over[..], &["--sha256", &wrong, "b.img"]].concat();
    desk.fails(&failing, 4, &["--sha256"]);
    assert_eq!(
        (desk.state("pikube/ca.crt"), desk.nodes()),
        (ca.clone(), vec!["laperouse master".into()])
    );
    desk.write(&[&over[..], &["b.img"]].concat());
    assert_ne!(desk.state("pikube/ca.crt"), ca);
    assert_eq!(desk.nodes(), ["flagship master"]);
    let entries = fs::read_dir(desk.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        (names.len(), &names[0][..], &names[2][..]),
        (3, "pikube", "pikube.lock"),
        "{names:?}"
    );
    assert_eq!(desk.state(&format!("{}/ca.crt", names[1])), ca);
}

#[test]
fn what_comes_to_nothing_leaves_nothing() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--dry-run", "a.img"]);
    assert!(!desk.path("state").exists(), "a dry run");
    let wrong = "0".repeat(64);
    let args = ["--hostname", "laperouse,fregate", "--sha256", &wrong, "a.img", "b.img"];
    let output = desk.writing(&args).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(!desk.path("state/pikube").exists());
    // One of two cards: what was written is a node, the other is none.
    fs::create_dir(desk.path("folder")).unwrap();
    let output = desk.writing(&["--hostname", "laperouse,fregate", "folder", "a.img"]).output();
    let output = output.unwrap();
    assert!(said(&output).contains("warning: cluster `pikube` has no master"), "{}", said(&output));
    assert_eq!((output.status.code(), desk.nodes()), (Some(3), vec!["fregate worker".to_owned()]));
    let output = desk.writing(&["--hostname", "laperouse,sloop", "a.img", "folder"]).output();
    assert_eq!(output.unwrap().status.code(), Some(3));
    assert_eq!(desk.nodes(), ["fregate worker", "laperouse master"]);
}

#[test]
fn a_token_that_ran_out_lets_nobody_be_written_but_the_master() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse,fregate", "a.img", "b.img"]);
    let (ca, token) = (desk.state("pikube/ca.crt"), desk.state("pikube/token.toml"));
    let over = token.lines().map(|line| match line.starts_with("expires") {
        true => "expires = \"2026-01-01T00:00:00Z\"\n".to_owned(),
        false => format!("{line}\n"),
    });
    fs::write(desk.path("state/pikube/token.toml"), over.collect::<String>()).unwrap();
    let ways =
        ["ran out on 2026-01-01T00:00:00Z", "`laperouse.local`", "if the master never came up"];
    desk.fails(&["--hostname", "sloop", "c.img"], 1, &ways);
    assert!(!desk.path("c.img").exists());
    let output = desk.writing(&["--hostname", "laperouse", "a.img"]).output().unwrap();
    assert!(output.status.success() && said(&output).contains("ran out"), "{}", said(&output));
    let renewed = desk.state("pikube/token.toml");
    assert!(!renewed.contains("2026-01-01") && renewed.lines().next() != token.lines().next());
    assert_eq!(desk.state("pikube/ca.crt"), ca);
    desk.write(&["--hostname", "sloop", "c.img"]);
    let of_card =
        |card| -> toml::Table { desk.on_card(card, "pikube-secrets.toml").parse().unwrap() };
    assert_eq!(of_card("a.img")["cluster"]["token"], of_card("c.img")["cluster"]["token"]);
    assert_ne!(of_card("a.img")["cluster"]["token"], of_card("b.img")["cluster"]["token"]);
}

#[test]
fn a_changed_card_stays_what_it_is_in_its_cluster() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse,fregate", "a.img", "b.img"]);
    let secrets = desk.on_card("a.img", "pikube-secrets.toml");
    let configure = |args: &[&str]| {
        let mut command = desk.piflash(&["configure", "--agent-dir", ".", "--yes"]);
        command.args(args);
        command
    };
    good(&mut configure(&["a.img", "--hostname", "flagship", "--address", "10.0.0.2/24"]));
    assert_eq!(desk.nodes(), ["flagship master", "fregate worker"]);
    assert_eq!(desk.on_card("a.img", "pikube-secrets.toml"), secrets);
    fails(&mut configure(&["b.img", "--role", "master"]), 3, &["`fregate` is `worker`"]);
    fails(&mut configure(&["b.img", "--hostname", "flagship"]), 3, &["another node"]);
    fails(&mut configure(&["b.img", "--address", "10.0.0.2/24"]), 3, &["address of `flagship`"]);
    fails(&mut configure(&["b.img", "--cluster", "other"]), 3, &["cluster `pikube`"]);
    // A card that piflash never saw becomes a node like any other.
    fs::copy(desk.image.path(), desk.path("c.img")).unwrap();
    good(&mut configure(&["c.img", "--hostname", "sloop"]));
    assert_eq!(desk.nodes(), ["flagship master", "fregate worker", "sloop worker"]);
    assert!(desk.on_card("c.img", "pikube-secrets.toml").contains("token = "));
}
