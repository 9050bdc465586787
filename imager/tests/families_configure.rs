//! Cards that were prepared, and most of them booted, before.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use piflash::boot::{self, Extras, NodeFiles};
use pikube_config::Secrets;
use support::boot_partition::BootImage;
use support::prepared::{
    assert_golden, boot_once, describe, listing, node, plan, prepare, prepare_card,
};
use support::releases;

#[test]
fn a_card_that_was_booted_is_known_and_the_same_settings_change_no_sector() {
    for shape in releases::prepared() {
        let image = BootImage::new(&releases::small(shape.name));
        let before = boot::survey(&image.head()).unwrap().os;
        image.apply(&prepare(&image, &node(&plan()), &Extras::default()).patch);
        boot_once(&image);
        let head = image.head();
        let os = boot::survey(&head).unwrap().os;
        assert_eq!(boot::Os { booted: false, ..os.clone() }, before, "{}", shape.name);
        assert!(os.booted, "{}", shape.name);
        assert_eq!(boot::existing(&head).unwrap().map(|node| node.plan), Some(node(&plan()).plan));
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
        let image = BootImage::new(&releases::small(name));
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
fn new_secrets_or_another_agent_start_the_launcher_once_more() {
    for name in ["hypriotos-1.12.3", "raspios-trixie-arm64-2025-11-24"] {
        let image = BootImage::new(&releases::small(name));
        image.apply(&prepare(&image, &node(&plan()), &Extras::default()).patch);
        boot_once(&image);
        let hooked = |image: &BootImage| match name.starts_with("hypriot") {
            true => image.text("meta-data").contains("-2\n"),
            false => {
                image.text("cmdline.txt").contains("systemd.run=/boot/firmware/pikube-launch.sh")
            }
        };
        assert!(!hooked(&image));
        let prepared = prepare_card(&image, &node(&plan()), &Extras::default());
        assert!(prepared.edits.iter().any(|edit| edit.name == "pikube-secrets.toml"));
        assert!(
            prepared.edits.iter().all(|edit| edit.name != "pikube.toml"),
            "the plan is the same"
        );
        assert!(hooked(&image), "{name}");
        boot_once(&image);

        let head = image.head();
        let os = boot::survey(&head).unwrap().os;
        let same = NodeFiles { secrets: Secrets::default(), ..node(&plan()) };
        let newer = crate::support::agents(&[("arm64", (1 << 20) + 1), ("armv7", 700_002)]);
        let prepared = boot::prepare(&head, &os, &same, &newer, &Extras::default()).unwrap();
        assert!(prepared.edits.iter().any(|edit| edit.name.starts_with("pikube-agent-")));
        let started = if name.starts_with("hypriot") { "meta-data" } else { "cmdline.txt" };
        assert!(prepared.edits.iter().any(|edit| edit.name == started), "{name}");
    }
}

#[test]
fn what_a_person_adds_or_takes_away_starts_nothing() {
    let extras = |lines: &[&str]| {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Extras::new(None, lines, false, vec![]).unwrap()
    };
    for name in ["hypriotos-1.12.3", "raspios-trixie-arm64-2025-11-24"] {
        let image = BootImage::new(&releases::small(name));
        let shipped = image.read("config.txt").unwrap();
        prepare_card(&image, &node(&plan()), &extras(&["dtparam=spi=on"]));
        boot_once(&image);
        let same = NodeFiles { secrets: Secrets::default(), ..node(&plan()) };
        // Nothing said about it: what is there stays.
        assert!(prepare_card(&image, &same, &extras(&[])).is_unchanged());
        for lines in [&["dtparam=spi=on", "gpu_mem=16"][..], &[""]] {
            let prepared = prepare_card(&image, &same, &extras(lines));
            let names: Vec<&str> = prepared.edits.iter().map(|edit| edit.name.as_str()).collect();
            assert_eq!(names, ["config.txt"]);
        }
        assert_eq!(image.read("config.txt").unwrap(), shipped);
    }
}

#[test]
fn a_plan_that_cannot_be_read_is_told_and_written_anew() {
    let image = BootImage::new(&releases::small("raspios-trixie-arm64-2025-11-24"));
    assert!(boot::existing(&image.head()).unwrap().is_none());
    image.put("pikube.toml", b"schema = 99\n");
    let error = boot::existing(&image.head()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("pikube.toml"), "{error}");
    prepare_card(&image, &node(&plan()), &Extras::default());
    assert_eq!(
        boot::existing(&image.head()).unwrap().map(|node| node.plan),
        Some(node(&plan()).plan)
    );
}
