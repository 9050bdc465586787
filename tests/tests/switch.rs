//! The virtual switch itself: whatever becomes of a test, its network goes with it.

use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pikube_tests::card::Card;
use pikube_tests::machine::Machine as _;
use pikube_tests::machine::uml::Uml;
use pikube_tests::switch::{BEYOND, LAPTOP, Switch};
use pikube_tests::{images, needs};

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
    let cable = switch.cable()?;
    // with a machine, where there is one: it is in the namespace, with all processes of its guest
    let _running = match (images::image("debian-amd64"), Uml::new(256, std::env::temp_dir())) {
        (Ok(image), Ok(machine)) => {
            let card = std::env::temp_dir().join("card.img");
            let mut running =
                machine.plugged_into(cable).boot(&Card::copy_of(&image, card, 2 << 30)?)?;
            running.wait_for_line("systemd", LIMIT)?;
            Some(running)
        }
        _ => None,
    };
    println!("{MARK}{}", inside(&switch)?);
    loop {
        std::thread::park();
    }
}

#[test]
fn names_are_what_the_test_says() -> Result<()> {
    if needs::or_skip("switch", Switch::needs()).is_none() {
        return Ok(());
    }
    let switch = Switch::new()?;
    for addresses in [&[("packages.pikube.test", BEYOND)][..], &[("packages.pikube.test", LAPTOP)]]
    {
        switch.set_names(addresses)?;
        resolves(&switch, "packages.pikube.test", Some(addresses[0].1))?;
        resolves(&switch, "laptop.pikube.test", Some(LAPTOP))?;
    }
    switch.set_names(&[])?;
    resolves(&switch, "packages.pikube.test", None)
}

/// Waits until the DNS server of the switch gives this address for a name, or none (RFC 1035 §4.1).
fn resolves(switch: &Switch, name: &str, wanted: Option<&str>) -> Result<()> {
    let socket = switch.within(|| {
        let socket = UdpSocket::bind((LAPTOP, 0))?;
        socket.connect((LAPTOP, 53))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(socket)
    })?;
    let mut question = vec![0x70, 0x69, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let end = Instant::now() + LIMIT;
    loop {
        let mut answer = [0; 512];
        // refused as long as the server is starting
        let length = socket.send(&question).and_then(|_| socket.recv(&mut answer)).unwrap_or(0);
        let records = answer[6..8] != [0, 0];
        let found = (length > question.len() && records).then(|| {
            answer[length - 4..length].iter().map(u8::to_string).collect::<Vec<_>>().join(".")
        });
        if length > 0 && found.as_deref() == wanted {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{name} is {found:?}, not {wanted:?}");
        std::thread::sleep(Duration::from_millis(50));
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
