//! What the agent writes for containerd, read by the containerds that nodes have: Debian's of two releases and docker's
//! own, unpacked from the packages of the farm (`tests/farm/build.sh`), never installed.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pikube_agent::render::runtime;
use pikube_tests::needs::{self, Missing};

const SANDBOX: &str = "registry.example.org:5000/k8s/pause:3.10.9";

/// The packages of containerd in the farm, one of each version.
fn packages() -> Result<Vec<PathBuf>, Missing> {
    let farm = needs::clone_root().join("target/test-farm");
    let mut found = Vec::new();
    let mut folders = vec![farm.join("debian/pool"), farm.join("linux/debian/dists")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if name.starts_with("containerd") && name.ends_with(".deb") {
                found.push(entry.path());
            }
        }
    }
    if found.is_empty() {
        return Err(Missing::new(format!("no containerd in {}", farm.display()), "make test-farm"));
    }
    found.sort();
    Ok(found)
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The whole configuration as containerd understands it, with what it says of its version.
fn dump(package: &Path) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    output(Command::new("dpkg-deb").arg("-x").arg(package).arg(folder.path()));
    let program = folder.path().join("usr/bin/containerd");
    let version = output(Command::new(&program).arg("--version"));
    let numbers = runtime::version_in(&version).unwrap();
    let file = folder.path().join("containerd.toml");
    fs::write(&file, runtime::containerd(numbers, SANDBOX).text()).unwrap();
    (version, output(Command::new(&program).arg("--config").arg(&file).args(["config", "dump"])))
}

#[test]
fn every_containerd_of_a_node_takes_its_configuration_as_it_is_meant() {
    let Some(packages) = needs::or_skip("containerd's configuration", packages()) else { return };
    let mut majors = Vec::new();
    for package in packages {
        let (version, dumped) = dump(&package);
        let has = |key: &str, value: &str| {
            dumped.lines().any(|line| {
                line.trim()
                    .replace('\'', "\"")
                    .split_once(" = ")
                    .is_some_and(|(found, rest)| found == key && rest.contains(value))
            })
        };
        let second = version.contains("/v2 ");
        majors.push(second);
        let (image, folders) =
            if second { ("sandbox", "bin_dirs") } else { ("sandbox_image", "bin_dir") };
        for (key, value) in [
            (image, SANDBOX),
            (folders, "/opt/cni/bin"),
            ("conf_dir", "/etc/cni/net.d"),
            ("SystemdCgroup", "true"),
            ("config_path", "/etc/containerd/certs.d"),
            ("default_runtime_name", "\"runc\""),
            ("runtime_type", "io.containerd.runc.v2"),
            ("version", if second { "3" } else { "2" }),
        ] {
            assert!(has(key, value), "{version}: {key} is not {value}\n{dumped}");
        }
        assert!(!has(folders, "/usr/lib/cni"), "{version}");
        assert!(!has("disabled_plugins", "cri"), "{version}");
    }
    assert!(majors.contains(&true) && majors.contains(&false), "{majors:?}");
}
