//! Which operating system is on a boot partition, told from its files alone, by structure before dates.
//!
//! The map of families with their sources is `os-families` of the design's reference, §1 and §3.

use thiserror::Error;

use super::cmdline;

/// What a boot partition shows of its operating system: a few small files and names.
#[derive(Debug, Clone, Default)]
pub struct Signs {
    /// Volume label.
    pub label: String,
    /// Text of `config.txt`.
    pub config: Option<String>,
    /// Text of `cmdline.txt`.
    pub cmdline: Option<String>,
    /// Text of `issue.txt` (Raspberry Pi OS).
    pub issue: Option<String>,
    /// Text of `os-release` (HypriotOS).
    pub os_release: Option<String>,
    /// Whether a kernel for 32-bit boards lies there (`kernel.img`, `kernel7.img`).
    pub kernel_32: bool,
}

/// An operating system that piflash prepares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Os {
    /// Who makes it.
    pub family: Family,
    /// Where the booted system mounts the boot partition.
    pub mount: &'static str,
}

/// Families and releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Raspberry Pi OS based on Debian 12.
    RaspberryPiOsBookworm,
    /// Raspberry Pi OS based on Debian 13.
    RaspberryPiOsTrixie,
    /// Debian's own Pi images, made with raspi-firmware.
    Debian,
}

impl Family {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Family::RaspberryPiOsBookworm => "Raspberry Pi OS bookworm, 64 bit",
            Family::RaspberryPiOsTrixie => "Raspberry Pi OS trixie, 64 bit",
            Family::Debian => "Debian for Raspberry Pi, 64 bit",
        }
    }
}

impl Family {
    /// Whether its image brings the packages `locales` and `console-setup`. Debian's own does not: a locale or a
    /// keyboard that nobody asked for must not stop the agent there.
    pub fn has_locales(self) -> bool {
        self != Family::Debian
    }
}

/// What is supported, for the help line of a refusal.
pub const SUPPORTED: &str =
    "Raspberry Pi OS bookworm or trixie (64 bit), or Debian's own Raspberry Pi image";

/// Why an operating system is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Unsupported {
    /// Known, but not prepared by this release.
    #[error("the image holds {0}, which this release of piflash does not prepare")]
    Known(String),
    /// 32-bit user land.
    #[error(
        "the image holds {0} for 32 bit, where only the legacy line runs: Kubernetes 1.26 or older, out of support"
    )]
    ThirtyTwoBit(String),
    /// Nothing that is known.
    #[error("the boot partition `{0}` holds no operating system that piflash knows")]
    Unknown(String),
    /// Raspberry Pi OS after its first boot.
    #[error("the image holds {0} that has been booted before")]
    Booted(String),
}

/// Recognises the operating system.
///
/// # Errors
/// [`Unsupported`], by name where it has one.
pub fn recognise(signs: &Signs) -> Result<Os, Unsupported> {
    if let Some(version) =
        signs.os_release.as_deref().and_then(|text| value(text, "HYPRIOT_IMAGE_VERSION"))
    {
        return Err(Unsupported::ThirtyTwoBit(format!("HypriotOS {version}")));
    }
    let config = signs.config.as_deref().unwrap_or("");
    if signs.label.eq_ignore_ascii_case("system-boot") || config.contains("os_prefix=current/") {
        return Err(Unsupported::Known("Ubuntu Server".into()));
    }
    if config.starts_with("# Do not modify this file!") && has_line(config, "upstream_kernel=1") {
        return Ok(Os { family: Family::Debian, mount: "/boot/firmware" });
    }
    let pi_os = signs
        .issue
        .as_deref()
        .is_some_and(|text| text.contains("pi-gen") || text.contains("Raspberry Pi reference"));
    if pi_os {
        raspberry_pi_os(signs, config)
    } else {
        Err(Unsupported::Unknown(signs.label.clone()))
    }
}

