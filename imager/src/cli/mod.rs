//! What people type: clap types only. Help, man page and completions are all made from these.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use pikube_config::Role;

mod cluster;
mod extras;
mod kubernetes;
mod settings;
mod words;

pub use cluster::{
    ClusterArgs, ClusterCommand, ClusterJobArgs, InventoryArgs, InventoryCommand, InventoryFormat,
    KubeconfigArgs, TokenArgs, TokenCommand, TokenSourceArgs,
};
pub use extras::ExtrasArgs;
pub use kubernetes::{KubernetesArgs, RuntimePackagesArg};
pub use settings::{SettingsArgs, SwapArg};
pub use words::{Given, Words, is_switch, options};

// Headings of `--help`.
const IMAGE: &str = "Image";
const NODE: &str = "Node";
const CARD: &str = "Card";
const OUTPUT: &str = "Output";

/// Writes an operating system to SD cards and prepares each as a Kubernetes node.
///
/// The image is written, verified and prepared; put the card into its Raspberry Pi and switch the power on.
/// Nothing is written before one question, which names the card and what is on it.
#[derive(Debug, Parser)]
#[command(
    name = "piflash",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    /// Another job than writing.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The main job, where there is no other.
    #[command(flatten)]
    pub write: Option<WriteArgs>,
    /// How to tell about it.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl Cli {
    /// Reads a command line, the program's name first. What tells how to tell about a job may stand before its name:
    /// clap, for which the main job has begun with the first option, would take the name for a card.
    ///
    /// # Errors
    /// As `try_parse_from`.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut line: Vec<OsString> = line.into_iter().collect();
        let command = Self::command();
        let global = |word: &OsString| {
            word.to_str().is_some_and(|word| {
                command.get_arguments().filter(|arg| arg.is_global_set()).any(|arg| {
                    let short = arg.get_short().map(|short| format!("-{short}"));
                    arg.get_long() == word.strip_prefix("--") || short.as_deref() == Some(word)
                })
            })
        };
        let first = line.iter().skip(1).take_while(|word| global(word)).count() + 1;
        let job = line.get(first).and_then(|word| word.to_str());
        if job.is_some_and(|word| command.find_subcommand(word).is_some() || word == "help") {
            line[1..=first].rotate_right(1);
        }
        let matches = Self::command().try_get_matches_from(line)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        if let Some(write) = &mut cli.write {
            write.given = Words::of(&matches);
        }
        Ok(cli)
    }
}

/// What else can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what could be written here, and why the rest could not
    Devices,
    /// List the operating systems that have a name
    Images(ImagesArgs),
    /// Change settings of a card that is written already; what is not given stays as it is on the card
    Configure(Box<ConfigureArgs>),
    /// List the nodes of a cluster, as far as their cards were written here
    Inventory(InventoryArgs),
    /// Print what `kubectl` needs to get in, before the first node is up
    #[command(long_about = cluster::KUBECONFIG)]
    Kubeconfig(KubeconfigArgs),
    /// List, back up, bring back and delete clusters
    Cluster(ClusterJobArgs),
    /// List, make and take back the tokens with which nodes join a cluster that is up
    Token(TokenArgs),
    /// Read a card back and compare it with an image
    Verify(VerifyArgs),
    /// Tell what a node wrote on its card about its last boot
    Diagnose(DiagnoseArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
}

/// The main job: `piflash [OPTIONS] CARD...`.
#[derive(Debug, Clone, Args)]
// Clap takes this for present where one of the group's is; with a flattened struct inside it fills no group by itself.
#[group(args = ["cards"])]
pub struct WriteArgs {
    /// Cards to write: whole block devices (/dev/sdX, /dev/mmcblk0) or regular files
    #[arg(required = true, value_name = "CARD")]
    pub cards: Vec<PathBuf>,

    /// Which image to write.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What the node does: `master` starts the cluster, `control-plane` is a further one, `worker` joins [default: the
    /// first card of a cluster is the master, later ones are workers]
    #[arg(help_heading = NODE, long, value_enum, hide_possible_values = true)]
    pub role: Option<RoleArg>,

    /// Host name; with several cards one per card, as a list `fregate,black-pearl` or a range `pi[01-04]`
    #[arg(help_heading = NODE, long, value_name = "NAME", required_unless_present = "config")]
    pub hostname: Option<String>,

    /// Which cluster it is of.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// What else the node shall be.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Which Kubernetes it gets.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    /// What else goes onto the boot partition.
    #[command(flatten)]
    pub extras: ExtrasArgs,

    /// Folder with agents (pikube-agent-arm64, ...) to use instead of the built-in ones
    #[arg(help_heading = NODE, long, value_name = "DIR")]
    pub agent_dir: Option<PathBuf>,

    /// Print every file and every changed line, write nothing
    #[arg(help_heading = CARD, long)]
    pub dry_run: bool,

    /// Do not read the card back after writing
    #[arg(help_heading = CARD, long)]
    pub no_verify: bool,

    /// Write also what is doubtful: a built-in disk, one larger than 256 GiB, or one that holds LVM, RAID, LUKS,
    /// ZFS or btrfs data. What is in use is refused nevertheless
    #[arg(help_heading = CARD, long)]
    pub force: bool,

