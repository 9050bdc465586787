//! What the Pi's firmware reads from `config.txt` to start a kernel.

use anyhow::Result;

use crate::card::Card;

/// The files that a boot starts with, by their names on the FAT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BootFiles {
    /// The kernel; `kernel8.img` where config.txt names none.
    pub kernel: String,
    /// The initial ram disk; `initramfs8` where config.txt leaves the choice to the firmware.
    pub initrd: String,
}

/// The boot files as config.txt has them.
pub(super) fn boot_files(card: &Card) -> Result<BootFiles> {
    Ok(parse(&card.boot_text("config.txt")?))
}

fn parse(config: &str) -> BootFiles {
    let mut files = BootFiles { kernel: "kernel8.img".into(), initrd: "initramfs8".into() };
    for line in config.lines().map(str::trim) {
        if let Some(kernel) = line.strip_prefix("kernel=") {
            files.kernel = kernel.trim().to_owned();
        }
        if let Some(initrd) = line.strip_prefix("initramfs ") {
            files.initrd = initrd.split_whitespace().next().unwrap_or_default().to_owned();
        }
    }
    files
}

/// The card's command line as the kernel gets it: the first line, `serial0` resolved to the machine's own port.
pub(super) fn command_line(card: &Card, serial: &str) -> Result<String> {
    let text = card.boot_text("cmdline.txt")?;
    let line = text.lines().next().unwrap_or_default().trim();
    Ok(line.replace("console=serial0", &format!("console={serial}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_names_its_files_and_raspberry_pi_os_does_not() {
        let debian = parse("arm_64bit=1\nkernel=vmlinuz-6.12\ninitramfs initrd.img-6.12\n");
        assert_eq!(
            (debian.kernel.as_str(), debian.initrd.as_str()),
            ("vmlinuz-6.12", "initrd.img-6.12")
        );
        let raspios = parse("auto_initramfs=1\n");
        assert_eq!(
            (raspios.kernel.as_str(), raspios.initrd.as_str()),
            ("kernel8.img", "initramfs8")
        );
    }
}
