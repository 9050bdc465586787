//! Without the rights to make a network: a node that is prepared, and powers itself off when it is done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pikube_tests::card::Card;
use pikube_tests::machine::qemu::{Board, Qemu};
use pikube_tests::machine::uml::Uml;
use pikube_tests::machine::{Ending, Machine};
use pikube_tests::needs::Missing;
use pikube_tests::node::BOOT_LIMIT;
use pikube_tests::{images, needs, probe};

use crate::{about, show};

/// As the cards that people buy, but small; User Mode Linux and QEMU want no more. QEMU wants a power of two.
const CARD_BYTES: u64 = 4 << 30;
const MEMORY_MIB: u32 = 768;
/// Raspberry Pi OS' own first boot, the launcher's, the agent's, and room for surprises.
const MOST_BOOTS: u32 = 6;

/// What the demonstration takes.
struct Parts {
    image: PathBuf,
    agents: PathBuf,
    machine: Box<dyn Machine>,
}

/// Writes the card, boots it, shows what its node says; `false` where this computer cannot, after a line that says why.
///
/// # Errors
/// What does not work; with where it was.
pub fn run() -> Result<bool> {
    let folder = needs::clone_root().join("target/demo");
    fs::create_dir_all(&folder)?;
    let Some(Parts { image, agents, machine }) = needs::or_skip("a booted node", parts(&folder))
    else {
        return Ok(false);
    };
    about(
        "piflash; the card, both partitions of it; pikube-agent; the boot from that card with systemd",
        "an image built from Debian's packages for Raspberry Pi OS; an emulated machine for the Pi. The node is prepared \
         and gets no Kubernetes: the network that it would install it over needs root",
    );
    let path = folder.join("laperouse.img");
    // A card of its own size, as piflash would find one in a reader.
    let _ = fs::remove_file(&path);
    fs::File::create(&path)?.set_len(CARD_BYTES)?;
    write(&path, &image, &agents, &folder.join("state"))?;

    let card = Card::at(path);
    probe::ask(&card)?;
    for boot in 1..=MOST_BOOTS {
        println!("\n# boot {boot} (console: target/demo/consoles)");
        if machine.boot(&card)?.wait_for_end(BOOT_LIMIT)? == Ending::PowerOff {
            tell(&card)?;
            return Ok(true);
        }
    }
    anyhow::bail!("still rebooting after {MOST_BOOTS} boots")
}

fn parts(folder: &Path) -> Result<Parts, Missing> {
    let twin = cfg!(target_arch = "x86_64");
    let (image, arch) =
        if twin { ("raspios-trixie-amd64", "amd64") } else { ("raspios-trixie-arm64", "arm64") };
    let consoles = folder.join("consoles");
    let machine: Box<dyn Machine> = if twin {
        Box::new(Uml::new(MEMORY_MIB, consoles)?)
    } else {
        Box::new(Qemu::new(Board::Pi3b, consoles)?)
    };
    Ok(Parts { image: images::image(image)?, agents: needs::agents(arch)?, machine })
}

/// The cluster of the demonstration has a place of its own: `PIKUBE_STATE_DIR=target/demo/state piflash inventory`.
fn write(card: &Path, image: &Path, agents: &Path, state: &Path) -> Result<()> {
    let mut command = Command::new(needs::piflash()?);
    command.env("PIKUBE_STATE_DIR", state);
    command.args([
        "--kubernetes",
        "none",
        "--role",
        "master",
        "--hostname",
        "laperouse",
        "--yes",
        "--agent-dir",
    ]);
    command.arg(agents).arg("--image").arg(image).arg(card);
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    println!("laptop$ piflash {}", words.join(" "));
    ensure!(command.status()?.success(), "piflash did not write the card");
    Ok(())
}

fn tell(card: &Card) -> Result<()> {
    let facts = probe::facts(card)?;
    show("laperouse$ journalctl -u pikube-agent", facts.get("agent-journal"));
    show("laperouse$ pikube-agent status", facts.get("agent-status-text"));
    let status: serde_json::Value =
        serde_json::from_str(facts.get("agent-status")).context("reading the status")?;
    ensure!(status["state"] == "done", "the node is not done");
    Ok(())
}
