//! The whole story of one card: written by the real `piflash`, booted until its agent is done, booted again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::card::Card;
use crate::machine::{Ending, Machine, Running};
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
pub const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHf0c0R5v9pikubetestsonlykeynobodyhasprivate captain@test";

/// A boot that takes longer hangs. Generous: other builds may run beside the tests.
pub const BOOT_LIMIT: Duration = Duration::from_secs(900);
/// The operating system's own first boot, the launcher's, the agent's, and room for surprises.
const MOST_BOOTS: u32 = 6;

/// Where a card starts: program, agents, image.
#[derive(Debug, Clone)]
pub struct Workshop {
    piflash: PathBuf,
    agents: PathBuf,
    image: PathBuf,
    /// Beside those that keep cards apart: of piflash's environment.
    environment: Vec<(&'static str, PathBuf)>,
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
        let (piflash, agents) = (needs::piflash()?, needs::agents(arch)?);
        Ok(Self { image: image?, piflash, agents, environment: Vec::new() })
    }

    /// The same with a variable of piflash's environment.
    #[must_use]
    pub fn with(mut self, variable: &'static str, path: impl Into<PathBuf>) -> Self {
        self.environment.push((variable, path.into()));
        self
    }

    /// A card of `size_bytes`, written by piflash for a master that powers itself off when it is done, and not booted
    /// yet.
    ///
    /// # Errors
    /// When piflash fails; with what it said.
    pub fn flash(&self, size_bytes: u64) -> Result<Node> {
        let directory = tempfile::Builder::new().prefix("pikube-test-secret").tempdir()?;
        let (key, password) = (directory.path().join("key.pub"), directory.path().join("password"));
        std::fs::write(&key, format!("{SSH_KEY}\n"))?;
        std::fs::write(&password, format!("{PASSWORD}\n"))?;
        let node = self.write(
            size_bytes,
            &Order::new("master", HOSTNAME)
                .with("--user", USER)
                .with("--ssh-key", key)
                .with("--password-file", password),
        )?;
        probe::ask(&node.card)?;
        Ok(node)
    }

    /// A card of `size_bytes`, written by piflash as ordered and not booted yet. Its node stays on.
    ///
    /// # Errors
    /// When piflash fails; with what it said.
    pub fn write(&self, size_bytes: u64, order: &Order) -> Result<Node> {
        let node = self.write_only(size_bytes, order)?;
        probe::ask_and_stay(&node.card)?;
        Ok(node)
    }

    /// The same, and nothing but what piflash wrote is on it: its node is asked nothing.
    ///
    /// # Errors
    /// When piflash fails; with what it said.
    pub fn write_only(&self, size_bytes: u64, order: &Order) -> Result<Node> {
        let directory = tempfile::Builder::new().prefix("pikube-test-node").tempdir()?;
        let path = directory.path().join("card.img");
        std::fs::File::create(&path)?.set_len(size_bytes)?;
        let mut command = self.piflash(directory.path());
        command.arg("--yes").args(&order.0).arg("--agent-dir").arg(&self.agents);
        command.arg("--image").arg(&self.image).arg(&path);
        let output = succeeded(&mut command)?;
        let receipt =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        let card = Card::at(path);
        let secrets = secrets(&card)?;
        Ok(Node { card, secrets, receipt: receipt.concat(), directory })
    }

    /// Changes a card that is not in a machine, as `piflash configure` does.
    ///
    /// # Errors
    /// When piflash fails; with what it said.
    pub fn configure(&self, node: &Node, order: &Order) -> Result<()> {
        let mut command = self.piflash(node.directory());
        command.args(["configure", "--yes"]).args(&order.0).arg("--agent-dir").arg(&self.agents);
        succeeded(command.arg(node.card.path())).map(|_| ())
    }

    /// piflash with state and cache of its own.
    fn piflash(&self, directory: &Path) -> Command {
        let mut command = Command::new(&self.piflash);
        command
            .env("PIKUBE_STATE_DIR", directory.join("state"))
            .env("PIKUBE_CACHE_DIR", directory.join("cache"));
        command.envs(self.environment.iter().map(|(name, path)| (name, path)));
        command
    }
}

/// What a card shall become: the options of piflash.
#[derive(Debug, Clone)]
pub struct Order(Vec<OsString>);

impl Order {
    /// A node with time zone and time server of all tests, which is prepared only.
    #[must_use]
    pub fn new(role: &str, hostname: &str) -> Self {
        let words = ["--role", role, "--hostname", hostname, "--timezone", TIMEZONE, "--ntp", NTP];
        Self(words.map(OsString::from).to_vec()).with("--kubernetes", "none")
    }

    /// Nothing yet: what shall change of a card that is written already.
    #[must_use]
    pub fn changes() -> Self {
        Self(Vec::new())
    }

    /// Both orders together.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        self.0.extend_from_slice(&more.0);
        self
    }

    /// With one more option that has no value.
    #[must_use]
    pub fn flag(mut self, option: &str) -> Self {
        self.0.push(OsString::from(option));
        self
    }

    /// With one more option.
    #[must_use]
    pub fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.0.extend([OsString::from(option), value.into()]);
        self
    }
}

/// Runs piflash to a good end.
fn succeeded(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

/// One card on its way to being a node. Gone, with all its files, when dropped.
#[derive(Debug)]
pub struct Node {
    card: Card,
    secrets: Vec<String>,
    /// What piflash said when it had written the card.
    receipt: String,
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
        Ok(Self { card, secrets: self.secrets.clone(), receipt: self.receipt.clone(), directory })
    }

    /// Puts the agent of this computer's processor beside that of a 32-bit system, the only one that piflash gives it: its
    /// twin runs on this processor.
    ///
    /// # Errors
    /// When it has not been built, or does not fit.
    pub fn give_own_agent(&self) -> Result<()> {
        let name = "pikube-agent-amd64";
        let agent = std::fs::read(needs::agents("amd64")?.join(name))?;
        self.card.put_boot_file(name, &agent)
    }

    /// What piflash said when it had written the card.
    #[must_use]
    pub fn receipt(&self) -> &str {
        self.receipt.trim_end()
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
        machine.run_until_power_off(&self.card, BOOT_LIMIT, MOST_BOOTS)?;
        probe::facts(&self.card)
    }

    /// Boots, through all its reboots, until the node says that it is up and its agent rests, and leaves it running.
    ///
    /// # Errors
    /// When a boot hangs or crashes, or the node powers itself off.
    pub fn start(&self, machine: &dyn Machine) -> Result<Running> {
        for _ in 0..MOST_BOOTS {
            let mut running = machine.boot(&self.card)?;
            match running.wait_for_line_or_end(probe::ANSWERED, BOOT_LIMIT)? {
                None => return Ok(running),
                Some(Ending::Reboot) => {}
                Some(Ending::PowerOff) => bail!("powered itself off{}", running.where_it_was()),
            }
        }
        bail!("still rebooting after {MOST_BOOTS} boots")
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
