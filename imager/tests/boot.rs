//! The boot partition's edits on real FAT16 and FAT32 volumes, judged by fsck.fat and mtools.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::io::Read as _;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use piflash::agents::Agents;
use piflash::boot::{self, BootError, Extras, NodeFiles};
use piflash::image::{self, Head, WithBoot as _};
use pikube_config::{FirstbootPlan, Secrets, names};
use support::{Fat, TestImage};

const PLAN: &str =
    "schema = 1\n[node]\nhostname = 'laperouse'\nrole = 'master'\n[user]\nname = 'captain'\n";
const SECRETS: &str = "schema = 1\n[user]\npassword_hash = '$6$saltsalt$0123456789abcdef'\n";

fn node() -> NodeFiles {
    NodeFiles {
        plan: FirstbootPlan::from_toml(PLAN).unwrap(),
        secrets: Secrets::from_toml(SECRETS).unwrap(),
    }
}

fn head(image: &TestImage) -> Head {
    let image = image::open(image.path()).unwrap();
    image.into_head(&AtomicBool::new(false), &mut |_| {}).unwrap().0
}

/// The boot partition as a card would get it, in a file of its own.
fn edited(image: &TestImage, agents: &Agents) -> (tempfile::NamedTempFile, boot::Prepared) {
    let head = head(image);
    let survey = boot::survey(&head).unwrap();
    let mut prepared =
        boot::prepare(&head, &survey.os, &node(), agents, &Extras::default()).unwrap();
    let mut volume = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
    std::io::copy(&mut head.patched(&mut prepared.patch), volume.as_file_mut()).unwrap();
    (volume, prepared)
}

