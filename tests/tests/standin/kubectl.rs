//! Debian's own kubectl of the version that nodes have, and a cluster to ask with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pikube_tests::needs::{Missing, clone_root};

use super::stand::{ENDPOINT, Stand};

/// The program; fetched the first time.
pub fn kubectl() -> Result<PathBuf, Missing> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = named("PIKUBE_TEST_CACHE").unwrap_or_else(|| {
        let home = || named("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache");
        named("XDG_CACHE_HOME").unwrap_or_else(home).join("pikube-tests")
    });
    let root = cache.join("kubectl/sid");
    let program = root.join("usr/bin/kubectl");
    if !program.exists() {
        unpack(&root).map_err(|why| Missing::new("no kubectl of Debian's", why))?;
    }
    Ok(program)
}

fn unpack(root: &Path) -> Result<(), String> {
    let folder = root.parent().ok_or("no cache")?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let new = tempfile::Builder::new().prefix("pikube-test-").tempdir_in(folder);
    let new = new.map_err(|error| error.to_string())?;
    let (packages, unpacked) = (new.path().join("packages"), new.path().join("root"));
    let fetch = clone_root().join("tests/images/fetch.sh");
    run(Command::new("bash")
        .arg(fetch)
        .args(["--no-deps", "sid", "amd64"])
        .arg(&packages)
        .arg("kubectl"))?;
    for package in std::fs::read_dir(&packages).map_err(|error| error.to_string())? {
        let package = package.map_err(|error| error.to_string())?.path();
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    }
    // Another process may have been faster.
    match std::fs::rename(&unpacked, root) {
        Err(error) if !root.join("usr/bin/kubectl").exists() => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(errors)
}

/// Asks a cluster as its administrator, by address, its name checked.
pub fn ask(program: &Path, node: &Stand, port: u16, arguments: &[&str]) -> Output {
    Command::new(program)
        .arg("--kubeconfig")
        .arg(node.path("etc/kubernetes/admin.conf"))
        .arg(format!("--server=https://127.0.0.1:{port}"))
        .arg(format!("--tls-server-name={ENDPOINT}"))
        .arg("--cache-dir")
        .arg(node.path("kubectl-cache"))
        .args(arguments)
        .output()
        .unwrap()
}
