//! A person's own `user-data`, given with the card or found on the image.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use piflash::boot::{self, Extras};
use support::boot_partition::BootImage;
use support::prepared::{agents, boot_once, node, plan, prepare, prepare_card};
use support::releases;

#[test]
fn a_persons_own_user_data_is_wrapped_or_put_beside_the_hook() {
    let own = b"#cloud-config\nwrite_files:\n  - path: /etc/motd\n    content: \"ahoy\\n\"\n";
    let extras = Extras::new(Some(own), vec![], false, vec![]).unwrap();
    let node = node(&plan());
    for name in ["hypriotos-1.12.3", "ubuntu-24.04-arm64"] {
        let image = BootImage::new(&releases::small(name));
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
    let image = BootImage::new(&releases::small("raspios-trixie-arm64-2025-11-24"));
    prepare_card(&image, &node, &extras);
    assert_eq!(image.read("user-data").unwrap(), own);
    assert!(image.text("meta-data").contains("\ninstance-id: pikube-"));
    assert!(image.text("cmdline.txt").contains("systemd.run="));
    for name in ["raspios-bookworm-2023-10-10", "raspios-trixie-arm64-2025-10-01", "debian-arm64"] {
        let head = BootImage::new(&releases::small(name)).head();
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
        let image = BootImage::new(&releases::small(name));
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

#[test]
fn it_stays_in_its_wrapping_when_other_settings_come() {
    let own = "#!/bin/sh\ntouch /x\n";
    let extras = Extras::new(Some(own.as_bytes()), vec![], false, vec![]).unwrap();
    let image = BootImage::new(&releases::small("ubuntu-24.04-arm64"));
    prepare_card(&image, &node(&plan()), &extras);
    let first = image.text("user-data");
    boot_once(&image);
    let other = node(&plan().replace("'FR'", "'GB'"));
    prepare_card(&image, &other, &Extras::default());
    let second = image.text("user-data");
    let part = "  content: |2+\n    #!/bin/sh\n    touch /x\n";
    assert!(first.contains(part) && second.contains(part), "{second}");
    assert!(!first.contains("ssh_deletekeys") && second.contains("ssh_deletekeys: false"));
    // By hand, it is nobody's any more.
    image.put("user-data", second.replace("content: |2+", "text: |2+").as_bytes());
    let head = image.head();
    let os = boot::survey(&head).unwrap().os;
    let third = node(&plan().replace("'FR'", "'DE'"));
    let Err(error) = boot::prepare(&head, &os, &third, &agents(), &Extras::default()) else {
        panic!("accepted")
    };
    assert!(error.to_string().contains("changed by hand"), "{error}");
}
