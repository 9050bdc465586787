//! One story per command.

mod dry_run;
pub mod write;
