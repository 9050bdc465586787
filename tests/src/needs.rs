//! What a test needs and this computer may not have. A test that cannot run says so in one line; where nodes are
//! required (`PIKUBE_REQUIRE_NODES=1`, set by `make test`), or a real Kubernetes (`PIKUBE_REQUIRE_KUBERNETES=1`), it fails
//! instead.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something a test needs that is not here, and how to get it.
#[derive(Debug, Clone)]
pub struct Missing(String);

impl Missing {
    /// `what` is missing; `remedy` says how to get it.
    pub fn new(what: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self(format!("{what} ({remedy})"))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// The value, or `None` after a line on standard error that says what was skipped and why.
///
/// # Panics
/// Where something is missing and `PIKUBE_REQUIRE_NODES=1`.
pub fn or_skip<T>(test: &str, needed: Result<T, Missing>) -> Option<T> {
    unless_required("PIKUBE_REQUIRE_NODES", test, needed)
}

/// The value, or `None` after a line on standard error that says what was skipped and why.
///
/// # Panics
/// Where something is missing and `variable` is `1`.
pub(crate) fn unless_required<T>(
    variable: &str,
    test: &str,
    needed: Result<T, Missing>,
) -> Option<T> {
    let missing = match needed {
        Ok(value) => return Some(value),
        Err(missing) => missing,
    };
    let required = std::env::var_os(variable).is_some_and(|value| value == "1");
    assert!(!required, "{test} cannot run: {missing}");
    // Written past the test harness's capture: a skipped test is otherwise a silent one.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {missing}");
    None
}

/// The path of a command on `PATH` or in the system's own directories.
///
/// # Errors
/// When there is none of that name.
pub fn command(name: &str, package: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| Missing::new(format!("no {name}"), format!("apt-get install {package}")))
}

/// The root of the clone.
#[must_use]
pub fn clone_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The `piflash` to test: `PIKUBE_PIFLASH`, else the one beside this test's own build.
///
/// # Errors
/// When it is not built.
pub fn piflash() -> Result<PathBuf, Missing> {
    if let Some(path) = std::env::var_os("PIKUBE_PIFLASH") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(Missing::new(format!("no file {}", path.display()), "PIKUBE_PIFLASH names it"))
        };
    }
    // target/<profile>/deps/node-… → target/<profile>/piflash
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.parent().and_then(Path::parent).map(|profile| profile.join("piflash"));
    beside
        .filter(|path| path.is_file())
        .ok_or_else(|| Missing::new("piflash is not built", "cargo build -p piflash"))
}

/// The directory with the agents that go on the cards: `PIKUBE_AGENT_DIR`, else `target/test-agents`.
///
/// # Errors
/// When the agent for `arch` (`arm64`, `armv7`, `amd64`) is not in it.
pub fn agents(arch: &str) -> Result<PathBuf, Missing> {
    let directory = std::env::var_os("PIKUBE_AGENT_DIR")
        .map_or_else(|| clone_root().join("target/test-agents"), PathBuf::from);
    let agent = directory.join(format!("pikube-agent-{arch}"));
    if agent.is_file() {
        Ok(directory)
    } else {
        Err(Missing::new(format!("no {}", agent.display()), "make test-agents"))
    }
}

/// Whether a command can be started at all.
#[must_use]
pub fn runs(command: &Path, argument: &str) -> bool {
    Command::new(command).arg(argument).output().is_ok_and(|output| output.status.success())
}
