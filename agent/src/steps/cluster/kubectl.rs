//! kubectl(1), which speaks to the API server for the agent.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::host::{Answer, Command, Error, Look};

/// kubeadm's kubeconfig of the administrator.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// The kubelet's own: it may read its node and the pods on it.
pub const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
/// How long the API server may take for one answer.
const TIMEOUT: &str = "--request-timeout=20s";

/// `kubectl WORDS` with one of the kubeconfigs above.
pub fn command(kubeconfig: &str, words: &[&str]) -> Command {
    let first = ["--kubeconfig", kubeconfig, TIMEOUT];
    Command::new("kubectl", first.iter().chain(words).copied()).within(Duration::from_secs(120))
}

/// What it answers; its status is part of it.
pub fn ask(host: &dyn Look, kubeconfig: &str, words: &[&str]) -> Result<Answer, Error> {
    host.ask(&command(kubeconfig, words))
}

/// `kubectl apply` of a manifest that is handed over as standard input. Server-side: the same again changes nothing, and
/// nobody needs the annotation of the client-side form.
pub fn apply(manifest: &str) -> Command {
    let words =
        ["apply", "--server-side", "--force-conflicts", "--field-manager=pikube", "--filename=-"];
    command(ADMIN, &words).input(Zeroizing::new(manifest.as_bytes().to_vec()))
}
