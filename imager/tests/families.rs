//! What every family and release gets, compared with listings that a person has read: `golden/*.txt`. After a change
//! that is meant, `PIKUBE_UPDATE_GOLDEN=1 cargo test -p piflash --test families --test families_configure` writes
//! them anew, for `git diff`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write as _;
use std::process::Command;

use piflash::boot::{self, ExtraFile, Extras};
use support::boot_partition::{BootImage, Shape};
use support::prepared::{assert_golden, describe, listing, node, plan, prepare_card};
use support::releases;

fn check(shape: &Shape, extras: &Extras) {
    let image = BootImage::new(shape);
    let mut text = describe(&image);
    let prepared = prepare_card(&image, &node(&plan()), extras);
    text.push_str(&listing(&prepared.edits));
    for warning in &prepared.warnings {
        let _ = writeln!(text, "warning  {warning}");
    }
    assert_golden(shape.name, &text);
}

fn check_all(prefix: &str) {
    let shapes = releases::prepared();
    let mut some = shapes.iter().filter(|shape| shape.name.starts_with(prefix)).peekable();
    assert!(some.peek().is_some());
    some.for_each(|shape| check(shape, &Extras::default()));
}

#[test]
fn hypriotos() {
    check_all("hypriotos-");
}

#[test]
fn raspberry_pi_os_buster_and_bullseye() {
    check_all("raspios-bu");
}

#[test]
fn raspberry_pi_os_bookworm_and_trixie() {
    check_all("raspios-bookworm");
    check_all("raspios-trixie");
}

#[test]
fn ubuntu_and_debian() {
    check_all("ubuntu-");
    check_all("debian-");
}

#[test]
fn others_are_refused_with_what_would_work() {
    let mut text = String::new();
    for shape in releases::refused() {
        let error = boot::survey(&BootImage::new(&shape).head()).unwrap_err();
        let help = error.help().unwrap();
        let _ = writeln!(text, "{}\n  error: {error}\n  help: {help}", shape.name);
    }
    assert_golden("refused", &text);
}

#[test]
fn lines_of_config_txt_the_usb_boot_bit_and_files_on_every_family() {
    for name in ["hypriotos-1.7.1", "raspios-trixie-2025-11-24", "ubuntu-ab-arm64", "debian-arm64"]
    {
        let mut shape = releases::named(name);
        shape.name = match name {
            "hypriotos-1.7.1" => "extras-hypriotos",
            "debian-arm64" => "extras-debian",
            "ubuntu-ab-arm64" => "extras-ubuntu",
            _ => "extras-raspios",
        };
        let files =
            vec![ExtraFile { name: "notes for later.txt".into(), content: b"hello\n".to_vec() }];
        let lines = vec!["dtparam=i2c_arm=on".into(), "dtoverlay=disable-bt".into()];
        check(&shape, &Extras::new(None, lines, true, files).unwrap());
    }
}

#[test]
fn a_pi_5_of_a_cluster_starts_the_kernel_with_small_pages_where_there_are_both() {
    const CLUSTER: &str = "[cluster]\nname = 'pikube'\n[kubernetes]\nversion = '1.36'\nrepository = 'https://example.org/'\n";
    let config = |name: &str, plan: &str| {
        let prepared =
            prepare_card(&BootImage::new(&releases::named(name)), &node(plan), &Extras::default());
        let edit = prepared.edits.iter().find(|edit| edit.name == "config.txt");
        let text = edit.map(|edit| String::from_utf8_lossy(&edit.after).into_owned());
        (text.unwrap_or_default(), prepared.warnings.join("\n"))
    };
    let member = plan() + CLUSTER;
    let lines = "\n# pikube pages begin\n[pi5]\nkernel=kernel8.img\n[all]\n# pikube pages end\n";
    let (text, said) = config("raspios-trixie-arm64-2025-11-24", &member);
    assert!(text.ends_with(lines) && said.contains("`--keep-16k-pages`"), "{text}\n{said}");
    for (name, plan) in [
        ("raspios-trixie-arm64-2025-11-24", member.clone() + "keep_16k_pages = true\n"),
        ("raspios-trixie-arm64-2025-11-24", plan()),
        ("raspios-trixie-2025-11-24", member.clone()),
        ("ubuntu-24.04-arm64", member.clone()),
        ("debian-arm64", member),
    ] {
        let (text, said) = config(name, &plan);
        assert!(!text.contains("kernel8") && !said.contains("16"), "{name}: {text}\n{said}");
    }
}

