//! What kubeadm says, in one line with what to do (`kubernetes-on-pi.md` §3.4, §9; kubeadm's `discovery/token/token.go`,
//! `preflight/checks.go`).

use super::reason;
use crate::step::Stop;

/// One of kubeadm's errors.
struct Known {
    /// What it says, a part of it.
    says: &'static str,
    /// What that means.
    means: Means,
    /// What a person can do; `None` where it may pass by itself.
    help: Option<&'static str>,
}

/// How an error is told.
enum Means {
    /// In our words: kubeadm's are of no use to whoever has only a card in the hand.
    This(&'static str),
    /// In kubeadm's, which name the port, the size or the part of the kernel.
    AsSaid,
}

use Means::{AsSaid, This};

/// kubeadm asks for its whole discovery time (`timeouts.discovery`, 5 minutes) before it gives up with this. It never says
/// that a token is unknown: that the cluster has signed nothing with it is all that can be seen from outside.
const NO_TOKEN: &str = "the cluster has not shown within kubeadm's whole discovery time that it has this card's token: the \
                        token was revoked or has expired, or the control plane is still starting; `piflash token list` \
                        shows the cluster's tokens, and `piflash configure --new-token CARD` gives the card another one";

const KNOWN: [Known; 20] = [
    // Of preflight, each with its mark: what they say of a network may look like one of the others.
    Known {
        says: "ERROR Mem]",
        means: AsSaid,
        help: Some("use a board with 2 GB or more, or write the card with `--force-low-memory`"),
    },
    Known { says: "ERROR NumCPU]", means: AsSaid, help: Some("use another board") },
    Known {
        says: "ERROR Port-",
        means: AsSaid,
        help: Some("remove the program that has it (`ss -ltnp` names it), or write the card anew"),
    },
    Known {
        says: "ERROR SystemVerification]",
        means: AsSaid,
        help: Some(
            "use the kernel and the settings of the image; `/var/log/pikube/kubeadm.log` has all that kubeadm found",
        ),
    },
    Known {
        says: "ContainerRuntimeVersion",
        means: This("the container runtime is too old for this Kubernetes"),
        help: Some("write the card with Docker's own packages (`--runtime-packages docker`)"),
    },
    Known { says: "ERROR CRI]", means: AsSaid, help: None },
    Known { says: "ERROR ImagePull]", means: AsSaid, help: None },
    Known {
        says: "are pinned",
        means: This(
            "the control plane at this address has another CA than the card: it is of another cluster",
        ),
        help: Some("write this card again for that cluster, or switch the right master on"),
    },
    Known { says: "could not find a JWS signature", means: This(NO_TOKEN), help: None },
    Known { says: "it has expired", means: This(NO_TOKEN), help: None },
    Known {
        says: "failed to verify JWS signature",
        means: This("the cluster has another token of this name than the card"),
        help: Some("write this card again"),
    },
    Known {
        says: "already exists in the cluster",
        means: This(
            "the cluster still takes a node of this name for Ready: it is one from before, or another card has the same name",
        ),
        help: None,
    },
    Known {
        says: "certificate has expired or is not yet valid",
        means: This(
            "clock and certificates do not fit: the clock of this node or of the control plane is wrong",
        ),
        help: None,
    },
    Known {
        says: "too many learner members",
        means: This("another control plane is joining; one joins after the other"),
        help: None,
    },
    Known {
        says: "can only promote a learner member which is in sync",
        means: This("the database of the control plane is still being copied"),
        help: None,
    },
    Known {
        says: "connection refused",
        means: This("the API server does not take connections yet"),
        help: None,
    },
    Known {
        says: "no route to host",
        means: This("the control plane cannot be reached"),
        help: None,
    },
    Known { says: "i/o timeout", means: This("the control plane does not answer"), help: None },
    Known {
        says: "TLS handshake timeout",
        means: This("the API server is too busy to answer"),
        help: None,
    },
    Known {
        says: "strict decoding error",
        means: This("kubeadm does not take the configuration: agent and kubeadm do not fit"),
        help: Some("write the card with a newer piflash"),
    },
];

/// What a failed kubeadm means. What is not known is tried again, from a clean start: on a slow board most of it is
/// some limit of time.
pub fn stop(doing: &str, said: &str) -> Stop {
    let known = KNOWN.iter().find(|known| said.contains(known.says));
    let what = match known {
        Some(Known { means: This(means), .. }) => (*means).to_owned(),
        Some(Known { means: AsSaid, .. }) | None => last(said),
    };
    match known.and_then(|known| known.help) {
        Some(help) => Stop::person(format!("{doing}: {what}"), help),
        None => Stop::Again(format!("{doing}: {what}")),
    }
}

/// The lines that tell most: all errors of preflight, else kubeadm's own last word.
fn last(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let preflight = preflight(&lines);
    if !preflight.is_empty() {
        return preflight.join("; ");
    }
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("error: "));
    let phase = lines.iter().rev().find(|line| line.contains("error execution phase"));
    let line = error.or(phase.copied()).or(lines.last().copied());
    reason::of(line.unwrap_or("nothing said"))
}

