//! One story per command.

mod cards;
pub mod cluster;
mod clusters;
pub mod configure;
pub mod devices;
pub mod diagnose;
mod dry_run;
mod extras;
pub mod images;
pub mod inventory;
pub mod kubeconfig;
mod kubernetes;
pub mod manual;
mod members;
mod receipt;
mod settings;
pub mod token;
pub mod verify;
mod whole;
pub mod write;
