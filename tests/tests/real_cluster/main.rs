//! A master and a worker become a cluster with Kubernetes' own programs: the real kubeadm, kubelet, API server, etcd, CoreDNS
//! and flannel, on machines of QEMU, with docker on one and containerd on the other. Takes minutes for each node where there
//! is no KVM, so it runs only where `PIKUBE_REAL=1` asks for it; `tests/kubernetes/nodes.sh` and `machine.sh` come first.
#![allow(clippy::print_stdout, reason = "seconds to Ready are for reading, not for asserting")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pikube_config::{Report, RunState};
use pikube_tests::cluster::{Cluster, Member, Seat};
use pikube_tests::internet::HOST;
use pikube_tests::machine::{Ending, Powered};
use pikube_tests::needs;
use pikube_tests::node::Order;
use serde_json::Value;

const TRIXIE: &str = "raspios-trixie-amd64";
const MASTER_MIB: u32 = 2300;
const WORKER_MIB: u32 = 1400;
const MASTER_ADDRESS: &str = "192.168.77.10";
const WORKER_ADDRESS: &str = "192.168.77.11";
/// A node that takes longer hangs. Generous: other builds may run beside the tests, without KVM.
const LIMIT: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_secs(3);

/// Two nodes, switched on together; the power of the master goes in the middle of `kubeadm init`, and later that of both.
#[test]
fn two_nodes() -> Result<()> {
    let Some(cluster) = asked_for("real-two-nodes")? else { return Ok(()) };
    let laperouse = cluster.member(&master(), &Order::changes())?;
    let fregate = cluster.member(&worker(), &Order::changes().with("--runtime", "containerd"))?;
    let kubeconfig = cluster.kubeconfig()?;
    println!("on {}", laperouse.kind());

    cut_during_init(&laperouse)?;
    let begun = Instant::now();
    let mut nodes = vec![(&laperouse, laperouse.power_on()), (&fregate, fregate.power_on())];
    for (member, power) in &nodes {
        is_done(&cluster, member, power, begun)?;
    }
    let kubectl = Kubectl { cluster: &cluster, kubeconfig };
    kubectl.all_ready(&["fregate", "laperouse"], LIMIT)?;
    pods_meet(&kubectl)?;

    // the cards are cut off together, and come back as they were
    nodes.clear();
    let begun = Instant::now();
    for member in [&laperouse, &fregate] {
        nodes.push((member, member.power_on()));
    }
    kubectl.all_ready(&["fregate", "laperouse"], LIMIT)?;
    println!("after a power cut: Ready again after {} s", begun.elapsed().as_secs());
    kubectl.pods_run(LIMIT)?;
    reach_each_other(&kubectl)?;
    for (member, power) in nodes {
        cluster.login(member)?.output("sudo -n systemctl poweroff")?;
        power.wait_for_power_off(LIMIT).context("powering off")?;
        member.node.card().check_root()?;
    }
    Ok(())
}

/// A worker whose token was taken back says that it waits, and goes on waiting: a person may give its card a new one.
#[test]
fn a_revoked_token() -> Result<()> {
    let Some(cluster) = asked_for("real-revoked")? else { return Ok(()) };
    let laperouse = cluster.member(&master(), &Order::changes())?;
    let power = laperouse.power_on();
    is_done(&cluster, &laperouse, &power, Instant::now())?;
    let kubectl = Kubectl { cluster: &cluster, kubeconfig: cluster.kubeconfig()? };
    let fregate = cluster.member(&worker(), &Order::changes().with("--runtime", "containerd"))?;
    let tokens = ["-n", "kube-system", "delete", "secret", "--field-selector"];
    let field = "type=bootstrap.kubernetes.io/token";
    kubectl.run(&[&tokens[..], &[field]].concat())?;
    let worker = fregate.power_on();
    let status = cluster.standing(&fregate, &worker, LIMIT, |report| {
        report.contains("\"waiting\"") && report.contains("\"join\"")
    })?;
    let report: Report = serde_json::from_str(&status).with_context(|| status.clone())?;
    println!("a revoked token: {}", report.message);
    ensure!(report.state != RunState::Done, "it joined without a token: {status}");
    kubectl.all_ready(&["laperouse"], LIMIT)
}

/// A place for a cluster; `None` where nobody asked for it, or this computer cannot have it, after a line that says so.
fn asked_for(test: &str) -> Result<Option<Cluster>> {
    if std::env::var_os("PIKUBE_REAL").is_none_or(|value| value != "1") {
        println!("skipped: {test}: a real Kubernetes is asked for with PIKUBE_REAL=1");
        return Ok(None);
    }
    Cluster::real(test)
}

fn master() -> Seat<'static> {
    let address = Some(MASTER_ADDRESS);
    Seat { image: TRIXIE, role: "master", name: "laperouse", address, memory_mib: MASTER_MIB }
}

fn worker() -> Seat<'static> {
    let address = Some(WORKER_ADDRESS);
    Seat { role: "worker", name: "fregate", address, memory_mib: WORKER_MIB, ..master() }
}

