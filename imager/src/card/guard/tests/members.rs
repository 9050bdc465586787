//! What reaches a disk by other ways than its number, what is doubtful, and the list of everything.

use super::*;

#[test]
fn a_btrfs_is_in_use_on_every_disk_that_it_is_spread_over() {
    let mut computer = Computer::new();
    let devices = computer.path("sys/fs/btrfs/0f1e-2d3c/devices");
    fs::create_dir_all(&devices).unwrap();
    symlink(computer.path("sys/block/sda"), devices.join("sda")).unwrap();
    symlink(computer.path("sys/block/sdc/sdc2"), devices.join("sdc2")).unwrap();
    // Mounted in another namespace: nobody here sees where.
    let refused = refusal(computer.check("sdc", "8:32"));
    assert!(refused.to_string().ends_with("`/dev/sdc2` is held by `btrfs 0f1e-2d3c`"), "{refused}");
    // The mount names one device of two.
    computer.mount("0:45", "/home", "btrfs /dev/sda");
    for (name, number) in [("sda", "8:0"), ("sdc", "8:32")] {
        let refused = refusal(computer.check(name, number));
        assert!(matches!(refused, Refusal::SystemDisk { .. }), "{refused}");
    }
    computer.check("sdaa", "65:160").unwrap();
}

#[test]
fn the_disk_below_an_overlay_is_the_system_disk() {
    let mut computer = Computer::new();
    computer.mountinfo.clear();
    computer.mount("8:34", "/run/live/medium", "ext4 /dev/sdc2");
    computer.mountinfo +=
        "31 1 0:50 / / rw - overlay overlay rw,lowerdir=/run/live/medium/a:/x,upperdir=/cow\n";
    let refused = refusal(computer.check("sdc", "8:32"));
    assert!(refused.to_string().contains("this computer runs from it"), "{refused}");
    computer.check("sda", "8:0").unwrap();
}

#[test]
fn a_bind_mount_is_a_mount() {
    let mut computer = Computer::new();
    computer.mountinfo +=
        "40 1 8:34 /resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/root rw\n";
    assert!(matches!(refusal(computer.check("sdc", "8:32")), Refusal::Mounted { .. }));
}

/// A disk whose node is a file, with this text at these places.
fn disk_with(computer: &Computer, name: &str, pieces: &[(u64, &[u8])]) -> Result<Target> {
    use std::os::unix::fs::FileExt;

    let node = computer.path("dev").join(name);
    let file = fs::File::create(&node).unwrap();
    file.set_len(62_333_952 * 512).unwrap();
    for (at, bytes) in pieces {
        file.write_all_at(bytes, *at).unwrap();
    }
    fs::write(computer.path("proc/self/mountinfo"), &computer.mountinfo).unwrap();
    fs::write(computer.path("proc/swaps"), &computer.swaps).unwrap();
    let number = SysBlock::find(&computer.system, DeviceNumber::parse("8:32").unwrap()).unwrap();
    check_block(
        &computer.system,
        &node,
        node.clone(),
        number.number().unwrap(),
        &Request::default(),
    )
}

const ZFS: &[u8] =
    b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04name\0\0\0\x09\0\0\0\x01\0\0\0\x04tankpool_guid";

#[test]
fn a_member_that_is_not_in_use_wants_force() {
    let computer = Computer::new();
    let mut target =
        disk_with(&computer, "sdc", &[(512, b"LABELONE"), (536, b"LVM2 001")]).unwrap();
    let error = target.refuse_doubts().unwrap_err();
    assert!(error.to_string().ends_with("it holds LVM data"), "{error}");
    assert!(error.help().unwrap().contains("--force"));
    assert!(
        target.describe().ends_with("; LVM without a partition table"),
        "{}",
        target.describe()
    );
    target.force();
    target.refuse_doubts().unwrap();

    // In a partition: one Linux RAID entry in an MBR.
    let mut entry = [0; 16];
    entry[4] = 0xfd;
    entry[8..12].copy_from_slice(&2048_u32.to_le_bytes());
    entry[12..].copy_from_slice(&20480_u32.to_le_bytes());
    let raid = 0xa92b_4efc_u32.to_le_bytes();
    let pieces: [(u64, &[u8]); 3] =
        [(446, &entry), (510, &[0x55, 0xaa]), ((1 << 20) + 4096, &raid)];
    let target = disk_with(&computer, "sdc", &pieces).unwrap();
    let error = target.refuse_doubts().unwrap_err();
    assert!(error.to_string().ends_with("partition 1 holds RAID data"), "{error}");
}

