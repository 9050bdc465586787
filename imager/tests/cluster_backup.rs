//! `piflash cluster`: what is listed, backed up, brought back and deleted; the program `age` judges the backup.
//!
//! Rung 1: files, and a terminal; no root.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a test")]

#[path = "support/desk.rs"]
mod desk;
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use desk::{Desk, fails, good, said};
use terminal::Terminal;

const PASSPHRASE: &str = "sea and salt";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write(&["--hostname", "laperouse,fregate", "a.img", "b.img"]);
    fs::write(desk.path("pass"), format!("{PASSPHRASE}\n")).unwrap();
    fs::write(desk.path("wrong"), "swordfish\n").unwrap();
    desk
}

fn cluster(desk: &Desk, args: &[&str]) -> Command {
    desk.piflash(&[&["cluster"], args].concat())
}

/// The same on another computer.
fn elsewhere(desk: &Desk, args: &[&str]) -> Command {
    let mut command = cluster(desk, args);
    command.env("PIKUBE_STATE_DIR", desk.path("elsewhere"));
    command
}

#[test]
fn a_cluster_goes_to_another_computer() {
    let desk = desk();
    let export = |file: &str, more: &[&str]| {
        let args = [&["export", file, "--passphrase-file", "pass"], more].concat();
        said(&cluster(&desk, &args).output().unwrap())
    };
    let told = export("sea.age", &[]) + &export("sea.txt", &["--armor"]);
    assert!(told.contains("cluster `pikube` with 2 node(s), encrypted"), "{told}");
    assert!(!told.contains(PASSPHRASE) && !told.contains("PRIVATE"), "{told}");
    let (binary, text) =
        (fs::read(desk.path("sea.age")).unwrap(), fs::read(desk.path("sea.txt")).unwrap());
    assert!(binary.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    assert!(text.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----\n"));
    for (file, bytes) in [("sea.age", &binary), ("sea.txt", &text)] {
        let mode = fs::metadata(desk.path(file)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        assert!(!bytes.windows(9).any(|part| part == b"laperouse" || part == b"PRIVATE K"));
    }
    for (n, file) in ["sea.age", "sea.txt"].into_iter().enumerate() {
        let import = ["import", file, "--passphrase-file", "pass"];
        let mut wrong = elsewhere(&desk, &["import", file, "--passphrase-file", "wrong"]);
        fails(&mut wrong, 1, &[file, "the passphrase is another one"]);
        assert!(!desk.path("elsewhere/pikube").exists());
        assert!(
            good(&mut elsewhere(&desk, &import)).contains("with 2 node(s) is on this computer")
        );
        for entry in fs::read_dir(desk.path("state/pikube")).unwrap() {
            let name = entry.unwrap().file_name();
            let there = desk.path("elsewhere/pikube").join(&name);
            assert_eq!(
                fs::read(&there).unwrap(),
                fs::read(desk.path("state/pikube").join(&name)).unwrap()
            );
            assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert!(good(&mut elsewhere(&desk, &import)).contains("already, just so"));
        if n == 0 {
            good(&mut elsewhere(&desk, &["delete", "pikube", "--yes"]));
        }
    }
    // It is a cluster like any other: another card joins it.
    let mut other = desk.writing(&["--hostname", "sloop", "c.img"]);
    good(other.env("PIKUBE_STATE_DIR", desk.path("elsewhere")));
    assert_eq!(desk.of_cluster("c.img", "ca_hash"), desk.of_cluster("a.img", "ca_hash"));
    // And is not overwritten by what it was.
    let import = ["import", "sea.age", "--passphrase-file", "pass"];
    fails(
        &mut elsewhere(&desk, &import),
        3,
        &["on this computer already", "piflash cluster delete pikube"],
    );
}

#[test]
fn what_is_no_backup_is_refused_in_one_line() {
    let desk = desk();
    fails(
        &mut cluster(&desk, &["export", "x", "--cluster", "no", "--passphrase-file", "pass"]),
        1,
        &["no cluster `no`"],
    );
    fails(&mut cluster(&desk, &["export", "x"]), 2, &["nobody to ask", "--passphrase-file"]);
    fails(
        &mut cluster(&desk, &["export", "key.pub", "--passphrase-file", "pass"]),
        3,
        &["no backup of a cluster"],
    );
    assert_eq!(fs::read_to_string(desk.path("key.pub")).unwrap(), support::KEY);
    good(&mut cluster(&desk, &["export", "sea.age", "--passphrase-file", "pass"]));
    // A newer one takes its place.
    good(&mut cluster(&desk, &["export", "sea.age", "--passphrase-file", "pass"]));
    let whole = fs::read(desk.path("sea.age")).unwrap();
    let import = |bytes: &[u8], part: &str| {
        fs::write(desk.path("x.age"), bytes).unwrap();
        let import = ["import", "x.age", "--passphrase-file", "pass"];
        fails(&mut elsewhere(&desk, &import), 1, &["x.age", part]);
        assert!(!desk.path("elsewhere/pikube").exists());
    };
    import(b"", "it is cut off");
    import(support::KEY.as_bytes(), "no backup of a cluster");
    import(&whole[..whole.len() - 40], "");
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    import(&damaged, "");
    fails(
        &mut elsewhere(&desk, &["import", "nothing.age", "--passphrase-file", "pass"]),
        1,
        &["nothing.age"],
    );
    fails(
        &mut elsewhere(&desk, &["import", "sea.age", "--passphrase-file", "nothing"]),
        2,
        &["nothing"],
    );
}

/// A backup that somebody made by hand: what is in the cluster's files is changed before it is encrypted.
#[test]
fn what_a_backup_says_is_checked_like_any_other_input() {
    let desk = desk();
    let state = desk.path("state/pikube");
    let refused = |file: &str, change: &dyn Fn(String) -> String, part: &str| {
        let path = state.join(file);
        let kept = fs::read_to_string(&path).unwrap();
        let changed = change(kept.clone());
        assert_ne!(changed, kept, "{file}");
        // Exported by a program that looks at nothing: the files as they are, in the same form.
        fs::write(&path, changed).unwrap();
        let mut archive = toml::Table::new();
        archive.insert("version".into(), 1.into());
        archive.insert("name".into(), "pikube".into());
        archive.insert("saved_at".into(), "2026-11-28T12:00:00Z".into());
        let files = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path());
        let files: toml::Table = files
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, fs::read_to_string(path).unwrap().into())
            })
            .collect();
        archive.insert("files".into(), files.into());
        fs::write(&path, kept).unwrap();
        let passphrase = age::secrecy::SecretString::from(PASSPHRASE);
        let mut recipient = age::scrypt::Recipient::new(passphrase);
        recipient.set_work_factor(1);
        let bytes = age::encrypt(&recipient, archive.to_string().as_bytes()).unwrap();
        fs::write(desk.path("x.age"), bytes).unwrap();
        let import = ["import", "x.age", "--passphrase-file", "pass"];
        fails(&mut elsewhere(&desk, &import), 1, &["`x.age`", part]);
        assert!(!desk.path("elsewhere/pikube").exists());
    };
    let change = |from: &'static str, to: &'static str| move |text: String| text.replace(from, to);
    for (from, to, part) in [
        ("\"laperouse\"", "\"a\\n[all:vars]\\nx=y\"", "host name"),
        ("\"laperouse\"", "\"fregate\"", "two nodes"),
        ("\"captain\"", "\"a ansible_connection=local\"", "no user name"),
        ("role = ", "addresses = [\"127.0.0.1\"]\nrole = ", "not an address"),
        ("role = ", "card_serial = \"\\u001b[2J\"\nrole = ", "control characters"),
        ("image_sha256 = \"", "image_sha256 = \"x", "SHA-256"),
        ("name = \"pikube\"", "name = \"../x\"", "host name"),
        (
            "version = 1\n",
            "version = 1\nendpoint = { at = \"localhost:6443\" }\n",
            "every computer",
        ),
    ] {
        refused("cluster.toml", &change(from, to), part);
    }
    desk.write(&["--cluster", "other", "--hostname", "sloop", "c.img"]);
    let (key, public) = (desk.state("other/sa.key"), desk.state("other/sa.pub"));
    refused("sa.pub", &|_| public.clone(), "its sa.pub: it is not the public half");
    refused("ca.key", &|_| key.clone(), "its ca.crt: it is not the certificate");
    refused("token.toml", &change("token = \"", "token = \"\\u001b"), "no token");
}

