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
use std::process::{Command, Output, Stdio};
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
    assert!(said(&output).contains("of the key beside it") && !said(&output).contains("c2Vj"));
    fs::write(&key, desk.state("pikube/etcd-ca.key")).unwrap();
    fails(&mut desk.piflash(&["inventory"]), 1, &["ca.crt", "is not the certificate of the key"]);
    fs::write(&key, kept).unwrap();
    let file = desk.path("state/pikube/cluster.toml");
    fs::write(&file, desk.state("pikube/cluster.toml").replace("version = 1", "version = 2"))
        .unwrap();
    fails(&mut desk.piflash(&["inventory"]), 1, &["version 2", "newer piflash"]);
}

/// A desk behind sudo: the home folder is nobody's, and root's are a folder and a file that only root may use.
struct Sudo {
    desk: Desk,
}

impl Sudo {
    /// `None`, and said, where this is not root.
    fn new() -> Option<Self> {
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            println!("SKIPPED: only root acts for somebody else");
            return None;
        }
        let desk = Desk::new();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(desk.folder.path(), open).unwrap();
        fs::create_dir_all(desk.path("home")).unwrap();
        chown(desk.path("home"), Some(65534), Some(65534)).unwrap();
        fs::create_dir(desk.path("roots")).unwrap();
        fs::set_permissions(desk.path("roots"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(desk.path("roots/file"), "apiVersion: v1\nkind: Config\n").unwrap();
        // Of root's group, in which nobody is not.
        fs::set_permissions(desk.path("roots/file"), fs::Permissions::from_mode(0o660)).unwrap();
        Some(Self { desk })
    }

    fn run(&self, command: &mut Command) -> Output {
        let variables = [("SUDO_USER", "nobody"), ("SUDO_UID", "65534"), ("SUDO_GID", "65534")];
        command.env("PIKUBE_STATE_DIR", self.desk.path("home/state/x")).envs(variables);
        command.env("KUBECONFIG", self.desk.path("home/.kube/config")).output().unwrap()
    }

    /// A name in the home folder that leads to something of root's.
    fn link(&self, name: &str, to: &str) {
        let link = self.desk.path(name);
        let _ = fs::remove_dir_all(&link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(self.desk.path(to), &link).unwrap();
        for path in link.ancestors().take_while(|path| **path != *self.desk.folder.path()) {
            std::os::unix::fs::lchown(path, Some(65534), Some(65534)).unwrap();
        }
    }

    /// What root has is as it was.
    fn roots_are_untouched(&self) {
        let paths = entries(&self.desk.path("roots"));
        assert_eq!(paths.len(), 2, "{paths:?}");
        for path in paths {
            assert_eq!(fs::metadata(&path).unwrap().uid(), 0, "{}", path.display());
        }
        let text = fs::read_to_string(self.desk.path("roots/file")).unwrap();
        assert_eq!(text, "apiVersion: v1\nkind: Config\n");
    }
}

#[test]
fn behind_sudo_it_is_the_callers() {
    let Some(sudo) = Sudo::new() else { return };
    let desk = &sudo.desk;
    let output = sudo.run(&mut desk.writing(&["--hostname", "laperouse", "a.img"]));
    assert!(output.status.success(), "{}", said(&output));
    let output = sudo.run(&mut desk.piflash(&["kubeconfig", "--merge"]));
    assert!(output.status.success(), "{}", said(&output));
    assert!(desk.path("home/.kube/config").exists());
    for path in entries(&desk.path("home")) {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (65534, 65534), "{}", path.display());
    }
    let mut own = desk.piflash(&["inventory"]);
    own.env("PIKUBE_STATE_DIR", desk.path("home/state/x"));
    fails(&mut own, 3, &["belongs to user 65534, not to user 0", "chown -R 0"]);
    // A file that root put there is not the caller's to read.
    chown(desk.path("home/state/x/pikube/ca.key"), Some(0), Some(0)).unwrap();
    let output = sudo.run(&mut own);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    for part in ["ca.key", "Permission denied", "with the rights of the person who called it"] {
        assert!(said(&output).contains(part), "{}", said(&output));
    }
}

#[test]
fn behind_sudo_no_link_of_the_callers_leads_to_what_is_roots() {
    let Some(sudo) = Sudo::new() else { return };
    let desk = &sudo.desk;
    let refused = |output: &Output| {
        let told = said(output);
        assert!(output.status.code() == Some(1) && told.contains("Permission denied"), "{told}");
        sudo.roots_are_untouched();
    };
    for folder in ["home/state", "home/state/x"] {
        sudo.link(folder, "roots");
        let output = sudo.run(&mut desk.writing(&["--hostname", "laperouse", "a.img"]));
        assert!(!output.status.success() && !desk.path("a.img").exists(), "{}", said(&output));
        sudo.roots_are_untouched();
        fs::remove_file(desk.path(folder)).unwrap();
    }
    let output = sudo.run(&mut desk.writing(&["--hostname", "laperouse", "a.img"]));
    assert!(output.status.success(), "{}", said(&output));
    for (name, to) in [("home/.kube", "roots"), ("home/.kube/config", "roots/file")] {
        sudo.link(name, to);
        refused(&sudo.run(&mut desk.piflash(&["kubeconfig", "--merge"])));
        fs::remove_file(desk.path(name)).unwrap();
    }
    fs::write(desk.path("pass"), "sea and salt\n").unwrap();
    sudo.link("home/backups", "roots");
    let file = desk.path("home/backups/sea.age").display().to_string();
    let export = ["cluster", "export", file.as_str(), "--passphrase-file", "pass"];
    refused(&sudo.run(&mut desk.piflash(&export)));
    // The lock of a kubeconfig, which is opened before anything else.
    fs::create_dir_all(desk.path("home/.kube")).unwrap();
    sudo.link("home/.kube/config.lock", "roots/file");
    let output = sudo.run(&mut desk.piflash(&["kubeconfig", "--merge"]));
    assert!(!output.status.success(), "{}", said(&output));
    sudo.roots_are_untouched();
}

#[test]
fn a_second_piflash_is_refused_while_the_first_works() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let mut first = desk.piflash(&["--agent-dir", ".", "--user", "captain", "--yes", "--hostname"]);
    first.args(["fregate", "--image", "-", "b.img"]);
    let mut first =
        first.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It has the cluster before it reads the image; proc_locks(5) shows it to somebody who does not want it himself.
    let lock = format!(":{} ", fs::metadata(desk.path("state/pikube.lock")).unwrap().ino());
    while !fs::read_to_string("/proc/locks").unwrap().contains(&lock) {
        assert!(first.try_wait().unwrap().is_none(), "it ended without an image");
        std::thread::sleep(Duration::from_millis(5));
    }
    let set = ["inventory", "set", "laperouse", "--address", "dhcp"];
    fails(&mut desk.piflash(&set), 3, &["`pikube` is in use by another piflash"]);
    desk.fails(&["--hostname", "sloop", "c.img"], 3, &["in use by another piflash"]);
    // What is in its memory goes into no core dump.
    let limits = fs::read_to_string(format!("/proc/{}/limits", first.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // Looking is free, another cluster too.
    assert_eq!(desk.nodes(), ["laperouse master"]);
    desk.write(&["--cluster", "other", "--hostname", "sloop", "c.img"]);
    first.stdin.take().unwrap().write_all(&fs::read(desk.image.path()).unwrap()).unwrap();
    let output = first.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(desk.nodes(), ["laperouse master", "fregate worker"]);
}

/// System calls that change files, and those that end what another began.
const CHANGES: [&str; 8] =
    ["write", "fsync", "rename", "renameat", "renameat2", "fchmod", "mkdir", "unlink"];

/// Runs a call again and again, killed as it is about to change a file for the first time, the second time, and so on,
/// until it gets through; after each, `look` judges what is left. How often it was killed.
fn cut_everywhere(call: impl Fn() -> Command, look: impl Fn()) -> usize {
    cut_at(&CHANGES, call, look)
}

/// The same at some system calls only.
fn cut_at(changes: &[&str], call: impl Fn() -> Command, look: impl Fn()) -> usize {
    let mut cuts = 0;
    for name in changes {
        for nth in 1.. {
            let call = call();
            let mut traced = Command::new("strace");
            let inject = format!("inject={name}:signal=SIGKILL:when={nth}");
            traced.args(["-f", "-o", "/dev/null", "-e", &inject]).arg(call.get_program());
            traced.args(call.get_args()).stdin(Stdio::null());
            traced.current_dir(call.get_current_dir().unwrap());
            for (name, value) in call.get_envs() {
                match value {
                    Some(value) => traced.env(name, value),
                    None => traced.env_remove(name),
                };
            }
            let output = traced.output().unwrap();
            look();
            if output.status.success() {
                break;
            }
            cuts += 1;
            assert!(nth < 400, "{name} has no end: {}", said(&output));
        }
    }
    cuts
}

fn has_strace() -> bool {
    let traces = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let traces = traces.is_ok_and(|output| output.status.success());
    if !traces {
        println!("SKIPPED: no strace that may trace");
    }
    traces
}

#[test]
fn a_kill_leaves_the_inventory_of_before_or_after() {
    if !has_strace() {
        return;
    }
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--address", "10.0.0.2/24", "a.img"]);
    let (identity, n) = (desk.state("pikube/ca.key"), std::cell::Cell::new(0));
    let call = || {
        n.set(n.get() + 1);
        let address = format!("10.0.0.{}", 3 + n.get() % 2);
        desk.piflash(&["inventory", "set", "laperouse", "--address", &address])
    };
    let cuts = cut_everywhere(call, || {
        let line = good(&mut desk.piflash(&["inventory", "--format", "ansible"]));
        let host = line.lines().find(|line| line.starts_with("laperouse ")).unwrap();
        let known = ["10.0.0.2", "10.0.0.3", "10.0.0.4"];
        assert!(known.iter().any(|ip| host.contains(&format!("ansible_host={ip} "))), "{host}");
    });
    assert!(cuts >= 5, "write, rename, two fsync, and what is told at last: {cuts}");
    assert_eq!(desk.state("pikube/ca.key"), identity);
    desk.write(&["--hostname", "fregate", "b.img"]);
    let left = entries(&desk.path("state"));
    let unfinished = left.iter().filter(|path| path.to_string_lossy().contains("unfinished"));
    assert_eq!(unfinished.count(), 0, "{left:?}");
}

#[test]
fn a_kill_leaves_a_backup_of_before_or_after_and_a_cluster_or_none() {
    if !has_strace() {
        return;
    }
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    fs::write(desk.path("pass"), "sea and salt\n").unwrap();
    let cluster = |args: &[&str]| desk.piflash(&[&["cluster"], args].concat());
    let backup = ["export", "b.age", "--passphrase-file", "pass"];
    good(&mut cluster(&backup));
    let kept = desk.state("pikube/ca.key");
    // Opening one costs a second: only those that are new.
    let opened = std::cell::RefCell::new(Vec::new());
    let opens = || {
        let bytes = fs::read(desk.path("b.age")).unwrap();
        if *opened.borrow() == bytes {
            return;
        }
        let _ = fs::remove_dir_all(desk.path("elsewhere"));
        let mut import = cluster(&["import", "b.age", "--passphrase-file", "pass"]);
        good(import.env("PIKUBE_STATE_DIR", desk.path("elsewhere")));
        assert_eq!(fs::read_to_string(desk.path("elsewhere/pikube/ca.key")).unwrap(), kept);
        opened.replace(bytes);
    };
    assert!(cut_everywhere(|| cluster(&backup), opens) >= 4);
    let left = fs::read_dir(desk.folder.path()).unwrap();
    // What a killed call left beside it is as encrypted as the backup.
    for entry in left.map(|entry| entry.unwrap()) {
        if entry.file_name().to_string_lossy().starts_with(".unfinished-") {
            let bytes = fs::read(entry.path()).unwrap();
            assert!(bytes.is_empty() || bytes.starts_with(b"age-encryption.org/"), "{entry:?}");
        }
    }
    // There is the whole cluster, or none.
    let whole = || {
        let output = desk.piflash(&["inventory"]).output().unwrap();
        let told = said(&output);
        assert!(output.status.success() || told.contains("there is no cluster `pikube`"), "{told}");
        output.status.success()
    };
    let call = || {
        if whole() {
            good(&mut cluster(&["delete", "pikube", "--yes"]));
        }
        cluster(&["import", "b.age", "--passphrase-file", "pass"])
    };
    // Each costs a second of opening: what makes the difference between nothing and a cluster is a rename.
    let look = || {
        whole();
    };
    assert!(cut_at(&["mkdir", "renameat", "rename"], call, look) > 10);
    let call = || {
        if !whole() {
            shell(&desk, "cp -a elsewhere/pikube state/");
        }
        cluster(&["delete", "pikube", "--yes"])
    };
    assert!(cut_everywhere(call, look) > 10);
    good(&mut cluster(&["import", "b.age", "--passphrase-file", "pass"]));
    let left = entries(&desk.path("state"));
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("unfinished")), "{left:?}");
}

