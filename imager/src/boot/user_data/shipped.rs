//! What images ship as `user-data`, so that a file that somebody changed is not overwritten.

use super::super::os::Family;
use super::effective_lines;

/// Every line that is not a comment in HypriotOS 1.7.0 to 1.12.3 (image-builder-rpi, `builder/files/boot/user-data`).
const HYPRIOT: &[&str] = &[
    "hostname: black-pearl",
    "manage_etc_hosts: true",
    "users:",
    "- name: pirate",
    "gecos: \"Hypriot Pirate\"",
    "sudo: ALL=(ALL) NOPASSWD:ALL",
    "shell: /bin/bash",
    "groups: users,docker,video",
    "groups: users,docker,video,input",
    "plain_text_passwd: hypriot",
    "lock_passwd: false",
    "ssh_pwauth: true",
    "chpasswd: { expire: false }",
    "package_upgrade: false",
    "runcmd:",
    "- 'systemctl restart avahi-daemon'",
];

/// The same of Ubuntu Server 22.04 and later (pi-gadget, branches classic, classic-22.04, 22-arm64 and 24).
const UBUNTU: &[&str] = &[
    "chpasswd:",
    "expire: true",
    "list:",
    "- ubuntu:ubuntu",
    "users:",
    "- name: ubuntu",
    "password: ubuntu",
    "type: text",
    "ssh_pwauth: true",
    "ssh_pwauth: false",
];

/// Whether the file is the image's own: nothing but lines that its makers wrote.
pub fn is_shipped(family: Family, content: &[u8]) -> bool {
    let known = match family {
        Family::Hypriot => HYPRIOT,
        Family::Ubuntu => UBUNTU,
        Family::RaspberryPiOs | Family::Debian => &[],
    };
    effective_lines(content).all(|line| known.iter().any(|known| known.as_bytes() == line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_line_makes_it_somebody_elses() {
        let shipped = "#cloud-config\n# c\nchpasswd:\n  expire: true\n  users:\n  - name: ubuntu\n    password: ubuntu\n    type: text\nssh_pwauth: false\n";
        assert!(is_shipped(Family::Ubuntu, shipped.as_bytes()));
        assert!(!is_shipped(Family::Hypriot, shipped.as_bytes()));
        let changed = shipped.replace("password: ubuntu", "password: secret");
        assert!(!is_shipped(Family::Ubuntu, changed.as_bytes()));
        assert!(is_shipped(Family::RaspberryPiOs, b"#cloud-config\n\n# only comments\n"));
        assert!(!is_shipped(Family::RaspberryPiOs, b"#cloud-config\nhostname: x\n"));
    }
}
