//! The program as a person calls it: what it leaves behind, what it says, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod refusals;
mod settings;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

/// Everything that is withheld until the end, bytes.
const START_BYTES: usize = 1 << 20;

/// A folder with an image, agents and a key; removed when dropped.
struct Desk {
    folder: TempDir,
    image: TestImage,
}

impl Desk {
    fn new() -> Self {
        Self::with_image(TestImage::raspberry_pi_os_trixie(Fat::ThirtyTwo))
    }

    fn with_image(image: TestImage) -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
        fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
        fs::write(folder.path().join("password"), "swordfish\n").unwrap();
        Self { folder, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A call with good settings, to which the test adds what it is about.
    fn piflash(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).args(["--agent-dir", "."]);
        command.env("PIKUBE_STATE_DIR", self.path("state")).env("PIKUBE_KUBERNETES", KUBERNETES);
        command
    }

    fn good(&self) -> Command {
        let mut command = self.piflash();
        command.args(["--role", "master", "--hostname", "laperouse", "--user", "captain"]);
        command.args(["--ssh-key", "key.pub", "--password-file", "password", "--image"]);
        command.arg(self.image.path());
        command
    }

    /// The call fails with this code, one error line that has all these words, and leaves no new card.
    fn refuses(&self, command: &mut Command, code: i32, words: &[&str]) {
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command:?}\n{text}");
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{text}");
        for word in words {
            assert!(text.contains(word), "`{word}` not in: {text}");
        }
        assert!(!text.contains("swordfish"), "{text}");
        assert!(!self.path("card.img").exists(), "{command:?} made a card");
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The boot partition of a card, as a file of its own.
fn boot_partition(card: &Path, image: &TestImage) -> tempfile::NamedTempFile {
    let bytes = fs::read(card).unwrap();
    let (start, size) = (image.boot_offset_bytes as usize, image.boot_size_bytes as usize);
    let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
    fs::write(file.path(), &bytes[start..start + size]).unwrap();
    file
}

fn mtype(volume: &Path, name: &str) -> Option<Vec<u8>> {
    let output =
        Command::new("mtype").arg("-i").arg(volume).arg(format!("::{name}")).output().unwrap();
    output.status.success().then_some(output.stdout)
}

fn assert_card(card: &Path, image: &TestImage) {
    let (written, shipped) = (fs::read(card).unwrap(), fs::read(image.path()).unwrap());
    let start = image.boot_offset_bytes as usize;
    let end = start + image.boot_size_bytes as usize;
    assert!(written[..start] == shipped[..start], "before the boot partition");
    assert!(written[end..shipped.len()] == shipped[end..], "behind the boot partition");
    let volume = boot_partition(card, image);
    let fsck = Command::new("fsck.fat").arg("-n").arg(volume.path()).output().unwrap();
    assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
    let plan = String::from_utf8(mtype(volume.path(), "pikube.toml").unwrap()).unwrap();
    let plan = pikube_config::FirstbootPlan::from_toml(&plan).unwrap();
    assert_eq!(plan.node.hostname, "laperouse");
    assert_eq!(plan.user.unwrap().ssh_keys, [support::KEY]);
    assert!(mtype(volume.path(), "pikube-secrets.toml").unwrap().starts_with(b"schema = 1"));
    assert_eq!(mtype(volume.path(), "pikube-agent-arm64").unwrap().len(), 100_000);
}

#[test]
fn a_new_file_becomes_a_card() {
    let desk = Desk::new();
    let output = desk.good().arg("card.img").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("card.img: written and verified"));
    assert_card(&desk.path("card.img"), &desk.image);
}

#[test]
fn a_compressed_image_gives_the_same_card() {
    let desk = Desk::new();
    for (name, arguments) in
        [("one.xz", &["-1"][..]), ("blocks.xz", &["-1", "--block-size=1MiB", "-T2"])]
    {
        let packed = fs::File::create(desk.path(name)).unwrap();
        let xz = Command::new("xz")
            .args(arguments)
            .arg("-c")
            .arg(desk.image.path())
            .stdout(packed)
            .status();
        assert!(xz.unwrap().success());
        let card = format!("{name}.card");
        let mut command = desk.piflash();
        command.args([
            "--role",
            "master",
            "--hostname",
            "laperouse",
            "--user",
            "captain",
            "--ssh-key",
            "key.pub",
        ]);
        let output =
            command.args(["--password-file", "password", "--image", name, &card]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_card(&desk.path(&card), &desk.image);
    }
}

#[test]
fn an_existing_file_is_a_card_of_its_own_size_and_is_asked_for() {
    let desk = Desk::new();
    let size = desk.image.boot_offset_bytes + desk.image.boot_size_bytes + (100 << 20);
    let card = fs::File::create(desk.path("old.img")).unwrap();
    card.set_len(size).unwrap();
    desk.refuses(desk.good().arg("old.img"), 3, &["not confirmed", "old.img", "--yes"]);
    assert!(fs::read(desk.path("old.img")).unwrap().iter().all(|byte| *byte == 0));
    let output = desk.good().args(["old.img", "--yes"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::metadata(desk.path("old.img")).unwrap().len(), size);
    assert_card(&desk.path("old.img"), &desk.image);
}

#[test]
fn several_cards_get_an_identity_each() {
    let desk = Desk::new();
    let mut command = desk.piflash();
    command.args([
        "--role",
        "worker",
        "--hostname",
        "pi[01-02]",
        "--user",
        "captain",
        "--ssh-key",
        "key.pub",
        "--image",
    ]);
    let output = command.arg(desk.image.path()).args(["a.img", "b.img"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for (card, name) in [("a.img", "pi01"), ("b.img", "pi02")] {
        let volume = boot_partition(&desk.path(card), &desk.image);
        let plan = String::from_utf8(mtype(volume.path(), "pikube.toml").unwrap()).unwrap();
        assert!(plan.contains(&format!("hostname = \"{name}\"")), "{plan}");
        let secrets = mtype(volume.path(), "pikube-secrets.toml").unwrap();
        let secrets = String::from_utf8(secrets).unwrap();
        assert!(secrets.contains("token = ") && !secrets.contains("-----BEGIN"), "a worker's");
    }
}
#[test]
fn interrupted_at_any_time_the_exit_code_tells_the_truth() {
    let desk = Desk::new();
    for signal in ["-INT", "-TERM", "-KILL"] {
        for phase in ["writing", "verifying"] {
            let card = desk.path("cut.img");
            let _ = fs::remove_file(&card);
            let mut child = desk.good().arg(&card).stderr(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let mut text = String::new();
            for line in lines.map_while(Result::ok) {
                if line.ends_with(phase) {
                    let pid = child.id().to_string();
                    let _ = Command::new("kill").args([signal, &pid]).status();
                }
                text += &(line + "\n");
            }
            let status = child.wait().unwrap();
            let start_is_zero =
                fs::read(&card).unwrap().iter().take(START_BYTES).all(|byte| *byte == 0);
            // A program that is killed has no exit code to tell it with; its card boots only where all of it had been
            // found right before, and this is when it starts finishing.
            let killed_at_the_end =
                signal == "-KILL" && status.code().is_none() && text.contains(": finishing");
            assert!(
                status.success() != start_is_zero || killed_at_the_end,
                "{signal} while {phase}: {status}\n{text}"
            );
            if status.code() == Some(1) {
                assert!(
                    text.contains("interrupted; the card does not boot half-written"),
                    "{text}"
                );
            }
        }
    }
}
