//! Kernel flags that must be there before the agent runs, so that it needs no reboot of its own.
//!
//! The Pi's device tree says `cgroup_disable=memory`; which words undo that depends on the kernel (`os-families` of the
//! design's reference, §1 and §2.8).

use pikube_config::{FirstbootPlan, Swap};

use super::os::{Family, Os, Release};

/// The tokens for this plan, in the order in which they are added.
pub fn flags(os: &Os, plan: &FirstbootPlan) -> Vec<String> {
    let mut flags: Vec<String> = cgroups(os).iter().map(|flag| (*flag).to_owned()).collect();
    if let Some(wifi) = &plan.wifi {
        // Until it knows the country the kernel keeps the radio to what is allowed everywhere.
        flags.push(format!("cfg80211.ieee80211_regdom={}", wifi.country));
    }
    let zram = os.family == Family::RaspberryPiOs && os.release == Release::Trixie;
    if zram && plan.system.swap == Swap::Off {
        flags.push("systemd.zram=0".to_owned());
    }
    flags
}

fn cgroups(os: &Os) -> &'static [&'static str] {
    match (os.family, os.release) {
        // Shipped with both; the kernels 4.9 of the releases on stretch listen to the third word only.
        (Family::Hypriot, Release::Stretch) => {
            &["cgroup_enable=cpuset", "cgroup_enable=memory", "cgroup_memory=1"]
        }
        (Family::Hypriot, _) => &["cgroup_enable=cpuset", "cgroup_enable=memory"],
        (Family::RaspberryPiOs, Release::Bookworm | Release::Trixie) => &["cgroup_enable=memory"],
        (Family::RaspberryPiOs, _) => {
            &["cgroup_enable=cpuset", "cgroup_enable=memory", "cgroup_memory=1"]
        }
        // Later kernels may bring a device tree that turns it off; a kernel that does not know the word ignores it.
        (Family::Ubuntu, Release::TwoBootSets) => &["cgroup_enable=memory"],
        // On already: Ubuntu's kernels since 22.04, Debian's with Debian's device trees.
        (Family::Ubuntu | Family::Debian, _) => &[],
    }
}
