//! Rung 3: a card written by piflash is booted as a machine of its own and becomes what its plan says.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pikube_tests::dice::{self, Dice};
use pikube_tests::images;
use pikube_tests::machine::uml::Uml;
use pikube_tests::machine::{Ending, Machine};
use pikube_tests::needs::{self, Missing};
use pikube_tests::node::{self, Node, Workshop};
use pikube_tests::probe::Facts;
use sha2::{Digest as _, Sha256};

const CARD_BYTES: u64 = 4 << 30;
const MEMORY_MIB: u32 = 768;

/// Workshop and machine for an amd64 twin.
fn place(image: &str) -> Result<(Workshop, Uml), Missing> {
    let logs = needs::clone_root().join("target/tmp/pikube-test-consoles").join(image);
    Ok((Workshop::new(images::image(image), "amd64")?, Uml::new(MEMORY_MIB, logs)?))
}

#[test]
fn debian() -> Result<()> {
    becomes_a_node("debian-amd64", 2)
}

#[test]
fn raspios_trixie() -> Result<()> {
    becomes_a_node("raspios-trixie-amd64", 2)
}

#[test]
fn raspios_bookworm() -> Result<()> {
    becomes_a_node("raspios-bookworm-amd64", 1)
}

/// A card is as planned after its first boots, a further boot changes nothing; and so is each of `cut_cards` that lose
/// their power twice at random moments of the first two boots: ten cuts in all tests together. `PIKUBE_TEST_SEED`
/// repeats the moments.
fn becomes_a_node(image: &str, cut_cards: u32) -> Result<()> {
    let Some((workshop, machine)) = needs::or_skip(image, place(image)) else { return Ok(()) };
    let seed = dice::seed()?;
    let mut dice = Dice::new(seed, image.bytes().map(u64::from).sum());
    let fresh = workshop.flash(CARD_BYTES)?;
    ensure!(fresh.secrets().len() > 1, "piflash wrote no secrets: nothing to look for");

    let first_two_boots = stays_as_planned(&fresh.copy()?, &machine)?;
    for card in 1..=cut_cards {
        let node = fresh.copy()?;
        let story = format!("PIKUBE_TEST_SEED={seed} {image}, card {card}");
        for cut in 1..=2 {
            let moment = first_two_boots.mul_f64(dice.fraction());
            run_for(&node, &machine, moment).with_context(|| format!("{story}, cut {cut}"))?;
        }
        let facts = node.run(&machine).with_context(|| format!("{story}, after the cuts"))?;
        is_as_planned(&node, &facts).with_context(|| story)?;
    }
    Ok(())
}

/// Nobody cuts this one. Returns how long its first two boots took.
fn stays_as_planned(node: &Node, machine: &Uml) -> Result<Duration> {
    let start = Instant::now();
    let facts = node.run(machine)?;
    let first_two_boots = start.elapsed();
    is_as_planned(node, &facts)?;

    let later = node.run(machine).context("a further boot")?;
    let changed = facts.difference(&later, "files");
    ensure!(changed.is_empty(), "a further boot changed:\n{}", changed.join("\n"));
    is_as_planned(node, &later)?;
    Ok(first_two_boots)
}

