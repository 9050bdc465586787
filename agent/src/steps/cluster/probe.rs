//! Whether the network between pods works on this node. That the node is Ready does not say so: with plugins in the
//! wrong folder it is Ready and no pod starts (`kubernetes-on-pi.md` §11).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use pikube_config::Kubernetes;
use serde_json::{Value, json};

use super::{crictl, reason};
use crate::host::{Access, Answer, Error, Host, Look};
use crate::step::Stop;

/// Description of the pod that is tried, for crictl.
const POD: &str = "/run/pikube/pod.json";
/// Its name.
const NAME: &str = "pikube-probe";
/// Where its processes are accounted for. Without one, containerd names a folder, and runc under systemd takes only slices
/// (runc, docs/systemd.md); this one is there on every system.
const SLICE: &str = "system.slice";
/// The cluster's domain, as kubeadm's configuration has it.
const DOMAIN: &str = "cluster.local";

/// How often a pod is started for one answer. The kubelet ends every pod that it has not started itself, some seconds after
/// it has seen it; on a busy board that can be before it was called.
const TRIES: u32 = 3;

/// Starts a pod with nothing in it but its network, through the runtime itself, calls it, and removes it. Only what was
/// seen of a pod that still stands afterwards counts against the network.
///
/// # Errors
/// It does not start, or does not answer (yet).
pub fn sandbox(node: &str, host: &dyn Host) -> Result<(), Stop> {
    for _ in 0..TRIES {
        let tried = try_one(node, host)?;
        let standing = tried.is_ok() || is_standing(host)?;
        remove(host)?;
        if standing {
            return tried;
        }
    }
    Err(Stop::Again(format!(
        "the kubelet ended each of {TRIES} pods, which it had not started, before they could be called: this board is busy"
    )))
}

/// What was seen of one pod; the inner error says what did not work with it. It is left to be looked at.
fn try_one(node: &str, host: &dyn Host) -> Result<Result<(), Stop>, Stop> {
    let description = json!({
        "metadata": {
            "name": NAME,
            "uid": format!("{NAME}-{node}"),
            "namespace": "kube-system",
            "attempt": 1,
        },
        "log_directory": "/tmp",
        "linux": { "cgroup_parent": SLICE },
    });
    // One of an earlier attempt that was cut off has the name.
    remove(host)?;
    host.write(POD, description.to_string().as_bytes(), Access::root(0o600))?;
    let started = crictl(host, &["runp", POD])?;
    if started.status != 0 {
        let why = reason::of_answer(&started);
        return Err(Stop::Again(format!("a pod with a network does not start: {why}")));
    }
    let inspected = crictl(host, &["inspectp", "--output=json", started.stdout.trim()])?;
    let found: Value = serde_json::from_str(&inspected.stdout).unwrap_or_default();
    let address = found.pointer("/status/network/ip").and_then(Value::as_str);
    Ok(match address.and_then(|address| address.parse::<Ipv4Addr>().ok()) {
        Some(address) => call(host, address.into()),
        None => Err(Stop::Again("a pod with a network got no address".to_owned())),
    })
}

/// Whether the pod is still up.
fn is_standing(host: &dyn Look) -> Result<bool, Error> {
    let words = ["pods", "--quiet", "--state", "ready", "--name", NAME];
    Ok(!crictl(host, &words)?.stdout.trim().is_empty())
}

/// A pod that says no to a connection is there. Discard (RFC 863): nothing listens there.
fn call(host: &dyn Look, address: IpAddr) -> Result<(), Stop> {
    match host.reach(SocketAddr::new(address, 9)) {
        Ok(()) => Ok(()),
        Err(Error::Reach { source, .. })
            if source.kind() == std::io::ErrorKind::ConnectionRefused =>
        {
            Ok(())
        }
        Err(error) => Err(Stop::Again(format!("a pod on this node does not answer: {error}"))),
    }
}

fn remove(host: &dyn Host) -> Result<(), Error> {
    let found = crictl(host, &["pods", "--quiet", "--name", NAME])?;
    for pod in found.stdout.split_whitespace() {
        crictl(host, &["stopp", pod])?;
        crictl(host, &["rmp", "--force", pod])?;
    }
    Ok(())
}

