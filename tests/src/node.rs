//! The whole story of one card: written by the real `piflash`, booted until its agent is done, booted again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::card::Card;
use crate::machine::Machine;
use crate::needs::{self, Missing};
use crate::probe::{self, Facts};

/// What the tests give every node.
pub const HOSTNAME: &str = "laperouse";
/// Time zone of every node.
pub const TIMEZONE: &str = "Europe/Paris";
/// Time server of every node.
pub const NTP: &str = "0.debian.pool.ntp.org";
/// Login user of every node.
pub const USER: &str = "captain";
/// The user's password, in clear: never to be found on a card.
pub const PASSWORD: &str = "Astrolabe-et-Boussole-1785";
/// The user's public key; nobody has the private one.
pub const SSH_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHf0c0R5v9pikubetestsonlykeynobodyhasprivatepart captain@test";

/// A boot that takes longer hangs. Generous: other builds may run beside the tests.
pub const BOOT_LIMIT: Duration = Duration::from_secs(900);

/// Where a card starts: program, agents, image.
#[derive(Debug, Clone)]
pub struct Workshop {
    piflash: PathBuf,
    agents: PathBuf,
    image: PathBuf,
}

impl Workshop {
    /// Everything that writing cards of this image for this architecture takes.
    ///
    /// # Errors
    /// What is missing first.
    pub fn new(image: Result<PathBuf, Missing>, arch: &str) -> Result<Self, Missing> {
        for (command, package) in
            [("mcopy", "mtools"), ("debugfs", "e2fsprogs"), ("fsck.fat", "dosfstools")]
        {
            needs::command(command, package)?;
        }
        Ok(Self { image: image?, piflash: needs::piflash()?, agents: needs::agents(arch)? })
    }

    /// A card of `size_bytes`, written by piflash and not booted yet.
    ///
    /// # Errors
    /// When piflash fails; with what it said.
    pub fn flash(&self, size_bytes: u64) -> Result<Node> {
        let directory = tempfile::Builder::new().prefix("pikube-test-node").tempdir()?;
        let path = directory.path().join("card.img");
        std::fs::File::create(&path)?.set_len(size_bytes)?;
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let file = directory.path().join(name);
            std::fs::write(&file, text)?;
            Ok(file)
        };
        let output = Command::new(&self.piflash)
            .args(["--role", "master", "--hostname", HOSTNAME, "--timezone", TIMEZONE])
            .args(["--ntp", NTP, "--user", USER, "--yes"])
            .arg("--ssh-key")
            .arg(write("key.pub", &format!("{SSH_KEY}\n"))?)
            .arg("--password-file")
            .arg(write("password", &format!("{PASSWORD}\n"))?)
            .arg("--agent-dir")
            .arg(&self.agents)
            .arg("--image")
            .arg(&self.image)
            .arg(&path)
            .env("PIKUBE_STATE_DIR", directory.path().join("state"))
            .env("PIKUBE_CACHE_DIR", directory.path().join("cache"))
            .output()
            .with_context(|| format!("starting {}", self.piflash.display()))?;
        ensure!(
            output.status.success(),
            "piflash: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let card = Card::at(path);
        let secrets = secrets(&card)?;
        probe::ask(&card)?;
        Ok(Node { card, secrets, directory })
    }
}

/// One card on its way to being a node. Gone, with all its files, when dropped.
#[derive(Debug)]
pub struct Node {
    card: Card,
    secrets: Vec<String>,
    directory: TempDir,
}

impl Node {
    /// Its card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Another card with the same contents: one that has not been booted can be booted many times.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn copy(&self) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pikube-test-node").tempdir()?;
        let size_bytes = std::fs::metadata(self.card.path())?.len();
        let card = Card::copy_of(self.card.path(), directory.path().join("card.img"), size_bytes)?;
        Ok(Self { card, secrets: self.secrets.clone(), directory })
    }

    /// The directory of its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Every secret that piflash wrote onto the card, value by value, and the password in clear.
    #[must_use]
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Boots until the node powers itself off, through all its reboots, and returns what it then said about itself.
    ///
    /// # Errors
    /// When a boot hangs or crashes or the node has nothing to say.
    pub fn run(&self, machine: &dyn Machine) -> Result<Facts> {
        machine.run_until_power_off(&self.card, BOOT_LIMIT, 6)?;
        probe::facts(&self.card)
    }
}

/// The quoted values of pikube-secrets.toml that are long enough to be no accident elsewhere. Lines of a multi-line
/// value (a PEM key) count one by one.
fn secrets(card: &Card) -> Result<Vec<String>> {
    let mut secrets = vec![PASSWORD.to_owned()];
    if let Some(file) = card.boot_file("pikube-secrets.toml")? {
        let text = String::from_utf8(file).context("pikube-secrets.toml is not text")?;
        for line in text.lines().filter(|line| !line.starts_with("-----")) {
            let value = line.split_once(" = ").map_or(line, |(_, value)| value);
            let value = value.trim_matches(['"', '\'']);
            if value.len() >= 16 {
                secrets.push(value.to_owned());
            }
        }
    }
    Ok(secrets)
}
