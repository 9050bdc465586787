//! `piflash kubeconfig`, judged by Debian's kubectl: read and merged. `native/` uses it with the real kubectl and a real
//! API server.
//!
//! Rung 1: files, no root; fetches a package the first time.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
#[path = "support/kubectl.rs"]
mod kubectl;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use desk::{Desk, fails, good};

fn with(program: &Path, config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(config)
        .args(args)
        .env_clear()
        .env("HOME", config.parent().unwrap());
    command
}

#[test]
fn it_is_there_before_the_first_node() {
    let Some(kubectl) = kubectl::kubectl() else { return };
    let desk = Desk::new();
    fails(&mut desk.piflash(&["kubeconfig"]), 1, &["there is no cluster `pikube`"]);
    desk.write(&["--role", "worker", "--hostname", "fregate", "a.img"]);
    fails(&mut desk.piflash(&["kubeconfig"]), 3, &["has no master yet", "--server"]);
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let server = |args: &[&str]| {
        let text = good(desk.piflash(&["kubeconfig"]).args(args));
        fs::write(desk.path("kc"), text).unwrap();
        let view = good(&mut with(&kubectl, &desk.path("kc"), &["config", "view", "-o", "json"]));
        let view: serde_json::Value = serde_json::from_str(&view).unwrap();
        assert_eq!(view["current-context"], "pikube");
        assert_eq!(view["clusters"][0]["cluster"]["tls-server-name"], "cp.pikube.internal");
        view["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned()
    };
    assert_eq!(server(&[]), "https://laperouse.local:6443");
    assert_eq!(server(&["--server", "10.0.0.7"]), "https://10.0.0.7:6443");
    assert_eq!(server(&["--server", "pi.example.org:443"]), "https://pi.example.org:443");
    assert_eq!(server(&["--server", "fd00::7"]), "https://[fd00::7]:6443");
    good(&mut desk.piflash(&["inventory", "set", "laperouse", "--address", "10.55.0.10"]));
    assert_eq!(server(&[]), "https://10.55.0.10:6443");
    fails(&mut desk.piflash(&["kubeconfig", "--server", "a b"]), 2, &["--server"]);
    let json = good(&mut desk.piflash(&["kubeconfig", "--json"]));
    let line: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&line["event"], &line["context"]), (&"kubeconfig".into(), &"pikube".into()));
    assert!(line["kubeconfig"].as_str().unwrap().starts_with("apiVersion: v1\n"));
}

/// What somebody has: comments, unknown keys, two spaces here and none there.
const THEIRS: &str = "\
# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
  # at work
  - cluster:
      server: https://work.example.org
      proxy-url: http://proxy:3128   # unknown to us
    name: work
  # at home

contexts:
- context: {cluster: work, user: me, namespace: harbour}
  name: work
current-context: work  # mostly
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: login
      args: [\"-x\", '- name: pikube-admin']
extensions:
- name: ours
  extension: {a: 1}
";

#[test]
fn merging_keeps_everything_else() {
    let Some(kubectl) = kubectl::kubectl() else { return };
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "--address", "10.0.0.2/24", "a.img"]);
    let config = desk.path("home/.kube/config");
    let merge = |args: &[&str]| good(desk.piflash(&["kubeconfig", "--merge"]).args(args));
    let view = |args: &[&str]| good(&mut with(&kubectl, &config, &[&["config"], args].concat()));
    merge(&[]);
    assert_eq!(view(&["current-context"]).trim(), "pikube");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);

    let apart = "jsonpath={.contexts[?(@.name=='work')].context.namespace} {.users[?(@.name=='me')].user.exec.args} {.clusters[?(@.name=='work')].cluster.proxy-url}";
    fs::write(&config, THEIRS).unwrap();
    let before = view(&["view", "--raw", "-o", apart]);
    assert!(merge(&[]).contains("added"));
    let text = fs::read_to_string(&config).unwrap();
    for line in THEIRS.lines().filter(|line| !line.starts_with("current-context")) {
        assert!(text.lines().any(|other| other == line), "{line}\nnot in\n{text}");
    }
    assert_eq!(view(&["view", "--raw", "-o", apart]), before);
    let contexts = || {
        let mut names: Vec<String> =
            view(&["get-contexts", "-o", "name"]).lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(contexts(), ["pikube", "work"]);
    assert_eq!(view(&["current-context"]).trim(), "pikube");
    let backup = |config: &Path| -> Vec<String> {
        let folder = fs::read_dir(config.parent().unwrap()).unwrap();
        let paths = folder.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.to_string_lossy().contains("config.backup-"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    };
    assert_eq!(backup(&config), [THEIRS], "the file as it was, and no older one with its keys");
    // Again: the entries are replaced, not doubled; a second cluster comes beside it.
    assert!(merge(&["--server", "10.0.0.9"]).contains("renewed"));
    assert!(view(&["view"]).contains("https://10.0.0.9:6443"));
    assert_eq!(contexts(), ["pikube", "work"]);
    desk.write(&["--cluster", "other", "--hostname", "laperouse", "b.img"]);
    merge(&["--cluster", "other"]);
    assert_eq!(contexts(), ["other", "pikube", "work"]);
    // kubectl writes it in its own way; that can be added to as well.
    view(&["use-context", "work"]);
    merge(&[]);
    assert_eq!((contexts().len(), view(&["current-context"]).trim()), (3, "pikube"));
    // KUBECONFIG's first file, and a link stays one.
    std::os::unix::fs::symlink(&config, desk.path("link")).unwrap();
    let list = format!("{}:nowhere", desk.path("link").display());
    let mut linked = desk.piflash(&["kubeconfig", "--merge", "--server", "10.0.0.8"]);
    good(linked.env("KUBECONFIG", list));
    assert!(desk.path("link").is_symlink() && view(&["view"]).contains("https://10.0.0.8:6443"));
    assert_eq!(backup(&config).len(), 1);
}

#[test]
fn kubeconfig_may_be_a_bare_name_or_a_link_that_leads_nowhere_yet() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let merge = |kubeconfig: &str| {
        let mut merge = desk.piflash(&["kubeconfig", "--merge"]);
        good(merge.env("KUBECONFIG", kubeconfig));
    };
    merge("bare");
    assert!(fs::read_to_string(desk.path("bare")).unwrap().contains("current-context: pikube"));
    std::os::unix::fs::symlink("new/config", desk.path("dangling")).unwrap();
    merge("dangling");
    assert!(desk.path("dangling").is_symlink());
    let text = fs::read_to_string(desk.path("new/config")).unwrap();
    assert!(text.contains("current-context: pikube"));
    // In a circle, there is nothing to write to.
    std::os::unix::fs::symlink("circle", desk.path("circle")).unwrap();
    let mut circle = desk.piflash(&["kubeconfig", "--merge"]);
    fails(circle.env("KUBECONFIG", "circle"), 1, &["circle", "symbolic links"]);
}

