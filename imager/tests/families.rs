//! What every family and release gets, compared with listings that a person has read: `golden/*.txt`. After a change
//! that is meant, `PIKUBE_UPDATE_GOLDEN=1 cargo test -p piflash --test families` writes them anew, for `git diff`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt::Write as _;
use std::path::Path;

use piflash::boot::{self, Edit, ExtraFile, Extras, Hook, NodeFiles, Prepared, Show};
use pikube_config::{FirstbootPlan, Secrets, names};
use support::boot_partition::{BootImage, Shape};
use support::releases;

const SECRETS: &str = "schema = 1\n[user]\npassword_hash = '$6$saltsalt$0123456789abcdef'\n[wifi]\n\
                       networks = [{ ssid = 'Atelier', password = 'correct horse' }]\n";

fn plan() -> String {
    format!(
        "schema = 1\nflashed_at = '2026-11-21T12:00:00Z'\n[node]\nhostname = 'laperouse'\nrole = 'master'\n\
         [user]\nname = 'captain'\nssh_keys = ['{}']\n[wifi]\ncountry = 'FR'\nnetworks = [{{ ssid = 'Atelier' }}]\n",
        support::KEY
    )
}

fn node(plan: &str) -> NodeFiles {
    NodeFiles {
        plan: FirstbootPlan::from_toml(plan).unwrap(),
        secrets: Secrets::from_toml(SECRETS).unwrap(),
    }
}

fn agents() -> piflash::agents::Agents {
    support::agents(&[("arm64", 1 << 20), ("armv7", 700_001)])
}

fn prepare(image: &BootImage, node: &NodeFiles, extras: &Extras) -> Prepared {
    let head = image.head();
    let os = boot::survey(&head).unwrap().os;
    boot::prepare(&head, &os, node, &agents(), extras).unwrap()
}

/// Prepares the card, and checks what holds for every one of them: the volume is clean, every edit is there, every
/// other file is as it was, and the same once more changes nothing.
fn prepare_card(image: &BootImage, node: &NodeFiles, extras: &Extras) -> Prepared {
    let before = image.files();
    let prepared = prepare(image, node, extras);
    image.apply(&prepared.patch);
    image.assert_clean();
    let after = image.files();
    let edited = |name: &str| prepared.edits.iter().find(|edit| edit.name == name);
    for (name, content) in &before {
        if edited(name).is_none() {
            assert!(after.contains(&(name.clone(), content.clone())), "{name} has changed");
        }
    }
    for (name, content) in &after {
        match edited(name) {
            Some(edit) => assert!(edit.after[..] == content[..], "{name}"),
            None => assert!(before.iter().any(|(known, _)| known == name), "{name} is new"),
        }
    }
    let again = prepare(image, node, extras);
    let names: Vec<&str> = again.edits.iter().map(|edit| edit.name.as_str()).collect();
    assert!(again.is_unchanged() && again.patch.is_empty(), "written again: {names:?}");
    prepared
}

/// The edits as a person reads them.
fn listing(edits: &[Edit]) -> String {
    let mut text = String::new();
    for edit in edits {
        let verb = if edit.replaces { "changed" } else { "new" };
        // The plan, the launcher and the unit are the same on every family, and change with every release.
        let ours = [names::PLAN, names::LAUNCHER, names::UNIT].contains(&edit.name.as_str());
        if ours || edit.show == Show::Secret {
            let _ = writeln!(text, "{verb:<8} {}", edit.name);
            continue;
        }
        let _ = writeln!(text, "{verb:<8} {}, {} bytes", edit.name, edit.after.len());
        if edit.show == Show::Text {
            let (gone, come) = edit.changed_lines();
            for (mark, lines) in [('-', gone), ('+', come)] {
                for line in lines {
                    let _ = writeln!(
                        text,
                        "{}",
                        format!("         {mark} {}", masked(&line)).trim_end()
                    );
                }
            }
        }
    }
    text
}

/// The hash in the name of an instance depends on every key of the plan; that it does is tested elsewhere.
fn masked(line: &str) -> String {
    match line.strip_prefix("instance-id: pikube-") {
        Some(name) => format!("instance-id: pikube-{}{}", "#".repeat(12), &name[12..]),
        None => line.to_owned(),
    }
}

