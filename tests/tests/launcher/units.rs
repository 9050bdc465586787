//! What is installed for systemd, and the script itself, as their own programs judge them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{UNIT, has};

#[test]
fn the_unit_is_one_that_systemd_takes() {
    assert!(has("systemd-analyze"), "systemd-analyze is not installed");
    let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
    let path = folder.path().join("pikube-agent.service");
    // The agent itself is not on this computer.
    fs::write(&path, UNIT.replace("/usr/local/lib/pikube/pikube-agent", "/bin/true")).unwrap();
    let output = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("pikube-agent"), "{said}");
    assert!(systemd_215_knows(UNIT), "a setting that jessie's systemd does not know");
}

#[test]
fn the_units_that_look_after_certificates_are_ones_that_systemd_takes() {
    assert!(has("systemd-analyze"), "systemd-analyze is not installed");
    let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
    let files = pikube_agent::render::certificate_units::files();
    let path = |name: &str| folder.path().join(name.rsplit('/').next().unwrap());
    for file in &files {
        let text = file.text().replace("/usr/local/lib/pikube/pikube-agent", "/bin/true");
        fs::write(path(&file.path), text).unwrap();
    }
    let paths = files.iter().map(|file| path(&file.path));
    let output = Command::new("systemd-analyze").arg("verify").args(paths).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("pikube-"), "{said}");
}

/// Settings of the unit against those that systemd 215 reads (its systemd.unit(5), systemd.service(5), systemd.exec(5)).
fn systemd_215_knows(unit: &str) -> bool {
    const KNOWN: [&str; 14] = [
        "Description",
        "Documentation",
        "ConditionPathExists",
        "After",
        "Type",
        "NotifyAccess",
        "ExecStart",
        "Restart",
        "RestartPreventExitStatus",
        "RestartSec",
        "StandardInput",
        "StandardOutput",
        "StandardError",
        "WantedBy",
    ];
    unit.lines()
        .filter(|line| !line.starts_with(['#', '[']))
        .filter_map(|line| line.split_once('='))
        .all(|(key, _)| KNOWN.contains(&key))
}

#[test]
fn shellcheck_finds_nothing() {
    assert!(has("shellcheck"), "shellcheck is not installed: `make test` installs it");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/pikube-launch.sh");
    let output = Command::new("shellcheck").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
