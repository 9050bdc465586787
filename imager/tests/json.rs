//! What a program reads with `--json`, and what becomes of the cards beside one that is refused.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

struct Desk {
    folder: TempDir,
    image: TestImage,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 10_000)]);
        fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
        Self { folder, image: TestImage::raspberry_pi_os_trixie(Fat::ThirtyTwo) }
    }

    fn piflash(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).args(arguments);
        command
            .env("PIKUBE_STATE_DIR", self.folder.path().join("state"))
            .env("PIKUBE_KUBERNETES", KUBERNETES);
        command
    }

    fn write(&self, hostname: &str, cards: &[&str]) -> Command {
        let mut command =
            self.piflash(&["--agent-dir", ".", "--role", "worker", "--json", "--yes"]);
        command.args(["--hostname", hostname, "--user", "captain", "--ssh-key", "key.pub"]);
        command.arg("--image").arg(self.image.path()).args(cards);
        command
    }
}

/// Every line is an object of version 1, and the last one tells the exit code.
fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(objects.iter().all(|object| object["v"] == 1), "{text}");
    let end = objects.last().unwrap();
    assert_eq!(
        (&end["event"], end["exit"].as_i64()),
        (&"end".into(), output.status.code().map(i64::from)),
        "{text}"
    );
    objects
}

fn of<'a>(objects: &'a [Value], event: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["event"] == event).collect()
}