fn crictl(host: &dyn Look, words: &[&str]) -> Result<Answer, Error> {
    host.ask(&crictl::command(words).within(Duration::from_secs(300)))
}

/// Asks the cluster's DNS for its own API server: the way leads over kube-proxy and the pod network to a CoreDNS on
/// whatever node it runs.
///
/// # Errors
/// It does not answer (yet), or not with an address.
pub fn dns(kubernetes: &Kubernetes, host: &dyn Look) -> Result<(), Stop> {
    let Some(server) = server(&kubernetes.service_cidr) else { return Ok(()) };
    let question = question(&format!("kubernetes.default.svc.{DOMAIN}"));
    let waiting = |why: String| {
        Stop::Again(format!("the cluster's DNS at {server} does not answer yet: {why}"))
    };
    let answer = host
        .converse(SocketAddr::from((server, 53)), &question)
        .map_err(|error| waiting(error.to_string()))?;
    // RFC 1035 §4.1.1, behind the two bytes of length (§4.2.2): the code of the answer, the number of records.
    match (answer.get(5), answer.get(8..10)) {
        (Some(flags), Some([high, low]))
            if flags & 15 == 0 && u16::from_be_bytes([*high, *low]) > 0 =>
        {
            Ok(())
        }
        (Some(flags), _) => Err(waiting(format!("it answers with code {}", flags & 15))),
        (None, _) => Err(waiting("it hangs up".to_owned())),
    }
}

/// The tenth address of the services' (kubeadm, `constants.GetDNSIP`).
fn server(cidr: &str) -> Option<Ipv4Addr> {
    let network: Ipv4Addr = cidr.split('/').next()?.parse().ok()?;
    Some(Ipv4Addr::from_bits(network.to_bits().checked_add(10)?))
}

/// A question for an address, as it goes over TCP (RFC 1035 §4.1, §4.2.2).
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x70, 0x69, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(63));
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], &message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::Node;

    /// A node on which pods start, and answer.
    fn with_network() -> Node {
        let node = Node::bare();
        node.put("/etc/cni/net.d/10-flannel.conflist", "flannel");
        node
    }

    #[test]
    fn a_pod_that_the_kubelet_ends_says_nothing_of_the_network() {
        for (ended, good) in [(0, true), (1, true), (TRIES - 1, true), (TRIES, false)] {
            let node = with_network();
            node.put("/run/kubelet-ends", "x".repeat(ended as usize));
            let found = sandbox("laperouse", &node);
            assert_eq!(found.is_ok(), good, "{ended}: {found:?}");
            if let Err(stop) = found {
                assert!(matches!(stop, Stop::Again(what) if what.contains("the kubelet ended")));
            }
            assert!(!node.exists("/run/containerd/probe").unwrap(), "it is left");
        }
        // One that stands and does not answer does.
        let node = with_network();
        node.put("/run/cut-off", "10.244.0.5");
        let Err(Stop::Again(what)) = sandbox("laperouse", &node) else { panic!() };
        assert!(what.contains("a pod on this node does not answer"), "{what}");
        assert_eq!(node.log.borrow().iter().filter(|line| line.contains(" runp ")).count(), 1);
        assert!(!node.exists("/run/containerd/probe").unwrap(), "it is left");
    }

    #[test]
    fn the_question_is_one_of_rfc_1035() {
        let question = question("a.bc");
        assert_eq!(question[..2], [0, 22]);
        assert_eq!(question[2..14], [0x70, 0x69, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(question[14..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
    }

    #[test]
    fn only_an_answer_with_a_record_will_do() {
        let kubernetes = Kubernetes::new("1.36.4");
        let node = Node::bare();
        let ask = || dns(&kubernetes, &node);
        assert!(matches!(ask(), Err(Stop::Again(what)) if what.contains("10.96.0.10")));
        for (flags, records, good) in [(0x80, 1, true), (0x83, 0, false), (0x80, 0, false)] {
            let answer = vec![0, 12, 0x70, 0x69, 0x81, flags, 0, 1, 0, records, 0, 0, 0, 0];
            node.answering.borrow_mut().insert("10.96.0.10:53".to_owned(), answer);
            assert_eq!(ask().is_ok(), good, "{flags} {records}");
        }
    }
}