    /// Answer the question before writing with yes
    #[arg(help_heading = CARD, short, long)]
    pub yes: bool,

    /// All of this, as it was typed.
    #[arg(skip)]
    pub given: Words,
}

/// An image and what it has to be.
#[derive(Debug, Clone, Default, Args)]
pub struct ImageArgs {
    /// Image of the operating system: .img, plain or packed (xz, gz, zst, bz2, zip), as a path, an address (https://,
    /// http://, s3://), a name of `piflash images`, or - for standard input [default: Raspberry Pi OS Lite, 64 bit]
    #[arg(help_heading = IMAGE, long, value_name = "PATH|URL|NAME|-")]
    pub image: Option<String>,

    /// SHA-256 sum of the image as it is distributed [default: the catalogue's, or a .sha256 beside the image]
    #[arg(help_heading = IMAGE, long, value_name = "HEX")]
    pub sha256: Option<String>,

    /// Block map: which blocks hold data, and their checksums; the others become zeros [default: a .bmap beside the
    /// image]
    #[arg(help_heading = IMAGE, long, value_name = "PATH|URL")]
    pub bmap: Option<String>,

    /// Use no block map, not even one beside the image
    #[arg(help_heading = IMAGE, long, conflicts_with = "bmap")]
    pub no_bmap: bool,

    /// Detached OpenPGP signature of the image as it is distributed
    #[arg(help_heading = IMAGE, long, value_name = "PATH|URL", requires = "key")]
    pub signature: Option<String>,

    /// OpenPGP public key that has to have made the signature
    #[arg(help_heading = IMAGE, long, value_name = "FILE", requires = "signature")]
    pub key: Option<PathBuf>,
}

/// `piflash images`
#[derive(Debug, Clone, Default, Args)]
pub struct ImagesArgs {
    /// All of Raspberry Pi's list, not only what has a stable name
    #[arg(long)]
    pub all: bool,
}

/// `piflash configure`
#[derive(Debug, Args)]
pub struct ConfigureArgs {
    /// Card to change: a whole block device or a regular file
    #[arg(value_name = "CARD")]
    pub card: PathBuf,

    /// What the node does; the card of a node that is of a cluster keeps its role
    #[arg(help_heading = NODE, long, value_enum)]
    pub role: Option<RoleArg>,

    /// Cluster of a card that piflash has not prepared [default: pikube]
    #[arg(help_heading = NODE, long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// Host name
    #[arg(help_heading = NODE, long, value_name = "NAME")]
    pub hostname: Option<String>,

    /// Give the card a token that is valid, for a node that has been booted and never joined; a card that was never
    /// booted gets one by itself
    #[arg(help_heading = NODE, long)]
    pub new_token: bool,

    /// Token for joining nodes.
    #[command(flatten)]
    pub token: TokenSourceArgs,

    /// What else the node shall be.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Which Kubernetes it gets.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    /// What else goes onto the boot partition.
    #[command(flatten)]
    pub extras: ExtrasArgs,

    /// Folder with agents (pikube-agent-arm64, ...) to use instead of the built-in ones
    #[arg(help_heading = NODE, long, value_name = "DIR")]
    pub agent_dir: Option<PathBuf>,

    /// Print every file and every changed line, write nothing
    #[arg(help_heading = CARD, long)]
    pub dry_run: bool,

    /// Change also what is doubtful, as `piflash --force` writes it
    #[arg(help_heading = CARD, long)]
    pub force: bool,

    /// Answer the question before writing with yes
    #[arg(help_heading = CARD, short, long)]
    pub yes: bool,
}

/// `piflash verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Image that the card was written from.
    #[command(flatten)]
    pub image: ImageArgs,

    /// Card to read: a whole block device or a regular file
    #[arg(value_name = "CARD")]
    pub card: PathBuf,
}

/// `piflash diagnose`
#[derive(Debug, Args)]
pub struct DiagnoseArgs {
    /// Card to read: a whole block device or a regular file
    #[arg(value_name = "CARD")]
    pub card: PathBuf,
}

/// `piflash completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// How to tell about it; the same for every job.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = OUTPUT)]
pub struct OutputArgs {
    /// One JSON object per line on standard output, for programs
    #[arg(long, global = true)]
    pub json: bool,

    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{Cli, Command};

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_main_job_needs_no_subcommand() {
        let good = "piflash --image os.img --role worker --hostname a /dev/sdX devices";
        let cli = Cli::read(good.split(' ').map(Into::into)).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.write.unwrap().cards.len(), 2, "behind a card, everything is a card");
        for (line, json) in [
            ("piflash devices", false),
            ("piflash devices --json", true),
            ("piflash --json -q devices", true),
        ] {
            let cli = Cli::read(line.split(' ').map(Into::into)).unwrap();
            assert!(matches!(cli.command, Some(Command::Devices)) && cli.write.is_none(), "{line}");
            assert_eq!(cli.output.json, json);
        }
        for line in ["piflash", "piflash /dev/sdX", "piflash --json", "piflash --json x devices"] {
            assert!(Cli::read(line.split(' ').map(Into::into)).is_err(), "{line}");
        }
    }
}
