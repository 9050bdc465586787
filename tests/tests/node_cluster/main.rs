//! Rung 3: a master and two workers, powered on workers first, become a cluster while nobody touches them, also when the
//! power of the master goes again and again;
//! a master alone does in bad weather, on a system that is ill; and one that cannot be says so at once.

mod ailments;
#[path = "../../../imager/tests/support/kubectl.rs"]
mod kubectl;
mod legacy;
mod power;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pikube_config::{Report, RunState, StepState};
use pikube_tests::cluster::{Cluster, Member, Seat};
use pikube_tests::internet::HOST;
use pikube_tests::machine::Powered;
use pikube_tests::node::Order;
use pikube_tests::switch::BEYOND;
use pikube_tests::web::{Fault, Times};
use serde_json::Value;

const TRIXIE: &str = "raspios-trixie-amd64";
const BOOKWORM: &str = "raspios-bookworm-amd64";
/// kubeadm wants 1700 MB for a control plane, and the kernel keeps some for itself.
const MASTER_MIB: u32 = 1900;
const WORKER_MIB: u32 = 900;
/// What the agent may have at most: 10 MiB.
const PEAK_KIB: u64 = 10 << 10;
const MASTER_ADDRESS: &str = "192.168.77.10";
/// A node that takes longer hangs. Generous: other builds may run beside the tests.
const LIMIT: Duration = Duration::from_secs(1500);

#[test]
fn workers_first() -> Result<()> {
    let Some(cluster) = Cluster::new("workers-first")? else { return Ok(()) };
    let Some(kubectl) = kubectl::kubectl() else { return Ok(()) };
    // The cluster begins with the master's card; its machine is the last to be on.
    let laperouse = cluster.member(&master(), &Order::changes())?;
    let keep = Order::changes().with("--swap", "keep");
    let fregate = cluster.member(&worker(BOOKWORM, "fregate", None), &keep)?;
    let pearl = worker(TRIXIE, "black-pearl", Some("192.168.77.12"));
    let pearl = cluster.member(&pearl, &Order::changes().with("--runtime", "containerd"))?;
    let kubeconfig = cluster.kubeconfig()?;

    let mut nodes = vec![(&fregate, fregate.power_on()), (&pearl, pearl.power_on())];
    for (worker, power) in &nodes {
        begins(&cluster, worker, power)?;
    }
    let mut peaks = Vec::new();
    for (worker, power) in &nodes {
        cluster.standing(worker, power, LIMIT, |said| said.contains("is not there yet"))?;
        peaks.push(peak_kib(&cluster, worker)?);
    }
    ensure!(peaks.iter().all(|kib| *kib <= PEAK_KIB), "the agents' memory at most, KiB: {peaks:?}");
    power::cut(&laperouse)?;
    nodes.push((&laperouse, laperouse.power_on()));
    for (member, power) in nodes.iter().rev() {
        is_done(&cluster, member, power)?;
    }

    let names = ["black-pearl", "fregate", "laperouse"];
    nodes_are_ready(&cluster, &kubectl, &kubeconfig, &names)?;
    strangers_are_refused(&cluster, &kubectl)?;
    was_made_once(&cluster, &laperouse)?;
    has_swap(&cluster, &fregate)?;
    for worker in [&fregate, &pearl] {
        joined_by_the_hash(&cluster, worker)?;
        no_file_has_a_secret(&cluster, worker)?;
    }
    for (member, power) in nodes {
        no_secret_is_told(&cluster, member)?;
        leaves_in_order(&cluster, member, &power)?;
    }
    Ok(())
}

