//! What a person sees of the settings before anything is written, and which of them cannot be.

use std::fs;

use super::{Desk, stderr, support};

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
