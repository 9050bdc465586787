//! The guard on computers made of folders: no root, no devices, every situation.

use std::os::unix::fs::symlink;

use super::*;

mod members;

/// A computer in a temporary folder.
struct Computer {
    folder: tempfile::TempDir,
    system: System,
    mountinfo: String,
    swaps: String,
}

impl Computer {
    /// A laptop that runs from nvme0n1 (8 partitions would be too many: 2, EFI and LUKS under LVM), with an empty
    /// SD card reader sdb, a card in sdc with two partitions, sdaa as a trap for those who compare names, and an SD
    /// card in a built-in reader.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let system =
            System { proc: root.join("proc"), sys: root.join("sys"), dev: root.join("dev") };
        for path in
            ["proc/self", "sys/block", "sys/dev/block", "sys/class/block", "dev/shm", "home"]
        {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        let mut computer =
            Self { folder, system, mountinfo: String::new(), swaps: "Filename Type Size\n".into() };
        computer.disk("nvme0n1", "259:0", 1_000_215_216);
        computer.partition("nvme0n1", "nvme0n1p1", 1, "259:1");
        computer.partition("nvme0n1", "nvme0n1p2", 2, "259:2");
        computer.disk("dm-0", "254:0", 900_000_000);
        computer.disk("dm-1", "254:1", 800_000_000);
        computer.holds("nvme0n1/nvme0n1p2", "dm-0");
        computer.holds("dm-0", "dm-1");
        computer.disk("sda", "8:0", 62_333_952);
        computer.disk("sdaa", "65:160", 62_333_952);
        computer.disk("sdb", "8:16", 0);
        computer.disk("sdc", "8:32", 62_333_952);
        computer.partition("sdc", "sdc1", 1, "8:33");
        computer.partition("sdc", "sdc2", 2, "8:34");
        computer.write("sys/block/sdc/device/model", "SD/MMC Reader   \n");
        computer.write("sys/block/sdc/device/vendor", "Generic \n");
        computer.write("sys/block/sdc/removable", "1\n");
        computer.write("sys/block/sdc/diskseq", "27\n");
        computer.disk("mmcblk0", "179:0", 62_333_952);
        computer.write("sys/block/mmcblk0/device/type", "SD\n");
        computer.write("sys/block/mmcblk0/device/name", "SC32G\n");
        computer.write("sys/block/mmcblk0/device/serial", "0x1234abcd\n");
        computer.write("sys/block/mmcblk0/removable", "0\n");
        computer.mount("254:1", "/", "ext4 /dev/mapper/vg-root");
        computer.mount("259:1", "/boot/efi", "vfat /dev/nvme0n1p1");
        computer
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn disk(&self, name: &str, number: &str, sectors: u64) {
        self.write(&format!("sys/block/{name}/dev"), &format!("{number}\n"));
        self.write(&format!("sys/block/{name}/size"), &format!("{sectors}\n"));
        self.write(&format!("sys/block/{name}/ro"), "0\n");
        self.write(&format!("sys/block/{name}/queue/logical_block_size"), "512\n");
        self.link(name, name, number);
    }

    fn partition(&self, disk: &str, name: &str, index: u32, number: &str) {
        self.write(&format!("sys/block/{disk}/{name}/dev"), &format!("{number}\n"));
        self.write(&format!("sys/block/{disk}/{name}/partition"), &format!("{index}\n"));
        self.link(&format!("{disk}/{name}"), name, number);
    }

    fn link(&self, folder: &str, name: &str, number: &str) {
        let target = self.path("sys/block").join(folder);
        symlink(&target, self.path("sys/dev/block").join(number)).unwrap();
        symlink(&target, self.path("sys/class/block").join(name)).unwrap();
    }

    fn holds(&self, lower: &str, upper: &str) {
        let holders = self.path("sys/block").join(lower).join("holders");
        fs::create_dir_all(&holders).unwrap();
        symlink(self.path("sys/block").join(upper), holders.join(upper)).unwrap();
    }

    /// `source`: file system type and device.
    fn mount(&mut self, number: &str, point: &str, source: &str) {
        self.mountinfo += &format!("30 1 {number} / {point} rw,relatime shared:1 - {source} rw\n");
    }

    fn check(&self, name: &str, number: &str) -> Result<Target> {
        self.check_for(name, number, &Request::default())
    }

    fn check_for(&self, name: &str, number: &str, request: &Request) -> Result<Target> {
        fs::write(self.path("proc/self/mountinfo"), &self.mountinfo).unwrap();
        fs::write(self.path("proc/swaps"), &self.swaps).unwrap();
        let path = PathBuf::from("/dev").join(name);
        let number = DeviceNumber::parse(number).unwrap();
        check_block(&self.system, &path, path.clone(), number, request)
    }

    fn check_path(&self, path: &Path, request: &Request) -> Result<Target> {
        fs::write(self.path("proc/self/mountinfo"), &self.mountinfo).unwrap();
        fs::write(self.path("proc/swaps"), &self.swaps).unwrap();
        check(&self.system, path, request)
    }
}

fn refusal(result: Result<Target>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => {
            assert!(refusal.help().is_some(), "{refusal} has no help");
            refusal
        }
        Err(other) => panic!("not a refusal: {other}"),
        Ok(target) => panic!("accepted: {target:?}"),
    }
}

