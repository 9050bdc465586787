//! The programs that read network settings on a Pi: installed here, or unpacked from their packages.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use pikube_tests::needs::{self, Missing};

/// A system with the readers, unpacked by `tests/setup/readers.sh`.
pub struct Readers(PathBuf);

impl Readers {
    pub fn new() -> Result<Self, Missing> {
        let folder = needs::clone_root().join("target/test-readers");
        if folder.join(".unpacked").is_file() {
            Ok(Self(folder))
        } else {
            Err(Missing::new(
                format!("no {}", folder.display()),
                "tests/setup/readers.sh target/test-readers",
            ))
        }
    }

    /// A program among them, with its libraries.
    pub fn program(&self, paths: &[&str]) -> Result<Command, Missing> {
        let found = paths.iter().map(|path| self.0.join(path)).find(|path| path.is_file());
        let path = found.ok_or_else(|| Missing::new(format!("no {paths:?}"), "readers.sh"))?;
        Ok(self.equipped(Command::new(path)))
    }

    /// Gives a program the libraries and the introspection data.
    pub fn equipped(&self, mut command: Command) -> Command {
        let mut libraries = OsString::new();
        let mut typelibs = OsString::new();
        for folder in ["usr/lib", "lib"] {
            for entry in fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().contains("-linux-gnu") {
                    libraries.push(entry.path());
                    libraries.push(":");
                    typelibs.push(entry.path().join("girepository-1.0"));
                    typelibs.push(":");
                }
            }
        }
        command.env("LD_LIBRARY_PATH", libraries).env("GI_TYPELIB_PATH", typelibs);
        command
    }
}

/// Runs it to its end with this input.
pub fn run(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder that goes with the test.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap()
}

/// Writes a file below a folder, with its folders.
pub fn put(below: &Path, path: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = below.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Whether a network namespace of one's own can be had: root's, on most systems.
pub fn namespace() -> Result<(), Missing> {
    let works = Command::new("unshare").args(["-n", "-m", "true"]).status();
    if works.is_ok_and(|status| status.success()) {
        Ok(())
    } else {
        Err(Missing::new("no network namespace", "run it as root"))
    }
}
