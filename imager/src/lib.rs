//! `piflash`, the laptop side, in the order in which the bytes flow: arguments → plan → bytes → card.
//!
//! * [`cli`] → [`plan`]: what was asked for, as one firstboot plan per card; pure.
//! * [`cluster`]: CA, token, inventory and kubeconfig, made before any node exists.
//! * [`cluster_file`]: a whole cluster described in a file, with the words of the command line.
//! * [`catalogue`]: operating systems by name.
//! * [`image`]: source ► sniff ► decode ► the boot partition kept aside, everything else streamed.
//! * [`boot`]: boot partition + plan ► edits ► its own FAT per card.
//! * [`card`]: guard, open, write, read back, partition table last.
//! * [`commands`]: one story per command; [`progress`]: the only place that prints.

pub mod agents;
pub mod boot;
pub mod card;
pub mod catalogue;
pub mod cli;
pub mod cluster;
pub mod cluster_file;
pub mod commands;
pub mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod image;
pub mod moment;
pub mod person;
pub mod plan;
pub mod progress;
pub mod small_file;
pub mod yaml;