/// Kills a call at some moment of it, early ones more often.
fn cut(command: &mut Command, n: u32) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(u64::from(n * n) * 60));
    let _ = child.kill();
    child.wait().unwrap();
}

/// There is no cluster, or one whose keys fit; a card that could boot is of it.
fn assert_whole(desk: &Desk, card: &str, made: bool) -> bool {
    let output = desk.piflash(&["inventory"]).output().unwrap();
    let told = said(&output);
    assert!(output.status.success() || told.contains("there is no cluster `pikube`"), "{told}");
    assert!(output.status.success() || !made, "a cluster is gone: {told}");
    let bytes = fs::read(desk.path(card)).unwrap_or_default();
    if bytes.get(510..512) == Some(&[0x55, 0xaa]) {
        let hash = "openssl x509 -pubkey -noout -in state/pikube/ca.crt | openssl pkey -pubin -outform der | sha256sum";
        let kept = format!("sha256:{}", shell(desk, hash).split(' ').next().unwrap());
        assert_eq!(desk.of_cluster(card, "ca_hash"), Some(kept));
    }
    output.status.success()
}

#[test]
fn a_kill_while_starting_over_leaves_one_cluster() {
    if !has_strace() {
        return;
    }
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    fs::remove_file(desk.path("a.img")).unwrap();
    let call = || {
        let _ = fs::remove_file(desk.path("a.img"));
        desk.writing(&["--new-cluster", "--hostname", "laperouse", "a.img"])
    };
    let cuts = cut_everywhere(call, || {
        assert_whole(&desk, "a.img", true);
    });
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn a_kill_leaves_no_cluster_or_a_whole_one() {
    let desk = Desk::new();
    let mut made = false;
    for n in 0..24_u32 {
        let _ = fs::remove_file(desk.path("a.img"));
        let args = ["--new-cluster", "--hostname", "laperouse", "a.img"];
        cut(&mut desk.writing(&args), 10 + 3 * n);
        made = assert_whole(&desk, "a.img", made);
    }
    desk.write(&["--hostname", "laperouse", "a.img"]);
    assert_eq!(desk.nodes(), ["laperouse master"]);
}
