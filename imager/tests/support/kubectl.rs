//! Debian's own kubectl, unpacked from its package and run where it lies.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Bookworm's; fetched the first time. Where that cannot be done, the reason is printed and the test ends.
pub fn kubectl() -> Option<PathBuf> {
    match fetched("bookworm", "kubernetes-client") {
        Ok(program) => Some(program),
        Err(reason) => {
            println!("SKIPPED: no kubectl: {reason}");
            None
        }
    }
}

/// That of a release's package; fetched the first time.
pub fn fetched(suite: &str, package: &str) -> Result<PathBuf, String> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = named("PIKUBE_TEST_CACHE").unwrap_or_else(|| {
        let home = || named("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache");
        named("XDG_CACHE_HOME").unwrap_or_else(home).join("pikube-tests")
    });
    let root = cache.join("kubectl").join(suite);
    let program = root.join("usr/bin/kubectl");
    if !program.exists() {
        unpack(&root, suite, package)?;
    }
    Ok(program)
}

fn unpack(root: &Path, suite: &str, package: &str) -> Result<(), String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("there are no packages for {other}")),
    };
    let folder = root.parent().ok_or("no cache")?;
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let new = tempfile::Builder::new().prefix("pikube-test-").tempdir_in(folder);
    let new = new.map_err(|error| error.to_string())?;
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/fetch.sh");
    let (packages, unpacked) = (new.path().join("packages"), new.path().join("root"));
    let mut command = Command::new("bash");
    command.arg(fetch).args(["--no-deps", suite, architecture]).arg(&packages);
    run(command.arg(package))?;
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
