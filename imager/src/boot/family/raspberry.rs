//! Raspberry Pi OS, once Raspbian: `issue.txt` says so, the command line says how it makes its first boot.

use super::super::cmdline;
use super::{Bits, Family, Hook, Os, Release, Signs, Unsupported};

const FIRSTBOOT: &str = "init=/usr/lib/raspberrypi-sys-mods/firstboot";
const INIT_RESIZE: &str = "init=/usr/lib/raspi-config/init_resize.sh";
/// First image of buster (release notes); dates are `YYYY-MM-DD` and compare as text.
const BUSTER: &str = "2019-06-20";
/// First image of stretch.
const STRETCH: &str = "2017-08-16";
/// First image of trixie, the only one without cloud-init's files on the boot partition.
const TRIXIE: &str = "2025-10-01";
/// Images of trixie from this day on bring `user-data`; those of bookworm never do.
const TRIXIE_WITH_CLOUD_INIT: &str = "2025-11-24";

/// Which one it is.
pub fn recognise(signs: &Signs) -> Result<Os, Unsupported> {
    let line = signs.cmdline.as_deref().and_then(|text| text.lines().next()).unwrap_or("");
    let tokens = cmdline::split(line);
    let has = |token: &str| tokens.contains(&token);
    let initramfs = signs.has("auto_initramfs=1");
    let first_boot = has("resize") || has(FIRSTBOOT) || has(INIT_RESIZE);
    let release = if has("resize") {
        Release::Trixie
    } else if has(FIRSTBOOT) {
        if initramfs { Release::Bookworm } else { Release::Bullseye }
    } else if !first_boot && initramfs {
        booted_with_initramfs(signs, &tokens)
    } else if signs.has("camera_auto_detect=1") {
        Release::Bullseye
    } else {
        buster_or_older(signs)?
    };
    Ok(Os {
        family: Family::RaspberryPiOs,
        release,
        version: None,
        mount: match release {
            Release::Bookworm | Release::Trixie => "/boot/firmware",
            _ => "/boot",
        },
        // kernel8.img says nothing: 32-bit images bring it too, and a Pi 4 boots it (§3).
        bits: if signs.kernel_32 { signs.bits_by_setting() } else { Bits::SixtyFour },
        cmdlines: signs.cmdlines.clone(),
        hook: Hook::SystemdRun,
        cloud_init: release == Release::Trixie && signs.cloud_init,
        booted: !first_boot,
    })
}

/// After the first boot nothing of `resize` and `init=` is left. What remains to be told apart is whether swap is
/// zram, and a flag too many does no harm there.
fn booted_with_initramfs(signs: &Signs, tokens: &[&str]) -> Release {
    let date = date(signs).unwrap_or("");
    let cloud_init = signs.cloud_init || tokens.iter().any(|t| t.starts_with("ds=nocloud"));
    if cloud_init || (TRIXIE..TRIXIE_WITH_CLOUD_INIT).contains(&date) {
        Release::Trixie
    } else {
        Release::Bookworm
    }
}

/// The systemd of stretch knows no `systemd.run=`, and only the date tells it from buster.
fn buster_or_older(signs: &Signs) -> Result<Release, Unsupported> {
    let why = "its systemd is older than 240 and knows no way to start the agent";
    match date(signs) {
        Some(date) if date < STRETCH => {
            Err(Unsupported::Known("Raspbian jessie or older".into(), why))
        }
        Some(date) if date < BUSTER => Err(Unsupported::Known("Raspbian stretch".into(), why)),
        Some(_) => Ok(Release::Buster),
        None => Err(Unsupported::Unclear("Raspbian stretch or buster", "`issue.txt`")),
    }
}

/// The date of the image: `Raspberry Pi reference 2023-05-03`, or the second word of a third party's.
fn date(signs: &Signs) -> Option<&str> {
    let first = signs.issue.as_deref()?.lines().next()?;
    first.split_whitespace().find(|word| {
        word.len() == 10
            && word.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    })
}