/// What opening a backup costs is what its maker wrote into it: more than a few seconds' work is not paid.
#[test]
fn a_backup_that_costs_too_much_work_is_refused() {
    let desk = desk();
    let passphrase = age::secrecy::SecretString::from(PASSPHRASE);
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(10);
    let bytes = age::encrypt(&recipient, b"x").unwrap();
    let at = bytes.windows(4).position(|part| part == b" 10\n").unwrap();
    let costly = [&bytes[..at], b" 30\n", &bytes[at + 4..]].concat();
    fs::write(desk.path("x.age"), costly).unwrap();
    let import = ["import", "x.age", "--passphrase-file", "pass"];
    fails(&mut elsewhere(&desk, &import), 1, &["x.age", "more work"]);
}

/// Whether Debian's `age` is here.
fn has_age() -> bool {
    let found = Command::new("age").arg("--version").output().is_ok();
    if !found {
        println!("SKIPPED: no age");
    }
    found
}

/// `age` on a terminal, from which alone it takes a passphrase.
fn age(desk: &Desk, args: &[&str], times: usize) {
    let mut call = Command::new("age");
    let mut terminal = Terminal::run(call.args(args).current_dir(desk.folder.path()));
    for _ in 0..times {
        terminal.until("passphrase");
        terminal.types(&format!("{PASSPHRASE}\n"));
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn age_opens_the_backup_and_closes_one() {
    let desk = desk();
    if !has_age() {
        return;
    }
    for more in [&[][..], &["--armor"]] {
        let args = [&["export", "sea.age", "--passphrase-file", "pass"], more].concat();
        good(&mut cluster(&desk, &args));
        age(&desk, &["--decrypt", "-o", "plain", "sea.age"], 1);
        let plain: toml::Table = fs::read_to_string(desk.path("plain")).unwrap().parse().unwrap();
        assert_eq!(
            (plain["version"].as_integer(), plain["name"].as_str()),
            (Some(1), Some("pikube"))
        );
        assert_eq!(plain["files"]["ca.key"].as_str(), Some(desk.state("pikube/ca.key").as_str()));
    }
    let plain = fs::read_to_string(desk.path("plain")).unwrap();
    let close = |text: &str| {
        fs::write(desk.path("plain"), text).unwrap();
        let _ = fs::remove_file(desk.path("theirs.age"));
        age(&desk, &["--passphrase", "-o", "theirs.age", "plain"], 2);
    };
    let import = ["import", "theirs.age", "--passphrase-file", "pass"];
    for (from, to, part) in [
        ("version = 1\n", "version = 2\n", "version 2"),
        ("\"ca.key\"", "\"../x\"", "missing"),
        ("name = \"pikube\"\nsaved", "name = \"other\"\nsaved", "of another cluster"),
        ("BEGIN PRIVATE", "BEGIN PIRATE", "not the certificate of the key"),
    ] {
        let changed = plain.replacen(from, to, 1);
        assert_ne!(changed, plain, "{from}");
        close(&changed);
        fails(&mut elsewhere(&desk, &import), 1, &[part]);
        let left = fs::read_dir(desk.path("elsewhere")).into_iter().flatten().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
    }
    close(&plain);
    good(&mut elsewhere(&desk, &import));
}

#[test]
fn a_passphrase_is_typed_unseen_and_twice() {
    let desk = desk();
    let export = cluster(&desk, &["export", "sea.age"]);
    for (again, code, part) in
        [("swordfish", 2, "the passphrases differ"), (PASSPHRASE, 0, "encrypted")]
    {
        let mut terminal = Terminal::run(&export);
        terminal.until("Passphrase: ");
        terminal.types(&format!("{PASSPHRASE}\n"));
        terminal.until("The same again: ");
        terminal.types(&format!("{again}\n"));
        let (ended, shown) = terminal.end();
        assert!(ended == Some(code) && shown.contains(part), "{shown}");
        assert!(!shown.contains(PASSPHRASE) && !shown.contains(again), "{shown}");
        assert_eq!(desk.path("sea.age").exists(), code == 0);
    }
    let mut terminal = Terminal::run(&elsewhere(&desk, &["import", "sea.age"]));
    terminal.until("Passphrase: ");
    terminal.types(&format!("{PASSPHRASE}\n"));
    let (ended, shown) = terminal.end();
    assert!(ended == Some(0) && !shown.contains(PASSPHRASE), "{shown}");
}

#[test]
fn deleting_asks_and_names_what_is_lost() {
    let desk = desk();
    desk.write(&["--cluster", "other", "--new-cluster", "--hostname", "sloop", "c.img"]);
    desk.write(&["--cluster", "other", "--new-cluster", "--hostname", "brig", "c.img"]);
    let output = cluster(&desk, &["list"]).output().unwrap();
    let table = said(&output);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("other   1      cp.other.internal:6443"), "{table}");
    assert!(lines[2].starts_with("pikube  2      cp.pikube.internal:6443"), "{table}");
    let aside = lines[3].split("set aside: ").nth(1).unwrap().split(';').next().unwrap();
    assert!(aside.starts_with("other.backup-"), "{table}");
    let json = good(&mut cluster(&desk, &["list", "--json"]));
    assert!(json.contains(r#""event":"cluster","cluster":"pikube""#), "{json}");
    let lost = "its CA, all its keys, and the inventory of laperouse, fregate";
    fails(&mut cluster(&desk, &["delete", "pikube"]), 3, &["this would delete", lost, "--yes"]);
    let mut terminal = Terminal::run(&cluster(&desk, &["delete", "pikube"]));
    terminal.until(lost);
    terminal.types("n\n");
    assert_eq!(terminal.end().0, Some(3));
    assert_eq!(desk.nodes().len(), 2);
    assert!(good(&mut cluster(&desk, &["delete", "pikube", "--yes"])).contains(lost));
    fails(&mut cluster(&desk, &["delete", "pikube", "--yes"]), 1, &["no cluster `pikube`"]);
    fails(&mut cluster(&desk, &["delete", "../state", "--yes"]), 1, &["no cluster"]);
    good(&mut cluster(&desk, &["delete", aside, "--yes"]));
    let names = fs::read_dir(desk.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["other", "other.lock", "pikube.lock"]);
    // What is damaged can go as well.
    fs::remove_file(desk.path("state/other/ca.key")).unwrap();
    let told = said(&cluster(&desk, &["list"]).output().unwrap());
    assert!(
        told.contains("warning: ") && told.contains("ca.key") && told.contains("NAME"),
        "{told}"
    );
    good(&mut cluster(&desk, &["delete", "other", "--yes"]));
    assert!(said(&cluster(&desk, &["list"]).output().unwrap()).contains("there are no clusters"));
}