#[test]
fn a_free_card_is_accepted_with_what_is_known() {
    let computer = Computer::new();
    let card = computer.check("sdc", "8:32").unwrap();
    assert_eq!(card.size_bytes, Some(62_333_952 * 512));
    assert_eq!(
        (card.vendor.as_deref(), card.model.as_deref()),
        (Some("Generic"), Some("SD/MMC Reader"))
    );
    assert_eq!((card.removable, card.disk_sequence, card.serial), (Some(true), Some(27), None));
    let sd = computer.check("mmcblk0", "179:0").unwrap();
    assert_eq!(sd.removable, Some(true), "the reader stays, the card does not");
    assert_eq!(sd.describe(), "/dev/mmcblk0: SC32G, 29.7 GiB, serial 0x1234abcd");
    let unknown = computer.check("sda", "8:0").unwrap();
    assert_eq!((unknown.model, unknown.removable, unknown.contents), (None, None, None));
}

#[test]
fn the_serial_of_a_usb_reader_is_found_above() {
    let computer = Computer::new();
    computer.write("sys/devices/usb1/idVendor", "058f\n");
    computer.write("sys/devices/usb1/serial", "058F63666485\n");
    fs::create_dir_all(computer.path("sys/devices/usb1/host6/6:0:0:0")).unwrap();
    let device = computer.path("sys/block/sda/device");
    symlink(computer.path("sys/devices/usb1/host6/6:0:0:0"), device).unwrap();
    assert_eq!(computer.check("sda", "8:0").unwrap().serial.as_deref(), Some("058F63666485"));
}

#[test]
fn the_system_disk_is_found_through_every_layer() {
    let computer = Computer::new();
    let refused = refusal(computer.check("nvme0n1", "259:0"));
    assert!(matches!(&refused, Refusal::SystemDisk { .. }), "{refused}");
    let root_only = {
        let mut computer = Computer::new();
        computer.mountinfo.clear();
        computer.mount("254:1", "/", "ext4 /dev/mapper/vg-root");
        computer
    };
    let refused = refusal(root_only.check("nvme0n1", "259:0"));
    let Refusal::SystemDisk { member, mount_point, .. } = &refused else { panic!("{refused}") };
    assert_eq!((member.as_str(), mount_point.as_path()), ("/dev/dm-1", Path::new("/")));
}

#[test]
fn every_system_mount_makes_a_system_disk() {
    for point in ["/boot/firmware", "/boot", "/home", "/usr"] {
        let mut computer = Computer::new();
        computer.mount("8:33", point, "vfat /dev/sdc1");
        assert!(
            matches!(refusal(computer.check("sdc", "8:32")), Refusal::SystemDisk { .. }),
            "{point}"
        );
    }
}

#[test]
fn a_mounted_partition_is_named_with_its_place() {
    let mut computer = Computer::new();
    computer.mount("8:34", r"/media/me/my\040card", "ext4 /dev/sdc2");
    let refused = refusal(computer.check("sdc", "8:32"));
    assert_eq!(
        refused.to_string(),
        "writing `/dev/sdc`: it is in use, `/dev/sdc2` is mounted at `/media/me/my card`"
    );
    assert!(refused.help().unwrap().contains("umount /media/me/my card"));
    // The disk itself, without partitions.
    computer.mount("8:0", "/mnt", "vfat /dev/sda");
    assert!(matches!(refusal(computer.check("sda", "8:0")), Refusal::Mounted { .. }));
}

#[test]
fn devices_are_compared_by_number_and_not_by_name() {
    let mut computer = Computer::new();
    // sdaa is mounted, and the mount names a device that begins like sda; sda is free.
    computer.mount("65:160", "/mnt", "vfat /dev/sdaa");
    computer.check("sda", "8:0").unwrap();
    assert!(matches!(refusal(computer.check("sdaa", "65:160")), Refusal::Mounted { .. }));
    // A mount that calls its source by another name is found nevertheless.
    computer.mount("8:33", "/mnt2", "vfat /dev/disk/by-label/BOOTFS");
    assert!(matches!(refusal(computer.check("sdc", "8:32")), Refusal::Mounted { .. }));
}

