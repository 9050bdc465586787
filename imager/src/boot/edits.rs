//! Which files of the boot partition change for one node: pure, from operating system and plan to a list of edits.

use pikube_config::{FirstbootPlan, Problems, Secrets, Swap, names};
use zeroize::Zeroizing;

use super::cmdline::{self, Additions, CmdlineError};
use super::family::{Family, Os};
use crate::agents::Agent;

/// The launcher and the unit travel inside piflash.
const LAUNCHER: &str = include_str!("../../../units/pikube-launch.sh");
const UNIT: &str = include_str!("../../../units/pikube-agent.service");

/// One file of the boot partition that is created or replaced.
#[derive(Clone)]
pub struct Edit {
    /// Name in the root directory.
    pub name: String,
    /// What was there before.
    pub before: Option<Vec<u8>>,
    /// What will be there.
    pub after: Zeroizing<Vec<u8>>,
    /// How it may be shown.
    pub show: Show,
}

/// How an edit may be shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Line by line.
    Text,
    /// Its size only: a program of ours.
    Size,
    /// Its size only: it holds secrets.
    Secret,
}

impl Edit {
    fn new(name: &str, after: impl Into<Vec<u8>>, show: Show) -> Self {
        Self { name: name.to_owned(), before: None, after: Zeroizing::new(after.into()), show }
    }
}

/// Everything that goes onto one node's card.
#[derive(Debug, Clone)]
pub struct NodeFiles {
    /// The firstboot plan.
    pub plan: FirstbootPlan,
    /// What the launcher takes off the card again.
    pub secrets: Secrets,
}

/// The edits for one node, agents first so that a short partition is noticed before anything small is written.
///
/// # Errors
/// A plan the agent would refuse, or a command line that cannot be edited.
pub fn edits(
    os: &Os,
    node: &NodeFiles,
    agents: &[&Agent],
    cmdline: &[u8],
) -> Result<Vec<Edit>, EditError> {
    let mut edits: Vec<Edit> = agents
        .iter()
        .map(|agent| Edit::new(&agent.file_name(), agent.binary.to_vec(), Show::Size))
        .collect();
    edits.push(Edit::new(names::PLAN, node.plan.to_toml()?, Show::Text));
    if !node.secrets.is_empty() {
        edits.push(Edit::new(names::SECRETS, node.secrets.to_toml()?.as_bytes(), Show::Secret));
    }
    edits.push(Edit::new(names::LAUNCHER, LAUNCHER, Show::Size));
    edits.push(Edit::new(names::UNIT, UNIT, Show::Size));
    if os.family != Family::Debian && node.plan.user.is_some() {
        // sshswitch.service of raspberrypi-sys-mods enables sshd when it finds this name.
        edits.push(Edit::new("ssh", Vec::new(), Show::Text));
    }
    let additions = Additions {
        flags: flags(os.family, node.plan.system.swap),
        launcher: format!("{}/{}", os.mount, names::LAUNCHER),
    };
    edits.push(Edit::new("cmdline.txt", cmdline::edit(cmdline, &additions)?, Show::Text));
    Ok(edits)
}

/// Kernel flags that must be there before the agent runs, so that it needs no reboot of its own.
fn flags(family: Family, swap: Swap) -> Vec<&'static str> {
    let mut flags = Vec::new();
    // The Pi's device tree says cgroup_disable=memory; Debian's kernel and device tree do not.
    if family != Family::Debian {
        flags.push("cgroup_enable=memory");
    }
    if family == Family::RaspberryPiOsTrixie && swap == Swap::Off {
        flags.push("systemd.zram=0");
    }
    flags
}

/// Why there are no edits.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// See [`CmdlineError`].
    #[error(transparent)]
    Cmdline(#[from] CmdlineError),
    /// The plan or the secrets.
    #[error("{0}")]
    Plan(#[from] Problems),
}