/// `[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2`, each without its mark. An error of the
/// container runtime has several lines, of which the first has the mark (`preflight.Error`, `checks.go`).
fn preflight(lines: &[&str]) -> Vec<String> {
    let mut errors = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((_, first)) = line.strip_prefix("[ERROR ").and_then(|rest| rest.split_once("]: "))
        else {
            continue;
        };
        let more =
            lines[at + 1..].iter().take_while(|line| !line.starts_with('[') && !is_advice(line));
        let whole = std::iter::once(first).chain(more.copied()).collect::<Vec<_>>().join(" ");
        errors.push(reason::of(&whole));
    }
    errors
}

/// kubeadm's last line below everything.
fn is_advice(line: &str) -> bool {
    line.starts_with("To see the stack trace") || line.starts_with("error: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubeadm_says_becomes_one_line_and_what_to_do() {
        for (said, part, person) in [
            (
                "error execution phase preflight: couldn't validate the identity of the API Server: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys \"sha256:aa\" are pinned",
                "another CA",
                true,
            ),
            (
                "error execution phase preflight: couldn't validate the identity of the API Server: token id \"abcdef\" is invalid for this cluster or it has expired. Use \"kubeadm token create\" on the control-plane node to create a new valid token",
                "piflash token list",
                false,
            ),
            (
                "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"",
                "piflash configure --new-token",
                false,
            ),
            (
                "error execution phase kubelet-start: a Node with name \"w1\" and status \"Ready\" already exists in the cluster. You must delete",
                "from before",
                false,
            ),
            ("\t[ERROR Port-6443]: Port 6443 is in use", "joining: Port 6443 is in use", true),
            (
                "[preflight] Some fatal errors occurred:\n\t[ERROR Mem]: the system RAM (924 MB) is less than the minimum 1700 MB\n\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2\n[preflight] If you know what you are doing",
                "joining: the system RAM (924 MB) is less than the minimum 1700 MB; the number of available CPUs 1 is less than the required 2",
                true,
            ),
            (
                "error execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR SystemVerification]: missing required cgroups: cpuset\n[preflight] If you know\nTo see the stack trace",
                "joining: missing required cgroups: cpuset",
                true,
            ),
            (
                "\t[ERROR ImagePull]: failed to pull image a: rpc error: code = Unknown desc = dial tcp 203.0.113.9:443: i/o timeout",
                "joining: dial tcp 203.0.113.9:443: i/o timeout",
                false,
            ),
            (
                "\t[ERROR ImagePull]: failed to pull image registry.example.org/a:1: failed to pull image registry.example.org/a:1: rpc error: code = Unknown desc = failed to resolve reference: dial tcp: lookup registry.example.org: no such host\n[preflight] If",
                "joining: failed to resolve reference: dial tcp: lookup registry.example.org: no such host",
                false,
            ),
        ] {
            match stop("joining", said) {
                Stop::Person { what, .. } => assert!(person && what.contains(part), "{what}"),
                Stop::Again(what) => assert!(!person && what.contains(part), "{what}"),
            }
        }
    }

    #[test]
    fn what_is_not_known_is_told_by_its_most_telling_line() {
        let said = "[preflight] Some fatal errors occurred:\n\t[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty\n[preflight] If you know what you are doing, you can make a check non-fatal\nTo see the stack trace of this error execute with --v=5 or higher\n";
        let Stop::Again(what) = stop("init", said) else { panic!() };
        assert_eq!(what, "init: /var/lib/etcd is not empty");
        let Stop::Again(what) = stop("init", "error: timed out\nTo see the stack") else {
            panic!()
        };
        assert_eq!(what, "init: timed out");
    }
}