/// Everything that the plan asked for, from inside and from the card.
fn is_as_planned(node: &Node, facts: &Facts) -> Result<()> {
    is_done(facts)?;
    same(facts, "hostname", node::HOSTNAME)?;
    same(facts, "etc-hostname", node::HOSTNAME)?;
    has(facts, "hosts", node::HOSTNAME)?;
    has(facts, "timezone", node::TIMEZONE)?;
    has(facts, "date", "CE")?;
    has(facts, "ntp-files", node::NTP)?;
    ensure!(facts.get("failed").is_empty(), "failed units:\n{}", facts.get("failed"));
    same(facts, "running", "running")?;
    ensure!(facts.lines("swaps").count() == 1, "there is swap:\n{}", facts.get("swaps"));
    has(facts, "controllers", "memory")?;
    has(facts, "modules", "br_netfilter")?;
    has(facts, "modules", "overlay")?;
    has(facts, "sysctl", "net.ipv4.ip_forward = 1")?;
    has(facts, "sysctl", "net.bridge.bridge-nf-call-iptables = 1")?;

    let user = facts.entry("passwd", node::USER).context("the login user is not there")?;
    ensure!(user[5] == format!("/home/{}", node::USER), "home is {}", user[5]);
    let shadow = facts.entry("shadow", node::USER).context("the login user has no shadow entry")?;
    let hash = node.secrets().iter().find(|secret| secret.starts_with('$'));
    let hash = hash.context("piflash wrote no password hash")?;
    ensure!(shadow[1] == sha256(hash), "the password hash is not the plan's");
    let (groups, key_file) =
        (format!("{}:", node::USER), format!("/home/{0}/.ssh/authorized_keys {0} 600", node::USER));
    let groups = facts.lines("groups").find(|line| line.starts_with(&groups)).unwrap_or_default();
    ensure!(groups.split_whitespace().any(|group| group == "sudo"), "not in sudo: {groups}");
    has(facts, "authorized-keys", &key_file)?;
    has(facts, "authorized-keys", node::SSH_KEY)?;
    same(facts, "ssh", "active")?;
    card_is_clean(node)
}

/// The agent says done, and nobody starts it again.
fn is_done(facts: &Facts) -> Result<()> {
    let status: serde_json::Value = serde_json::from_str(facts.get("agent-status"))
        .with_context(|| format!("agent status: {}", facts.get("agent-status")))?;
    ensure!(
        status["state"] == "done",
        "the agent is not done: {status:#}\n{}",
        facts.get("agent-journal")
    );
    has(facts, "marker", "/var/lib/pikube/done")?;
    has(facts, "agent-unit", "ActiveState=inactive")
}

/// The card from outside: no secret in any sector of the FAT, no hook, a report, clean file systems.
fn card_is_clean(node: &Node) -> Result<()> {
    let card = node.card();
    let left = card.boot_holds_any(node.secrets())?;
    ensure!(left.is_none(), "secret {left:?} of the card is still on the boot partition");
    let names = card.boot_names()?;
    ensure!(
        !names.iter().any(|name| name == "pikube-secrets.toml"),
        "pikube-secrets.toml is still there"
    );
    let line = card.boot_text("cmdline.txt")?;
    for token in ["systemd.run", "systemd.unit=", "success_action", "failure_action"] {
        ensure!(!line.contains(token), "{token} is still in cmdline.txt: {line}");
    }
    let report: serde_json::Value = serde_json::from_str(&card.boot_text("pikube-report.json")?)?;
    ensure!(report["state"] == "done", "the report on the card does not say done: {report:#}");
    ensure!(card.boot_text("pikube-report.txt")?.contains("done"), "the text report does not");
    card.check_boot()?;
    card.check_root()
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn same(facts: &Facts, section: &str, wanted: &str) -> Result<()> {
    let found = facts.get(section);
    ensure!(found == wanted, "{section} is {found:?}, not {wanted:?}");
    Ok(())
}

fn has(facts: &Facts, section: &str, wanted: &str) -> Result<()> {
    let found = facts.get(section);
    ensure!(found.contains(wanted), "{section} lacks {wanted:?}:\n{found}");
    Ok(())
}

/// Runs the node for that long, through its reboots, then pulls the plug. A node that has powered itself off before is
/// left alone.
fn run_for(node: &Node, machine: &Uml, moment: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        let mut running = machine.boot(node.card())?;
        if !running.ends_within(moment.saturating_sub(start.elapsed()))? {
            running.power_cut();
            return Ok(());
        }
        let ending = running.wait_for_end(node::BOOT_LIMIT)?;
        if ending == Ending::PowerOff {
            return Ok(());
        }
    }
}
