//! What people type: clap types only.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use pikube_config::{Role, Swap};

/// Writes an operating system to SD cards and prepares each as a Kubernetes node.
///
/// The image is written, verified and prepared; put the card into its Raspberry Pi and switch the power on.
/// Nothing is written before one question, which names the card and what is on it.
#[derive(Debug, Parser)]
#[command(name = "piflash", version, max_term_width = 100)]
pub struct Args {
    /// Cards to write: whole block devices (/dev/sdX, /dev/mmcblk0) or regular files
    #[arg(required = true, value_name = "CARD")]
    pub cards: Vec<PathBuf>,

    /// Image of the operating system: .img, plain or .img.xz
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,

    /// What the node does: `master` starts the cluster, `control-plane` is a further one, `worker` joins
    #[arg(long, value_enum)]
    pub role: RoleArg,

    /// Host name; with several cards one per card, as a list `fregate,black-pearl` or a range `pi[01-04]`
    #[arg(long, value_name = "NAME")]
    pub hostname: String,

    /// Time zone [default: this computer's]
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,

    /// NTP server, repeatable [default: the operating system's]
    #[arg(long, value_name = "SERVER", value_delimiter = ',')]
    pub ntp: Vec<String>,

    /// Locale, as in en_GB.UTF-8 [default: this computer's]
    #[arg(long, value_name = "LOCALE")]
    pub locale: Option<String>,

    /// Keyboard layout, as in gb or de:nodeadkeys [default: this computer's]
    #[arg(long, value_name = "LAYOUT")]
    pub keyboard: Option<String>,

    /// Login user [default: your name on this computer; pi for root]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// File with public keys that may log in, repeatable [default: ~/.ssh/*.pub]
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,

    /// File whose first line is the login user's password [default: no password]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// What becomes of swap
    #[arg(long, value_enum, default_value = "off")]
    pub swap: SwapArg,

    /// Folder with agents (pikube-agent-arm64, ...) to use instead of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub agent_dir: Option<PathBuf>,

    /// Print every file and every changed line, write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Do not read the card back after writing
    #[arg(long)]
    pub no_verify: bool,

    /// Answer the question before writing with yes
    #[arg(short, long)]
    pub yes: bool,

    /// Say only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// `--role`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Starts the cluster
    Master,
    /// A further control plane
    ControlPlane,
    /// Joins the cluster
    Worker,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Master => Role::Master,
            RoleArg::ControlPlane => Role::ControlPlane,
            RoleArg::Worker => Role::Worker,
        }
    }
}

/// `--swap`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SwapArg {
    /// Off for good
    Off,
    /// As the operating system has it
    Keep,
}

impl From<SwapArg> for Swap {
    fn from(swap: SwapArg) -> Self {
        match swap {
            SwapArg::Off => Swap::Off,
            SwapArg::Keep => Swap::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn clap_finds_no_contradiction() {
        super::Args::command().debug_assert();
    }
}
