//! The machines themselves, without piflash and without an agent: a hand-made hook on the card runs once, the guest
//! reboots, and the next boot is a whole system that answers. Run these when a machine or an image is in doubt:
//! `cargo test -p pikube-tests --test machine -- --ignored`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use pikube_tests::card::Card;
use pikube_tests::machine::qemu::{Board, Qemu};
use pikube_tests::machine::uml::Uml;
use pikube_tests::machine::{Ending, Machine};
use pikube_tests::needs::{self, Missing};
use pikube_tests::node::BOOT_LIMIT;
use pikube_tests::{images, probe};

const HOOK: &str = " systemd.run=/boot/firmware/hook.sh systemd.run_success_action=reboot \
                    systemd.run_failure_action=reboot systemd.unit=kernel-command-line.target";

/// Takes its own tokens off the command line, turns swap and the first-user dialogue off, as the launcher does.
const SCRIPT: &str = r#"#!/bin/sh
line=$(cat /boot/firmware/cmdline.txt)
sed 's| systemd\.[^ ]*||g' /boot/firmware/cmdline.txt > /run/line
printf "%-${#line}s\n" "$(cat /run/line)" | dd of=/boot/firmware/cmdline.txt conv=notrunc
ln -sf /dev/null /etc/systemd/system/userconfig.service
rm -f /etc/systemd/system/multi-user.target.wants/dphys-swapfile.service
[ ! -d /etc/rpi ] || printf '[Main]\nMechanism=none\n' > /etc/rpi/swap.conf.d/90-test.conf
touch /boot/firmware/ssh /etc/hook-ran
# trixie makes host keys on a first boot only, and this boot was that
ssh-keygen -A
sync
"#;

#[test]
#[ignore = "of the test system itself; see above"]
fn uml_boots_debian() -> Result<()> {
    boots("debian-amd64", 4 << 30, uml())
}

#[test]
#[ignore = "of the test system itself; see above"]
fn uml_boots_raspios_trixie() -> Result<()> {
    boots("raspios-trixie-amd64", 4 << 30, uml())
}

#[test]
#[ignore = "of the test system itself; see above"]
fn uml_boots_raspios_bookworm() -> Result<()> {
    boots("raspios-bookworm-amd64", 4 << 30, uml())
}

#[test]
#[ignore = "of the test system itself; see above"]
fn pi3b_boots_raspios_trixie() -> Result<()> {
    boots("raspios-trixie-arm64", 2 << 30, Qemu::new(Board::Pi3b, logs()))
}

#[test]
#[ignore = "of the test system itself; see above"]
fn pi3b_boots_raspios_bookworm() -> Result<()> {
    boots("raspios-bookworm-arm64", 2 << 30, Qemu::new(Board::Pi3b, logs()))
}

#[test]
#[ignore = "of the test system itself; see above"]
fn virt_boots_debian() -> Result<()> {
    boots("debian-arm64", 2 << 30, Qemu::new(Board::Virt, logs()))
}

#[test]
#[ignore = "of the test system itself; see above"]
fn uml_loses_what_was_not_written_and_leaves_nothing_behind() -> Result<()> {
    let needed = images::image("debian-amd64").and_then(|image| Ok((image, uml()?)));
    let Some((image, machine)) = needs::or_skip("power cut", needed) else { return Ok(()) };
    let directory = tempfile::Builder::new().prefix("pikube-test-machine").tempdir()?;
    let card = Card::copy_of(&image, directory.path().join("card.img"), 2 << 30)?;
    let mut running = machine.boot(&card)?;
    running.wait_for_line("systemd", BOOT_LIMIT)?;
    ensure!(!running.ends_within(Duration::from_secs(1))?, "ended by itself");
    running.power_cut();
    probe::ask(&card)?;
    machine.run_until_power_off(&card, BOOT_LIMIT, 3)?;
    ensure!(probe::facts(&card)?.get("running") == "running", "did not come up after a power cut");
    Ok(())
}

fn logs() -> PathBuf {
    needs::clone_root().join("target/tmp/pikube-test-consoles/machine")
}

fn uml() -> Result<Uml, Missing> {
    Uml::new(768, logs())
}

fn boots<M: Machine>(image: &str, size_bytes: u64, machine: Result<M, Missing>) -> Result<()> {
    let needed = images::image(image).and_then(|path| Ok((path, machine?)));
    let Some((path, machine)) = needs::or_skip(image, needed) else { return Ok(()) };
    let directory = tempfile::Builder::new().prefix("pikube-test-machine").tempdir()?;
    let card = Card::copy_of(&path, directory.path().join("card.img"), size_bytes)?;
    let line = card.boot_text("cmdline.txt")?;
    card.put_boot_file("cmdline.txt", format!("{}{HOOK}\n", line.trim_end()).as_bytes())?;
    card.put_boot_file("hook.sh", SCRIPT.as_bytes())?;
    probe::ask(&card)?;

    // bookworm's own first boot comes before ours
    let before = if image.starts_with("raspios-bookworm") { 2 } else { 1 };
    for _ in 0..before {
        let mut first = machine.boot(&card)?;
        ensure!(first.wait_for_end(BOOT_LIMIT)? == Ending::Reboot, "did not reboot");
    }
    ensure!(card.root_file("/etc/hook-ran")?.is_some(), "the hook did not run");
    let mut second = machine.boot(&card)?;
    second.wait_for_line(probe::ANSWERED, BOOT_LIMIT)?;
    ensure!(second.wait_for_end(BOOT_LIMIT)? == Ending::PowerOff, "did not power off");

    let facts = probe::facts(&card)?;
    ensure!(facts.get("running") == "running", "{}: {}", facts.get("running"), facts.get("failed"));
    ensure!(facts.get("controllers").contains("memory"), "{}", facts.get("controllers"));
    ensure!(facts.lines("swaps").count() == 1, "{}", facts.get("swaps"));
    ensure!(facts.get("ssh") == "active", "ssh is {}", facts.get("ssh"));
    ensure!(!facts.get("cmdline").contains("kernel-command-line"), "{}", facts.get("cmdline"));
    let size_kib: u64 = facts.lines("root-size").last().unwrap_or_default().trim().parse()?;
    ensure!(size_kib > size_bytes / 2 / 1024, "the root did not grow: {size_kib} KiB");
    ensure!(!card.boot_holds(b"a needle that is in no haystack")?, "found what is not there");
    ensure!(card.boot_holds(b"dphys-swapfile.service")?, "the needle of hook.sh is not found");
    card.check_boot()?;
    card.check_root()
}
