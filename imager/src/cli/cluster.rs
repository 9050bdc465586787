//! Which cluster, and what there is to know about it: clap types only.

use clap::{Args, Subcommand, ValueEnum};

use super::NODE;

/// `piflash kubeconfig --help`
pub(super) const KUBECONFIG: &str = "\
Print what `kubectl` needs to get in, before the first node is up.

The key and the certificate in it are made anew with every call and last one year; nothing of them is kept here. To \
renew them, call it again. Whoever has the file may do everything in the cluster: keep it as you keep a private key.";

/// Which cluster a card is of.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// Name of the cluster, where there are several [default: pikube]
    #[arg(help_heading = NODE, long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// Start over with a new cluster; the one of this name is set aside
    #[arg(help_heading = NODE, long)]
    pub new_cluster: bool,
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