#[test]
fn a_full_64_mib_partition_takes_what_fits_and_refuses_the_rest() {
    let mut shape = releases::named("hypriotos-1.12.3");
    shape.used_mib = 58;
    let image = BootImage::new(&shape);
    let head = image.head();
    let survey = boot::survey(&head).unwrap();
    assert_eq!(survey.fat, "FAT16");
    let prepare = |armv7: usize| {
        let agents = support::agents(&[("arm64", 1 << 20), ("armv7", armv7)]);
        boot::prepare(&head, &survey.os, &node(&plan()), &agents, &Extras::default())
    };
    let free = usize::try_from(survey.free_bytes).unwrap();
    let Err(error) = prepare(free) else { panic!("no room was left") };
    assert!(error.to_string().contains("full"), "{error}");
    let fits = prepare(free - (512 << 10)).unwrap();
    image.apply(&fits.patch);
    image.assert_clean();
    assert!(image.read("pikube-agent-arm64").is_none(), "a 32-bit system does not run it");
}

#[test]
fn a_dry_run_shows_it_family_by_family() {
    let folder = tempfile::TempDir::with_prefix("pikube-test-").unwrap();
    support::write_agents(folder.path(), &[("arm64", 100_000), ("armv7", 90_000)]);
    std::fs::write(folder.path().join("key.pub"), support::KEY).unwrap();
    for (name, words) in [
        (
            "hypriotos-1.12.3",
            &["changed  fake-hwclock.data", "-   - name: pirate", "+ hostname: \"laperouse\""][..],
        ),
        (
            "raspios-buster-2021-05-07",
            &["pikube-agent-armv7", "systemd.run=/boot/pikube-launch.sh"],
        ),
        (
            "ubuntu-ab-arm64",
            &["changed  user-data", "/bin/sh /boot/firmware/pikube-launch.sh cloud"],
        ),
        ("debian-arm64", &["changed  cmdline.txt", "systemd.run=/boot/firmware/pikube-launch.sh"]),
    ] {
        let image = BootImage::new(&releases::named(name));
        let output = Command::new(env!("CARGO_BIN_EXE_piflash"))
            .current_dir(folder.path())
            .args([
                "--agent-dir",
                ".",
                "--role",
                "master",
                "--hostname",
                "laperouse",
                "--user",
                "captain",
            ])
            .args(["--ssh-key", "key.pub", "--kubernetes", "none"])
            .args(["--dry-run", "card.img", "--image"])
            .arg(image.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        let text = String::from_utf8_lossy(&output.stdout);
        for words in words {
            assert!(text.contains(words), "{words} not in {text}");
        }
    }
}

mod any_content {
    use super::*;
    use proptest::prelude::*;

    fn some_files() -> impl Strategy<Value = Vec<(String, usize)>> {
        let name = prop_oneof![
            "[a-z]{1,8}\\.[a-z]{3}",
            "[A-Z]{1,8}",
            "[a-zA-Z0-9_ -]{1,40}x",
            "(overlays|deep)/[a-z0-9-]{1,30}\\.dtbo",
        ];
        prop::collection::vec((name, 0usize..70_000), 0..25)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
        #[test]
        fn every_other_file_survives(files in some_files(), fat_bits in prop_oneof![Just(16u8), Just(32)]) {
            let mut shape = releases::named("raspios-trixie-arm64-2025-11-24");
            shape.size_mib = if fat_bits == 16 { 16 } else { 64 };
            shape.used_mib = 3;
            shape.fat_bits = fat_bits;
            let image = BootImage::new(&shape);
            for (index, (name, size)) in files.iter().enumerate() {
                let content: Vec<u8> = (0..*size).map(|at| ((at * 31 + index) % 251) as u8).collect();
                image.put(name, &content);
            }
            let lines = vec!["dtparam=spi=on".to_owned()];
            let extra = ExtraFile { name: "extra file.bin".into(), content: vec![7; 5000] };
            let extras = Extras::new(None, lines, false, vec![extra]).unwrap();
            prepare_card(&image, &node(&plan()), &extras);
        }
    }
}
