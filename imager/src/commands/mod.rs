//! One story per command.

mod cards;
pub mod devices;
pub mod diagnose;
mod dry_run;
pub mod images;
pub mod manual;
mod receipt;
mod settings;
pub mod verify;
pub mod write;
