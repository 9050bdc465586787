//! Logging in to a node from the laptop of a switch, with OpenSSH and a key made for the purpose.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::needs::{self, Missing};
use crate::switch::Switch;

/// What ssh itself returns where it could not log in; every other status is the remote command's.
const NO_LOGIN: i32 = 255;

/// A person with a key of their own and an empty list of known hosts.
#[derive(Debug)]
pub struct Person {
    directory: TempDir,
}

impl Person {
    /// What this needs.
    ///
    /// # Errors
    /// When OpenSSH is not installed.
    pub fn needs() -> Result<(), Missing> {
        needs::command("ssh", "openssh-client")?;
        needs::command("ssh-keygen", "openssh-client")?;
        Ok(())
    }

    /// Makes the key.
    ///
    /// # Errors
    /// When ssh-keygen fails.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pikube-test-ssh").tempdir()?;
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "pikube-test", "-f"])
            .arg(directory.path().join("key"))
            .status()
            .context("starting ssh-keygen")?;
        ensure!(made.success(), "ssh-keygen: {made}");
        Ok(Self { directory })
    }

    /// The file of the public key.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.directory.path().join("key.pub")
    }

    /// A way to log in as `user` at `address` with the key.
    #[must_use]
    pub fn login<'a>(&'a self, switch: &'a Switch, user: &str, address: &str) -> Login<'a> {
        let (user, address) = (user.to_owned(), address.to_owned());
        Login { switch, directory: self.directory.path(), user, address }
    }
}

/// One user at one address.
#[derive(Debug, Clone)]
pub struct Login<'a> {
    switch: &'a Switch,
    directory: &'a Path,
    user: String,
    address: String,
}

impl Login<'_> {
    /// The same person and place as another user.
    #[must_use]
    pub fn other(&self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self.clone() }
    }

    /// Where the node is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Runs a command line of the node's shell and returns what it printed, without the line break at its end.
    ///
    /// # Errors
    /// When nobody may log in, or the command fails; with what it said.
    pub fn run(&self, line: &str) -> Result<String> {
        let output = self.output(line)?;
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success(),
            "{}@{}$ {line}: {}\n{out}{err}",
            self.user,
            self.address,
            output.status
        );
        Ok(out.trim_end().to_owned())
    }

    /// Runs a command line of the node's shell, whatever comes of it.
    ///
    /// # Errors
    /// When ssh cannot be started.
    pub fn output(&self, line: &str) -> Result<Output> {
        let key = self.directory.join("key").display().to_string();
        let output = self
            .ssh()
            .args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", &key])
            .arg(format!("{}@{}", self.user, self.address))
            .arg(line)
            .stdin(Stdio::null())
            .output()?;
        Ok(output)
    }

    /// Waits until the key opens the door: a server that is starting refuses everybody for a while.
    ///
    /// # Errors
    /// When it does not within `limit`; with what ssh said last.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let output = self.output("true")?;
            if output.status.success() {
                return Ok(());
            }
            if Instant::now() > end {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                bail!("{}@{} does not let the key in: {said}", self.user, self.address);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Whether a password opens the door, typed at ssh's question, without the key.
    ///
    /// # Errors
    /// When ssh fails for another reason than the password: nobody there, an unknown host key.
    pub fn password_is_accepted(&self, password: &str) -> Result<bool> {
        let ask = self.directory.join("answer");
        std::fs::write(&ask, "#!/bin/sh\nprintf '%s\\n' \"$PIKUBE_TEST_ANSWER\"\n")?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&ask, mode)?;
        let output = self
            .ssh()
            .args(["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"])
            .args(["-o", "PreferredAuthentications=password,keyboard-interactive"])
            .arg(format!("{}@{}", self.user, self.address))
            .arg("true")
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("PIKUBE_TEST_ANSWER", password)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Ok(true),
            Some(NO_LOGIN) if said.contains("Permission denied") => Ok(false),
            _ => bail!("{}@{}: {}: {said}", self.user, self.address, output.status),
        }
    }

    fn ssh(&self) -> Command {
        let known = self.directory.join("known_hosts");
        let mut command = self.switch.command("ssh");
        command
            .args(["-F", "none", "-o", "StrictHostKeyChecking=accept-new", "-o"])
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .args(["-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR"])
            .env_remove("SSH_AUTH_SOCK");
        command
    }
}