/// A master alone, and everything that a network and its servers can do to it, and its own system; each heals after a while.
#[test]
fn through_bad_weather() -> Result<()> {
    let Some(mut cluster) = Cluster::new("bad-weather")? else { return Ok(()) };
    let Some(kubectl) = kubectl::kubectl() else { return Ok(()) };
    // a firewall that lets nothing through but the web
    cluster.internet.clock = None;
    let laperouse = cluster.member(&master(), &Order::changes())?;
    ailments::give(laperouse.node.card())?;
    let web = &cluster.internet.web;
    // an error page, a captive portal, half of a file; each a few times, whenever it is met
    web.fail("/linux/debian/dists/trixie/InRelease", Fault::Html, Times::Next(2));
    web.fail("/linux/debian/dists/trixie/pool", Fault::CutHalfWay, Times::Next(1));
    web.fail("/kubernetes/", Fault::Status(404), Times::Next(1));
    web.fail("/v2/", Fault::Status(503), Times::Next(3));
    // a mirror that is down, and before that a name server that lies
    web.fail("/debian/", Fault::Status(503), Times::Always);
    cluster.switch.set_names(&[(HOST, "127.0.0.1")])?;

    let power = laperouse.power_on();
    let lied = waits(&cluster, &laperouse, &power)?;
    cluster.switch.set_names(&[(HOST, BEYOND)])?;
    web.wait_for(|access| access.path.starts_with("/debian/") && access.status == 503, LIMIT)?;
    let down = waits(&cluster, &laperouse, &power)?;
    web.lift("/debian/");
    is_done(&cluster, &laperouse, &power)?;
    laperouse.keep("weather", &format!("DNS lies: {lied}\nmirror down: {down}\n"))?;
    for (path, status) in [("/v2/", 503), ("/kubernetes/", 404), ("/debian/", 503)] {
        let met =
            web.log().iter().any(|access| access.path.starts_with(path) && access.status == status);
        ensure!(met, "{path} was never asked for while it failed");
    }
    ailments::are_cured(&cluster.login(&laperouse)?)?;
    let kubeconfig = cluster.kubeconfig()?;
    nodes_are_ready(&cluster, &kubectl, &kubeconfig, &["laperouse"])
}

/// Too little memory for a control plane: a person learns it before anything is downloaded, and what to do.
#[test]
fn what_cannot_heal_is_told_at_once() -> Result<()> {
    let Some(cluster) = Cluster::new("too-small")? else { return Ok(()) };
    let seat = Seat { memory_mib: WORKER_MIB, ..master() };
    let laperouse = cluster.member(&seat, &Order::changes())?;
    let power = laperouse.power_on();
    let status = cluster.failed(&laperouse, &power, LIMIT)?;
    let report: Report = serde_json::from_str(&status).with_context(|| status.clone())?;
    let text = report.to_text();
    laperouse.keep("status", &text)?;
    ensure!(report.state == RunState::Failed && text.contains("1700 MiB"), "{text}");
    ensure!(text.contains("--force-low-memory"), "it says nothing of what to do: {text}");
    let login = cluster.login(&laperouse)?;
    let journal = login.run("sudo -n journalctl -u pikube-agent -o cat --no-pager")?;
    let last = journal.lines().rfind(|line| line.contains("--force-low-memory"));
    ensure!(last.is_some(), "the journal says nothing of what to do:\n{journal}");
    // nobody who waits for the end waits for ever
    let wait = "sudo -n /usr/local/lib/pikube/pikube-agent status --wait --format json";
    ensure!(login.output(wait)?.status.code() == Some(1), "`status --wait` does not fail");
    ensure!(cluster.internet.web.log().is_empty(), "something was downloaded");
    Ok(())
}

/// Waits until the node says that it waits, and returns what for.
fn waits(cluster: &Cluster, member: &Member, power: &Powered) -> Result<String> {
    let status = cluster.standing(member, power, LIMIT, |report| report.contains("\"waiting\""))?;
    let report: Report = serde_json::from_str(&status).with_context(|| status.clone())?;
    ensure!(report.state != RunState::Failed, "gave up: {status}");
    Ok(report.message)
}

fn master() -> Seat<'static> {
    let address = Some(MASTER_ADDRESS);
    Seat { image: TRIXIE, role: "master", name: "laperouse", address, memory_mib: MASTER_MIB }
}

