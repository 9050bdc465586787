//! `piflash devices` on this computer, whatever it has. What it says of every situation is tested with the guard.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::process::Command;

use serde_json::Value;

fn devices(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_piflash"))
        .arg("devices")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_disk_has_its_line_and_its_verdict() {
    let objects: Vec<Value> = devices(&["--json", "-v"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (end, disks) = objects.split_last().unwrap();
    assert_eq!((&end["event"], &end["exit"]), (&"end".into(), &0.into()));
    let known = std::fs::read_dir("/sys/block").map_or(0, Iterator::count);
    assert!(disks.len() <= known);
    let text = devices(&["-v"]);
    for disk in disks {
        assert_eq!(disk["event"], "device");
        let path = disk["path"].as_str().unwrap();
        let Some(line) = text.lines().find(|line| line.split(' ').next() == Some(path)) else {
            continue; // Devices come and go.
        };
        assert!(!disk["verdict"].as_str().unwrap().is_empty(), "{line}");
    }
    // This very test is run by a computer that runs from something.
    let refused = |disk: &&Value| {
        disk["writable"] == true && disk["verdict"].as_str().unwrap().contains("runs from it")
    };
    assert!(disks.iter().find(refused).is_none());
}
