//! Where files are, and the one way to write one.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Names the directory that stands for `/`.
pub(crate) const ROOT: &str = "PIKUBE_STANDIN_ROOT";

/// Whether this is a node, rather than a directory that stands for one: only then are services started and interfaces
/// made.
pub(crate) fn is_node() -> bool {
    std::env::var_os(ROOT).is_none()
}

/// Where an absolute path of the node is.
pub(crate) fn at(path: &str) -> PathBuf {
    match std::env::var_os(ROOT) {
        Some(root) => Path::new(&root).join(path.trim_start_matches('/')),
        None => PathBuf::from(path),
    }
}

/// A port of the kubelet: where several directories stand for nodes of one machine, each has its own ports, shifted by
/// the number in its `/etc/pikube-standin/port-shift`.
pub(crate) fn port(port: u16) -> u16 {
    let shift = read("/etc/pikube-standin/port-shift").unwrap_or_default();
    port + shift.trim().parse::<u16>().unwrap_or(0)
}

/// What a file of the node holds.
///
/// # Errors
/// It cannot be read; the message names it.
pub(crate) fn read(path: &str) -> Result<String> {
    let path = at(path);
    fs::read_to_string(&path).with_context(|| format!("open {}", path.display()))
}

/// Whether there is something at this path of the node.
pub(crate) fn exists(path: &str) -> bool {
    at(path).symlink_metadata().is_ok()
}

/// Writes a file of the node, with the directories above it; a power cut leaves the old one or the new one.
///
/// # Errors
/// It cannot be written; the message names it.
pub(crate) fn write(path: &str, text: &str, mode: u32) -> Result<()> {
    let path = at(path);
    put(&path, text.as_bytes(), mode).with_context(|| format!("write {}", path.display()))
}

/// A computer that only builds and tests must not become a node by a variable that was forgotten.
fn allowed() -> Result<()> {
    ensure!(
        !is_node() || Path::new("/etc/pikube").is_dir(),
        "this is no node that pikube has made, and {ROOT} names no directory that stands for one"
    );
    Ok(())
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    allowed()?;
    let folder = path.parent().context("no directory")?;
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let mut new = OsString::from(path);
    new.push(format!(".new-{}", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Removes a file of the node, if it is there.
///
/// # Errors
/// It is there and stays.
pub(crate) fn remove(path: &str) -> Result<()> {
    allowed()?;
    match fs::remove_file(at(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {path}"))
        }
        _ => Ok(()),
    }
}

/// Empties a directory of the node and keeps it; one that is not there stays away.
///
/// # Errors
/// Something in it cannot be removed.
pub(crate) fn empty(path: &str) -> Result<()> {
    allowed()?;
    let Ok(entries) = fs::read_dir(at(path)) else { return Ok(()) };
    for entry in entries {
        let entry = entry?.path();
        let gone =
            if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
        gone.with_context(|| format!("remove {}", entry.display()))?;
    }
    Ok(())
}
