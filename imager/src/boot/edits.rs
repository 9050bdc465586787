//! Which files of the boot partition change for one node: pure, from operating system, plan and what lies there.

use pikube_config::{FirstbootPlan, Problem, Problems, Secrets, names};
use zeroize::Zeroizing;

use super::cmdline::{self, CmdlineError, HookTokens, Wanted};
use super::config_txt::{self, ConfigError};
use super::extras::Extras;
use super::flags::flags;
use super::os::{Family, Hook, Os};
use super::page_size;
use super::seed;
use super::wifi;
use crate::agents::Agent;

/// The launcher and the unit travel inside piflash.
const LAUNCHER: &str = include_str!("../../../units/pikube-launch.sh");
const UNIT: &str = include_str!("../../../units/pikube-agent.service");

/// One file of the boot partition that is created or replaced.
#[derive(Clone)]
pub struct Edit {
    /// Name in the root directory; a command line may be in a folder, as `current/cmdline.txt` is.
    pub name: String,
    /// Whether a file of this name was there before.
    pub replaces: bool,
    /// What was in it; absent for what is not shown line by line.
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
    /// Its size only: a program of ours, or a file that a person knows.
    Size,
    /// Its size only: it holds secrets.
    Secret,
}

impl Edit {
    pub(super) fn new(name: &str, after: impl Into<Vec<u8>>, show: Show) -> Self {
        let (name, after) = (name.to_owned(), Zeroizing::new(after.into()));
        Self { name, replaces: false, before: None, after, show }
    }