fn raspberry_pi_os(signs: &Signs, config: &str) -> Result<Os, Unsupported> {
    const FIRSTBOOT: &str = "init=/usr/lib/raspberrypi-sys-mods/firstboot";
    const INIT_RESIZE: &str = "init=/usr/lib/raspi-config/init_resize.sh";
    let line = signs.cmdline.as_deref().and_then(|text| text.lines().next()).unwrap_or("");
    let tokens = cmdline::split(line);
    let has = |token: &str| tokens.contains(&token);
    let auto_initramfs = has_line(config, "auto_initramfs=1");
    let family = if has("resize") {
        Family::RaspberryPiOsTrixie
    } else if has(FIRSTBOOT) && auto_initramfs {
        Family::RaspberryPiOsBookworm
    } else if has(FIRSTBOOT) {
        return Err(Unsupported::Known("Raspberry Pi OS bullseye".into()));
    } else if has(INIT_RESIZE) {
        return Err(Unsupported::Known("Raspberry Pi OS bullseye, buster or older".into()));
    } else {
        return Err(Unsupported::Booted("a Raspberry Pi OS".into()));
    };
    // kernel8.img says nothing: 32-bit images ship it too (os-families §3).
    if signs.kernel_32 && !has_line(config, "arm_64bit=1") {
        let release = if family == Family::RaspberryPiOsTrixie { "trixie" } else { "bookworm" };
        return Err(Unsupported::ThirtyTwoBit(format!("Raspberry Pi OS {release}")));
    }
    Ok(Os { family, mount: "/boot/firmware" })
}

/// Whether `config.txt` has this setting on a line of its own, not commented out.
fn has_line(config: &str, setting: &str) -> bool {
    config.lines().any(|line| line.trim() == setting)
}

/// The value of `KEY="value"` or `KEY=value` in a file such as os-release(5).
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.strip_prefix('=')?;
        Some(value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "console=serial0,115200 root=PARTUUID=1-02 rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot";
    const TRIXIE: &str =
        "console=serial0,115200 root=PARTUUID=1-02 rootfstype=ext4 fsck.repair=yes rootwait resize";

    fn pi_os(cmdline: &str, config: &str) -> Signs {
        Signs {
            label: "bootfs".into(),
            config: Some(config.into()),
            cmdline: Some(cmdline.into()),
            issue: Some("Raspberry Pi reference 2025-11-24\nGenerated using pi-gen".into()),
            kernel_32: true,
            ..Signs::default()
        }
    }

    fn text(signs: &Signs) -> String {
        recognise(signs).map_or_else(|error| error.to_string(), |os| os.family.name().into())
    }

    #[test]
    fn supported_systems() {
        let config = "auto_initramfs=1\n\n[all]\narm_64bit=1\n";
        assert_eq!(
            recognise(&pi_os(BOOKWORM, config)).unwrap().family,
            Family::RaspberryPiOsBookworm
        );
        assert_eq!(recognise(&pi_os(TRIXIE, config)).unwrap().family, Family::RaspberryPiOsTrixie);
        let debian = Signs {
            label: "RASPIFIRM".into(),
            config: Some(
                "# Do not modify this file!\n#\n\narm_64bit=1\nupstream_kernel=1\n".into(),
            ),
            cmdline: Some("console=tty0 root=LABEL=RASPIROOT rw  cma=64M rootwait ".into()),
            ..Signs::default()
        };
        assert_eq!(recognise(&debian).unwrap().family, Family::Debian);
        let no_32_bit_kernel = Signs { kernel_32: false, ..pi_os(TRIXIE, "auto_initramfs=1") };
        assert!(recognise(&no_32_bit_kernel).is_ok());
    }

    #[test]
    fn thirty_two_bit_systems_name_the_legacy_line() {
        for config in ["auto_initramfs=1", "auto_initramfs=1\n#arm_64bit=1"] {
            let refused = text(&pi_os(BOOKWORM, config));
            assert!(refused.contains("Raspberry Pi OS bookworm for 32 bit"), "{refused}");
            assert!(refused.contains("legacy line"), "{refused}");
        }
        let hypriot = Signs {
            os_release: Some("NAME=x\nHYPRIOT_IMAGE_VERSION=\"v1.7.1\"\n".into()),
            ..Signs::default()
        };
        assert!(text(&hypriot).contains("HypriotOS v1.7.1 for 32 bit"));
    }

    #[test]
    fn others_are_refused_by_name() {
        let bullseye = pi_os(BOOKWORM, "arm_64bit=1");
        assert!(text(&bullseye).contains("bullseye"));
        let buster = pi_os("root=x init=/usr/lib/raspi-config/init_resize.sh", "");
        assert!(text(&buster).contains("buster"));
        let ubuntu = Signs { label: "system-boot".into(), ..Signs::default() };
        assert!(text(&ubuntu).contains("Ubuntu"));
        let ubuntu_ab =
            Signs { config: Some("[all]\nos_prefix=current/\n".into()), ..Signs::default() };
        assert!(text(&ubuntu_ab).contains("Ubuntu"));
        let booted = pi_os("root=PARTUUID=1-02 rootwait", "auto_initramfs=1\narm_64bit=1");
        assert!(text(&booted).contains("booted before"));
        let unknown = Signs { label: "EFI".into(), ..Signs::default() };
        assert!(text(&unknown).contains("`EFI` holds no operating system"));
    }
}
