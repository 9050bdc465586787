//! A desk at which clusters are made: image, agents, state, all in one folder.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::support::{self, Fat, TestImage};

pub struct Desk {
    pub folder: TempDir,
    pub image: TestImage,
}

impl Desk {
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 10_000), ("armv7", 9_000)]);
        fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
        Self { folder, image: TestImage::raspberry_pi_os_trixie(Fat::Sixteen) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file of the state.
    pub fn state(&self, name: &str) -> String {
        fs::read_to_string(self.path("state").join(name)).unwrap()
    }

    pub fn piflash(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).args(args);
        for name in ["SUDO_USER", "SUDO_UID", "SUDO_GID", "KUBECONFIG", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        command
            .env("PIKUBE_STATE_DIR", self.path("state"))
            .env("PIKUBE_KUBERNETES", crate::support::KUBERNETES)
            .env("HOME", self.path("home"));
        command
    }

    /// Writes cards; the arguments are what the test is about.
    pub fn writing(&self, args: &[&str]) -> Command {
        let mut command = self.piflash(args);
        command.args(["--agent-dir", ".", "--user", "captain", "--ssh-key", "key.pub", "--yes"]);
        command.arg("--image").arg(self.image.path());
        command
    }

    pub fn write(&self, args: &[&str]) -> String {
        good(&mut self.writing(args))
    }

    /// The call ends with this code, and says all of this.
    pub fn fails(&self, args: &[&str], code: i32, words: &[&str]) {
        fails(&mut self.writing(args), code, words);
    }

    /// A file of a card's boot partition.
    pub fn on_card(&self, card: &str, name: &str) -> String {
        let place = format!("{}@@{}", self.path(card).display(), self.image.boot_offset_bytes);
        let mut mtype = Command::new("mtype");
        text(&mtype.args(["-i", &place]).arg(format!("::{name}")).output().unwrap().stdout)
    }

    /// A value of a card's plan.
    pub fn of_cluster(&self, card: &str, key: &str) -> Option<String> {
        let plan: toml::Table = self.on_card(card, "pikube.toml").parse().unwrap();
        plan["cluster"].get(key).and_then(|value| value.as_str()).map(str::to_owned)
    }

    /// `NAME ROLE` of every node.
    pub fn nodes(&self) -> Vec<String> {
        let lines = good(&mut self.piflash(&["inventory", "--json"]));
        let objects =
            lines.lines().map(|line| -> serde_json::Value { serde_json::from_str(line).unwrap() });
        let word = |object: &serde_json::Value, key: &str| object[key].as_str().unwrap().to_owned();
        objects
            .filter(|object| object["event"] == "node")
            .map(|object| format!("{} {}", word(&object, "node"), word(&object, "role")))
            .collect()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn said(output: &Output) -> String {
    text(&[&output.stdout[..], &output.stderr].concat())
}

/// What the program prints on standard output.
pub fn good(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    text(&output.stdout)
}

pub fn fails(command: &mut Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(errors, 1, "{said}");
}

/// A line of a shell, run in the folder.
pub fn shell(desk: &Desk, line: &str) -> String {
    good(Command::new("sh").arg("-c").arg(line).current_dir(desk.folder.path()))
}
