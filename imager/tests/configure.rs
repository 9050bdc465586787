//! `piflash configure`: other settings on a card that is written already, changed in place.
//!
//! Rung 1: files, no root.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::{Fat, KUBERNETES, TestImage};
use tempfile::TempDir;

/// A folder with a written card.
struct Desk {
    folder: TempDir,
    image: TestImage,
}

impl Desk {
    fn bare(fat: Fat) -> Self {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
        for (name, text) in [
            ("key.pub", support::KEY),
            ("password", "swordfish\n"),
            ("other-password", "marlin\n"),
            ("wifi-password", "sea and salt\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder, image: TestImage::raspberry_pi_os_trixie(fat) }
    }

    fn written(fat: Fat) -> Self {
        let desk = Self::bare(fat);
        let image = desk.image.path().display().to_string();
        let mut command = desk.piflash(&["--role", "master", "--image", &image, "--yes"]);
        command.args(SETTINGS).arg("card.img");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        desk
    }

    fn piflash(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("PIKUBE_STATE_DIR", self.path("state")).env("PIKUBE_KUBERNETES", KUBERNETES);
        command.args(args).args(["--agent-dir", "."]);
        command
    }

    fn configure(&self, args: &[&str]) -> Output {
        self.piflash(&["configure", "card.img", "--yes"]).args(args).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn card(&self) -> Vec<u8> {
        fs::read(self.path("card.img")).unwrap()
    }

    /// The text of a file of the boot partition.
    fn file(&self, name: &str) -> Option<String> {
        let place =
            format!("{}@@{}", self.path("card.img").display(), self.image.boot_offset_bytes);
        let output =
            Command::new("mtype").args(["-i", &place]).arg(format!("::{name}")).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn boot_partition(&self) -> Vec<u8> {
        let begin = self.image.boot_offset_bytes as usize;
        self.card()[begin..begin + self.image.boot_size_bytes as usize].to_vec()
    }

    fn assert_clean(&self) {
        fs::write(self.path("boot.fat"), self.boot_partition()).unwrap();
        let mut fsck = Command::new("fsck.fat");
        let output = fsck.arg("-n").arg(self.path("boot.fat")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// As the launcher leaves a card: the hook and the secrets are gone.
    fn boot(&self) {
        let place =
            format!("{}@@{}", self.path("card.img").display(), self.image.boot_offset_bytes);
        let line = self.file("cmdline.txt").unwrap();
        let line = line.split(" systemd.run=").next().unwrap().replace(" resize", "") + "\n";
        fs::write(self.path("cmdline"), line).unwrap();
        fs::write(self.path("log"), "installed pikube-agent-arm64 and its unit\n").unwrap();
        for (from, to) in [("cmdline", "cmdline.txt"), ("log", "pikube-launch.log")] {
            let mut mcopy = Command::new("mcopy");
            mcopy.args(["-o", "-i", &place]).arg(self.path(from)).arg(format!("::{to}"));
            assert!(mcopy.status().unwrap().success());
        }
        let mut mdel = Command::new("mdel");
        mdel.args(["-i", &place, "::pikube-secrets.toml"]);
        assert!(mdel.status().unwrap().success());
    }
}

/// What the card is written with.
const SETTINGS: [&str; 22] = [
    "--hostname",
    "laperouse",
    "--user",
    "captain",
    "--ssh-key",
    "key.pub",
    "--password-file",
    "password",
    "--timezone",
    "Europe/Paris",
    "--locale",
    "fr_FR.UTF-8",
    "--keyboard",
    "fr",
    "--address",
    "192.168.1.21/24",
    "--wifi",
    "harbour",
    "--wifi-password-file",
    "wifi-password",
    "--config-txt",
    "dtparam=i2c_arm=on",
];

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn the_same_settings_change_no_byte() {
    for fat in [Fat::Sixteen, Fat::ThirtyTwo] {
        let desk = Desk::written(fat);
        let before = desk.card();
        for settings in [&SETTINGS[..], &[], &["--hostname", "laperouse"]] {
            let output = desk.configure(settings);
            assert!(output.status.success(), "{}", said(&output));
            assert!(said(&output).contains("nothing to change"), "{}", said(&output));
            assert!(desk.card() == before, "{settings:?}");
        }
    }
}

#[test]
fn a_file_that_is_a_card_is_for_its_owner() {
    let desk = Desk::written(Fat::Sixteen);
    let path = desk.path("card.img");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let change = |country: &str| said(&desk.configure(&["--timezone", country]));
    assert!(!change("Europe/Oslo").contains("can read it"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let said = change("Europe/Rome");
    assert!(
        said.contains("warning: `card.img` will hold keys") && said.contains("chmod 600"),
        "{said}"
    );
}

#[test]
fn secrets_that_cannot_be_read_are_not_dropped() {
    let desk = Desk::written(Fat::ThirtyTwo);
    let before = desk.card();
    let whole = desk.file("pikube-secrets.toml").unwrap();
    let mut cut = before.clone();
    let at = memchr::memmem::find(&before, whole.as_bytes()).unwrap();
    cut[at + 20..at + 30].fill(b'?');
    fs::write(desk.path("card.img"), &cut).unwrap();
    let output = desk.configure(&["--timezone", "Europe/Oslo"]);
    let said = said(&output);
    assert!(
        said.contains("`pikube-secrets.toml`, cannot be read") && said.contains("help: "),
        "{said}"
    );
    assert!(!output.status.success() && desk.card() == cut, "nothing is written");
    // The launcher overwrites what it has taken, and a cut may leave that.
    let mut zeros = before.clone();
    zeros[at..at + whole.len()].fill(0);
    fs::write(desk.path("card.img"), &zeros).unwrap();
    let output = desk.configure(&["--timezone", "Europe/Oslo"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn other_settings_change_only_what_they_must() {
    let desk = Desk::written(Fat::ThirtyTwo);
    let (before, plan) = (desk.card(), desk.file("pikube.toml").unwrap());
    let secrets = desk.file("pikube-secrets.toml").unwrap();
    let cmdline = desk.file("cmdline.txt").unwrap();
    let output = desk.configure(&["--hostname", "fregate", "--keyboard", "gb"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("changed and verified: pikube.toml\n"), "{}", said(&output));
    let after = desk.file("pikube.toml").unwrap();
    let expected = plan.replace("laperouse", "fregate").replace("\"fr\"", "\"gb\"");
    let without_date = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("flashed_at")).map(str::to_owned).collect()
    };
    assert_eq!(without_date(&after), without_date(&expected));
    assert_eq!(desk.file("pikube-secrets.toml").unwrap(), secrets);
    assert_eq!(desk.file("cmdline.txt").unwrap(), cmdline, "the hook was there still");
    // Nothing outside of the boot partition, and little of it.
    let (begin, end) = (
        desk.image.boot_offset_bytes as usize,
        (desk.image.boot_offset_bytes + desk.image.boot_size_bytes) as usize,
    );
    let now = desk.card();
    assert!(now[..begin] == before[..begin] && now[end..] == before[end..]);
    let changed = now.chunks(512).zip(before.chunks(512)).filter(|(a, b)| a != b).count();
    assert!((1..20).contains(&changed), "{changed} sectors");
    desk.assert_clean();
}

#[test]
fn a_booted_card_is_started_again_only_for_what_is_new() {
    let desk = Desk::written(Fat::ThirtyTwo);
    desk.boot();
    let before = desk.card();
    let output = desk.configure(&[]);
    assert!(output.status.success() && desk.card() == before, "{}", said(&output));
    let output = desk.configure(&["--timezone", "Europe/Berlin"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(desk.file("pikube.toml").unwrap().contains("Europe/Berlin"));
    let line = desk.file("cmdline.txt").unwrap();
    assert!(line.contains("systemd.run=/boot/firmware/pikube-launch.sh"), "{line}");
    assert!(!line.contains("resize") && line.matches('\n').count() == 1, "{line}");
    assert!(desk.file("pikube-secrets.toml").is_none(), "the node has them");
    let output = desk.configure(&["--password-file", "other-password"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(desk.file("pikube-secrets.toml").unwrap().contains("$6$"));
    desk.assert_clean();
}

#[test]
fn an_image_that_piflash_never_saw_needs_a_name() {
    let desk = Desk::bare(Fat::ThirtyTwo);
    fs::copy(desk.image.path(), desk.path("card.img")).unwrap();
    let before = desk.card();
    let output = desk.configure(&["--role", "worker"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("has not prepared it"), "{}", said(&output));
    assert!(desk.card() == before);
    let output = desk.configure(&["--hostname", "laperouse", "--role", "worker"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(desk.file("pikube.toml").unwrap().contains("laperouse"));
    desk.assert_clean();
}

#[test]
fn it_asks_and_a_dry_run_writes_nothing() {
    let desk = Desk::written(Fat::Sixteen);
    let before = desk.card();
    let unanswered = ["configure", "card.img", "--hostname", "fregate"];
    let output = desk.piflash(&unanswered).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("would change pikube.toml"), "{}", said(&output));
    let output = desk.configure(&["--hostname", "fregate", "--dry-run"]);
    assert!(output.status.success(), "{}", said(&output));
    for line in ["changed  pikube.toml", "- hostname = \"laperouse\"", "+ hostname = \"fregate\""] {
        assert!(said(&output).contains(line), "{line}\nnot in\n{}", said(&output));
    }
    assert!(desk.card() == before);
    let output = desk.configure(&["--hostname", "fregate", "--json", "--quiet"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains(r#""ok":true,"exit":0,"changed":["pikube.toml"]"#), "{lines}");
}

#[test]
fn what_cannot_be_is_told_and_nothing_is_written() {
    let desk = Desk::written(Fat::Sixteen);
    let before = desk.card();
    fs::write(desk.path("short"), "secret7\n").unwrap();
    fs::write(desk.path("private"), "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n").unwrap();
    fs::write(desk.path("config.txt"), "x").unwrap();
    let long = "é".repeat(17);
    for (settings, expected) in [
        (&["--hostname", "La"][..], "upper-case"),
        (&["--wifi", "harbour", "--wifi-password-file", "short"], "has 7 characters"),
        (&["--wifi", &long, "--wifi-password-file", "wifi-password"], "has 34 bytes"),
        (&["--wifi", "a", "--wifi-password-file", "wifi-password", "--wifi-country", "XX"], "`XX`"),
        (&["--ssh-key", "private"], "is a private key"),
        (&["--password", "swordfish"], "every user of this computer can read it"),
        (&["--wifi-password=swordfish"], "every user of this computer can read it"),
        (&["--locale", "xx"], "is not a UTF-8 locale"),
        (&["--locale", "en_UK.UTF-8"], "there is no locale `en_UK.UTF-8`"),
        (&["--address", "192.168.1.21"], "lacks the length of its prefix"),
        (&["--address", "192.168.1.21/24", "--router", "192.168.2.1"], "outside the network"),
        (&["--apt-mirror", "mirror"], "is not a URL"),
        (&["--config-txt", "[pi4]"], "config.txt"),
        (&["--file", "config.txt"], "--config-txt"),
        (&["--file", "nowhere"], "nowhere"),
        (&["--user-data", "nowhere"], "nowhere"),
    ] {
        let output = desk.configure(settings);
        let text = said(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{settings:?}: {text}");
        assert!(text.contains(expected), "{settings:?}: `{expected}` is not in: {text}");
        for secret in ["swordfish", "secret7", "b3Blbn"] {
            assert!(!text.contains(secret), "{settings:?}: {text}");
        }
        assert!(desk.card() == before, "{settings:?}");
    }
}