fn worker<'a>(image: &'a str, name: &'a str, address: Option<&'a str>) -> Seat<'a> {
    Seat { image, role: "worker", name, address, memory_mib: WORKER_MIB }
}

/// Waits until a node has asked for its first package: its agent is at work.
fn begins(cluster: &Cluster, member: &Member, power: &Powered) -> Result<()> {
    let asked = |client: &str| {
        cluster.internet.web.wait_for(|access| access.client.to_string() == client, LIMIT)
    };
    let begun = match cluster.address(member)? {
        Some(address) => asked(&address),
        // the DHCP server's to give: nothing else than this node asks it
        None => cluster.internet.web.wait_for(
            |access| {
                cluster
                    .address(member)
                    .is_ok_and(|address| address == Some(access.client.to_string()))
            },
            LIMIT,
        ),
    };
    begun.with_context(|| format!("{}{}", member.name(), power.where_it_was()))
}

/// The most memory that the agent of a node has had so far (proc_pid_status(5), VmHWM), in KiB. Its processor time, without
/// the programs that it ran, is kept for a person who wants to know (proc_pid_stat(5), `utime` and `stime`, in 1/100 s).
fn peak_kib(cluster: &Cluster, member: &Member) -> Result<u64> {
    let ask = "cd /proc/$(pidof pikube-agent) && sudo -n cat status && cut -d' ' -f14,15 stat";
    let said = cluster.login(member)?.run(ask)?;
    member.keep("agent", &said)?;
    let line = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.with_context(|| format!("{}: {said}", member.name()))
}

/// The node says that it is done, and its journal tells how it got there.
fn is_done(cluster: &Cluster, member: &Member, power: &Powered) -> Result<()> {
    let status = cluster.done(member, power, LIMIT)?;
    let report: Report = serde_json::from_str(&status).with_context(|| status.clone())?;
    ensure!(report.state == RunState::Done && report.node == member.name(), "{status}");
    let login = cluster.login(member)?;
    let journal =
        login.run("sudo -n journalctl -u pikube-agent -o short-iso --no-hostname --no-pager")?;
    // Of the last one, the marker, the agent says that the node is ready; what a power cut took from the journal, a later
    // boot tells as nothing to do.
    let (_, steps) = report.steps.split_last().context("no steps")?;
    for step in steps {
        let told = [": done in ", ": nothing to do"].map(|end| format!("{}{end}", step.title));
        let is_told = told.iter().any(|line| journal.contains(line));
        ensure!(is_told, "the journal does not tell of `{}`:\n{journal}", step.id);
    }
    ensure!(journal.contains(&format!("`{}` is ready", member.name())), "{journal}");
    ensure!(steps.iter().any(|step| step.state == StepState::Applied), "{status}");
    member.keep("status", &report.to_text())?;
    member.keep("journal", &journal)
}

