//! The state of clusters on this computer: whose it is, one `piflash` at a time, and what a power cut leaves of it.
//!
//! Rung 1: files; the owner's test needs root.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use desk::{Desk, fails, good, said, shell, text};

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(entries(&path));
        } else {
            all.push(path);
        }
    }
    all
}

#[test]
fn nobody_else_reads_it_and_what_others_could_is_refused() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let all = entries(&desk.path("state"));
    assert_eq!(all.len(), 13, "{all:?}");
    for path in &all {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
    for (name, mode) in [("state/pikube/ca.key", 0o644), ("state/pikube", 0o750), ("state", 0o701)]
    {
        fs::set_permissions(desk.path(name), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = desk.piflash(&["inventory"]);
        let output = command.output().unwrap();
        let told = said(&output);
        assert!(output.status.code() == Some(3) && told.contains("others can read"), "{told}");
        let before = entries(&desk.folder.path().join("state")).len();
        desk.fails(&["--hostname", "fregate", "b.img"], 3, &[name]);
        assert!(!desk.path("b.img").exists() && entries(&desk.path("state")).len() == before);
        // The fix is a command that works.
        let fix = told.split("help: `").nth(1).unwrap().split('`').next().unwrap();
        shell(&desk, fix);
        good(&mut desk.piflash(&["inventory"]));
    }
    let key = desk.path("state/pikube/ca.key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    std::os::unix::fs::symlink(desk.path("key.pub"), &key).unwrap();
    fails(&mut desk.piflash(&["inventory"]), 3, &["ca.key", "is not a file"]);
    fs::remove_file(&key).unwrap();
    fails(&mut desk.piflash(&["inventory"]), 1, &["ca.key", "missing"]);
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\nc2Vj\n-----END PRIVATE KEY-----\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let output = desk.piflash(&["inventory"]).output().unwrap();
    assert!(said(&output).contains("no key of a CA") && !said(&output).contains("c2Vj"));
    fs::write(&key, kept).unwrap();
    let file = desk.path("state/pikube/cluster.toml");
    fs::write(&file, desk.state("pikube/cluster.toml").replace("version = 1", "version = 2"))
        .unwrap();
    fails(&mut desk.piflash(&["inventory"]), 1, &["version 2", "newer piflash"]);
}

#[test]
fn behind_sudo_it_is_the_callers() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("SKIPPED: only root acts for somebody else");
        return;
    }
    let desk = Desk::new();
    let sudo = |command: &mut std::process::Command| {
        let variables = [("SUDO_USER", "nobody"), ("SUDO_UID", "65534"), ("SUDO_GID", "65534")];
        command.envs(variables).output().unwrap()
    };
    let output = sudo(
        desk.writing(&["--hostname", "laperouse", "a.img"])
            .env("PIKUBE_STATE_DIR", desk.path("home/state/x")),
    );
    assert!(output.status.success(), "{}", said(&output));
    for path in entries(&desk.path("home")) {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534), "{}", path.display());
    }
    let mut own = desk.piflash(&["inventory"]);
    own.env("PIKUBE_STATE_DIR", desk.path("home/state/x"));
    fails(&mut own, 3, &["belongs to user 65534, not to user 0", "chown -R 0"]);
    chown(desk.path("home/state/x/pikube/ca.key"), Some(0), Some(0)).unwrap();
    let output = sudo(&mut own);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("ca.key"), "{}", said(&output));
}

#[test]
fn a_second_piflash_is_refused_while_the_first_works() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let mut first = desk.piflash(&["--agent-dir", ".", "--user", "captain", "--yes", "--hostname"]);
    first.args(["fregate", "--image", "-", "b.img"]);
    let mut first = first.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It has the cluster before it reads the image; whoever says that it is in use was not early.
    loop {
        let output = desk.piflash(&["inventory", "set", "laperouse", "--address", "dhcp"]).output();
        let output = output.unwrap();
        if output.status.code() == Some(3) {
            assert!(said(&output).contains("`pikube` is in use by another piflash"));
            break;
        }
        assert!(output.status.success(), "{}", said(&output));
        assert!(first.try_wait().unwrap().is_none(), "it ended without an image");
    }
    desk.fails(&["--hostname", "sloop", "c.img"], 3, &["in use by another piflash"]);
    // Looking is free, another cluster too.
    assert_eq!(desk.nodes(), ["laperouse master"]);
    desk.write(&["--cluster", "other", "--hostname", "sloop", "c.img"]);
    first.stdin.take().unwrap().write_all(&fs::read(desk.image.path()).unwrap()).unwrap();
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(desk.nodes(), ["laperouse master", "fregate worker"]);
}

/// Kills a call at some moment of it, early ones more often.
fn cut(command: &mut std::process::Command, n: u32) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(u64::from(n * n) * 60));
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_kill_leaves_the_inventory_of_before_or_after() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--address", "10.0.0.2/24", "a.img"]);
    let identity = desk.state("pikube/ca.key");
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..40_u32 {
        let address = format!("10.0.0.{}", 3 + n % 2);
        cut(&mut desk.piflash(&["inventory", "set", "laperouse", "--address", &address]), n);
        let line = good(&mut desk.piflash(&["inventory", "--format", "ansible"]));
        let host = line.lines().find(|line| line.starts_with("laperouse ")).unwrap().to_owned();
        let known = ["10.0.0.2", "10.0.0.3", "10.0.0.4"];
        assert!(known.iter().any(|ip| host.contains(&format!("ansible_host={ip} "))), "{host}");
        seen.insert(host);
    }
    assert_eq!(desk.state("pikube/ca.key"), identity);
    assert!(!seen.is_empty());
    good(&mut desk.piflash(&["inventory", "set", "laperouse", "--address", "10.0.0.9"]));
    let left = entries(&desk.path("state"));
    assert!(
        left.iter().all(|path| !text(path.as_os_str().as_encoded_bytes()).contains("unfinished"))
    );
}

#[test]
fn a_kill_leaves_no_cluster_or_a_whole_one() {
    let desk = Desk::new();
    let mut made = 0;
    for n in 0..24_u32 {
        let _ = fs::remove_file(desk.path("a.img"));
        let args = ["--new-cluster", "--hostname", "laperouse", "a.img"];
        cut(&mut desk.writing(&args), 10 + 3 * n);
        let output = desk.piflash(&["inventory"]).output().unwrap();
        if output.status.success() {
            made += 1;
            let ours = "openssl pkey -pubout -in state/pikube/ca.key | sha256sum";
            let certified = "openssl x509 -pubkey -noout -in state/pikube/ca.crt | sha256sum";
            assert_eq!(shell(&desk, ours), shell(&desk, certified));
        } else {
            assert!(said(&output).contains("there is no cluster `pikube`"), "{}", said(&output));
            assert_eq!(made, 0, "a cluster is gone: {}", said(&output));
        }
        // A card that could boot is of the cluster that is kept.
        let card = fs::read(desk.path("a.img")).unwrap_or_default();
        if card.get(510..512) == Some(&[0x55, 0xaa]) {
            let hash = "openssl pkey -pubout -outform der -in state/pikube/ca.key | sha256sum";
            let hash = shell(&desk, hash);
            let kept = format!("sha256:{}", hash.split(' ').next().unwrap());
            assert_eq!(desk.of_cluster("a.img", "ca_hash"), Some(kept));
        }
    }
    desk.write(&["--hostname", "laperouse", "a.img"]);
    assert_eq!(desk.nodes(), ["laperouse master"]);
}
