//! What else goes onto the boot partition: clap types only.

use std::path::PathBuf;

use clap::Args;

// Heading of `--help`.
const BOOT: &str = "Boot partition";

/// What a person wants on the boot partition beyond the node's settings.
#[derive(Debug, Clone, Default, Args)]
pub struct ExtrasArgs {
    /// Line for config.txt, as in dtparam=i2c_arm=on, repeatable; an empty one takes away those of an earlier time
    #[arg(help_heading = BOOT, long, value_name = "LINE")]
    pub config_txt: Vec<String>,

    /// Let a Pi 3 boot from USB and network: sets a bit in its chip that cannot be unset
    #[arg(help_heading = BOOT, long)]
    pub usb_boot: bool,

    /// File for the boot partition, repeatable
    #[arg(help_heading = BOOT, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,

    /// Your own cloud-init user-data, which is run as well, where the operating system has cloud-init
    #[arg(help_heading = BOOT, long, value_name = "PATH|URL")]
    pub user_data: Option<String>,
}
