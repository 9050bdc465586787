//! The root file system is as large as its partition: the OS grows both, each family at another moment
//! (`os-families.md` §2.3 to §2.5), and packages that are installed before it is done fill what is there. Nothing is
//! repartitioned here: two programs on one partition table end badly.

use pikube_config::names;

use crate::host::{Access, Command, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};
use crate::steps::units;

/// The step.
pub const STEP: Step = Step {
    id: "root",
    title: "grown root file system",
    class: Class::Essential,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

/// How long after the boot began it may take until something begins to grow it, in seconds.
const PATIENCE_S: f64 = 180.0;

/// What grows it: Raspberry Pi OS buster to bullseye and trixie, HypriotOS 1.7, cloud-init (older and newer).
const GROWERS: [&str; 6] = [
    "resize2fs_once.service",
    "rpi-resize.service",
    "systemd-growfs-root.service",
    "hypriot-firstboot.service",
    "cloud-init.service",
    "cloud-init-network.service",
];

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sizes {
    partition: u64,
    file_system: u64,
}

impl Sizes {
    /// What ext4 keeps for itself (inodes, journal) is a few per cent; an image's own size is half of any card's.
    fn is_grown(self) -> bool {
        self.file_system >= self.partition / 8 * 7
    }
}

/// `None` where the root is no partition of a disk: there is nothing to wait for.
fn sizes(host: &dyn Look) -> Result<Option<Sizes>, Error> {
    let mounts = host.text("/proc/self/mountinfo")?.unwrap_or_default();
    // Field 3 is the device's number, field 5 the mount point (proc(5)); the last mount on `/` is the one in use.
    let number = mounts.lines().rev().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        (fields.get(4) == Some(&"/")).then(|| fields[2].to_owned())
    });
    let Some(number) = number else { return Ok(None) };
    let sectors = host.text(&format!("/sys/dev/block/{number}/size"))?;
    let Some(sectors) = sectors.and_then(|text| text.trim().parse::<u64>().ok()) else {
        return Ok(None);
    };
    let command = Command::new("df", ["-B1", "--output=size", "/"]);
    let said = host.ask(&command)?.ok(&command)?.stdout;
    let bytes = said.lines().nth(1).and_then(|line| line.trim().parse::<u64>().ok());
    Ok(bytes.map(|file_system| Sizes { partition: sectors * 512, file_system }))
}

/// That it stays as it is has been accepted, with the size of the partition at that time.
fn accepted() -> String {
    format!("{}/root-accepted", names::STATE_DIR)
}

/// The sizes, where they are to be mended.
fn needed(host: &dyn Look) -> Result<Option<Sizes>, Error> {
    let Some(sizes) = sizes(host)?.filter(|sizes| !sizes.is_grown()) else { return Ok(None) };
    let known = host.text(&accepted())?;
    let is_accepted = known.is_some_and(|text| text.trim() == sizes.partition.to_string());
    Ok((!is_accepted).then_some(sizes))
}

fn told(sizes: Sizes) -> String {
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "the root file system has {} MiB, its partition {} MiB",
        mib(sizes.file_system),
        mib(sizes.partition)
    )
}

fn check(_: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    Ok(needed(host)?.map_or(Check::Satisfied, |sizes| Check::Needed(told(sizes))))
}

/// Waits while something grows it, or may still begin to.
fn apply(_: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let Some(sizes) = needed(host)? else { return Ok(Notes::new()) };
    for unit in GROWERS {
        if units::state(host, unit)?.as_deref() == Some("activating") {
            return Err(Stop::Again(format!("{}; `{unit}` is at work", told(sizes))));
        }
    }
    let uptime = host.text("/proc/uptime")?.unwrap_or_default();
    let uptime_s: f64 = uptime.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(PATIENCE_S);
    if uptime_s < PATIENCE_S {
        return Err(Stop::Again(format!("{}; the system may still grow it", told(sizes))));
    }
    host.write(&accepted(), format!("{}\n", sizes.partition).as_bytes(), Access::root(0o644))?;
    Ok(vec![format!("{}; nothing on this system grows it, so it stays as it is", told(sizes))])
}

#[cfg(test)]
mod tests;
