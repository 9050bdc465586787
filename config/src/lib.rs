//! The contract between `piflash` (laptop) and `pikube-agent` (Pi): what lies on the card and what it means.
//!
//! * [`names`]: the files on the boot partition and on the Pi's root file system.
//! * [`FirstbootPlan`]: `pikube.toml`, what the node shall become.
//! * [`Secrets`]: `pikube-secrets.toml`, what must not stay on the card.
//! * [`Report`]: `pikube-report.json` and `.txt`, what the agent did.
//! * [`wpa_key`]: what is kept of a WPA2 network's pass phrase.
//!
//! Nothing here does I/O; every function is pure.

pub mod names;
mod plan;
mod problem;
mod report;
mod schema;
mod secrets;
pub mod values;
mod wpa;

pub use plan::{
    Address, Cluster, FIRST_LEGACY_MINOR, FIRST_MINOR, FirstbootPlan, Kubernetes,
    LAST_LEGACY_MINOR, Network, Node, PodNetwork, Role, Runtime, Security, Swap, System, Time,
    User, Wifi, WifiNetwork,
};
pub use problem::{Problem, Problems, nearest};
pub use report::{Report, RunState, StepReport, StepState};
pub use schema::type_name;
pub use secrets::{Secrets, WifiPassword};
pub use wpa::wpa_key;

/// Version of the files on the card; a reader refuses any other (`schema = 1`).
pub const SCHEMA: i64 = 1;
