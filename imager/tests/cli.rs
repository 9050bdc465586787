//! The program as a person calls it: what it leaves behind, what it says, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

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
fn a_dry_run_prints_every_file_and_every_changed_line_and_writes_nothing() {
    let desk = Desk::new();
    let output = desk.good().args(["--dry-run", "card.img"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for words in [
        "new      pikube-agent-arm64, 97.7 KiB",
        "+ hostname = \"laperouse\"",
        "pikube-secrets.toml",
        "secrets are not shown",
        "changed  cmdline.txt",
        &format!("- {}", support::TRIXIE_CMDLINE.trim_end()),
        "resize cgroup_enable=memory systemd.zram=0 systemd.run=/boot/firmware/pikube-launch.sh",
    ] {
        assert!(text.contains(words), "`{words}` not in:\n{text}");
    }
    assert!(!text.contains("$6$") && !text.contains("swordfish"), "{text}");
    assert!(!desk.path("card.img").exists());
}

#[test]
fn what_the_plan_cannot_have_is_told_once_and_by_its_option() {
    let desk = Desk::new();
    for (settings, told) in [
        (&["--address", "192.168.1.20/24", "--router", "192.168.1.20"][..], "error: `--router`: "),
        (
            &["--address", "192.168.1.20/24", "--address", "eth0=10.0.0.2/24"],
            "error: `--address`: `eth0` has an address already",
        ),
        (&["--config-txt", "[pi4]"], "error: `--config-txt`: "),
        (&["--file", "none.txt"], "error: reading `none.txt`"),
        (&["--image", "ftp://h/os.img"], "error: opening `ftp://h/os.img`"),
    ] {
        let mut command = desk.good();
        command.args(settings).arg("card.img");
        if settings[0] == "--image" {
            command = desk.piflash();
            command.args(["--hostname", "a", "--user", "captain"]).args(settings).arg("card.img");
        }
        let output = command.output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {text}");
        assert!(text.contains(told), "{told} not in: {text}");
        assert!(!text.contains("network.addresses"), "{text}");
        let what = text.lines().find(|line| line.starts_with("error: ")).unwrap();
        let (_, message) = what.split_once(": ").unwrap();
        assert_eq!(text.matches(message).count(), 1, "{text}");
    }
}

#[test]
fn a_dry_run_and_the_receipt_say_who_may_log_in_with_which_key() {
    let desk = Desk::new();
    let fingerprint = piflash::plan::SshKey::decode(support::KEY).unwrap().fingerprint;
    let output = desk.good().args(["--dry-run", "card.img"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\nlogin    captain\nkey      SHA256:"), "{text}");
    assert!(text.contains(&fingerprint), "{text}");
    assert_eq!(stderr(&output).matches("nothing was written").count(), 1);
    // A name that no node can have.
    let mut command = desk.piflash();
    command.env_remove("SUDO_USER").env("USER", "Jean Dupont").env("HOME", desk.folder.path());
    command.args(["--hostname", "a", "--ssh-key", "key.pub", "--image"]);
    let output = command.arg(desk.image.path()).arg("card.img").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("the login user is `pi`") && said.contains("--user"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("\n  login  pi\n"), "{text}");
    assert!(text.contains(&format!("\n  key    {fingerprint}")), "{text}");
}

#[test]
fn wrong_settings_are_told_all_at_once() {
    let desk = Desk::new();
    let mut command = desk.good();
    command.args(["--timezone", "Europe/Pariss", "--ntp", "a b", "card.img"]);
    desk.refuses(&mut command, 2, &["--timezone", "did you mean `Europe/Paris`?", "--ntp"]);
    for (name, word) in [
        ("La_Perouse", "upper-case"),
        ("a.b", "without a domain"),
        ("pi[01-02]", "2 host name(s) for 1 card(s)"),
    ] {
        let mut command = desk.piflash();
        command.args(["--role", "worker", "--user", "captain", "--hostname", name, "--image"]);
        desk.refuses(command.arg(desk.image.path()).arg("card.img"), 2, &[word]);
    }
    fs::write(desk.path("key"), "-----BEGIN OPENSSH PRIVATE KEY-----\nswordfish\n").unwrap();
    desk.refuses(desk.good().args(["--ssh-key", "key", "card.img"]), 2, &["`key`", "private key"]);
    desk.refuses(desk.good().args(["--ssh-key", "none.pub", "card.img"]), 2, &["`none.pub`"]);
    let output =
        desk.piflash().args(["--role", "boss", "--hostname", "a", "card.img"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("boss"));
}

#[test]
fn what_the_system_of_the_image_cannot_have_is_told_before_anything_is_written() {
    let desk = Desk::new();
    for (settings, words) in [
        (&["--user", "games"][..], &["`--user`", "`games` is an account of the system"][..]),
        (&["--user", "gpio"], &["`gpio` is a group of the system"]),
        (&["--keyboard", "uk"], &["`--keyboard`", "did you mean `gb`?"]),
    ] {
        let mut command = desk.piflash();
        command.args(["--role", "worker", "--hostname", "fregate", "--yes", "--image"]);
        command.arg(desk.image.path()).args(settings).arg("card.img");
        desk.refuses(&mut command, 2, words);
        assert!(!desk.path("card.img").exists());
    }
}

#[test]
fn a_zone_is_written_under_its_present_name() {
    let desk = Desk::new();
    let mut command = desk.good();
    let output =
        command.args(["--timezone", "US/Pacific", "--dry-run", "card.img"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("+ timezone = \"America/Los_Angeles\""));
}

#[test]
fn cards_that_are_none_are_refused() {
    let desk = Desk::new();
    desk.refuses(
        desk.good().args(["/dev/pikube-test-none", "--yes"]),
        3,
        &["/dev/pikube-test-none", "no such device"],
    );
    assert!(!Path::new("/dev/pikube-test-none").exists());
    desk.refuses(desk.good().args([".", "--yes"]), 3, &["a directory"]);
    desk.refuses(desk.good().args(["/dev/null", "--yes"]), 3, &["/dev/null", "a character device"]);
    desk.refuses(desk.good().args(["none/card.img", "--yes"]), 1, &["none/card.img"]);
    fs::write(desk.path("small.img"), vec![0; 1 << 20]).unwrap();
    desk.refuses(desk.good().args(["small.img", "--yes"]), 3, &["small.img", "too small"]);
    desk.refuses(desk.good().args(["card.img", "./card.img", "--yes"]), 2, &["2 card(s)"]);
    let image = desk.image.path().to_owned();
    desk.refuses(desk.good().arg(&image).arg("--yes"), 3, &["image"]);
}

#[test]
fn an_image_in_the_place_of_a_card_is_a_slip_of_the_shell() {
    let desk = Desk::new();
    fs::write(desk.path("other.img.xz"), b"\xfd7zXZ\0 and so on, long enough to be looked at")
        .unwrap();
    desk.refuses(desk.good().args(["other.img.xz", "--yes"]), 3, &["other.img.xz", "image"]);
}

#[test]
fn bad_images_are_told_before_any_card_is_touched() {
    let desk = Desk::new();
    let whole = desk.path("whole.xz");
    let xz = Command::new("xz")
        .args(["-1", "-c"])
        .arg(desk.image.path())
        .stdout(fs::File::create(&whole).unwrap())
        .status();
    assert!(xz.unwrap().success());
    let packed = fs::read(&whole).unwrap();
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("short.xz", packed[..packed.len() / 3].to_vec(), &["truncated"]),
        ("text.img", b"hello ".repeat(1 << 16), &["not a disk image"]),
        ("empty.img", Vec::new(), &["empty"]),
        ("page.html", b"<!DOCTYPE html><html>not found</html>".to_vec(), &["not a disk image"]),
        ("data.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03 something".to_vec(), &["gz"]),
    ];
    for (name, content, words) in cases {
        fs::write(desk.path(name), content).unwrap();
        let mut command = desk.piflash();
        command.args([
            "--role",
            "master",
            "--hostname",
            "laperouse",
            "--user",
            "captain",
            "--image",
            name,
        ]);
        desk.refuses(command.args(["card.img", "--yes"]), 1, words);
    }
    let mut command = desk.piflash();
    command.args([
        "--role",
        "master",
        "--hostname",
        "a1",
        "--user",
        "captain",
        "--image",
        "none.img",
    ]);
    desk.refuses(command.args(["card.img", "--yes"]), 1, &["none.img"]);
}

#[test]
fn garbage_behind_the_compressed_image_leaves_a_card_that_does_not_boot() {
    let desk = Desk::new();
    let name = desk.path("garbage.xz");
    let xz = Command::new("xz").args(["-1", "-c"]).arg(desk.image.path()).output().unwrap();
    fs::write(&name, [&xz.stdout[..], &[b'x'; 100]].concat()).unwrap();
    let mut command = desk.piflash();
    command.args([
        "--role",
        "master",
        "--hostname",
        "a1",
        "--user",
        "captain",
        "--image",
        "garbage.xz",
        "bad.img",
    ]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("garbage follows"), "{}", stderr(&output));
    if let Ok(card) = fs::read(desk.path("bad.img")) {
        assert!(card.iter().take(START_BYTES).all(|byte| *byte == 0));
    }
}

#[test]
fn systems_that_cannot_be_prepared_are_refused_by_name() {
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Files, &[&str]); 5] = [
        (
            &[
                ("config.txt", "dtparam=audio=on\n"),
                ("issue.txt", "Raspberry Pi reference 2019-04-08\nGenerated using pi-gen\n"),
                ("cmdline.txt", "root=x quiet init=/usr/lib/raspi-config/init_resize.sh\n"),
            ],
            &["Raspbian stretch", "systemd", "buster to trixie"],
        ),
        (
            &[("os-release", "HYPRIOT_IMAGE_VERSION=\"v1.6.0\"\n")],
            &["HypriotOS v1.6.0", "before 1.7", "1.7 to 1.12"],
        ),
        (&[("EFI.txt", "x")], &["no operating system that piflash knows"]),
        (
            &[
                ("config.txt", support::CONFIG),
                ("issue.txt", support::ISSUE),
                ("cmdline.txt", "root=x resize systemd.run=/boot/firstrun.sh\n"),
            ],
            &["/boot/firstrun.sh", "another tool"],
        ),
        (
            &[
                ("config.txt", support::CONFIG),
                ("issue.txt", support::ISSUE),
                ("cmdline.txt", "\n"),
            ],
            &["`cmdline.txt` is empty"],
        ),
    ];
    for (files, words) in cases {
        let desk = Desk::with_image(TestImage::with_files(Fat::ThirtyTwo, files));
        desk.refuses(desk.good().args(["card.img", "--yes"]), 1, words);
    }
}

#[test]
fn a_32_bit_system_is_refused_unless_an_old_kubernetes_or_none_is_asked_for() {
    let config = support::CONFIG.replace("arm_64bit=1", "");
    let files = [
        ("config.txt", config.as_str()),
        ("issue.txt", support::ISSUE),
        ("cmdline.txt", support::TRIXIE_CMDLINE),
        ("kernel7.img", "x"),
    ];
    let desk = Desk::with_image(TestImage::with_files(Fat::ThirtyTwo, &files));
    support::write_agents(desk.folder.path(), &[("arm64", 1 << 20), ("armv7", 1 << 20)]);
    let words =
        ["Raspberry Pi OS trixie, 32 bit has no Kubernetes", "--legacy", "--kubernetes none"];
    desk.refuses(desk.good().args(["card.img", "--yes"]), 2, &words);
    let output = desk.good().args(["--legacy", "--dry-run", "card.img"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("1.23.17 is out of support"), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("legacy = true") && text.contains("ca_hash"), "{text}");
    let none = ["--kubernetes", "none", "--dry-run", "card.img"];
    let output = desk.good().args(none).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("pikube-agent-armv7") && !text.contains("arm64"), "{text}");
    // No keys of a cluster for what can be no node of it.
    assert!(!text.contains("[cluster]"), "{text}");
    let output = desk.good().args(["--kubernetes", "none", "card.img"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let volume = boot_partition(&desk.path("card.img"), &desk.image);
    let secrets = mtype(volume.path(), "pikube-secrets.toml").unwrap();
    let secrets = String::from_utf8(secrets).unwrap();
    assert!(!secrets.contains("token") && !secrets.contains("PRIVATE KEY"), "keys of a cluster");
    assert!(!desk.path("state/pikube").exists());
}

#[test]
fn a_full_boot_partition_and_an_image_without_one_are_refused() {
    let desk = Desk::with_image(TestImage::raspberry_pi_os_trixie(Fat::Sixteen));
    support::write_agents(desk.folder.path(), &[("arm64", 15 << 20)]);
    desk.refuses(desk.good().args(["card.img", "--yes"]), 1, &["boot partition is full"]);

    let desk = Desk::with_image(TestImage::without_fat());
    desk.refuses(desk.good().args(["card.img", "--yes"]), 1, &["no FAT16 or FAT32 partition"]);
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
