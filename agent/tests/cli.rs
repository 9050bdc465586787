//! The program as it is typed, on test roots, as any user.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const PLAN: &str = r#"
schema = 1
flashed_at = "2024-11-21T06:00:00Z"
[node]
hostname = "laperouse"
role = "master"
[time]
timezone = "Europe/Paris"
ntp = ["0.debian.pool.ntp.org"]
[system]
locale = "en_GB.UTF-8"
keyboard = "gb"
apt_proxy = "http://192.168.1.2:3142"
[[network.addresses]]
interface = "eth0"
address = "192.168.1.21/24"
[wifi]
country = "FR"
[[wifi.networks]]
ssid = "harbour"
[user]
name = "captain"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me@laptop"]
"#;

fn agent(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pikube-agent")).args(args).output().unwrap()
}

fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn said(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// A test root with a plan, and its path.
fn root() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "/plan.toml", PLAN);
    let path = folder.path().to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn plan_shows_every_step_under_a_test_root() {
    let (folder, path) = root();
    put(folder.path(), "/etc/hostname", "laperouse\n");
    let plan = format!("{path}/plan.toml");
    let (code, stdout, stderr) = said(&agent(&["plan", "--root", &path, "--plan", &plan]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], "laperouse (master): 17 steps");
    assert_eq!(lines[1], "");
    assert_eq!(lines.len(), 19, "{stdout}");
    assert!(lines[2].starts_with(" 1 clock     clock floor                satisfied"), "{stdout}");
    for (id, part) in [
        ("timezone", "needed: `/etc/localtime` is no link; this system has no zone `Europe/Paris`"),
        ("user", "needed: there is no user `captain`"),
        ("cgroups", "cannot be told under a test root"),
        ("scrub", "satisfied"),
        ("done", "needed: `/var/lib/pikube/done` is not there"),
    ] {
        assert!(lines.iter().any(|line| line.contains(id) && line.contains(part)), "{stdout}");
    }
    assert!(!folder.path().join("var").exists() && !folder.path().join("run").exists());
}

#[test]
fn plan_names_what_has_changed_since_the_last_run_and_what_stays() {
    let (folder, path) = root();
    put(folder.path(), "/etc/pikube/pikube.toml", &PLAN.replace("captain", "admiral"));
    put(folder.path(), "/var/lib/pikube/pikube.toml", PLAN);
    let (code, stdout, _) = said(&agent(&["plan", "--root", &path]));
    assert_eq!(code, 0);
    assert!(
        stdout.contains("\n\nchanged since the last run: user\nnote: the login user `captain`")
    );
    put(folder.path(), "/etc/pikube/pikube.toml", PLAN);
    let (_, stdout, _) = said(&agent(&["plan", "--root", &path]));
    assert!(!stdout.contains("changed"), "{stdout}");
}

#[test]
fn plan_is_read_from_the_node_where_none_is_named() {
    let (folder, path) = root();
    let (code, _, stderr) = said(&agent(&["--root", &path, "plan"]));
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "error: reading the plan `/etc/pikube/pikube.toml`: it is not there\n\
         help: name one with `--plan FILE`\n"
    );
    put(folder.path(), "/etc/pikube/pikube.toml", PLAN);
    assert_eq!(said(&agent(&["--root", &path, "plan"])).0, 0);
}

