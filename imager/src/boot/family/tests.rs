//! Families told from signs alone. The boot partitions as they are shipped, and what is written to them, are in
//! `imager/tests/families.rs`.

use super::*;

const BUSTER: &str = "console=serial0,115200 root=PARTUUID=1-02 rootwait quiet init=/usr/lib/raspi-config/init_resize.sh";
const FIRSTBOOT: &str = "console=serial0,115200 root=PARTUUID=1-02 rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot";
const TRIXIE: &str =
    "console=serial0,115200 root=PARTUUID=1-02 rootfstype=ext4 fsck.repair=yes rootwait resize";
const BOOTED: &str = "console=serial0,115200 root=PARTUUID=2-02 rootwait";
const INITRAMFS: &str = "camera_auto_detect=1\nauto_initramfs=1\n\n[all]\narm_64bit=1\n";

fn pi_os(date: &str, cmdline: &str, config: &str) -> Signs {
    Signs {
        label: "bootfs".into(),
        config: Some(config.into()),
        cmdline: Some(cmdline.into()),
        issue: Some(format!("Raspberry Pi reference {date}\nGenerated using pi-gen")),
        kernel_32: true,
        ..Signs::default()
    }
}

fn ubuntu(config: &str) -> Signs {
    Signs {
        label: "system-boot".into(),
        config: Some(config.into()),
        cloud_init: true,
        ..Signs::default()
    }
}

fn hypriot(version: &str, debian: &str) -> Signs {
    Signs {
        os_release: Some(format!(
            "VERSION_ID=\"x\"\nVERSION=\"{debian}\"\nHYPRIOT_IMAGE_VERSION=\"{version}\"\n"
        )),
        ..Signs::default()
    }
}

fn release(signs: &Signs) -> Release {
    recognise(signs).unwrap().release
}

fn refusal(signs: &Signs) -> String {
    let error = recognise(signs).unwrap_err();
    assert!(!error.help().is_empty());
    error.to_string()
}

#[test]
fn raspberry_pi_os_by_structure_whatever_the_date() {
    for date in ["2019-09-26", "2023-05-03", "2026-06-18"] {
        assert_eq!(release(&pi_os(date, BUSTER, "dtparam=audio=on")), Release::Buster, "{date}");
        let camera = pi_os(date, BUSTER, "camera_auto_detect=1");
        assert_eq!(release(&camera), Release::Bullseye, "{date}");
        assert_eq!(release(&pi_os(date, FIRSTBOOT, "")), Release::Bullseye, "{date}");
        assert_eq!(release(&pi_os(date, FIRSTBOOT, INITRAMFS)), Release::Bookworm, "{date}");
        assert_eq!(release(&pi_os(date, TRIXIE, INITRAMFS)), Release::Trixie, "{date}");
    }
    let mount = |cmdline, config| recognise(&pi_os("2024-01-01", cmdline, config)).unwrap().mount;
    assert_eq!(mount(FIRSTBOOT, ""), "/boot");
    assert_eq!(mount(FIRSTBOOT, INITRAMFS), "/boot/firmware");
}

#[test]
fn a_card_that_was_booted_is_known_by_what_its_first_boot_left() {
    let booted = |date, config: &str| pi_os(date, BOOTED, config);
    for (signs, expected) in [
        (booted("2019-09-26", "dtparam=audio=on"), Release::Buster),
        (booted("2022-09-06", "camera_auto_detect=1"), Release::Bullseye),
        (booted("2024-03-15", INITRAMFS), Release::Bookworm),
        (booted("2026-06-18", INITRAMFS), Release::Bookworm),
        (booted("2025-10-01", INITRAMFS), Release::Trixie),
        (Signs { cloud_init: true, ..booted("2025-11-24", INITRAMFS) }, Release::Trixie),
    ] {
        let os = recognise(&signs).unwrap();
        assert_eq!((os.release, os.booted), (expected, true), "{signs:?}");
    }
    let imager = pi_os("2025-11-24", &format!("{BOOTED} ds=nocloud;i=1"), INITRAMFS);
    assert_eq!(release(&imager), Release::Trixie);
    assert!(!recognise(&pi_os("2025-11-24", TRIXIE, INITRAMFS)).unwrap().booted);
}