fn describe(image: &BootImage) -> String {
    let survey = boot::survey(&image.head()).unwrap();
    let os = &survey.os;
    let hook = match os.hook {
        Hook::SystemdRun => "systemd.run",
        Hook::CloudInit => "cloud-init",
    };
    format!(
        "{}\n{} `{}`, mounted at {}, {hook} in {}, {}\n\n",
        os.name(),
        survey.fat,
        survey.label,
        os.mount,
        os.cmdline,
        if os.booted { "booted before" } else { "never booted" }
    )
}

fn assert_golden(name: &str, text: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("PIKUBE_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(text == golden, "{} differs; this is what came out:\n{text}", path.display());
}

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
fn a_persons_own_user_data_is_wrapped_or_put_beside_the_hook() {
    let own = b"#cloud-config\nwrite_files:\n  - path: /etc/motd\n    content: \"ahoy\\n\"\n";
    let extras = Extras::new(Some(own), vec![], false, vec![]).unwrap();
    let node = node(&plan());
    for name in ["hypriotos-1.12.3", "ubuntu-24.04-arm64"] {
        let image = BootImage::new(&releases::named(name));
        let prepared = prepare_card(&image, &node, &extras);
        let user_data = image.text("user-data");
        assert!(user_data.starts_with("#cloud-config-archive\n"), "{user_data}");
        assert!(user_data.contains("    write_files:\n"), "{user_data}");
        assert!(user_data.contains("pikube-launch.sh cloud"), "{user_data}");
        assert!(prepared.warnings.is_empty());
        // Given no more, it stays.
        assert!(prepare(&image, &node, &Extras::default()).is_unchanged());
        let other = Extras::new(Some(b"#!/bin/sh\ntrue\n"), vec![], false, vec![]).unwrap();
        let changed = prepare(&image, &node, &other);
        let names: Vec<&str> = changed.edits.iter().map(|edit| edit.name.as_str()).collect();
        assert_eq!(names, ["user-data", "meta-data"]);
    }
    let image = BootImage::new(&releases::named("raspios-trixie-arm64-2025-11-24"));
    prepare_card(&image, &node, &extras);
    assert_eq!(image.read("user-data").unwrap(), own);
    assert!(image.text("meta-data").contains("\ninstance-id: pikube-"));
    assert!(image.text("cmdline.txt").contains("systemd.run="));
    for name in ["raspios-bookworm-2023-10-10", "raspios-trixie-arm64-2025-10-01", "debian-arm64"] {
        let head = BootImage::new(&releases::named(name)).head();
        let os = boot::survey(&head).unwrap().os;
        let Err(error) = boot::prepare(&head, &os, &node, &agents(), &extras) else {
            panic!("{name}")
        };
        assert!(error.to_string().contains("does not read `user-data`"), "{error}");
        assert!(error.help().is_some());
    }
}

#[test]
fn a_user_data_that_somebody_changed_is_respected_or_refused_with_the_reason() {
    let node = node(&plan());
    let with = |name: &str, user_data: &str| {
        let image = BootImage::new(&releases::named(name));
        image.put("user-data", user_data.as_bytes());
        image
    };
    let refusal = |image: &BootImage| {
        let head = image.head();
        let os = boot::survey(&head).unwrap().os;
        match boot::prepare(&head, &os, &node, &agents(), &Extras::default()) {
            Ok(_) => panic!("accepted"),
            Err(error) => format!("{error} ({})", error.help().unwrap()),
        }
    };
    // Wrapped, and told where it leaves a known password.
    let custom = "#cloud-config\nchpasswd:\n  list:\n  - ubuntu:ubuntu\npackages: [vim]\n";
    let image = with("ubuntu-22.04-arm64", custom);
    let prepared = prepare_card(&image, &node, &Extras::default());
    assert!(image.text("user-data").contains("    packages: [vim]\n"));
    assert!(prepared.warnings.iter().any(|text| text.contains("usual password")));
    // Cannot be one part of two.
    let parts = with("ubuntu-22.04-arm64", "#include\nhttp://example.org/x\n");
    assert!(refusal(&parts).contains("somebody changed the `user-data`"), "{}", refusal(&parts));
    let broken = with("hypriotos-1.12.3", "#cloud-config\nusers: [\n");
    assert!(refusal(&broken).contains("line "), "{}", refusal(&broken));
    // Two names for one node, wherever cloud-init runs.
    for name in ["hypriotos-1.12.3", "ubuntu-24.04-arm64", "raspios-trixie-arm64-2025-11-24"] {
        let named = with(name, "#cloud-config\nhostname: fregate\n");
        let refusal = refusal(&named);
        assert!(refusal.contains("`fregate`") && refusal.contains("`laperouse`"), "{refusal}");
    }
    let letters = with("hypriotos-1.7.1", "#cloud-config\ntimezone: Europe/Zürich\n");
    assert!(refusal(&letters).contains("not ASCII"), "{}", refusal(&letters));
    // The kernel's hook does not need it: it stays, with a word about it.
    let custom = "#cloud-config\npackages: [vim]\n";
    let image = with("raspios-trixie-arm64-2025-11-24", custom);
    let prepared = prepare_card(&image, &node, &Extras::default());
    assert_eq!(image.text("user-data"), custom);
    assert!(prepared.warnings.iter().any(|text| text.contains("left as it is")));
}

/// What the first boot and the launcher do to the boot partition.
fn boot_once(image: &BootImage) {
    let path = boot::survey(&image.head()).unwrap().os.cmdline;
    let line = image.text(&path);
    let width = line.trim_end().len();
    let gone = [
        "systemd.run",
        "systemd.unit=kernel-command-line",
        "resize",
        "quiet",
        "init=/usr/lib/rasp",
    ];
    let kept: Vec<String> = line
        .split_whitespace()
        .filter(|token| !gone.iter().any(|gone| token.starts_with(gone)))
        .map(|token| token.replace("d9b3a0f1", "0badcafe"))
        .collect();
    // Overwritten in place, so blanks remain where the tokens were.
    image.put(&path, format!("{:<width$}\n", kept.join(" ")).as_bytes());
    image.put("pikube-launch.log", b"started\n");
    for taken in ["pikube-secrets.toml", "ssh"] {
        if image.read(taken).is_some() {
            image.remove(taken);
        }
    }
}

#[test]
fn a_card_that_was_booted_is_known_and_the_same_settings_change_no_sector() {
    for shape in releases::prepared() {
        let image = BootImage::new(&shape);
        let before = boot::survey(&image.head()).unwrap().os;
        image.apply(&prepare(&image, &node(&plan()), &Extras::default()).patch);
        boot_once(&image);
        let head = image.head();
        let os = boot::survey(&head).unwrap().os;
        assert_eq!(boot::Os { booted: false, ..os.clone() }, before, "{}", shape.name);
        assert!(os.booted, "{}", shape.name);
        assert_eq!(boot::existing(&head).unwrap().unwrap().plan, node(&plan()).plan);
        // Another day, and no secrets, which are on the node already.
        let later = plan().replace("2026-11-21", "2026-12-24");
        let same = NodeFiles { secrets: Secrets::default(), ..node(&later) };
        let prepared = prepare(&image, &same, &Extras::default());
        let names: Vec<&str> = prepared.edits.iter().map(|edit| edit.name.as_str()).collect();
        assert!(prepared.is_unchanged() && prepared.patch.is_empty(), "{}: {names:?}", shape.name);
    }
}

#[test]
fn other_settings_on_a_booted_card_change_only_what_they_must() {
    for name in [
        "hypriotos-1.12.3",
        "raspios-buster-2021-05-07",
        "raspios-trixie-arm64-2025-11-24",
        "ubuntu-ab-arm64",
    ] {
        let image = BootImage::new(&releases::named(name));
        image.apply(&prepare(&image, &node(&plan()), &Extras::default()).patch);
        boot_once(&image);
        let mut text = describe(&image);
        let other = plan().replace("'FR'", "'GB'").replace("2026-11-21", "2026-12-24");
        let keep = other.replace("[user]", "[system]\nswap = 'keep'\n[user]");
        let node = NodeFiles { secrets: Secrets::default(), ..node(&keep) };
        let prepared = prepare_card(&image, &node, &Extras::default());
        text.push_str(&listing(&prepared.edits));
        assert_golden(&format!("configure-{name}"), &text);
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
