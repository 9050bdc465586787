//! Cards, images and systems that are refused, and what is left of a card then.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{self, Fat, TestImage};
use super::{Desk, START_BYTES, boot_partition, mtype, stderr};

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
