//! `make demo`: writes a card with piflash, boots it as a machine of its own, and shows what a person would see: the
//! node's journal and status, and `kubectl` on the laptop. As an ordinary user the node is prepared only: the network
//! that it installs Kubernetes over needs root.
#![allow(clippy::print_stdout, reason = "it is for looking at")]

mod alone;
mod control_plane;

use anyhow::Result;

fn main() -> Result<()> {
    if control_plane::run()? { Ok(()) } else { alone::run() }
}