#[test]
fn too_old_is_refused_and_so_is_what_cannot_be_told() {
    assert!(refusal(&pi_os("2019-04-08", BUSTER, "")).contains("Raspbian stretch"));
    assert!(refusal(&pi_os("2019-04-08", BOOTED, "")).contains("Raspbian stretch"));
    assert!(refusal(&pi_os("2017-07-05", BUSTER, "")).contains("Raspbian jessie"));
    assert!(refusal(&pi_os("unknown", BUSTER, "")).contains("stretch or buster"));
    assert!(refusal(&hypriot("v1.6.0", "8 (jessie)")).contains("before 1.7"));
    assert!(refusal(&hypriot("dirty", "10 (buster)")).contains("published"));
    assert!(refusal(&hypriot("v1.13.0", "11 (bullseye)")).contains("names no Debian release"));
    let focal = Signs { user_config: true, ..ubuntu("arm_64bit=1") };
    assert!(refusal(&focal).contains("Ubuntu 20.04"));
    let core = Signs { cloud_init: false, ..ubuntu("arm_64bit=1") };
    assert!(refusal(&core).contains("Ubuntu Core"));
    let unknown = Signs { label: "EFI".into(), ..Signs::default() };
    assert!(refusal(&unknown).contains("`EFI` holds no operating system"));
}

#[test]
fn hypriot_by_its_own_key() {
    for (version, debian, expected) in [
        ("v1.7.0", "8 (jessie)", Release::Jessie),
        ("v1.7.1", "8 (jessie)", Release::Jessie),
        ("v1.8.0", "9 (stretch)", Release::Stretch),
        ("v1.10.0-rc2", "9 (stretch)", Release::Stretch),
        ("v1.12.3", "10 (buster)", Release::Buster),
    ] {
        let os = recognise(&hypriot(version, debian)).unwrap();
        assert_eq!((os.release, os.hook, os.bits), (expected, Hook::CloudInit, Bits::ThirtyTwo));
        assert_eq!(os.mount, "/boot");
    }
    let name = recognise(&hypriot("v1.12.3", "10 (buster)")).unwrap().name();
    assert_eq!(name, "HypriotOS 1.12.3 (buster), 32 bit");
}

#[test]
fn ubuntu_and_its_two_layouts() {
    let jammy = recognise(&ubuntu("arm_64bit=1\ncmdline=cmdline.txt\n")).unwrap();
    assert_eq!(jammy.release, Release::Jammy);
    let noble = Signs {
        network_config: Some("#      regulatory-domain: GB\n".into()),
        ..ubuntu("arm_64bit=1\n")
    };
    assert_eq!(release(&noble), Release::Noble);
    let config = "[all]\nos_prefix=current/\ncmdline=cmdline.txt\n[tryboot]\nos_prefix=new/\n";
    let cmdlines = vec!["current/cmdline.txt".to_owned()];
    let two = Signs { label: "other".into(), cmdlines: cmdlines.clone(), ..ubuntu(config) };
    let two = recognise(&two).unwrap();
    assert_eq!((two.release, two.bits), (Release::TwoBootSets, Bits::SixtyFour));
    assert_eq!(two.cmdlines, cmdlines);
    let readme = Signs { label: "x".into(), readme: Some("Ubuntu Server".into()), ..ubuntu("") };
    assert_eq!(recognise(&readme).unwrap().bits, Bits::ThirtyTwo);
}

#[test]
fn thirty_two_and_sixty_four_bit() {
    let bits = |signs: &Signs| recognise(signs).unwrap().bits;
    for config in ["auto_initramfs=1", "auto_initramfs=1\n#arm_64bit=1"] {
        assert_eq!(bits(&pi_os("2024-03-15", FIRSTBOOT, config)), Bits::ThirtyTwo);
    }
    assert_eq!(bits(&pi_os("2024-03-15", FIRSTBOOT, INITRAMFS)), Bits::SixtyFour);
    let only_64 = Signs { kernel_32: false, ..pi_os("2025-10-01", TRIXIE, "auto_initramfs=1") };
    assert_eq!(bits(&only_64), Bits::SixtyFour);
    let debian = Signs {
        config: Some("# Do not modify this file!\n#\n\narm_64bit=1\nupstream_kernel=1\n".into()),
        ..Signs::default()
    };
    let os = recognise(&debian).unwrap();
    assert_eq!((os.family, os.bits, os.hook), (Family::Debian, Bits::SixtyFour, Hook::SystemdRun));
    assert_eq!(os.name(), "Debian for Raspberry Pi, 64 bit");
}
