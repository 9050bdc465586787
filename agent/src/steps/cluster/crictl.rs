//! crictl(1), the CRI's own client.

use crate::host::Command;
use crate::render::runtime::Cri;

/// `crictl WORDS`, whatever `/etc/crictl.yaml` names as its runtime.
pub fn command(words: &[&str]) -> Command {
    let endpoint = format!("--runtime-endpoint={}", Cri::Containerd.socket());
    Command::new("crictl", [endpoint.as_str()].into_iter().chain(words.iter().copied()))
}
