//! `make demo`: writes a card with piflash, boots it as a machine of its own, and shows what a person would see: the
//! card's receipt, the node's journal and status, and `kubectl` on the laptop.
//!
//! It shows as much as this computer can: a control plane on a network of its own (root), else a node that is only
//! prepared (an ordinary user), else a card and what is on it (no kernel to boot). `REAL=1` asks for a real Kubernetes.
#![allow(clippy::print_stdout, reason = "it is for looking at")]

mod alone;
mod card;
mod control_plane;

use anyhow::Result;

fn main() -> Result<()> {
    if std::env::var_os("REAL").is_some_and(|value| value == "1") {
        return control_plane::run_real();
    }
    if control_plane::run()? || alone::run()? {
        return Ok(());
    }
    card::run()
}

/// Says what is real in what follows, and what stands in for something that cannot be had here.
fn about(real: &str, stands_in: &str) {
    println!("real:      {real}");
    println!("stands in: {stands_in}\n");
}

/// A heading for what a command printed, and what it printed.
fn show(prompt: &str, text: &str) {
    println!("\n{prompt}\n{}", text.trim_end());
}
