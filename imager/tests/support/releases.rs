//! The releases that piflash knows: what is on their boot partitions. Sources: the images' own build recipes
//! (image-builder-rpi, pi-gen, pi-gadget, raspi-firmware), by way of `os-families` of the design's reference.

use super::boot_partition::Shape;

type Files = Vec<(&'static str, String)>;

/// Everything that is prepared, in the order of the README's table.
pub fn prepared() -> Vec<Shape> {
    [hypriot(), raspberry_pi_os(), ubuntu(), vec![debian()]].concat()
}

/// Everything that is refused by name.
pub fn refused() -> Vec<Shape> {
    let mut old_hypriot = hypriot().remove(0);
    old_hypriot.name = "hypriotos-1.6.0";
    old_hypriot.files = vec![("os-release", os_release("v1.6.0", "8 (jessie)"))];
    let mut focal = ubuntu().remove(0);
    focal.name = "ubuntu-20.04";
    focal.files.push(("usercfg.txt", "# Place \"config.txt\" changes here\n".into()));
    let mut core = ubuntu().remove(0);
    core.name = "ubuntu-core";
    core.files.retain(|(name, _)| !name.ends_with("-data"));
    let mut foreign = raspberry_pi_os().remove(0);
    foreign.name = "another-system";
    foreign.files.retain(|(name, _)| *name != "issue.txt");
    let old = |name, date: &str, line: &str| {
        raspbian(name, "boot", 43, 22, files(date, line, "dtparam=audio=on\n", &["kernel7.img"]))
    };
    let stretch = "dwc_otg.lpm_enable=0 console=serial0,115200 console=tty1 root=PARTUUID=d9b3a0f1-02 rootfstype=ext4 \
                   elevator=deadline fsck.repair=yes rootwait quiet init=/usr/lib/raspi-config/init_resize.sh\n";
    vec![
        old_hypriot,
        old("raspbian-jessie-2017-07-05", "2017-07-05", stretch),
        old("raspbian-stretch-2019-04-08", "2019-04-08", stretch),
        old("raspbian-of-no-date", "(unknown)", stretch),
        focal,
        core,
        foreign,
    ]
}

/// The same files on 64 MiB, for tests that are not about space.
pub fn small(name: &str) -> Shape {
    Shape { size_mib: 64, used_mib: 3, ..named(name) }
}

pub fn named(name: &str) -> Shape {
    prepared().into_iter().find(|shape| shape.name == name).unwrap()
}

fn os_release(version: &str, debian: &str) -> String {
    format!(
        "PRETTY_NAME=\"Raspbian GNU/Linux {debian}\"\nNAME=\"Raspbian GNU/Linux\"\nVERSION_ID=\"x\"\nVERSION=\"{debian}\"\nID=raspbian\n\
         HYPRIOT_DEVICE=\"Raspberry Pi\"\nHYPRIOT_IMAGE_VERSION=\"{version}\"\n"
    )
}

fn hypriot() -> Vec<Shape> {
    let jessie = "+dwc_otg.lpm_enable=0 console=tty1 root=/dev/mmcblk0p2 rootfstype=ext4 cgroup_enable=cpuset cgroup_enable=memory \
                  swapaccount=1 elevator=deadline fsck.repair=yes rootwait console=ttyAMA0,115200 kgdboc=ttyAMA0,115200\n";
    let stretch = "dwc_otg.lpm_enable=0 console=serial0,115200 console=tty1 root=/dev/mmcblk0p2 rootfstype=ext4 cgroup_enable=cpuset \
                   cgroup_enable=memory swapaccount=1 elevator=deadline fsck.repair=yes rootwait";
    let stretch_resize = format!("{stretch} quiet init=/usr/lib/raspi-config/init_resize.sh\n");
    let buster = stretch_resize.replace("/dev/mmcblk0p2", "PARTUUID=d9b3a0f1-02");
    let user_data = |groups: &str| {
        format!(
            "#cloud-config\n# vim: syntax=yaml\n#\nhostname: black-pearl\nmanage_etc_hosts: true\n\nusers:\n  - name: pirate\n    \
             gecos: \"Hypriot Pirate\"\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    shell: /bin/bash\n    groups: {groups}\n    \
             plain_text_passwd: hypriot\n    lock_passwd: false\n    ssh_pwauth: true\n    chpasswd: {{ expire: false }}\n\n\
             # packages:\n#  - ntp\npackage_upgrade: false\n\nruncmd:\n  - 'systemctl restart avahi-daemon'\n"
        )
    };
    let shape =
        |name, version: &str, debian: &str, line: &str, uart: u8, meta_data: &str, more: Files| {
            let groups = if uart == 1 { "users,docker,video" } else { "users,docker,video,input" };
            let mut files = vec![
                ("os-release", os_release(version, debian)),
                ("cmdline.txt", line.to_owned()),
                (
                    "config.txt",
                    format!(
                        "\nhdmi_force_hotplug=1\nenable_uart={uart}\n\nstart_x=0\ngpu_mem=16\n"
                    ),
                ),
                ("user-data", user_data(groups)),
                ("meta-data", meta_data.to_owned()),
                ("kernel.img", "kernel".into()),
                ("kernel7.img", "kernel".into()),
                ("overlays/README", "overlays".into()),
            ];
            files.extend(more);
            let used_mib = if debian.starts_with("10") { 52 } else { 24 };
            Shape { name, label: "HypriotOS", size_mib: 64, used_mib, fat_bits: 0, files }
        };
    let id = "instance-id: pirate001\n";
    let clock = ("fake-hwclock.data", "2020-07-02 18:21:37\n".to_owned());
    let network = "version: 1\nconfig:\n  - type: physical\n    name: eth0\n    subnets:\n      - type: dhcp\n";
    vec![
        shape("hypriotos-1.7.1", "v1.7.1", "8 (jessie)", jessie, 1, "", vec![]),
        shape("hypriotos-1.8.0", "v1.8.0", "9 (stretch)", &format!("{stretch}\n"), 0, "", vec![]),
        shape("hypriotos-1.10.1", "v1.10.1", "9 (stretch)", &stretch_resize, 0, id, vec![]),
        shape("hypriotos-1.11.1", "v1.11.1", "10 (buster)", &buster, 0, id, vec![]),
        shape(
            "hypriotos-1.12.3",
            "v1.12.3",
            "10 (buster)",
            &buster,
            0,
            id,
            vec![clock, ("network-config", network.to_owned())],
        ),
    ]
}

/// Raspberry Pi OS' files.
fn files(date: &str, line: &str, config: &str, kernels: &[&'static str]) -> Files {
    let mut files = vec![
        (
            "issue.txt",
            format!("Raspberry Pi reference {date}\nGenerated using pi-gen, a commit, stage2\n"),
        ),
        ("cmdline.txt", line.to_owned()),
        ("config.txt", config.to_owned()),
        ("bootcode.bin", "boot".into()),
        ("overlays/README", "overlays".into()),
    ];
    files.extend(kernels.iter().map(|name| (*name, "kernel".to_owned())));
    files
}

fn raspbian(
    name: &'static str,
    label: &'static str,
    size_mib: u64,
    used_mib: u64,
    files: Files,
) -> Shape {
    Shape { name, label, size_mib, used_mib, fat_bits: 32, files }
}

fn raspberry_pi_os() -> Vec<Shape> {
    const ALL: &[&str] = &["kernel.img", "kernel7.img", "kernel7l.img", "kernel8.img"];
    const ONLY_64: &[&str] = &["kernel8.img", "kernel_2712.img"];
    let base = "console=serial0,115200 console=tty1 root=PARTUUID=d9b3a0f1-02 rootfstype=ext4";
    let resize = format!(
        "{base} fsck.repair=yes rootwait quiet init=/usr/lib/raspi-config/init_resize.sh\n"
    );
    let first_buster =
        format!("dwc_otg.lpm_enable=0 {}", resize.replace("fsck.", "elevator=deadline fsck."));
    let firstboot = format!(
        "{base} fsck.repair=yes rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot\n"
    );
    let trixie = format!("{base} fsck.repair=yes rootwait resize\n");
    let buster = "dtparam=audio=on\n\n[pi4]\ndtoverlay=vc4-fkms-v3d\nmax_framebuffers=2\n\n[all]\n#dtoverlay=vc4-fkms-v3d\n";
    let buster_64 = format!("{buster}arm_64bit=1\n");
    let bullseye = "dtparam=audio=on\ncamera_auto_detect=1\ndisplay_auto_detect=1\ndtoverlay=vc4-kms-v3d\nmax_framebuffers=2\n\
                    disable_overscan=1\n\n[cm4]\notg_mode=1\n\n[all]\n\n[pi4]\narm_boost=1\n\n[all]\n";
    let bullseye_64 = bullseye.replace("disable_overscan", "arm_64bit=1\ndisable_overscan");
    let bookworm = "dtparam=audio=on\n# /boot/firmware/overlays/README\ncamera_auto_detect=1\ndisplay_auto_detect=1\n\
                    auto_initramfs=1\ndtoverlay=vc4-kms-v3d\nmax_framebuffers=2\ndisable_fw_kms_setup=1\ndisable_overscan=1\n\
                    arm_boost=1\n\n[cm4]\notg_mode=1\n\n[cm5]\ndtoverlay=dwc2,dr_mode=host\n\n[all]\n";
    let bookworm_64 = bookworm.replace("disable_overscan", "arm_64bit=1\ndisable_overscan");
    let cloud = |mut files: Files| {
        files.extend([
            ("user-data", "#cloud-config\n\n# This is the user-data configuration file.\n#hostname: raspberrypi\n".into()),
            ("meta-data", "# The meta-data configuration file.\ndsmode: local\ninstance_id: rpios-image\n".into()),
            ("network-config", "# A netplan-compatible configuration.\n#network:\n#  version: 2\n".into()),
        ]);
        files
    };
    let (mib_256, mib_512) = ((256, 52), (512, 74));
    let shape = |name, label, (size, used), files| raspbian(name, label, size, used, files);
    vec![
        shape(
            "raspios-buster-2019-06-20",
            "boot",
            mib_256,
            files("2019-06-20", &first_buster, buster, ALL),
        ),
        shape(
            "raspios-buster-2021-05-07",
            "boot",
            mib_256,
            files("2021-05-07", &resize, buster, ALL),
        ),
        shape(
            "raspios-buster-arm64-2021-05-07",
            "boot",
            mib_256,
            files("2021-05-07", &resize, &buster_64, ALL),
        ),
        shape(
            "raspios-bullseye-2021-10-30",
            "boot",
            mib_256,
            files("2021-10-30", &resize, bullseye, ALL),
        ),
        shape(
            "raspios-bullseye-arm64-2022-04-04",
            "boot",
            mib_256,
            files("2022-04-04", &resize, &bullseye_64, ALL),
        ),
        shape(
            "raspios-bullseye-2022-09-06",
            "boot",
            mib_256,
            files("2022-09-06", &firstboot, bullseye, ALL),
        ),
        shape(
            "raspios-bullseye-arm64-2023-05-03",
            "bootfs",
            mib_256,
            files("2023-05-03", &firstboot, &bullseye_64, ALL),
        ),
        shape(
            "raspios-bookworm-2023-10-10",
            "bootfs",
            mib_512,
            files("2023-10-10", &firstboot, bookworm, ALL),
        ),
        shape(
            "raspios-bookworm-arm64-2024-11-19",
            "bootfs",
            mib_512,
            files("2024-11-19", &firstboot, &bookworm_64, ONLY_64),
        ),
        shape(
            "raspios-trixie-arm64-2025-10-01",
            "bootfs",
            mib_512,
            files("2025-10-01", &trixie, &bookworm_64, ONLY_64),
        ),
        shape(
            "raspios-trixie-2025-11-24",
            "bootfs",
            mib_512,
            cloud(files("2025-11-24", &trixie, bookworm, ALL)),
        ),
        shape(
            "raspios-trixie-arm64-2025-11-24",
            "bootfs",
            mib_512,
            cloud(files("2025-11-24", &trixie, &bookworm_64, ONLY_64)),
        ),
    ]
}

fn ubuntu() -> Vec<Shape> {
    let line = "console=serial0,115200 multipath=off dwc_otg.lpm_enable=0 console=tty1 root=LABEL=writable rootfstype=ext4 \
                rootwait fixrtc\n";
    let config = |bits: &str, prefix: &str| {
        format!(
            "[all]\nkernel=vmlinuz\ncmdline=cmdline.txt\ninitramfs initrd.img followkernel\n{prefix}\n[pi4]\nmax_framebuffers=2\n\
             arm_boost=1\n\n[all]\ndtparam=audio=on\ndtparam=i2c_arm=on\nenable_uart=1\n{bits}dtoverlay=dwc2\n"
        )
    };
    let header = "#cloud-config\n\n# This is the user-data configuration file for cloud-init.\n";
    let old_login = "chpasswd:\n  expire: true\n  list:\n  - ubuntu:ubuntu\n\nssh_pwauth: true\n";
    let login = "chpasswd:\n  expire: true\n  users:\n  - name: ubuntu\n    password: ubuntu\n    type: text\n\nssh_pwauth: false\n";
    let network = "version: 2\nethernets:\n  eth0:\n    dhcp4: true\n    optional: true\n";
    let regdom = format!("{network}#wifis:\n#  wlan0:\n#      regulatory-domain: GB\n");
    let shape = |name, size_mib, config: String, cmdline, login: &str, network: &str| {
        let files = vec![
            (
                "README",
                "This file belongs to the boot partition of the Ubuntu Server for Raspberry Pi.\n"
                    .to_owned(),
            ),
            ("config.txt", config),
            (cmdline, line.to_owned()),
            ("user-data", format!("{header}{login}")),
            ("meta-data", "# identity\ndsmode: local\n\ninstance_id: cloud-image\n".into()),
            ("network-config", network.to_owned()),
            ("vmlinuz", "kernel".into()),
            ("initrd.img", "initrd".into()),
            ("overlays/README", "overlays".into()),
        ];
        Shape { name, label: "system-boot", size_mib, used_mib: 100, fat_bits: 32, files }
    };
    let arm64 = "arm_64bit=1\n";
    let prefix = "os_prefix=current/\n\n[tryboot]\nos_prefix=new/\n";
    vec![
        shape("ubuntu-22.04-arm64", 256, config(arm64, ""), "cmdline.txt", old_login, network),
        shape("ubuntu-22.04-armhf", 256, config("", ""), "cmdline.txt", old_login, network),
        shape("ubuntu-24.04-arm64", 512, config(arm64, ""), "cmdline.txt", login, &regdom),
        shape("ubuntu-ab-arm64", 512, config(arm64, prefix), "current/cmdline.txt", login, &regdom),
    ]
}

fn debian() -> Shape {
    let config = "# Do not modify this file!\n#\n# It will be automatically regenerated.\n\n# Switch the CPU from ARMv7 into ARMv8\n\
                  arm_64bit=1\n\nenable_uart=1\nupstream_kernel=1\n\nkernel=vmlinuz-6.1.0-18-arm64\n";
    let line = "console=tty0 console=ttyS1,115200 root=LABEL=RASPIROOT rw fsck.repair=yes net.ifnames=0  cma=64M rootwait \n";
    let files = vec![
        ("config.txt", config.to_owned()),
        ("cmdline.txt", line.to_owned()),
        ("sysconf.txt", "# hostname=rpi\n".into()),
        ("vmlinuz-6.1.0-18-arm64", "kernel".into()),
        ("initrd.img-6.1.0-18-arm64", "initrd".into()),
    ];
    Shape {
        name: "debian-arm64",
        label: "RASPIFIRM",
        size_mib: 508,
        used_mib: 80,
        fat_bits: 32,
        files,
    }
}