    /// The lines that go and the lines that come, between those that are the same at both ends.
    pub fn changed_lines(&self) -> (Vec<String>, Vec<String>) {
        let lines = |bytes: &[u8]| -> Vec<String> {
            String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
        };
        let (before, after) =
            (lines(self.before.as_deref().unwrap_or_default()), lines(&self.after));
        let same = |pair: &(&String, &String)| pair.0 == pair.1;
        let start = before.iter().zip(&after).take_while(same).count();
        let end =
            before[start..].iter().rev().zip(after[start..].iter().rev()).take_while(same).count();
        (before[start..before.len() - end].to_vec(), after[start..after.len() - end].to_vec())
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

/// What lies on the boot partition already and matters here.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Every file that the firmware may take the kernel command line from: its path and content.
    pub cmdlines: Vec<(String, Vec<u8>)>,
    /// `config.txt`.
    pub config: Option<Vec<u8>>,
    /// cloud-init's `user-data`.
    pub user_data: Option<Vec<u8>>,
    /// cloud-init's `meta-data`.
    pub meta_data: Option<Vec<u8>>,
    /// An earlier plan that can be read.
    pub plan: Option<FirstbootPlan>,
    /// Whether a kernel for each size of pages lies there, see [`page_size`].
    pub both_page_sizes: bool,
    /// Whether the launcher has run.
    pub launched: bool,
}

impl Found {
    /// The plan to write: the one that is there where nothing but the day differs, else the new one.
    fn plan(&self, new: &FirstbootPlan) -> FirstbootPlan {
        let undated = |plan: &FirstbootPlan| FirstbootPlan { flashed_at: None, ..plan.clone() };
        match &self.plan {
            Some(old) if undated(old) == undated(new) => old.clone(),
            _ => new.clone(),
        }
    }
}

/// What the launcher installs, agents first so that a short partition is noticed before anything small is written.
/// Where all of it lies there already, the launcher has nothing to do.
///
/// # Errors
/// A plan the agent would refuse.
pub fn payload(node: &NodeFiles, agents: &[&Agent], found: &Found) -> Result<Vec<Edit>, EditError> {
    let mut edits: Vec<Edit> = agents
        .iter()
        .map(|agent| Edit::new(&agent.file_name(), agent.binary.to_vec(), Show::Size))
        .collect();
    edits.push(Edit::new(names::PLAN, found.plan(&node.plan).to_toml()?, Show::Text));
    if !node.secrets.is_empty() {
        edits.push(Edit::new(names::SECRETS, node.secrets.to_toml()?.as_bytes(), Show::Secret));
    }
    edits.push(Edit::new(names::LAUNCHER, LAUNCHER, Show::Size));
    edits.push(Edit::new(names::UNIT, UNIT, Show::Size));
    Ok(edits)
}

/// What the firmware, the kernel and cloud-init read, and a person's own files. `armed` says that the launcher has to
/// run; what only its run needs is left alone otherwise.
///
/// # Errors
/// [`EditError`].
pub fn settings(
    os: &Os,
    node: &NodeFiles,
    extras: &Extras,
    found: &Found,
    armed: bool,
) -> Result<(Vec<Edit>, Vec<String>), EditError> {
    let plan = found.plan(&node.plan);
    let mut warnings = Vec::new();
    let mut names = extras.files().iter().map(|file| &file.name);
    let is_line = |name: &&String| os.cmdlines.iter().any(|path| path.eq_ignore_ascii_case(name));
    if let Some(name) = names.find(is_line) {
        return Err(EditError::ExtraCmdline(name.clone()));
    }
    let mut edits: Vec<Edit> = extras
        .files()
        .iter()
        .map(|file| Edit::new(&file.name, file.content.clone(), Show::Size))
        .collect();
    if armed && os.family == Family::RaspberryPiOs && plan.user.is_some() {
        // sshswitch.service of raspberrypi-sys-mods enables sshd when it finds this name. `userconf.txt`, which names
        // the first user since 2022-04, is not needed: the launcher masks userconfig.service, which would wait for it
        // on the screen, and the agent makes the user. A password's hash would lie readable on the card besides.
        edits.push(Edit::new("ssh", Vec::new(), Show::Text));
    }
    if armed && let Some(text) = wifi::file(os, &plan, &node.secrets) {
        edits.push(Edit::new(wifi::NAME, text.as_bytes(), Show::Secret));
    }
    if let Some(clock) = fake_hwclock(os, &plan).filter(|_| found.plan.as_ref() != Some(&plan)) {
        edits.push(Edit::new("fake-hwclock.data", clock, Show::Text));
    }
    let config = found.config.as_deref().unwrap_or_default();
    let lines = config_lines(os, &plan, extras, config)?;
    if !lines.is_empty() && os.family == Family::Debian {
        warnings.push(
            "Debian writes `config.txt` anew with every update of kernel or firmware: the lines of piflash are gone then"
                .to_owned(),
        );
    }
    let config_after = config_txt::edit(config, &lines)?;
    let config_after = page_size::edit(&config_after, os, &plan, found, &mut warnings)?;
    if config_after != config {
        edits.push(Edit::new("config.txt", config_after, Show::Text));
    }
    let seed = seed::Seed { os, plan: &plan, extras, found, armed };
    edits.extend(seed.edits(node.secrets.password_hash.is_some(), &mut warnings)?);
    edits.extend(command_lines(os, &plan, found, armed, &mut warnings)?);
    Ok((edits, warnings))
}

/// The edited command lines; nothing where the tokens of one are as they should be, whatever the blanks between them: the
/// launcher leaves some behind when it takes its hook out.
fn command_lines(
    os: &Os,
    plan: &FirstbootPlan,
    found: &Found,
    armed: bool,
    warnings: &mut Vec<String>,
) -> Result<Vec<Edit>, EditError> {
    let wanted = Wanted {
        flags: flags(os, plan),
        outdated: found.plan.as_ref().map(|old| flags(os, old)).unwrap_or_default(),
        hook: match os.hook {
            Hook::CloudInit => HookTokens::Without,
            Hook::SystemdRun if armed => HookTokens::With(launcher_path(os)),
            Hook::SystemdRun => HookTokens::Keep,
        },
    };
    let mut edits = Vec::new();
    for (index, (path, before)) in found.cmdlines.iter().enumerate() {
        let after = match cmdline::edit(before, &wanted) {
            Ok(after) => after,
            // That of most boards has to be right; another may be a leftover.
            Err(problem) if index > 0 => {
                warnings.push(format!(
                    "`{path}` {problem}: it is left as it is, and the agent does not start where it applies"
                ));
                continue;
            }
            Err(problem) => return Err(EditError::Cmdline { path: path.clone(), problem }),
        };
        let text = String::from_utf8_lossy(before);
        let first_line = text.lines().next().unwrap_or("");
        if cmdline::split(first_line.trim_end()) != cmdline::split(after.trim_end()) {
            edits.push(Edit::new(path, after, Show::Text));
        }
    }
    Ok(edits)
}

/// Where the booted system sees the launcher.
pub(super) fn launcher_path(os: &Os) -> String {
    format!("{}/{}", os.mount, names::LAUNCHER)
}

/// HypriotOS since 1.12 takes its first idea of the time from this file on the boot partition.
fn fake_hwclock(os: &Os, plan: &FirstbootPlan) -> Option<String> {
    let reads = os.family == Family::Hypriot && os.version >= Some((1, 12, 0));
    let flashed_at = plan.flashed_at.filter(|_| reads)?;
    Some(format!("{}\n", flashed_at.strftime("%Y-%m-%d %H:%M:%S")))
}

/// What a person asked for; else what they asked for before, when the card was written.
fn config_lines(
    os: &Os,
    plan: &FirstbootPlan,
    extras: &Extras,
    config: &[u8],
) -> Result<Vec<String>, ConfigError> {
    const NO_UART: &str = "enable_uart=0";
    let mut lines = match extras.config_txt() {
        Some(asked) => asked.to_vec(),
        None => config_txt::block(config)?,
    };
    // HypriotOS 1.7 turns the serial console on, and then a Pi 3 has no wlan0.
    let no_wlan = os.family == Family::Hypriot && os.version < Some((1, 8, 0));
    if no_wlan && plan.wifi.is_some() && !lines.iter().any(|line| line.starts_with("enable_uart="))
    {
        lines.push(NO_UART.to_owned());
    }
    Ok(lines)
}

/// Why there are no edits.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A file of the kernel command line.
    #[error("`{path}` {problem}")]
    Cmdline {
        /// The file.
        path: String,
        /// See [`CmdlineError`].
        problem: CmdlineError,
    },
    /// A file of a person's in the place of one that the firmware reads.
    #[error("`{0}` is the kernel command line, which piflash edits")]
    ExtraCmdline(String),
    /// See [`ConfigError`].
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The plan or the secrets.
    #[error("{0}")]
    Plan(Problems),
    /// The `user-data` that lies on the card.
    #[error(
        "somebody changed the `user-data` of this image, and it cannot be combined with the agent's: {0}"
    )]
    FoundUserData(Problem),
    /// A `user-data` was given for a system that does not read it.
    #[error("{0} does not read `user-data` from its boot partition")]
    NoCloudInit(String),
    /// Two names for one node.
    #[error("the `user-data` sets the host name `{theirs}`, and the card is for `{ours}`")]
    Hostname {
        /// In the user-data.
        theirs: String,
        /// In the plan.
        ours: String,
    },
    /// Python 2.
    #[error(
        "the `user-data` has letters that are not ASCII, which the cloud-init of {0} cannot read"
    )]
    NotAscii(String),
}

