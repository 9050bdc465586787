//! Command line: types only.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Turns a freshly booted Raspberry Pi into the node of its firstboot plan
#[derive(Debug, Parser)]
#[command(name = "pikube-agent", version)]
pub struct Cli {
    /// Files are looked for under this folder: a test root
    #[arg(long, global = true, hide = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take every step of the plan; what the unit starts
    Run,
    /// Show the ordered steps and whether each is satisfied; changes nothing
    Plan {
        /// Firstboot plan [default: /etc/pikube/pikube.toml]
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
    },
    /// Write every file of a plan under a folder; needs no Pi and no root
    Render {
        /// Firstboot plan
        #[arg(long, value_name = "FILE")]
        plan: PathBuf,
        /// Folder for the files, made if absent
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Renew the certificates of this control plane that end soon
    Renew,
    /// Approve the serving certificates of this cluster's kubelets
    Approve,
    /// Take the node out of its cluster; the system with its packages stays
    Reset {
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    /// Show how far the node is: exit code 0 done, 1 failed, 2 running
    Status {
        /// Wait until it is done or failed
        #[arg(long)]
        wait: bool,
        /// text, for people, or json, for programs
        #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
        #[arg(hide_possible_values = true)]
        format: Format,
    },
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}