#[test]
fn btrfs_hides_its_number_and_is_found() {
    let mut computer = Computer::new();
    computer.mount("0:45", "/mnt", "btrfs /dev/sdc2");
    assert!(matches!(refusal(computer.check("sdc", "8:32")), Refusal::Mounted { .. }));
    let mut others = Computer::new();
    others.mount("0:45", "/run/user", "tmpfs tmpfs");
    others.check("sdc", "8:32").unwrap();
}

#[test]
fn swap_and_holders_are_in_use() {
    let mut computer = Computer::new();
    computer.swaps += "/dev/sdc2 partition 1000 0 -2\n";
    let refused = refusal(computer.check("sdc", "8:32"));
    assert!(refused.to_string().ends_with("`/dev/sdc2` is active swap"), "{refused}");
    computer.check("sda", "8:0").unwrap();

    let computer = Computer::new();
    computer.disk("md0", "9:0", 1000);
    computer.holds("sdc/sdc2", "md0");
    let refused = refusal(computer.check("sdc", "8:32"));
    assert!(refused.to_string().ends_with("`/dev/sdc2` is held by `/dev/md0`"), "{refused}");
}

#[test]
fn a_mount_on_top_of_a_holder_is_a_mount() {
    let mut computer = Computer::new();
    computer.disk("md0", "9:0", 1000);
    computer.partition("md0", "md0p1", 1, "259:9");
    computer.holds("sdc/sdc1", "md0");
    computer.mount("259:9", "/mnt", "ext4 /dev/md0p1");
    let refused = refusal(computer.check("sdc", "8:32"));
    assert!(refused.to_string().contains("`/dev/md0p1` is mounted at `/mnt`"), "{refused}");
}

#[test]
fn a_partition_names_its_disk() {
    let computer = Computer::new();
    let refused = refusal(computer.check("sdc1", "8:33"));
    assert_eq!(refused.help().unwrap(), "give the whole card, `/dev/sdc`");
}

#[test]
fn what_cannot_be_examined_is_in_use() {
    let computer = Computer::new();
    assert!(matches!(refusal(computer.check("sdz", "65:144")), Refusal::Unexamined { .. }));
    fs::remove_file(computer.path("sys/block/sdc/dev")).unwrap();
    assert!(matches!(refusal(computer.check("sdc", "8:32")), Refusal::Unexamined { .. }));
    let blind = Computer::new();
    let path = Path::new("/dev/sdc");
    let number = DeviceNumber { major: 8, minor: 32 };
    let result = check_block(&blind.system, path, path.into(), number, &Request::default());
    let Refusal::Unexamined { missing, .. } = refusal(result) else { panic!("another refusal") };
    assert!(missing.ends_with("self/mountinfo"));
    // A kernel without swap has no such file.
    fs::write(blind.path("proc/self/mountinfo"), "").unwrap();
    check_block(&blind.system, path, path.into(), number, &Request::default()).unwrap();
}

#[test]
fn size_sectors_and_the_lock_switch() {
    let computer = Computer::new();
    assert!(matches!(refusal(computer.check("sdb", "8:16")), Refusal::NoMedium { .. }));
    let sized = |bytes| Request { image_bytes: Some(bytes), ..Request::default() };
    let size = 62_333_952 * 512;
    computer.check_for("sdc", "8:32", &sized(size)).unwrap();
    let refused = refusal(computer.check_for("sdc", "8:32", &sized(size + 1)));
    assert_eq!(
        refused.to_string(),
        "writing `/dev/sdc`: the card is too small, it has 31914983424 bytes (29.7 GiB) and the image needs \
         31914983425 bytes (29.7 GiB)"
    );
    computer.disk("sdd", "8:48", (2 << 40) / 512);
    computer.check("sdd", "8:48").unwrap();
    computer.disk("sde", "8:64", (2 << 40) / 512 + 1);
    assert!(matches!(refusal(computer.check("sde", "8:64")), Refusal::TooLarge { .. }));
    computer.write("sys/block/sda/queue/logical_block_size", "4096\n");
    assert!(matches!(refusal(computer.check("sda", "8:0")), Refusal::SectorSize { .. }));
    computer.write("sys/block/sdc/ro", "1\n");
    assert!(matches!(refusal(computer.check("sdc", "8:32")), Refusal::ReadOnly { .. }));
}

