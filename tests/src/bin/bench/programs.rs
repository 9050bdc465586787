//! The programs that are compared, and the card that they write to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use pikube_tests::needs::clone_root;

use crate::image::Images;
use crate::measure::{self, Measured};

/// A loop device over a file of its own.
pub struct Card {
    pub node: String,
    _file: tempfile::NamedTempFile,
}

impl Card {
    /// On a disk: `/tmp` may be memory.
    pub fn new(bytes: u64) -> Result<Self> {
        let file = tempfile::Builder::new().prefix("pikube-test-").tempfile_in("/var/tmp")?;
        file.as_file().set_len(bytes)?;
        let output =
            Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output()?;
        ensure!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Self { node: String::from_utf8(output.stdout)?.trim().to_owned(), _file: file })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.node).status();
    }
}

/// A program with its arguments.
pub struct Program {
    pub name: &'static str,
    command: Vec<String>,
}

/// Names that the ratios are made of.
pub const PIFLASH: &str = "piflash, write and verify";
pub const PIPELINE: &str = "xz | dd";
pub const COMPARE: &str = "xz | cmp, past the cache";
pub const BMAPTOOL: &str = "bmaptool copy, not verified";
pub const BMAPTOOL_COMPARED: &str = "bmaptool copy, then xz | cmp";
pub const CALIGULA: &str = "caligula 0.5.0, write and verify";
pub const IMAGER: &str = "rpi-imager --cli, write and verify";
pub const LIMITS: [&str; 3] =
    ["limit: xz -T0 alone", "limit: direct write alone", "limit: direct read alone"];

impl Program {
    /// Those that are installed.
    pub fn all(images: &Images, node: &str) -> Result<Vec<Self>> {
        let xz = images.xz.display().to_string();
        let (plain, bmap) = (images.plain.display(), images.bmap.display());
        let bytes = images.bytes;
        let script = |name: &'static str, script: String| Self {
            name,
            command: ["bash", "-o", "pipefail", "-ec", &script].map(str::to_owned).to_vec(),
        };
        let nodes = [node.to_owned()];
        let compare = format!(
            "sync; echo 3 > /proc/sys/vm/drop_caches; xz -T0 -dc {xz} | cmp -n {bytes} - {node}"
        );
        let bmaptool = format!("bmaptool -q copy --bmap {bmap} {xz} {node}");
        let mut programs = vec![
            Self { name: PIFLASH, ..piflash(&images.xz, &nodes) },
            script(
                PIPELINE,
                format!(
                    "xz -T0 -dc {xz} | dd of={node} oflag=direct bs=4M iflag=fullblock conv=fsync status=none"
                ),
            ),
            script(COMPARE, compare.clone()),
            script(BMAPTOOL, bmaptool.clone()),
            script(BMAPTOOL_COMPARED, format!("{bmaptool}; {compare}")),
            script(LIMITS[0], format!("xz -T0 -dc {xz}")),
            script(
                LIMITS[1],
                format!("dd if={plain} of={node} oflag=direct bs=4M conv=fsync status=none"),
            ),
            script(
                LIMITS[2],
                format!(
                    "echo 3 > /proc/sys/vm/drop_caches; dd if={node} iflag=direct,count_bytes bs=4M count={bytes} status=none"
                ),
            ),
        ];
        let others = ["piflash, gz, write and verify", "piflash, zst, write and verify"];
        for (name, image) in others.into_iter().zip(&images.others) {
            programs.push(Self { name, ..piflash(image, &nodes) });
        }
        if let Some(caligula) = caligula() {
            programs.push(script(
                CALIGULA,
                format!(
                    "{} burn {xz} -o {node} -f -z xz -s skip --root never --interactive never",
                    caligula.display()
                ),
            ));
        }
        let imager = Command::new("rpi-imager").arg("--version").output();
        match imager.is_ok_and(|output| output.status.success()) {
            true => programs.push(script(IMAGER, format!("rpi-imager --cli {xz} {node}"))),
            false => println!("left out: {IMAGER}: it is not installed"),
        }
        // Once without counting: what cannot run is found out before minutes have gone by, and left out by name.
        programs.retain(|program| match program.run() {
            Ok(_) => true,
            Err(error) => {
                println!("left out: {}: {error:#}", program.name);
                false
            }
        });
        ensure!(
            programs.iter().any(|program| program.name == PIFLASH),
            "piflash itself cannot run"
        );
        Ok(programs)
    }

    /// Runs it once.
    pub fn run(&self) -> Result<Measured> {
        measure::run(&self.command).with_context(|| self.name)
    }
}

/// `piflash` with everything that it would otherwise ask the laptop for.
pub fn piflash(image: &Path, nodes: &[String]) -> Program {
    let binary = std::env::var("PIKUBE_PIFLASH")
        .unwrap_or_else(|_| clone_root().join("target/release/piflash").display().to_string());
    let hosts = format!("bench[1-{}]", nodes.len());
    let host = if nodes.len() == 1 { "bench1" } else { &hosts };
    // The clusters of whoever measures are left alone.
    let state = format!("PIKUBE_STATE_DIR={}", clone_root().join("target/bench/state").display());
    let mut command = vec!["env".to_owned(), state, binary];
    command.extend(["--kubernetes", "none"].map(str::to_owned));
    command.extend(["--role", "worker", "--yes", "--hostname", host].map(str::to_owned));
    command.extend(
        ["--timezone", "UTC", "--locale", "C.UTF-8", "--keyboard", "us"].map(str::to_owned),
    );
    command.extend(["--image".to_owned(), image.display().to_string()]);
    command.extend(nodes.iter().cloned());
    Program { name: PIFLASH, command }
}

/// Caligula, built from its crate where that has not been done; `None`, with a word, where it cannot be.
fn caligula() -> Option<PathBuf> {
    let root = clone_root().join("target/bench-tools");
    let program = root.join("bin/caligula");
    if !program.exists() {
        println!("building caligula");
        let built = Command::new("cargo")
            .args(["install", "caligula", "--version", "0.5.0", "--locked", "--quiet", "--root"])
            .arg(&root)
            .env("CARGO_TARGET_DIR", root.join("build"))
            .status();
        let why = match built {
            Ok(status) if status.success() => return Some(program),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        println!("left out: {CALIGULA}: cargo install: {why}");
        return None;
    }
    Some(program)
}

/// Waits until nothing of the last program is still being written.
pub fn quiet() -> Result<()> {
    shell("sync")
}

/// Runs a line of shell.
pub fn shell(line: &str) -> Result<()> {
    let status = Command::new("bash").args(["-o", "pipefail", "-ec", line]).status()?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}
