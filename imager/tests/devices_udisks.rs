//! Writing without root: an ordinary user, a loop device that is not theirs, and a udisks2 on a bus of its own.
//!
//! Needs root (to make the loop device and to become somebody else), dbus-daemon and python3-dbus; says so and passes
//! where one is missing.
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

/// A bus, a udisks2 on it, and a loop device that it opens; all gone when dropped.
struct Desktop {
    folder: TempDir,
    address: String,
    card: String,
    processes: Vec<Child>,
}

impl Desktop {
    fn new() -> Option<Self> {
        let has = |program: &str, argument: &str| {
            let found = Command::new(program).args(argument.split('|')).output();
            found.is_ok_and(|output| output.status.success())
        };
        if !nix::unistd::geteuid().is_root()
            || !has("dbus-daemon", "--version")
            || !has("/usr/bin/python3", "-c|import dbus, gi.repository")
        {
            println!("skipped: needs root, dbus-daemon, python3-dbus and python3-gi");
            return None;
        }
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let socket = folder.path().join("bus");
        let address = format!("unix:path={}", socket.display());
        let policy = "<policy context='default'><allow user='*'/><allow own='*'/><allow send_destination='*'/><allow receive_sender='*'/><allow send_type='method_return'/></policy>";
        let config = format!(
            "<busconfig><type>custom</type><listen>{address}</listen><auth>EXTERNAL</auth>{policy}</busconfig>"
        );
        fs::write(folder.path().join("bus.conf"), config).unwrap();
        let file = folder.path().join("pikube-test-card");
        fs::File::create(&file).unwrap().set_len(400 << 20).unwrap();
        let output =
            Command::new("losetup").args(["--find", "--show"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "root, and no loop device: {output:?}");
        let card = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let mut desktop = Self { folder, address, card, processes: Vec::new() };
        let config = format!("--config-file={}", desktop.path("bus.conf").display());
        desktop.start(Command::new("dbus-daemon").args(["--nofork", &config]));
        desktop.wait_for("bus");
        Some(desktop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&mut self, command: &mut Command) {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        self.processes.push(command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).spawn().unwrap());
    }

    fn wait_for(&self, name: &str) {
        for _ in 0..600 {
            if self.path(name).exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("`{name}` does not appear");
    }

    fn start_udisks(&mut self) {
        let stub = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/udisks.py");
        let log = self.path("log");
        let card = self.card.clone();
        self.start(Command::new("/usr/bin/python3").arg(stub).arg(card).arg(log));
        self.wait_for("log");
    }

    /// As a user who may not open the card.
    fn write(&self, image: &TestImage) -> Output {
        support::write_agents(self.folder.path(), &[("arm64", 10_000)]);
        fs::write(self.path("key.pub"), support::KEY).unwrap();
        let program = self.path("piflash");
        fs::copy(env!("CARGO_BIN_EXE_piflash"), &program).unwrap();
        fs::copy(image.path(), self.path("os.img")).unwrap();
        fs::set_permissions(self.path("os.img"), fs::Permissions::from_mode(0o644)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command.args(["--role", "worker", "--hostname", "pi01", "--user", "captain", "--yes"]);
        command.args(["--ssh-key", "key.pub", "--agent-dir", ".", "--image", "os.img", &self.card]);
        fs::create_dir_all(self.path("state")).unwrap();
        fs::set_permissions(self.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(self.path("state"), Some(65534), Some(65534)).unwrap();
        command.env("PIKUBE_STATE_DIR", self.path("state")).env("PIKUBE_KUBERNETES", KUBERNETES);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).env("HOME", self.folder.path());
        command.current_dir(self.folder.path()).stdin(Stdio::null()).output().unwrap()
    }

    fn card(&self) -> Vec<u8> {
        fs::read(self.path("pikube-test-card")).unwrap()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = Command::new("losetup").args(["--detach", &self.card]).status();
    }
}

#[test]
fn udisks_opens_what_the_user_may_not() {
    let Some(mut desktop) = Desktop::new() else { return };
    let image = TestImage::raspberry_pi_os_trixie(Fat::ThirtyTwo);

    // A bus without udisks2: what root would have to type.
    let output = desktop.write(&image);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("opening card `{}`", desktop.card)), "{stderr}");
    let help = stderr.lines().find(|line| line.starts_with("help: ")).unwrap();
    assert!(help.contains("`sudo ") && help.ends_with(&format!("{}`", desktop.card)), "{stderr}");
    assert!(desktop.card().iter().all(|byte| *byte == 0), "nothing was written");

    desktop.start_udisks();
    let output = desktop.write(&image);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let log = fs::read_to_string(desktop.path("log")).unwrap();
    assert!(output.status.success(), "{stderr}\n{log}");
    assert!(log.contains("rw excl=True direct=True"), "{log}");
    let (card, shipped) = (desktop.card(), fs::read(image.path()).unwrap());
    let end = (image.boot_offset_bytes + image.boot_size_bytes) as usize;
    assert!(card[end..shipped.len()] == shipped[end..], "behind the boot partition");

    // What is LVM is found out only now that the card can be read.
    let file = fs::OpenOptions::new().write(true).open(desktop.path("pikube-test-card")).unwrap();
    use std::os::unix::fs::FileExt as _;
    file.write_all_at(b"LABELONE", 512).unwrap();
    file.write_all_at(b"LVM2 001", 536).unwrap();
    drop(file);
    let _ = Command::new("blockdev").args(["--flushbufs", &desktop.card]).status();
    let before = desktop.card();
    let output = desktop.write(&image);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("it holds LVM data"), "{stderr}");
    assert!(desktop.card() == before, "nothing was written");
}

#[test]
fn a_card_that_is_exchanged_while_a_password_is_typed_is_not_written() {
    let Some(mut desktop) = Desktop::new() else { return };
    let image = TestImage::raspberry_pi_os_trixie(Fat::ThirtyTwo);
    desktop.start_udisks();
    // As large, and as empty for somebody who may not read it.
    let other = desktop.path("pikube-test-other");
    fs::File::create(&other).unwrap().set_len(400 << 20).unwrap();
    fs::write(desktop.path("log.swap"), other.display().to_string()).unwrap();
    let output = desktop.write(&image);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains(&desktop.card) && stderr.contains("sequence number"), "{stderr}");
    assert!(fs::read(&other).unwrap().iter().all(|byte| *byte == 0), "nothing was written");
}
