//! What may be wrong with a node's own system when its agent begins: a clock that is years ahead, a dpkg that was
//! interrupted, and somebody who holds its lock.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use pikube_tests::card::Card;
use pikube_tests::ssh::Login;

/// Where systemd looks for units of the owner's, and for those that every boot has.
const UNITS: &str = "/etc/systemd/system";
const WANTED: &str = "/etc/systemd/system/sysinit.target.wants";
/// The package that was being configured.
const PACKAGE: &str = "less";

const CLOCK: (&str, &str) = (
    "pikube-test-clock.service",
    "[Unit]\nDefaultDependencies=no\nAfter=systemd-timesyncd.service\nBefore=sysinit.target\n\
     [Service]\nType=oneshot\nExecStart=/bin/date -s 2035-01-01\n",
);
const LOCK: (&str, &str) = (
    "pikube-test-lock.service",
    "[Unit]\nDefaultDependencies=no\nRequiresMountsFor=/var\nAfter=systemd-remount-fs.service\n\
     [Service]\nExecStart=/usr/bin/perl /etc/systemd/system/pikube-test-lock.pl\n",
);
/// dpkg's lock for programs like apt, as fcntl(2) takes it, until the agent's report says who has it.
const HOLDER: &str = r#"use Fcntl;
open my $lock, '>>', '/var/lib/dpkg/lock-frontend' or die $!;
my $whole = pack 's s x4 q q i x4', F_WRLCK, 0, 0, 0, 0;
fcntl $lock, F_SETLK, $whole or die $!;
sub told { open my $report, '<', '/var/lib/pikube/report.json' or return 0; grep { /locked by .*perl/ } <$report> }
sleep 1 until told();
"#;

/// Gives all of it to a card that has not been booted.
pub fn give(card: &Card) -> Result<()> {
    for (name, unit) in [CLOCK, LOCK] {
        card.put_root_file(&format!("{UNITS}/{name}"), unit.as_bytes())?;
        card.put_root_link(&Path::new(WANTED).join(name), &Path::new(UNITS).join(name))?;
    }
    card.put_root_file(&format!("{UNITS}/pikube-test-lock.pl"), HOLDER.as_bytes())?;
    let status = card.root_file("/var/lib/dpkg/status")?.context("no packages")?;
    let status = String::from_utf8(status)?;
    let package = format!("Package: {PACKAGE}\n");
    let package = status.split("\n\n").find(|found| found.starts_with(&package));
    let half = package.context("no such package")?.replace(" ok installed", " ok half-configured");
    // what dpkg had to say when the power went (dpkg, `lib/dpkg/dbmodify.c`)
    card.put_root_file("/var/lib/dpkg/updates/0000", format!("{half}\n").as_bytes())
}

/// A node that is done has come over each of them.
pub fn are_cured(login: &Login<'_>) -> Result<()> {
    let journal = login.run("sudo -n journalctl -u pikube-agent -o cat --no-pager")?;
    ensure!(journal.contains("the clock is set by the date of"), "who set the clock?\n{journal}");
    let year = login.run("date +%Y")?;
    ensure!(year != "2035", "it is still {year}");
    let holder = login.run("systemctl show -p Result,ActiveState,NRestarts pikube-test-lock")?;
    ensure!(
        holder.contains("Result=success") && holder.contains("ActiveState=inactive"),
        "nobody was told who holds dpkg's lock: {holder}"
    );
    let state = login.run(&format!("dpkg-query -W -f '${{Status}}' {PACKAGE}"))?;
    ensure!(state == "install ok installed", "{PACKAGE}: {state}");
    Ok(())
}