/// The real kubectl, with the kubeconfig that was there before any node, sees these nodes, Ready, and no others.
fn nodes_are_ready(
    cluster: &Cluster,
    kubectl: &Path,
    kubeconfig: &Path,
    names: &[&str],
) -> Result<()> {
    let output = cluster.kubectl(kubectl, kubeconfig, &["get", "nodes", "-o", "json"])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "kubectl get nodes: {}: {error}", output.status);
    let list: Value = serde_json::from_slice(&output.stdout)?;
    let nodes = list["items"].as_array().context("no items")?;
    let mut ready: Vec<&str> = nodes
        .iter()
        .filter(|node| {
            let conditions = node["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        })
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    ready.sort_unstable();
    ensure!(ready == names && nodes.len() == names.len(), "{list:#}");
    Ok(())
}

/// The kubeconfig of another cluster, with a master of the same address, does not get in: it has another CA.
fn strangers_are_refused(cluster: &Cluster, kubectl: &Path) -> Result<()> {
    let other = Cluster::new("another-cluster")?.context("no second network")?;
    other.member(&master(), &Order::changes())?;
    let kubeconfig: PathBuf = other.kubeconfig()?;
    let output = cluster.kubectl(kubectl, &kubeconfig, &["get", "nodes"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("x509"), "another cluster's: {said}");
    Ok(())
}

/// Whatever became of the power: the control plane was made once, and no file system has suffered.
fn was_made_once(cluster: &Cluster, master: &Member) -> Result<()> {
    let journal = cluster.login(master)?.run("sudo -n cat /var/lib/pikube/journal.jsonl")?;
    let made = journal.lines().filter(|line| {
        line.contains("\"step\":\"init\"") && line.contains("\"event\":\"applied\"")
    });
    ensure!(made.count() == 1, "not made once:\n{journal}");
    Ok(())
}

/// Swap that was kept on purpose is on, and the kubelet runs with it.
fn has_swap(cluster: &Cluster, member: &Member) -> Result<()> {
    let login = cluster.login(member)?;
    let swap = login.run("/sbin/swapon --show=NAME,SIZE --noheadings")?;
    ensure!(swap.contains("/var/swap"), "{} has no swap: {swap:?}", member.name());
    let kubelet = login.run("sudo -n cat /var/lib/kubelet/config.yaml")?;
    for setting in ["failSwapOn: false", "swapBehavior: LimitedSwap"] {
        ensure!(kubelet.contains(setting), "no `{setting}`: {kubelet}");
    }
    login.run("systemctl is-active kubelet").map(|_| ())
}

/// The CA's hash, as kubeadm takes it, is what the worker joined by.
fn joined_by_the_hash(cluster: &Cluster, worker: &Member) -> Result<()> {
    let login = cluster.login(worker)?;
    // the recipe of the Kubernetes documentation, for keys of any kind
    let hash = login.run(
        "sudo -n openssl x509 -pubkey -noout -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der \
         | sha256sum | cut -d' ' -f1",
    )?;
    let member = login.run("sudo -n cat /var/lib/pikube/member")?;
    ensure!(hash.len() == 64 && member.contains(&format!("sha256:{hash}")), "{hash}: {member}");
    Ok(())
}

/// No file of a worker has what was secret on its card: not under any name, in no log.
fn no_file_has_a_secret(cluster: &Cluster, worker: &Member) -> Result<()> {
    let secrets = worker.node.secrets();
    ensure!(secrets.len() > 1, "{} had no secret to begin with", worker.name());
    // not as an argument: sudo tells the journal of arguments
    let patterns: String = secrets.iter().map(|secret| format!("{secret}\\n")).collect();
    let search = format!(
        "printf '{patterns}' | sudo -n grep -rlFs -f - /boot /etc /home /opt /root /run /tmp /usr/local /var; true"
    );
    let found = cluster.login(worker)?.run(&search)?;
    ensure!(found.is_empty(), "{}: secrets in {found}", worker.name());
    Ok(())
}

/// No journal has what was secret on the card.
fn no_secret_is_told(cluster: &Cluster, member: &Member) -> Result<()> {
    let journal = cluster.login(member)?.run("sudo -n journalctl -a -o cat --no-pager")?;
    let told = member.node.secrets().iter().position(|secret| journal.contains(secret));
    ensure!(told.is_none(), "the journal of {} has secret number {told:?}", member.name());
    Ok(())
}

/// Powers a node off; its file systems are in order, and its boot partition has kept no secret.
fn leaves_in_order(cluster: &Cluster, member: &Member, power: &Powered) -> Result<()> {
    // the connection goes down with the node: what ssh says of it does not matter
    cluster.login(member)?.output("sudo -n systemctl poweroff")?;
    power.wait_for_power_off(LIMIT).with_context(|| member.name().to_owned())?;
    let card = member.node.card();
    card.check_boot()?;
    card.check_root()?;
    let held = card.boot_holds_any(member.node.secrets())?;
    ensure!(held.is_none(), "secret number {held:?} is on the card of {}", member.name());
    Ok(())
}
