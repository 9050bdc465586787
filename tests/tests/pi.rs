//! Rung 4: the arm64 card, written by piflash from the image as a user downloads it, boots its own kernel as a Raspberry
//! Pi 3B and loses its power once on the way. And the armv7 agent under emulation, against a test root.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pikube_tests::dice::{self, Dice};
use pikube_tests::images;
use pikube_tests::machine::qemu::{Board, Qemu};
use pikube_tests::machine::{Ending, Machine};
use pikube_tests::needs::{self, Missing};
use pikube_tests::node::{self, BOOT_LIMIT, Workshop};

/// A power of two, as an SD card in QEMU has to be.
const CARD_BYTES: u64 = 2 << 30;

fn pi() -> Result<(Workshop, Qemu), Missing> {
    let logs = needs::clone_root().join("target/tmp/pikube-test-consoles/pi3b");
    Ok((Workshop::new(images::compressed(), "arm64")?, Qemu::new(Board::Pi3b, logs)?))
}

#[test]
fn a_pi_3b_finishes_after_a_power_cut() -> Result<()> {
    let Some((workshop, machine)) = needs::or_skip("Raspberry Pi 3B", pi()) else { return Ok(()) };
    let seed = dice::seed()?;
    let story = format!("PIKUBE_TEST_SEED={seed}");
    let node = workshop.flash(CARD_BYTES)?;

    let mut first = machine.boot(node.card())?;
    let ending = first.wait_for_end(BOOT_LIMIT).context("first boot")?;
    ensure!(ending == Ending::Reboot, "the launcher's boot ended in {ending:?}");

    // the middle: the agent has begun, and is not likely to have finished
    let mut second = machine.boot(node.card())?;
    second.wait_for_line("pikube-agent", BOOT_LIMIT).context("second boot")?;
    let moment = Duration::from_secs(10).mul_f64(Dice::new(seed, 6).fraction());
    second.ends_within(moment)?;
    second.power_cut();

    let facts = node.run(&machine).with_context(|| format!("{story}, after the power cut"))?;
    let status: serde_json::Value = serde_json::from_str(facts.get("agent-status"))?;
    ensure!(status["state"] == "done", "{story}: {status:#}\n{}", facts.get("agent-journal"));
    ensure!(facts.get("kernel").contains("aarch64"), "kernel {}", facts.get("kernel"));
    ensure!(facts.get("hostname") == node::HOSTNAME, "host name {}", facts.get("hostname"));
    ensure!(facts.lines("swaps").count() == 1, "there is swap:\n{}", facts.get("swaps"));
    ensure!(facts.entry("passwd", node::USER).is_some(), "the login user is not there");
    ensure!(facts.get("authorized-keys").contains(node::SSH_KEY), "the key is not there");
    let left = node.card().boot_holds_any(node.secrets())?;
    ensure!(left.is_none(), "secret {left:?} of the card is still on the boot partition");
    let line = node.card().boot_text("cmdline.txt")?;
    for token in ["systemd.run", "systemd.unit=", "success_action", "failure_action"] {
        ensure!(!line.contains(token), "{token} is still in cmdline.txt: {line}");
    }
    node.card().check_boot()?;
    node.card().check_root()
}

/// The armv7 agent, how to emulate it, and a plan for it: the one that piflash writes.
struct Armv7 {
    emulator: PathBuf,
    agent: PathBuf,
    workshop: Workshop,
}

impl Armv7 {
    fn new() -> Result<Self, Missing> {
        let emulator = needs::command("qemu-arm-static", "qemu-user-static")?;
        let agent = needs::agents("armv7")?.join("pikube-agent-armv7");
        Ok(Self { emulator, agent, workshop: Workshop::new(images::compressed(), "arm64")? })
    }

    fn run(&self, root: &Path, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.emulator);
        command.arg(&self.agent).arg("--root").arg(root).args(arguments);
        command.output().with_context(|| format!("starting {command:?}"))
    }
}

#[test]
fn the_armv7_agent_plans_and_tells_its_status() -> Result<()> {
    let Some(armv7) = needs::or_skip("armv7 agent", Armv7::new()) else { return Ok(()) };
    let node = armv7.workshop.flash(CARD_BYTES)?;
    let root = node.directory().join("root");
    for directory in ["etc/pikube", "var/lib/pikube", "proc", "boot/firmware"] {
        std::fs::create_dir_all(root.join(directory))?;
    }
    let plan = node.card().boot_text("pikube.toml")?;
    std::fs::write(root.join("etc/pikube/pikube.toml"), plan)?;

    let planned = armv7.run(&root, &["plan"])?;
    let (said, complained) =
        (String::from_utf8_lossy(&planned.stdout), String::from_utf8_lossy(&planned.stderr));
    ensure!(planned.status.success(), "plan: {}\n{said}{complained}", planned.status);
    for step in ["hostname", "swap", "ntp"] {
        ensure!(said.contains(step), "plan lacks {step}:\n{said}");
    }
    let status = armv7.run(&root, &["status", "--format", "json"])?;
    let said = String::from_utf8_lossy(&status.stdout);
    // nothing has run: neither done (0) nor failed (1)
    ensure!(status.status.code() == Some(2), "status: {}\n{said}", status.status);
    let status: serde_json::Value = serde_json::from_str(&said).context("status is not JSON")?;
    ensure!(status["state"] != "done", "done without having run: {status:#}");
    Ok(())
}