#[test]
fn a_loop_device_over_the_image_is_the_image() {
    let computer = Computer::new();
    let image = computer.path("home/os.img");
    fs::write(&image, "x").unwrap();
    computer.disk("loop3", "7:3", 100_000);
    computer.write("sys/block/loop3/loop/backing_file", &format!("{}\n", image.display()));
    let identity = FileIdentity::of(&fs::metadata(&image).unwrap());
    let request = Request { image: Some((image, identity)), image_bytes: None };
    assert!(matches!(
        refusal(computer.check_for("loop3", "7:3", &request)),
        Refusal::IsTheImage { .. }
    ));
    computer.check("loop3", "7:3").unwrap();
}

#[test]
fn missing_paths() {
    let computer = Computer::new();
    let check = |path: &str| computer.check_path(&computer.path(path), &Request::default());
    for path in ["dev/sdx", "dev/mapper/card", "home/../dev/sdx"] {
        assert!(matches!(refusal(check(path)), Refusal::NoSuchDevice { .. }), "{path}");
        assert!(!computer.path(path).exists(), "{path} was made");
    }
    symlink(computer.path("dev"), computer.path("home/devices")).unwrap();
    assert!(matches!(refusal(check("home/devices/sdx")), Refusal::NoSuchDevice { .. }));
    symlink(computer.path("dev/sdx"), computer.path("home/card")).unwrap();
    assert!(matches!(refusal(check("home/card")), Refusal::NoSuchDevice { .. }));
    let error = check("nowhere/card.img").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    for path in ["home/card.img", "dev/shm/card.img"] {
        let target = check(path).unwrap();
        assert_eq!((target.kind, target.size_bytes), (Kind::NewFile, None));
        assert!(!target.path.exists(), "looking at it made it");
    }
}

#[test]
fn what_is_no_device() {
    let computer = Computer::new();
    let check = |path: &Path| refusal(computer.check_path(path, &Request::default())).to_string();
    assert!(check(&computer.path("home")).contains("a directory"));
    assert!(check(Path::new("/dev/null")).contains("a character device"));
    let pipe = computer.path("home/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(check(&pipe).contains("a pipe"));
    computer.write("dev/sdq", "left behind by dd");
    assert!(check(&computer.path("dev/sdq")).contains("regular file among the devices"));
}

#[test]
fn files_that_are_not_cards() {
    let mut computer = Computer::new();
    let file = computer.path("home/card.img");
    let check = |computer: &Computer, bytes: &[u8], request: &Request| {
        fs::write(&file, bytes).unwrap();
        computer.check_path(&file, request)
    };
    let any = Request::default();
    for (bytes, name) in [
        (&b"\xfd7zXZ\0..."[..], "xz"),
        (b"\x1f\x8b...", "gzip"),
        (b"PK\x03\x04..", "zip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ] {
        let refused = refusal(check(&computer, bytes, &any)).to_string();
        assert!(refused.ends_with(&format!("it is an image ({name}), not a card")), "{refused}");
    }
    let sized = Request { image_bytes: Some(5), ..Request::default() };
    assert!(matches!(refusal(check(&computer, b"four", &sized)), Refusal::TooSmall { .. }));
    assert_eq!(check(&computer, b"fives", &sized).unwrap().size_bytes, Some(5));
    assert_eq!(check(&computer, b"", &sized).unwrap().size_bytes, None, "an empty file grows");

    // The image itself, by another name.
    let link = computer.path("home/link.img");
    fs::hard_link(&file, &link).unwrap();
    let identity = FileIdentity::of(&fs::metadata(&link).unwrap());
    let request = Request { image: Some((link.clone(), identity)), image_bytes: None };
    assert!(matches!(refusal(check(&computer, b"x", &request)), Refusal::IsTheImage { .. }));

    computer.disk("loop3", "7:3", 100_000);
    computer.write("sys/block/loop3/loop/backing_file", &format!("{}\n", link.display()));
    let refused = refusal(check(&computer, b"x", &any));
    assert!(refused.to_string().ends_with("the backing file of `/dev/loop3`"), "{refused}");
    fs::remove_file(computer.path("sys/block/loop3/loop/backing_file")).unwrap();

    computer.swaps += &format!("{} file 1000 0 -2\n", link.display());
    assert!(matches!(refusal(check(&computer, b"x", &any)), Refusal::Swap { .. }));
    computer.swaps.truncate(19);

    let mut permissions = fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&file, permissions).unwrap();
    let refused = refusal(computer.check_path(&file, &any));
    assert!(matches!(refused, Refusal::ReadOnly { is_file: true, .. }), "{refused}");
}
