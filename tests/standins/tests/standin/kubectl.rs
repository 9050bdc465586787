//! Debian's own kubectl of the version that nodes have, and a cluster to ask with it.

#[path = "../../../../imager/tests/support/kubectl.rs"]
#[allow(dead_code, reason = "another release of it is asked for here")]
mod fetched;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pikube_tests::needs::Missing;

use super::stand::{ENDPOINT, Stand};

/// The program; fetched the first time.
pub fn kubectl() -> Result<PathBuf, Missing> {
    fetched::fetched("sid", "kubectl").map_err(|why| Missing::new("no kubectl of Debian's", why))
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