#[test]
fn what_a_killed_program_left_is_in_nobodys_way() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let config = desk.path("home/.kube/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let (lock, left) =
        (desk.path("home/.kube/config.lock"), desk.path("home/.kube/.unfinished-config~x"));
    let names = || {
        let folder = fs::read_dir(config.parent().unwrap()).unwrap();
        let mut names: Vec<String> = folder
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.contains(".backup-"))
            .collect();
        names.sort();
        names
    };
    // One of ours says so; nobody holds it any more.
    fs::write(&lock, "piflash\n").unwrap();
    fs::write(&left, "an old key").unwrap();
    good(&mut desk.piflash(&["kubeconfig", "--merge"]));
    assert_eq!(names(), ["config"]);
    // kubectl's is empty: of a minute ago it is left over, of now it is not.
    fs::write(&lock, "").unwrap();
    fails(&mut desk.piflash(&["kubeconfig", "--merge"]), 3, &["config.lock"]);
    assert_eq!(names(), ["config", "config.lock"]);
    let file = fs::File::options().write(true).open(&lock).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(120)).unwrap();
    good(&mut desk.piflash(&["kubeconfig", "--merge"]));
    assert_eq!(names(), ["config"]);
    // Somebody who lives has the lock, and is at work on a file.
    fs::write(&lock, "piflash\n").unwrap();
    let held = fs::File::options().write(true).open(&lock).unwrap();
    held.try_lock().unwrap();
    fails(&mut desk.piflash(&["kubeconfig", "--merge"]), 3, &["config.lock"]);
    drop(held);
    fs::write(&left, "a key").unwrap();
    let held = fs::File::options().write(true).open(&left).unwrap();
    held.try_lock().unwrap();
    good(&mut desk.piflash(&["kubeconfig", "--merge"]));
    assert_eq!(names(), [".unfinished-config~x", "config"]);
}

#[test]
fn what_would_lose_something_is_refused() {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse", "a.img"]);
    let config = desk.path("home/.kube/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    for (text, expected) in [
        (
            r#"{"apiVersion": "v1", "clusters": [{"name": "a"}]}"#.to_owned(),
            "something would be lost",
        ),
        ("clusters: [{name: a}]\n".into(), "something would be lost"),
        ("clusters:\n- name: 'x\n".into(), "is not YAML"),
        ("a: 1\n---\nb: 1\n".into(), "more than one"),
        ("\"clusters\":\n- name: a\n".into(), "something would be lost"),
        (THEIRS.replace('\n', "\r\n"), "as on Windows"),
        (THEIRS.replace("name: work", "name: pikube"), "another cluster"),
        (THEIRS.replace("current-context: work  # mostly", "current-context:\n  work"), "lost"),
    ] {
        fs::write(&config, &text).unwrap();
        let mut merge = desk.piflash(&["kubeconfig", "--merge"]);
        fails(&mut merge, 3, &[expected, "piflash kubeconfig > FILE"]);
        assert_eq!(fs::read_to_string(&config).unwrap(), text);
    }
    fs::write(&config, THEIRS).unwrap();
    let lock = desk.path("home/.kube/config.lock");
    fs::write(&lock, "").unwrap();
    fails(&mut desk.piflash(&["kubeconfig", "--merge"]), 3, &["config.lock"]);
    fs::remove_file(lock).unwrap();
    let folder = fs::read_dir(config.parent().unwrap()).unwrap().count();
    assert_eq!(folder, 1, "nothing is left beside it");
}