impl From<Problems> for EditError {
    /// Not as its source: the message is all of it already.
    fn from(problems: Problems) -> Self {
        EditError::Plan(problems)
    }
}

impl EditError {
    /// Whether options that are wrong are the reason.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            EditError::Plan(_)
                | EditError::NoCloudInit(_)
                | EditError::Hostname { .. }
                | EditError::NotAscii(_)
                | EditError::ExtraCmdline(_)
        )
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            EditError::Cmdline { problem: CmdlineError::ForeignHook(_), .. } => {
                "start from the image as its makers publish it, not customised by another tool".into()
            }
            EditError::Config(ConfigError::OpenBlock) => "remove that line from `config.txt`".into(),
            EditError::FoundUserData(_) => {
                "start from the image as its makers publish it, and give your own file with `--user-data`".into()
            }
            EditError::NoCloudInit(_) => {
                "give the settings as options of piflash; Raspberry Pi OS reads `user-data` since trixie".into()
            }
            EditError::Hostname { .. } => "take `hostname` and `fqdn` out of the user-data".into(),
            EditError::NotAscii(_) => "write it with ASCII letters only".into(),
            EditError::ExtraCmdline(_) => "give the file another name with `--file`".into(),
            EditError::Cmdline { .. } | EditError::Plan(_) => return None,
        })
    }
}
