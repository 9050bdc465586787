//! Tokens: what piflash makes is what kubeadm makes, and lets nodes in as long as it is not taken back.

use std::process::Command;

use pikube_tests::control_plane::ControlPlane;
use pikube_tests::kubernetes::{Programs, VERSION};

use super::desk::{Desk, fails, good, said};
use super::{cluster, control_plane, eventually, started};

fn token(desk: &Desk) -> String {
    let token: toml::Table = desk.state("pikube/token.toml").parse().unwrap();
    token["token"].as_str().unwrap().to_owned()
}

/// `piflash token …` at this control plane.
fn call(desk: &Desk, plane: &ControlPlane, args: &[&str]) -> Command {
    let mut command = desk.piflash(&["token"]);
    command.args(args).args(["--server", &plane.address()]);
    command
}

/// What somebody with this token, and nothing else, is told.
fn bearer(plane: &ControlPlane, token: &str, question: &[&str]) -> (bool, String) {
    let server = format!("--server=https://{}", plane.address());
    let authority = format!("--certificate-authority={}", plane.path("pki/ca.crt").display());
    let token = format!("--token={token}");
    let kubectl = plane.kubectl::<&str>([]).get_program().to_owned();
    let output = Command::new(kubectl)
        .args(["--kubeconfig=/dev/null", &server, &authority, &token])
        .args(question)
        .env("HOME", plane.path(""))
        .output()
        .unwrap();
    (output.status.success(), said(&output))
}

/// kubeadm's signature of cluster-info with this token, by which a joining node trusts it.
fn signature(plane: &ControlPlane, id: &str) -> Option<String> {
    let path = format!("jsonpath={{.data.jws-kubeconfig-{id}}}");
    let found = plane.ask(["get", "cm", "-n", "kube-public", "cluster-info", "-o", &path]).unwrap();
    (!found.is_empty()).then_some(found)
}

#[test]
fn administrators_get_in_when_init_has_come_to_its_end() {
    let Some((desk, plane)) = control_plane("tokens before the end of init", &[]) else { return };
    let words = ["says 403: secrets is forbidden", "wait until the master is done"];
    fails(&mut call(&desk, &plane, &["list"]), 1, &words);
    plane.admit_administrators().unwrap();
    let told = said(&call(&desk, &plane, &["list"]).output().unwrap());
    assert!(told.contains("cluster `pikube` has no tokens"), "{told}");
    // kubeadm's token of the card is the one that the state has.
    plane.admit_nodes().unwrap();
    let table = good(&mut call(&desk, &plane, &["list"]));
    let line = table.lines().find(|line| line.starts_with(&token(&desk)[..6])).unwrap();
    assert!(line.contains("get it") && line.contains("written to the cards by piflash"), "{table}");
    assert!(good(&mut call(&desk, &plane, &["list", "--show-secrets"])).contains(&token(&desk)));
}

#[test]
fn a_token_lets_nodes_in_until_it_is_taken_back() {
    let Some((desk, plane)) = cluster("tokens let nodes in", &[]) else { return };
    let first = token(&desk);
    good(&mut call(&desk, &plane, &["create", "--description", "for the bosun"]));
    let second = token(&desk);
    assert_ne!(first, second);
    for token in [&first, &second] {
        let (is_in, told) = bearer(&plane, token, &["auth", "whoami", "-o", "json"]);
        let user = format!("system:bootstrap:{}", &token[..6]);
        let group = "system:bootstrappers:kubeadm:default-node-token";
        assert!(is_in && told.contains(&user) && told.contains(group), "{told}");
        eventually("the signature", || signature(&plane, &token[..6]));
    }
    // kubeadm reads it as its own.
    let kubeadm = |args: &[&str]| {
        let mut kubeadm = Command::new(Programs::of(VERSION, &[]).unwrap().path("kubeadm"));
        let config = plane.path("etc/kubernetes/super-admin.conf");
        good(kubeadm.arg("token").args(args).arg("--kubeconfig").arg(config))
    };
    let list = kubeadm(&["list"]);
    let line = list.lines().find(|line| line.starts_with(&second)).unwrap();
    for part in ["authentication,signing", "for the bosun", "kubeadm:default-node-token", "6d"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    // And piflash reads kubeadm's.
    let theirs = kubeadm(&["create", "--description", "by hand"]).trim().to_owned();
    let table = good(&mut call(&desk, &plane, &["list"]));
    let line = table.lines().find(|line| line.starts_with(&theirs[..6])).unwrap();
    assert!(line.contains("by hand") && !table.contains(&theirs[7..]), "{table}");

    good(&mut call(&desk, &plane, &["revoke", &second[..6]]));
    // The API server remembers for some seconds whom it has let in.
    let version = ["get", "--raw", "/api"];
    eventually("the end of its rights", || {
        let (is_in, told) = bearer(&plane, &second, &version);
        assert!(is_in || told.contains("You must be logged in"), "{told}");
        (!is_in).then_some(())
    });
    eventually("the end of the signature", || {
        signature(&plane, &second[..6]).is_none().then_some(())
    });
    assert!(bearer(&plane, &first, &version).0);
}

#[test]
fn another_cluster_s_api_server_is_not_trusted() {
    let Some((desk, plane)) = control_plane("another cluster's API server", &[]) else { return };
    desk.write(&["--cluster", "other", "--hostname", "astrolabe", "o.img"]);
    let words = ["its certificate is not of this cluster's CA"];
    fails(call(&desk, &plane, &["list"]).args(["--cluster", "other"]), 1, &words);
    let programs = Programs::of(VERSION, &[]).unwrap();
    let other = started("another cluster's API server", &programs, &desk, "o.img");
    fails(&mut call(&desk, &other, &["list"]), 1, &words);
    // Each in its own.
    other.admit_administrators().unwrap();
    let told = said(&call(&desk, &other, &["list", "--cluster", "other"]).output().unwrap());
    assert!(told.contains("cluster `other` has no tokens"), "{told}");
}