#[test]
fn an_invalid_plan_shows_all_its_problems() {
    let (folder, path) = root();
    put(folder.path(), "/bad.toml", "schema = 1\n[node]\nhostname = \"Lap\"\nrolle = \"master\"\n");
    let bad = format!("{path}/bad.toml");
    let (code, stdout, stderr) = said(&agent(&["plan", "--plan", &bad]));
    assert_eq!((code, stdout.as_str()), (1, ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines[0], format!("error: reading the plan `{bad}`: 3 problems"));
    assert_eq!(lines.len(), 5, "{stderr}");
    assert!(stderr.contains("`node.rolle`: is not a known key (did you mean `node.role`?)"));
    assert!(lines[4].starts_with("help: "));
}

#[test]
fn render_writes_every_file_and_nothing_else() {
    let (_folder, path) = root();
    let (plan, to) = (format!("{path}/plan.toml"), format!("{path}/out"));
    let (code, stdout, stderr) = said(&agent(&["render", "--plan", &plan, "--to", &to]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(stdout, include_str!("render.txt"));
    let read = |name: &str| fs::read_to_string(format!("{to}/{name}")).unwrap();
    assert_eq!(read("etc/hostname"), "laperouse\n");
    assert_eq!(read("etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\tlaperouse\n");
    assert_eq!(
        fs::read_link(format!("{to}/etc/localtime")).unwrap(),
        Path::new("/usr/share/zoneinfo/Europe/Paris")
    );
    // Once more over the same folder.
    assert_eq!(said(&agent(&["render", "--plan", &plan, "--to", &to])).0, 0);
}

#[test]
fn render_shows_kubeadm_s_configuration_without_the_token() {
    const CLUSTER: &str = r#"
[cluster]
name = "pikube"
endpoint = "cp.pikube.internal:6443"
[kubernetes]
version = "1.36"
repository = "https://packages.example.org/"
"#;
    let (folder, path) = root();
    put(folder.path(), "/plan.toml", &format!("{PLAN}{CLUSTER}"));
    let (plan, to) = (format!("{path}/plan.toml"), format!("{path}/out"));
    let (code, stdout, stderr) = said(&agent(&["render", "--plan", &plan, "--to", &to]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let line = stdout.lines().find(|line| line.contains("kubeadm.yaml")).unwrap();
    assert!(line.starts_with("0600 /etc/pikube/kubeadm.yaml  ("), "{line}");
    assert!(line.contains("placeholders"), "{line}");
    let text = fs::read_to_string(format!("{to}/etc/pikube/kubeadm.yaml")).unwrap();
    for part in
        ["abcdef.0123456789abcdef", "192.168.1.21", "v1.36.0", "kind: KubeProxyConfiguration"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

fn report(state: &str, more: &str) -> String {
    format!(
        "{{\"schema\":1,\"node\":\"laperouse\",\"role\":\"master\",\"agent\":\"0.1.0\",\
         \"state\":\"{state}\",\"message\":\"swap off: zram0\"{more},\
         \"updated_at\":\"2026-11-21T06:10:00Z\",\"steps\":[{{\"id\":\"swap\",\"title\":\"swap off\",\
         \"state\":\"running\",\"seconds\":1.5,\"message\":\"zram0\"}}]}}"
    )
}

#[test]
fn status_says_when_nothing_has_begun() {
    let (_folder, path) = root();
    let (code, stdout, _) = said(&agent(&["--root", &path, "status"]));
    assert_eq!(
        (code, stdout.as_str()),
        (2, "not begun: no run of pikube-agent has happened yet\n")
    );
    let (code, stdout, _) = said(&agent(&["--root", &path, "status", "--format", "json"]));
    assert_eq!((code, stdout.as_str()), (2, "{\"schema\":1,\"state\":\"not-begun\"}\n"));
}

#[test]
fn status_is_running_failed_or_done() {
    let (folder, path) = root();
    let status =
        |args: &[&str]| said(&agent(&[&["--root", path.as_str(), "status"], args].concat()));
    put(folder.path(), "/var/lib/pikube/report.json", &report("running", ""));
    let (code, stdout, _) = status(&[]);
    assert_eq!(code, 2);
    assert!(stdout.starts_with("laperouse (master): working\nswap off: zram0\n"), "{stdout}");

    // The marker is what counts: a report that is ahead of it is not the end.
    put(folder.path(), "/var/lib/pikube/report.json", &report("done", ""));
    assert_eq!(status(&[]).0, 2);

    let failed = report("failed", ",\"help\":\"use another card\"");
    put(folder.path(), "/var/lib/pikube/report.json", &failed);
    let (code, stdout, _) = status(&["--wait"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("FAILED") && stdout.contains("help: use another card"), "{stdout}");

    put(folder.path(), "/var/lib/pikube/report.json", &report("done", ""));
    put(folder.path(), "/var/lib/pikube/done", "");
    let (code, stdout, _) = status(&["--wait", "--format", "json"]);
    assert_eq!((code, stdout.lines().count()), (0, 1));
    assert!(
        stdout.contains("\"state\":\"done\"") && stdout.contains("\"seconds\":1.5"),
        "{stdout}"
    );

    fs::remove_file(folder.path().join("var/lib/pikube/report.json")).unwrap();
    assert_eq!(status(&[]).1, "done\n");
}

#[test]
fn status_waits_until_the_marker_is_there() {
    let (folder, path) = root();
    put(folder.path(), "/var/lib/pikube/report.json", &report("waiting", ""));
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_pikube-agent"))
        .args(["--root", &path, "status", "--wait"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(waiting.try_wait().unwrap(), None);
    put(folder.path(), "/var/lib/pikube/report.json", &report("done", ""));
    put(folder.path(), "/var/lib/pikube/done", "");
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn run_is_for_the_running_system_only() {
    let (folder, path) = root();
    put(folder.path(), "/etc/pikube/pikube.toml", PLAN);
    let (code, _, stderr) = said(&agent(&["--root", &path, "run"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("test root") && stderr.contains("\nhelp: "), "{stderr}");
    assert!(!folder.path().join("var").exists());
}

#[test]
fn usage_errors_are_2_and_help_fits_80_columns() {
    assert_eq!(said(&agent(&[])).0, 2);
    assert_eq!(said(&agent(&["dance"])).0, 2);
    for args in [
        &["--help"][..],
        &["run", "-h"],
        &["renew", "-h"],
        &["approve", "-h"],
        &["plan", "-h"],
        &["render", "-h"],
        &["status", "-h"],
    ] {
        let (code, stdout, _) = said(&agent(args));
        assert_eq!(code, 0);
        assert!(stdout.lines().all(|line| line.chars().count() <= 80), "{stdout}");
        assert!(!stdout.contains("--root"), "{stdout}");
    }
}