/// Boots a card that has never been on, and cuts its power while kubeadm is at work.
fn cut_during_init(master: &Member) -> Result<()> {
    let begins = "control plane: ";
    loop {
        let mut running = master.boot()?;
        if let Some(ending) = running.wait_for_line_or_end(begins, LIMIT)? {
            // the operating system's own first boots end in a reboot
            ensure!(ending == Ending::Reboot, "{ending:?} before {begins:?}");
            continue;
        }
        // kubeadm has begun with the static pods, or is about to: wherever this lands is a moment of its own
        ensure!(!running.ends_within(Duration::from_secs(20))?, "ended during kubeadm init");
        running.power_cut();
        return Ok(());
    }
}

/// Waits until a node says that it is done, and prints how long each of its steps took.
fn is_done(cluster: &Cluster, member: &Member, power: &Powered, begun: Instant) -> Result<()> {
    let status = cluster.done(member, power, LIMIT)?;
    let report: Report = serde_json::from_str(&status).with_context(|| status.clone())?;
    ensure!(report.state == RunState::Done && report.node == member.name(), "{status}");
    println!("{}: done {} s after the power came", member.name(), begun.elapsed().as_secs());
    for step in report.steps.iter().filter(|step| step.seconds >= 1.0) {
        println!("  {:>7.1} s  {}", step.seconds, step.title);
    }
    let journal = cluster
        .login(member)?
        .run("sudo -n journalctl -u pikube-agent -o short-iso --no-hostname --no-pager")?;
    member.keep("status", &report.to_text())?;
    member.keep("journal", &journal)
}

/// Two pods, one on each node, serve their names; each reads the other's, and a name of the cluster.
fn pods_meet(kubectl: &Kubectl<'_>) -> Result<()> {
    let manifest = kubectl.kubeconfig.with_file_name("pods.json");
    let pods: Vec<Value> = [("on-laperouse", "laperouse"), ("on-fregate", "fregate")]
        .map(|(pod, node)| {
            let serve = format!("mkdir /tmp/w; echo {pod} > /tmp/w/name; httpd -f -p 8080 -h /tmp/w");
            serde_json::json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod},
                "spec": {
                    "nodeName": node, "terminationGracePeriodSeconds": 0,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{
                        "name": "tools", "image": format!("{HOST}/tools:1"), "command": ["sh", "-c", serve],
                    }],
                },
            })
        })
        .into();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": pods});
    std::fs::write(&manifest, serde_json::to_vec(&list)?)?;
    kubectl.run(&["apply", "-f", &manifest.display().to_string()])?;
    kubectl.pods_run(LIMIT)?;
    reach_each_other(kubectl)
}

fn reach_each_other(kubectl: &Kubectl<'_>) -> Result<()> {
    for (from, to) in [("on-laperouse", "on-fregate"), ("on-fregate", "on-laperouse")] {
        let address = kubectl.run(&["get", "pod", to, "-o", "jsonpath={.status.podIP}"])?;
        ensure!(
            address.starts_with("10.244."),
            "{to} has no address of the pods' network: {address}"
        );
        let url = format!("http://{address}:8080/name");
        let said = kubectl
            .until(&["exec", from, "--", "wget", "-T", "20", "-qO-", &url], |said| {
                said.trim() == to
            })?;
        ensure!(said.trim() == to, "{from} reads {said:?} from {to}");
        let name = "kubernetes.default.svc.cluster.local";
        let words = ["exec", from, "--", "nslookup", name];
        kubectl.until(&words, |said| said.contains("10.96.0.1"))?;
    }
    Ok(())
}

/// The real kubectl, on the laptop.
struct Kubectl<'a> {
    cluster: &'a Cluster,
    kubeconfig: PathBuf,
}

impl Kubectl<'_> {
    fn program() -> PathBuf {
        needs::clone_root().join("target/test-kubernetes/bin/v1.36.3/kubectl")
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let program: &Path = &Self::program();
        let output = self.cluster.kubectl(program, &self.kubeconfig, words)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {error}", words.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs it again and again until it says what it should.
    fn until(&self, words: &[&str], it: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + LIMIT;
        loop {
            let said = self.run(words);
            match said {
                Ok(said) if it(&said) => return Ok(said),
                Ok(said) => ensure!(Instant::now() < end, "kubectl {}: {said}", words.join(" ")),
                Err(error) => ensure!(Instant::now() < end, "{error:#}"),
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until these nodes, and no others, are Ready, as the API server has heard lately.
    fn all_ready(&self, names: &[&str], limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let said = self.run(&["get", "nodes", "-o", "json"]);
            let ready = said.as_ref().map(|said| ready(said)).unwrap_or_default();
            if ready == names {
                return Ok(());
            }
            ensure!(Instant::now() < end, "Ready are {ready:?} of {names:?}: {said:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until the pods of the tests are Ready.
    fn pods_run(&self, limit: Duration) -> Result<()> {
        let wait = format!("--timeout={}s", limit.as_secs());
        self.run(&["wait", "--for=condition=Ready", &wait, "pod", "--all"]).map(|_| ())
    }
}

/// Names of the nodes that are Ready, in order.
fn ready(list: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(list).unwrap_or_default();
    let nodes = list["items"].as_array().into_iter().flatten();
    let mut names: Vec<String> = nodes
        .filter(|node| {
            let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
        })
        .filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names
}
