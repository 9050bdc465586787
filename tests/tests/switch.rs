//! The virtual switch itself: whatever becomes of a test, its network goes with it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pikube_tests::needs;
use pikube_tests::switch::{BEYOND, LAPTOP, Switch};

const LIMIT: Duration = Duration::from_secs(60);
const MARK: &str = "its network namespace: ";

#[test]
fn a_dropped_switch_is_gone() -> Result<()> {
    if needs::or_skip("switch", Switch::needs()).is_none() {
        return Ok(());
    }
    let switch = Switch::new()?;
    switch.cable()?;
    let namespace = inside(&switch)?;
    ensure!(!holders(&namespace)?.is_empty(), "nobody is in the namespace of a switch");
    switch.answers(LAPTOP, LIMIT)?;
    switch.answers(BEYOND, LIMIT)?;
    drop(switch);
    is_gone(&namespace)
}

#[test]
fn a_killed_test_leaves_no_network() -> Result<()> {
    if needs::or_skip("switch", Switch::needs()).is_none() {
        return Ok(());
    }
    // what is killed cannot remove its files: they are ours
    let directory = tempfile::Builder::new().prefix("pikube-test-victim").tempdir()?;
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "--ignored", "--nocapture", "victim"])
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(victim.stdout.take().context("no output")?);
    let namespace = output.lines().find_map(|line| {
        let line = line.ok()?;
        line.split_once(MARK).map(|(_, namespace)| namespace.to_owned())
    });
    victim.kill()?;
    victim.wait()?;
    is_gone(&namespace.context("the victim has made no switch")?)
}

#[test]
#[ignore = "what a_killed_test_leaves_no_network kills"]
fn victim() -> Result<()> {
    let switch = Switch::new()?;
    switch.cable()?;
    println!("{MARK}{}", inside(&switch)?);
    loop {
        std::thread::park();
    }
}

/// The namespace of a switch, as /proc names it.
fn inside(switch: &Switch) -> Result<String> {
    let output = switch.run("readlink", &["/proc/self/ns/net"])?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The processes in a namespace. Without any, the kernel removes it: nothing of a switch is mounted or pinned.
fn holders(namespace: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let process = entry?.path();
        // a process may end while we look
        let own = std::fs::read_link(process.join("ns/net"));
        if own.is_ok_and(|own| own.as_os_str() == namespace) {
            found.push(process);
        }
    }
    Ok(found)
}

fn is_gone(namespace: &str) -> Result<()> {
    let end = Instant::now() + LIMIT;
    loop {
        let holders = holders(namespace)?;
        if holders.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "still in {namespace}: {holders:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
