//! Which cluster, and what there is to know about it: clap types only.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

// Heading of `--help`.
const CLUSTER: &str = "Cluster";

/// `piflash kubeconfig --help`
pub(super) const KUBECONFIG: &str = "\
Print what `kubectl` needs to get in, before the first node is up.

The key and the certificate in it are made anew with every call and last one year; nothing of them is kept here. To \
renew them, call it again. Whoever has the file may do everything in the cluster: keep it as you keep a private key.";

/// Which cluster a card is of.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// Name of the cluster, where there are several [default: pikube]
    #[arg(help_heading = CLUSTER, long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// Start over with a new cluster; the one of this name is set aside
    #[arg(help_heading = CLUSTER, long)]
    pub new_cluster: bool,

    /// Name that every node has for the API server, or `IP[:PORT]` of a load balancer [default: cp.CLUSTER.internal]
    #[arg(help_heading = CLUSTER, long, value_name = "HOST[:PORT]")]
    pub endpoint: Option<String>,

    /// Free address that the control planes share (kube-vip), so that the cluster outlives one of them; in the network
    /// of their own addresses
    #[arg(help_heading = CLUSTER, long, value_name = "IP")]
    pub virtual_ip: Option<String>,

    /// Token for joining nodes.
    #[command(flatten)]
    pub token: TokenSourceArgs,

    /// File that describes a whole cluster: these options as keys, and a table `[[nodes]]` for each node. What is said
    /// here as well wins
    #[arg(help_heading = CLUSTER, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Write every node of `--config` that has no card yet, one card after the other or several at once
    #[arg(help_heading = CLUSTER, long, requires = "config", conflicts_with = "hostname")]
    pub all: bool,

    /// With `--all`, write this node although it has a card, repeatable
    #[arg(help_heading = CLUSTER, long, value_name = "NODE", requires = "all")]
    pub again: Vec<String>,
}

/// Where a token comes from when the cluster's has run out.
#[derive(Debug, Clone, Default, Args)]
pub struct TokenSourceArgs {
    /// Host of the API server, name or IP address, that is asked for a new token when the cluster's has run out
    /// [default: the master's static address, else its name in .local]
    #[arg(help_heading = CLUSTER, long, value_name = "HOST")]
    pub server: Option<String>,

    /// File whose first line is a token that `kubeadm token create` printed on the master
    #[arg(help_heading = CLUSTER, long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// `piflash token`
#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: TokenCommand,

    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = crate::cluster::DEFAULT, global = true)]
    pub cluster: String,

    /// Host of the API server, name or IP address [default: the master's static address, else its name in .local]
    #[arg(long, value_name = "HOST", global = true)]
    pub server: Option<String>,
}

/// What can be done with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// List the tokens that the cluster knows
    List {
        /// Show the tokens themselves: whoever has one can join nodes
        #[arg(long)]
        show_secrets: bool,
    },
    /// Make a token, which the cards that are written from now on get
    Create {
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Take a token back: no node joins with it any more
    Revoke {
        /// The part before its point
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// `piflash cluster`
#[derive(Debug, Clone, Args)]
pub struct ClusterJobArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClusterCommand,
}

/// What can be done with whole clusters.
#[derive(Debug, Clone, Subcommand)]
pub enum ClusterCommand {
    /// List the clusters of this computer
    List,
    /// Write a backup of a cluster, with all its keys, encrypted with a passphrase; `age --decrypt` opens it as well
    Export {
        /// File to write
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Name of the cluster
        #[arg(long, value_name = "NAME", default_value = crate::cluster::DEFAULT)]
        cluster: String,
        /// File whose first line is the passphrase [default: it is asked for, twice]
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Write text, which can be printed and mailed
        #[arg(long)]
        armor: bool,
    },
    /// Take a cluster from its backup; one that is here already is never overwritten
    Import {
        /// File to read
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// File whose first line is the passphrase [default: it is asked for]
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Remove a cluster from this computer for good, its keys overwritten; its nodes and cards stay as they are
    Delete {
        /// Name of the cluster, or of one that was set aside
        #[arg(value_name = "NAME")]
        name: String,
        /// Answer the question with yes
        #[arg(short, long)]
        yes: bool,
    },
}

/// `piflash inventory`
#[derive(Debug, Clone, Args)]
pub struct InventoryArgs {
    /// What to change; nothing: list the nodes.
    #[command(subcommand)]
    pub command: Option<InventoryCommand>,

    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = crate::cluster::DEFAULT, global = true)]
    pub cluster: String,

    /// How to list them
    #[arg(long, value_enum, default_value = "table")]
    pub format: InventoryFormat,
}

/// What can be changed by hand.
#[derive(Debug, Clone, Subcommand)]
pub enum InventoryCommand {
    /// Tell the address that a node has
    Set {
        /// Name of the node
        #[arg(value_name = "NODE")]
        node: String,
        /// Its IP address; `dhcp` for none of its own
        #[arg(long, value_name = "IP")]
        address: String,
    },
    /// Take a node off the list; its card stays as it is
    Remove {
        /// Name of the node
        #[arg(value_name = "NODE")]
        node: String,
    },
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InventoryFormat {
    /// Columns
    Table,
    /// TOML
    Toml,
    /// Ansible's inventory, INI
    Ansible,
}

/// `piflash kubeconfig`
#[derive(Debug, Clone, Args)]
pub struct KubeconfigArgs {
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = crate::cluster::DEFAULT)]
    pub cluster: String,

    /// Host of the API server, name or IP address [default: the master's static address, else its name in .local]
    #[arg(long, value_name = "HOST")]
    pub server: Option<String>,

    /// Add it to ~/.kube/config, or the first file of KUBECONFIG, and select it; what else is there stays, and a copy
    /// of the file as it was is left beside it
    #[arg(long)]
    pub merge: bool,
}