#[test]
fn a_refused_card_fails_alone() {
    let desk = Desk::new();
    fs::write(desk.folder.path().join("small.img"), vec![0; 1 << 20]).unwrap();
    let cards = ["a.img", "/dev/pikube-test-none", "b.img", "small.img"];
    let output = desk.write("pi[01-04]", &cards).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let objects = objects(&output);
    let results = of(&objects, "result");
    assert_eq!(results.len(), 4, "one for each card");
    for (card, node, exit) in [
        ("a.img", "pi01", 0),
        ("/dev/pikube-test-none", "pi02", 3),
        ("b.img", "pi03", 0),
        ("small.img", "pi04", 3),
    ] {
        let result = results.iter().find(|result| result["card"] == card).unwrap();
        assert_eq!((&result["node"], &result["exit"]), (&node.into(), &exit.into()), "{result}");
        assert_eq!(result["ok"], exit == 0);
        if exit == 0 {
            let receipt = &result["receipt"];
            assert!(receipt["verified"] == true && receipt["ejected"] == false, "{receipt}");
            assert_eq!(receipt["bytes"], fs::metadata(desk.image.path()).unwrap().len());
            assert_eq!(receipt["image_sha256"], sha256(desk.image.path()), "{receipt}");
        } else {
            assert_eq!(result["class"], "refused");
            assert!(result["message"].as_str().unwrap().contains(card), "{result}");
        }
    }
    assert_eq!(of(&objects, "target").len(), 2);
    assert_eq!(
        of(&objects, "image")[0]["size_bytes"],
        fs::metadata(desk.image.path()).unwrap().len()
    );
    let phases: Vec<&str> = of(&objects, "phase")
        .into_iter()
        .filter(|phase| phase["card"] == "b.img")
        .map(|phase| phase["phase"].as_str().unwrap())
        .collect();
    assert_eq!((phases.first(), phases.last()), (Some(&"erase"), Some(&"finish")), "{phases:?}");
    // People are told what went wrong, too, and nothing else.
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(stderr.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{stderr}");
    assert!(!stderr.contains("writing\n"), "{stderr}");
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn every_failure_is_an_object_as_well() {
    let desk = Desk::new();
    let output = desk.piflash(&["--json", "--role", "boss", "card.img"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = objects(&output);
    assert_eq!(told[0]["class"], "usage");
    assert!(told[0]["message"].as_str().unwrap().contains("boss"), "{told:?}");

    let output = desk.write("La_Perouse", &["card.img"]).output().unwrap();
    let told = objects(&output);
    assert_eq!((&told[0]["event"], &told[0]["exit"]), (&"error".into(), &2.into()), "{told:?}");

    fs::write(desk.folder.path().join("old.img"), vec![0; 400 << 20]).unwrap();
    let mut command = desk.write("a1", &["old.img"]);
    let arguments: Vec<_> =
        command.get_args().filter(|arg| *arg != "--yes").map(ToOwned::to_owned).collect();
    command = desk.piflash(&[]);
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = objects(&output);
    let error = of(&told, "error")[0];
    assert_eq!(
        (&error["class"], error["help"].as_str().map(|h| h.contains("--yes"))),
        (&"refused".into(), Some(true))
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let mut child = desk
        .write("a1", &["card.img"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn verify_tells_what_differs_and_where() {
    let desk = Desk::new();
    assert!(desk.write("pi01", &["card.img"]).output().unwrap().status.success());
    let image = desk.image.path().to_str().unwrap();
    let card = desk.folder.path().join("card.img");
    let verify =
        || desk.piflash(&["verify", "--json", "--image", image, "card.img"]).output().unwrap();

    let output = verify();
    let told = objects(&output);
    let differences = of(&told, "difference");
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(
        (&differences[0]["partition"], &differences[0]["expected"]),
        (&1.into(), &true.into())
    );
    assert_eq!(of(&told, "result")[0]["ok"], true);

    let mut bytes = fs::read(&card).unwrap();
    let behind = (desk.image.boot_offset_bytes + desk.image.boot_size_bytes) as usize + 4096;
    bytes[behind] ^= 1;
    fs::write(&card, &bytes).unwrap();
    let output = verify();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let told = objects(&output);
    let differences = of(&told, "difference");
    let bad = differences.iter().find(|difference| difference["expected"] == false).unwrap();
    assert_eq!((&bad["bytes"], &bad["first_byte"]), (&1.into(), &behind.into()));
    assert_eq!(of(&told, "result")[0]["exit"], 4);

    // A card that piflash has not prepared: nothing may differ.
    fs::copy(desk.image.path(), &card).unwrap();
    assert!(verify().status.success());
    let mut bytes = fs::read(&card).unwrap();
    bytes[440] ^= 1;
    fs::write(&card, &bytes).unwrap();
    assert_eq!(verify().status.code(), Some(4), "the start of the disk");
    fs::write(&card, &bytes[..behind]).unwrap();
    assert_ne!(verify().status.code(), Some(0), "a card that ends before the image does");
}

#[test]
fn diagnose_says_what_the_node_wrote() {
    let desk = Desk::new();
    let diagnose = |arguments: &[&str]| {
        desk.piflash(&["diagnose", "card.img"]).args(arguments).output().unwrap()
    };
    fs::copy(desk.image.path(), desk.folder.path().join("card.img")).unwrap();
    let output = diagnose(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it was not prepared by piflash"));

    assert!(desk.write("pi01", &["card.img"]).output().unwrap().status.success());
    let output = diagnose(&[]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("this card was never booted"), "{text}");

    let report = r#"{"schema":1,"node":"pi01","role":"worker","agent":"0.1.0","state":"failed",
        "message":"the memory cgroup is missing","help":"write the card again",
        "updated_at":"2026-11-21T06:00:00Z","steps":[]}"#;
    for (name, content) in [("pikube-report.json", report), ("pikube-launch.log", "installed\n")] {
        fs::write(desk.folder.path().join(name), content).unwrap();
        let volume = format!("card.img@@{}", desk.image.boot_offset_bytes);
        let mut mcopy = Command::new("mcopy");
        mcopy.current_dir(desk.folder.path()).args([
            "-o",
            "-i",
            &volume,
            name,
            &format!("::{name}"),
        ]);
        assert!(mcopy.status().unwrap().success());
    }
    let text = String::from_utf8(diagnose(&[]).stdout).unwrap();
    for words in [
        "`pi01` needs a person: the memory cgroup is missing",
        "help: write the card again",
        "  installed",
    ] {
        assert!(text.contains(words), "`{words}` not in: {text}");
    }
    let told = objects(&diagnose(&["--json"]));
    assert_eq!((&told[0]["booted"], &told[0]["report"]["state"]), (&true.into(), &"failed".into()));
}