fn assert_clean(volume: &tempfile::NamedTempFile) {
    let output = Command::new("fsck.fat").arg("-n").arg(volume.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn read(volume: &tempfile::NamedTempFile, name: &str) -> Option<Vec<u8>> {
    let output =
        Command::new("mtype").arg("-i").arg(volume.path()).arg(format!("::{name}")).output();
    let output = output.unwrap();
    output.status.success().then_some(output.stdout)
}

#[test]
fn both_kinds_of_fat_come_out_clean_with_every_file_as_planned() {
    for fat in [Fat::Sixteen, Fat::ThirtyTwo] {
        let image = TestImage::raspberry_pi_os_trixie(fat);
        let agents = support::agents(&[("arm64", 1 << 20), ("armv7", 700_001)]);
        let (volume, prepared) = edited(&image, &agents);
        assert_clean(&volume);
        for edit in &prepared.edits {
            let content = read(&volume, &edit.name);
            assert!(content.as_deref() == Some(&edit.after[..]), "{fat:?} {}", edit.name);
        }
        for name in [names::PLAN, names::SECRETS, names::LAUNCHER, names::UNIT, "ssh"] {
            assert!(prepared.edits.iter().any(|edit| edit.name == name), "{name}");
        }
        let cmdline = String::from_utf8(read(&volume, "cmdline.txt").unwrap()).unwrap();
        assert_eq!(
            cmdline,
            format!(
                "{} cgroup_enable=memory systemd.zram=0 systemd.run=/boot/firmware/pikube-launch.sh \
                 systemd.run_success_action=reboot systemd.run_failure_action=reboot \
                 systemd.unit=kernel-command-line.target\n",
                support::TRIXIE_CMDLINE.trim_end()
            )
        );
        // Foreign files are as they were.
        assert_eq!(read(&volume, "config.txt").unwrap(), support::CONFIG.as_bytes());
        assert_eq!(read(&volume, "overlays/README").unwrap(), b"overlays");
        assert!(read(&volume, "kernel8.img").unwrap() == support::kernel());
    }
}

#[test]
fn every_command_line_that_a_board_may_take_gets_the_hook() {
    const FOUR: &str = "console=tty1 root=PARTUUID=d9b3a0f1-02 rootwait resize four";
    let files = |config: &'static str| {
        [
            ("config.txt", config),
            ("issue.txt", support::ISSUE),
            ("cmdline.txt", support::TRIXIE_CMDLINE),
            ("four.txt", FOUR),
            ("other.txt", "untouched"),
            ("extra.txt", "[pi4]\ncmdline=four.txt\n"),
        ]
    };
    let config = "auto_initramfs=1\narm_64bit=1\n";
    for sections in ["[pi4]\ncmdline=four.txt\n[pi1]\ncmdline=other.txt\n", "include extra.txt\n"] {
        let config = format!("{config}{sections}").leak();
        let image = TestImage::with_files(Fat::ThirtyTwo, &files(config));
        let survey = boot::survey(&head(&image)).unwrap();
        assert_eq!(survey.os.cmdlines, ["cmdline.txt", "four.txt"], "{sections}");
        assert!(survey.notes[0].contains("`four.txt`"), "{:?}", survey.notes);
        let (volume, _) = edited(&image, &support::agents(&[("arm64", 1000)]));
        assert_clean(&volume);
        for name in ["cmdline.txt", "four.txt"] {
            let line = String::from_utf8(read(&volume, name).unwrap()).unwrap();
            assert!(
                line.contains(" systemd.run=/boot/firmware/pikube-launch.sh "),
                "{name}: {line}"
            );
        }
        assert_eq!(read(&volume, "other.txt").unwrap(), b"untouched");
    }
    let missing = "arm_64bit=1\n[pi5]\ncmdline=gone.txt\n";
    let image = TestImage::with_files(Fat::ThirtyTwo, &files(missing));
    let notes = boot::survey(&head(&image)).unwrap().notes;
    assert!(notes[0].contains("`gone.txt`") && notes[0].contains("Raspberry Pi 5"), "{notes:?}");
    let none = "arm_64bit=1\ncmdline=gone.txt\n";
    let image = TestImage::with_files(Fat::ThirtyTwo, &files(none));
    let error = boot::survey(&head(&image)).unwrap_err().to_string();
    assert!(error.contains("no `gone.txt`"), "{error}");
}

#[test]
fn a_small_partition_gets_only_the_agent_that_it_can_run() {
    let image = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
    // The FAT16 volume has 16 MiB, less the kernel of 3 MiB.
    let agents = support::agents(&[("arm64", 8 << 20), ("armv7", 8 << 20)]);
    let (volume, prepared) = edited(&image, &agents);
    assert!(read(&volume, "pikube-agent-arm64").is_some());
    assert!(read(&volume, "pikube-agent-armv7").is_none());
    assert!(prepared.edits.iter().all(|edit| edit.name != "pikube-agent-armv7"));
    assert_clean(&volume);
}

#[test]
fn an_agent_that_fits_to_the_last_cluster_is_written_and_one_more_byte_is_refused() {
    let image = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
    let head = head(&image);
    let os = boot::survey(&head).unwrap().os;
    let prepare = |size: usize| {
        boot::prepare(&head, &os, &node(), &support::agents(&[("arm64", size)]), &Extras::default())
    };
    // Between 1 and 16 MiB the answer changes once; wherever that is, `Ok` must mean clean and whole.
    let (mut small, mut large) = (1 << 20, 16 << 20);
    assert!(prepare(small).is_ok());
    while large - small > 1 {
        let middle = small + (large - small) / 2;
        if prepare(middle).is_ok() { small = middle } else { large = middle }
    }
    let Err(error) = prepare(large) else { panic!("the answer changed") };
    assert!(matches!(error, BootError::Full { needed, free } if needed > free), "{error}");
    let (volume, _) = edited(&image, &support::agents(&[("arm64", small)]));
    assert_eq!(read(&volume, "pikube-agent-arm64").unwrap().len(), small);
    assert_clean(&volume);
}

#[test]
fn a_hook_of_another_tool_is_refused() {
    let files = [
        ("config.txt", support::CONFIG),
        ("issue.txt", support::ISSUE),
        ("cmdline.txt", "root=x resize systemd.run=/boot/firstrun.sh\n"),
    ];
    let image = TestImage::with_files(Fat::ThirtyTwo, &files);
    let head = head(&image);
    let os = boot::survey(&head).unwrap().os;
    let agents = support::agents(&[("arm64", 100)]);
    let Err(error) = boot::prepare(&head, &os, &node(), &agents, &Extras::default()) else {
        panic!("accepted")
    };
    assert!(error.to_string().contains("/boot/firstrun.sh"), "{error}");
}

#[test]
fn an_unknown_system_is_refused() {
    let image = TestImage::with_files(Fat::ThirtyTwo, &[("EFI.txt", "nothing")]);
    let error = boot::survey(&head(&image)).unwrap_err();
    assert!(error.to_string().contains("no operating system that piflash knows"), "{error}");
    assert!(error.help().unwrap().contains("trixie"));
}

#[test]
fn reading_changes_nothing() {
    let image = TestImage::raspberry_pi_os_trixie(Fat::Sixteen);
    let head = head(&image);
    boot::survey(&head).unwrap();
    let mut patch = image::Patch::new();
    let mut bytes = Vec::new();
    head.patched(&mut patch).read_to_end(&mut bytes).unwrap();
    let whole = std::fs::read(image.path()).unwrap();
    let start = image.boot_offset_bytes as usize;
    assert_eq!(bytes.len() as u64, image.boot_size_bytes);
    assert!(bytes == whole[start..start + bytes.len()]);
}
