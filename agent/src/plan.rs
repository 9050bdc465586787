//! Firstboot plan and facts of the machine → ordered steps. Pure, but for [`Facts::of`], which only looks.

use pikube_config::{FirstbootPlan, Secrets, names};

use crate::host::{Error, Look};
use crate::render::{self, File};
use crate::step::Step;
use crate::steps;

/// What the steps need to know of the machine beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Where the card's boot partition (FAT) is mounted; `None` where it is not.
    pub boot: Option<String>,
    /// Whether an earlier boot has completed the step `user`: secrets that are no longer there were there then.
    pub user_settled: bool,
}

impl Facts {
    /// Looks at the machine.
    ///
    /// # Errors
    /// Any I/O error but "not found".
    pub fn of(host: &dyn Look, user_settled: bool) -> Result<Self, Error> {
        Ok(Self { boot: boot_folder(host)?, user_settled })
    }
}

/// The mount point of the boot partition: `/boot/firmware` (bookworm and later) or `/boot`, whichever is a mount
/// point or holds `pikube.toml` (`os-families.md` §1).
pub fn boot_folder(host: &dyn Look) -> Result<Option<String>, Error> {
    const FOLDERS: [&str; 2] = ["/boot/firmware", "/boot"];
    let mounts = host.text("/proc/self/mounts")?.unwrap_or_default();
    let is_mounted = |folder: &str| {
        mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|point| point == folder))
    };
    for folder in FOLDERS {
        if is_mounted(folder) {
            return Ok(Some(folder.to_owned()));
        }
    }
    for folder in FOLDERS {
        if host.exists(&format!("{folder}/{}", names::PLAN))? {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}

/// Everything the steps work from: the plan, the secrets, the facts, the files rendered beforehand.
#[derive(Debug)]
pub struct Context {
    /// What the node shall become.
    pub plan: FirstbootPlan,
    /// `None` once they are scrubbed, or where the card had none.
    pub secrets: Option<Secrets>,
    /// The machine.
    pub facts: Facts,
    files: Vec<File>,
}

impl Context {
    /// Renders all files.
    pub fn new(plan: FirstbootPlan, secrets: Option<Secrets>, facts: Facts) -> Self {
        let files = render::files(&plan);
        Self { plan, secrets, facts, files }
    }

    /// The file that is rendered for `path`, if the plan has it.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The steps of this plan, in order.
pub fn steps(plan: &FirstbootPlan) -> Vec<Step> {
    steps::ALL.into_iter().filter(|step| (step.wanted)(plan)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::{Node, PLAN};
    use crate::step::Class;

    fn ids(text: &str) -> Vec<&'static str> {
        steps(&FirstbootPlan::from_toml(text).unwrap()).iter().map(|step| step.id).collect()
    }

    #[test]
    fn settings_that_are_absent_have_no_step() {
        let bare = "schema = 1\n[node]\nhostname = \"a\"\nrole = \"worker\"\n";
        let with_swap = format!("{bare}[system]\nswap = \"keep\"\n");
        assert_eq!(
            ids(bare),
            [
                "clock", "hostname", "network", "root", "log", "apt", "swap", "cgroups", "kernel",
                "scrub", "done"
            ]
        );
        assert!(!ids(&with_swap).contains(&"swap"));
    }

    #[test]
    fn a_full_plan_has_every_step_in_the_order_of_the_list() {
        let all: Vec<_> = steps::ALL.iter().map(|step| step.id).collect();
        let worker = PLAN.replace("role = \"master\"", "role = \"worker\"");
        let without = |absent: &[&str]| {
            all.iter().copied().filter(|id| !absent.contains(id)).collect::<Vec<_>>()
        };
        assert_eq!(ids(PLAN), without(&["join", "virtual-ip"]));
        assert_eq!(
            ids(&worker),
            without(&["init", "virtual-ip", "kubeconfig", "certificates", "pod-network"])
        );
        assert_eq!(all.last(), Some(&"done"));
        let scrub = all.iter().position(|id| *id == "scrub");
        assert_eq!(scrub, Some(all.len() - 2), "secrets go when everything else is in place");
    }

    #[test]
    fn nothing_but_the_clock_stands_before_the_ways_to_reach_a_node() {
        let access = ["hostname", "network", "user", "ssh"];
        let first: Vec<_> = steps::ALL.iter().take(5).map(|step| step.id).collect();
        assert_eq!(first[0], "clock");
        assert_eq!(first[1..], access);
        for step in steps::ALL {
            let class = match step.id {
                id if access.contains(&id) => Class::Access,
                "clock" | "timezone" | "ntp" | "log" | "locale" | "keyboard" | "kubeconfig"
                | "upgrades" => Class::Comfort,
                _ => Class::Essential,
            };
            assert_eq!(step.class, class, "{}", step.id);
        }
    }

    #[test]
    fn the_boot_partition_is_where_it_is_mounted_or_where_the_plan_is() {
        let node = Node::bare();
        assert_eq!(boot_folder(&node).unwrap(), None);
        node.put("/boot/pikube.toml", "");
        assert_eq!(boot_folder(&node).unwrap().as_deref(), Some("/boot"));
        node.put("/proc/self/mounts", "/dev/a / ext4 rw 0 0\n/dev/b /boot/firmware vfat rw 0 0\n");
        assert_eq!(boot_folder(&node).unwrap().as_deref(), Some("/boot/firmware"));
    }
}
