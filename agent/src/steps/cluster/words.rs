//! What kubeadm says, in one line with what to do (`kubernetes-on-pi.md` §3.4, §9; kubeadm's `discovery/token/token.go`,
//! `preflight/checks.go`).

use crate::step::Stop;

/// One of kubeadm's errors.
struct Known {
    /// What it says, a part of it.
    says: &'static str,
    /// What that means.
    means: &'static str,
    /// What a person can do; `None` where it may pass by itself.
    help: Option<&'static str>,
}

const KNOWN: [Known; 20] = [
    Known {
        says: "are pinned",
        means: "the control plane at this address has another CA than the card: it is of another cluster",
        help: Some("write this card again for that cluster, or switch the right master on"),
    },
    Known {
        says: "it has expired",
        means: "the cluster does not know the card's token, or it has run out",
        help: Some(
            "`piflash configure` gives the card a new one; `piflash token list` shows those that there are",
        ),
    },
    Known {
        says: "could not find a JWS signature",
        means: "the control plane is still starting",
        help: None,
    },
    Known {
        says: "failed to verify JWS signature",
        means: "the cluster has another token of this name than the card",
        help: Some("write this card again"),
    },
    Known {
        says: "already exists in the cluster",
        means: "the cluster still takes a node of this name for Ready: it is one from before, or another card has the same name",
        help: None,
    },
    Known {
        says: "certificate has expired or is not yet valid",
        means: "clock and certificates do not fit: the clock of this node or of the control plane is wrong",
        help: None,
    },
    Known {
        says: "too many learner members",
        means: "another control plane is joining; one joins after the other",
        help: None,
    },
    Known {
        says: "can only promote a learner member which is in sync",
        means: "the database of the control plane is still being copied",
        help: None,
    },
    Known {
        says: "connection refused",
        means: "the API server does not take connections yet",
        help: None,
    },
    Known { says: "no route to host", means: "the control plane cannot be reached", help: None },
    Known { says: "i/o timeout", means: "the control plane does not answer", help: None },
    Known {
        says: "TLS handshake timeout",
        means: "the API server is too busy to answer",
        help: None,
    },
    Known {
        says: "ERROR Mem]",
        means: "the board has too little memory for a control plane",
        help: Some("use a board with 2 GB or more, or write the card with `--force-low-memory`"),
    },
    Known {
        says: "ERROR NumCPU]",
        means: "the board has too few processor cores for a control plane",
        help: Some("use another board"),
    },
    Known {
        says: "ERROR Port-",
        means: "another program has a port that Kubernetes needs",
        help: Some("remove it (`ss -ltnp` names it), or write the card anew"),
    },
    Known {
        says: "ERROR SystemVerification]",
        means: "this kernel lacks what Kubernetes needs",
        help: Some("`/var/log/pikube/kubeadm.log` says what; use the kernel of the image"),
    },
    Known { says: "ERROR CRI]", means: "the container runtime does not answer", help: None },
    Known { says: "ERROR ImagePull]", means: "an image could not be pulled", help: None },
    Known {
        says: "ContainerRuntimeVersion",
        means: "the container runtime is too old for this Kubernetes",
        help: Some("write the card with Docker's own packages (`--runtime-packages docker`)"),
    },
    Known {
        says: "strict decoding error",
        means: "kubeadm does not take the configuration: agent and kubeadm do not fit",
        help: Some("write the card with a newer piflash"),
    },
];

/// What a failed kubeadm means. What is not known is tried again, from a clean start: on a slow board most of it is
/// some limit of time.
pub fn stop(doing: &str, said: &str) -> Stop {
    let Some(known) = KNOWN.iter().find(|known| said.contains(known.says)) else {
        return Stop::Again(format!("{doing}: {}", last(said)));
    };
    match known.help {
        Some(help) => Stop::person(format!("{doing}: {}", known.means), help),
        None => Stop::Again(format!("{doing}: {}", known.means)),
    }
}

/// The line that tells most: the first error of preflight, else kubeadm's own last word.
fn last(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let preflight = lines.iter().find_map(|line| line.strip_prefix("[ERROR "));
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("error: "));
    let phase = lines.iter().rev().find(|line| line.contains("error execution phase"));
    preflight
        .or(error)
        .or(phase.copied())
        .or(lines.last().copied())
        .unwrap_or("nothing said")
        .to_owned()
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
                "run out",
                true,
            ),
            (
                "could not find a JWS signature in the cluster-info ConfigMap for token ID \"abcdef\"",
                "still starting",
                false,
            ),
            (
                "error execution phase kubelet-start: a Node with name \"w1\" and status \"Ready\" already exists in the cluster. You must delete",
                "from before",
                false,
            ),
            ("\t[ERROR Port-6443]: Port 6443 is in use", "has a port", true),
            (
                "\t[ERROR Mem]: the system RAM (924 MB) is less than the minimum 1700 MB",
                "too little memory",
                true,
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
        assert_eq!(what, "init: DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty");
        let Stop::Again(what) = stop("init", "error: timed out\nTo see the stack") else {
            panic!()
        };
        assert_eq!(what, "init: timed out");
    }
}
