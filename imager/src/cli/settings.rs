//! What a node shall be, whether its card is written or changed: clap types only.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pikube_config::Swap;

use super::NODE;

// Headings of `--help`.
const NETWORK: &str = "Network";
const LOGIN: &str = "Login";

/// Settings of a node beside its name and its role.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsArgs {
    /// Time zone [default: this computer's]
    #[arg(help_heading = NODE, long, value_name = "ZONE")]
    pub timezone: Option<String>,

    /// NTP server, repeatable [default: the operating system's]
    #[arg(help_heading = NODE, long, value_name = "SERVER", value_delimiter = ',')]
    pub ntp: Vec<String>,

    /// Locale, as in en_GB.UTF-8 [default: this computer's]
    #[arg(help_heading = NODE, long, value_name = "LOCALE")]
    pub locale: Option<String>,

    /// Keyboard layout, as in gb or de:nodeadkeys [default: this computer's]
    #[arg(help_heading = NODE, long, value_name = "LAYOUT")]
    pub keyboard: Option<String>,

    /// What becomes of swap: off, or keep [default: off]
    #[arg(help_heading = NODE, long, value_enum, hide_possible_values = true)]
    pub swap: Option<SwapArg>,

    /// Mirror of the operating system's own packages [default: the image's]
    #[arg(help_heading = NODE, long, value_name = "URL")]
    pub apt_mirror: Option<String>,

    /// Proxy for packages [default: none]
    #[arg(help_heading = NODE, long, value_name = "URL")]
    pub apt_proxy: Option<String>,

    /// Kernel module to load, as in dm_thin_pool, repeatable, beside those that pods' networks need [default: none]
    #[arg(help_heading = NODE, long, value_name = "MODULE", value_delimiter = ',')]
    pub kernel_module: Vec<String>,

    /// Interface of the cluster network, and of an `--address` that names none [default: eth0]
    #[arg(help_heading = NETWORK, long, value_name = "INTERFACE")]
    pub interface: Option<String>,

    /// Static address with its prefix, as in 192.168.1.21/24 or wlan0=10.0.0.5/24; with several cards one per card, as
    /// a list or a range `192.168.1.[21-24]/24`; repeatable for further interfaces [default: dhcp]
    #[arg(help_heading = NETWORK, long, value_name = "ADDRESS")]
    pub address: Vec<String>,

    /// Default gateway of a static address
    #[arg(help_heading = NETWORK, long, value_name = "IP")]
    pub router: Option<String>,

    /// Name server of a static address, repeatable
    #[arg(help_heading = NETWORK, long, value_name = "IP", value_delimiter = ',')]
    pub dns: Vec<String>,

    /// Name of a Wi-Fi network, repeatable, the preferred one first
    #[arg(help_heading = NETWORK, long, value_name = "SSID")]
    pub wifi: Vec<String>,

    /// File with the Wi-Fi passwords, a line each, in the order of `--wifi`
    #[arg(help_heading = NETWORK, long, value_name = "FILE")]
    pub wifi_password_file: Option<PathBuf>,

    /// Country of the radio, as in FR [default: that of this computer's locale]
    #[arg(help_heading = NETWORK, long, value_name = "CODE")]
    pub wifi_country: Option<String>,

    /// One of the Wi-Fi networks does not announce its name, repeatable
    #[arg(help_heading = NETWORK, long, value_name = "SSID")]
    pub wifi_hidden: Vec<String>,

    /// One of the Wi-Fi networks is WPA3 only, repeatable
    #[arg(help_heading = NETWORK, long, value_name = "SSID")]
    pub wifi_wpa3: Vec<String>,

    /// One of the Wi-Fi networks has no password, repeatable
    #[arg(help_heading = NETWORK, long, value_name = "SSID")]
    pub wifi_open: Vec<String>,

    /// Login user [default: your name on this computer; pi for root]
    #[arg(help_heading = LOGIN, long, value_name = "NAME")]
    pub user: Option<String>,

    /// File with public keys that may log in, repeatable [default: ~/.ssh/*.pub]
    #[arg(help_heading = LOGIN, long, value_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,

    /// File whose first line is the login user's password [default: no password]
    #[arg(help_heading = LOGIN, long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Caught, so that what to do instead can be said.
    #[arg(long, hide = true, alias = "wifi-password", alias = "psk", alias = "wifi-psk")]
    pub password: Option<String>,
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