#[test]
fn an_imported_pool_is_in_use_and_another_wants_force() {
    let mut computer = Computer::new();
    let zfs: [(u64, &[u8]); 1] = [(16 << 10, ZFS)];
    let target = disk_with(&computer, "sdc", &zfs).unwrap();
    assert!(
        target.refuse_doubts().unwrap_err().to_string().ends_with("it holds ZFS \"tank\" data")
    );
    fs::create_dir_all(computer.path("proc/spl/kstat/zfs/tank")).unwrap();
    let refused = refusal(disk_with(&computer, "sdc", &zfs));
    assert!(refused.to_string().ends_with("in use by the ZFS pool `tank`"), "{refused}");
    computer.mount("0:60", "/home", "zfs tank/home");
    assert!(matches!(refusal(disk_with(&computer, "sdc", &zfs)), Refusal::SystemDisk { .. }));
}

#[test]
fn built_in_and_large_disks_want_force() {
    let computer = Computer::new();
    let doubt = |name: &str, number: &str| {
        let target = computer.check(name, number).unwrap();
        target.refuse_doubts().err().map(|error| error.to_string())
    };
    assert_eq!(doubt("sdc", "8:32"), None);
    assert_eq!(doubt("mmcblk0", "179:0"), None);
    computer.write("sys/block/sda/removable", "0\n");
    fs::create_dir_all(computer.path("sys/devices/ata3/host2/2:0:0:0")).unwrap();
    let device = computer.path("sys/block/sda/device");
    symlink(computer.path("sys/devices/ata3/host2/2:0:0:0"), &device).unwrap();
    let text = "writing `/dev/sda`: it is built in (ata), not a card";
    assert_eq!(doubt("sda", "8:0").as_deref(), Some(text));
    // The same kind of disk behind USB: a reader that says that it is fixed is a reader all the same.
    computer.write("sys/devices/ata3/idVendor", "058f\n");
    assert_eq!(doubt("sda", "8:0"), None);
    computer.disk("sdf", "8:80", (256 << 30) / 512 + 1);
    let text = "writing `/dev/sdf`: it has 256 GiB, few cards have";
    assert_eq!(doubt("sdf", "8:80").as_deref(), Some(text));
    computer.disk("sdg", "8:96", (256 << 30) / 512);
    assert_eq!(doubt("sdg", "8:96"), None);
}

#[test]
fn everything_is_listed_with_its_verdict() {
    let mut computer = Computer::new();
    computer.mount("8:33", "/media/card", "vfat /dev/sdc1");
    computer.disk("zram0", "252:0", 1000);
    computer.disk("loop7", "7:7", 0);
    computer.write("sys/block/sda/removable", "0\n");
    computer.check("sda", "8:0").unwrap();
    let listed = list(&computer.system);
    let of = |node: &str| listed.iter().find(|device| device.node == node).unwrap();
    let names: Vec<&str> = listed.iter().map(|device| device.node.as_str()).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(of("/dev/mmcblk0").verdict(), "can be written");
    assert!(of("/dev/mmcblk0").is_writable());
    assert_eq!(of("/dev/sdc").verdict(), "it is in use, `/dev/sdc1` is mounted at `/media/card`");
    assert_eq!(of("/dev/sdc").model.as_deref(), Some("Generic SD/MMC Reader"));
    assert_eq!(of("/dev/sda").verdict(), "it is built in, not a card: only with --force");
    assert!(of("/dev/nvme0n1").verdict().starts_with("this computer runs from it"));
    assert_eq!(of("/dev/sdb").verdict(), "there is no card in the reader");
    let noise: Vec<&str> =
        listed.iter().filter(|d| d.is_noise).map(|device| device.node.as_str()).collect();
    assert_eq!(noise, ["/dev/loop7", "/dev/sdb", "/dev/zram0"]);
}

#[test]
fn a_card_that_was_swapped_meanwhile_is_another() {
    use super::super::super::device::refuse_if_changed;

    let swaps = [
        ("sdc", "8:32", "diskseq", "28\n", "sequence number"),
        ("sdc", "8:32", "size", "31166976\n", "size"),
        ("mmcblk0", "179:0", "device/serial", "0x99999999\n", "serial number"),
        ("mmcblk0", "179:0", "device/name", "EB1QT\n", "model"),
    ];
    for (name, number, file, now, wanted) in swaps {
        let computer = Computer::new();
        let before = computer.check(name, number).unwrap();
        refuse_if_changed(&before, &computer.check(name, number).unwrap()).unwrap();
        computer.write(&format!("sys/block/{name}/{file}"), now);
        let after = computer.check(name, number);
        let refused = refusal(refuse_if_changed(&before, &after.unwrap()).map(|()| before));
        assert!(matches!(refused, Refusal::Changed { what, .. } if what == wanted), "{refused}");
    }
}
