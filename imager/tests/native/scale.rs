//! Two hundred nodes, by kwok: the API server's own objects, nobody behind them.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use super::desk::good;
use super::{cluster, eventually};

const NODES: usize = 200;

#[test]
fn two_hundred_nodes() {
    let Some((desk, mut plane)) = cluster("200 nodes", &["kwok"]) else { return };
    plane.simulate_nodes().unwrap();
    let mut nodes = String::new();
    for number in 1..=NODES {
        let name = format!("pi{number:03}");
        write!(
            nodes,
            "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  annotations: {{kwok.x-k8s.io/node: fake}}\n\
             \x20 labels: {{kubernetes.io/hostname: {name}, kubernetes.io/arch: arm64}}\n---\n"
        )
        .unwrap();
    }
    fs::write(desk.path("nodes.yaml"), nodes).unwrap();
    let file = desk.path("nodes.yaml").display().to_string();
    plane.ask(["create", "-f", &file]).unwrap();
    let began = Instant::now();
    let table = eventually("200 Ready nodes", || {
        let table = plane.ask(["get", "nodes", "--no-headers"]).unwrap();
        let ready = table.lines().filter(|line| line.contains(" Ready ")).count();
        (ready == NODES).then_some(table)
    });
    assert_eq!(table.lines().count(), NODES);
    let seconds = began.elapsed().as_secs_f64();
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("200 nodes Ready {seconds:.1} s after they were registered\n"),
    );

    // What piflash asks for today: tokens, here one for every node.
    let mut secrets = String::new();
    for number in 1..=NODES {
        let id = format!("pi{number:04}");
        write!(
            secrets,
            "apiVersion: v1\nkind: Secret\ntype: bootstrap.kubernetes.io/token\n\
             metadata: {{name: bootstrap-token-{id}, namespace: kube-system}}\n\
             stringData: {{token-id: {id}, token-secret: 0123456789abcdef, expiration: '2199-01-01T00:00:00Z'}}\n---\n"
        )
        .unwrap();
    }
    fs::write(desk.path("tokens.yaml"), secrets).unwrap();
    let file = desk.path("tokens.yaml").display().to_string();
    plane.ask(["create", "-f", &file]).unwrap();
    let address = plane.address();
    let list = ["token", "list", "--server", &address];
    let table = good(&mut desk.piflash(&list));
    let theirs = table.lines().filter(|line| line.starts_with("pi0")).count();
    assert_eq!(theirs, NODES, "{table}");
    good(&mut desk.piflash(&["token", "revoke", "pi0200", "--server", &address]));
    assert!(!good(&mut desk.piflash(&list)).contains("pi0200"));
}
