//! A master on a virtual network, with what it installs beside it (Kubernetes' packages are the tests' stand-ins, docker,
//! containerd, apt and kubectl are real), and a laptop that asks it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pikube_tests::cluster::{Cluster, Seat};
use pikube_tests::needs;
use pikube_tests::node::Order;

/// A control plane wants 1700 MB.
const MEMORY_MIB: u32 = 1900;
/// Several times what it takes.
const LIMIT: Duration = Duration::from_secs(1800);
/// The real one, as the nodes get it.
const KUBECTL: &str = "target/test-standins/downloads/v1.36.4/bin/linux/amd64/kubectl";

/// The demonstration; `false` where this computer cannot show it, after a line that says why.
///
/// # Errors
/// What does not work; with where it was.
pub fn run() -> Result<bool> {
    let Some(cluster) = Cluster::new("demo")? else { return Ok(false) };
    println!("$ piflash --role master --hostname laperouse --address 192.168.77.10/24 card.img");
    let seat = Seat {
        image: "raspios-trixie-amd64",
        role: "master",
        name: "laperouse",
        address: Some("192.168.77.10"),
        memory_mib: MEMORY_MIB,
    };
    let laperouse = cluster.member(&seat, &Order::changes())?;
    println!("$ piflash kubeconfig > kc        # before the card has booted");
    let kubeconfig = cluster.kubeconfig()?;
    println!("# the power goes on (console: target/tmp/pikube-test-consoles/cluster/demo)");
    let power = laperouse.power_on();
    cluster.done(&laperouse, &power, LIMIT)?;

    let login = cluster.login(&laperouse)?;
    for line in ["journalctl -u pikube-agent -o cat --no-pager", "pikube-agent status"] {
        let path = line.replace("pikube-agent status", "/usr/local/lib/pikube/pikube-agent status");
        println!("\nlaperouse$ {line}\n{}", login.run(&format!("sudo -n {path}"))?);
    }
    let kubectl = needs::clone_root().join(KUBECTL);
    for words in [&["get", "--raw", "/version"][..], &["get", "nodes"]] {
        let output = cluster.kubectl(&kubectl, &kubeconfig, words)?;
        let (said, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("\nlaptop$ kubectl --kubeconfig kc {}\n{}", words.join(" "), said.trim_end());
        ensure!(output.status.success(), "kubectl: {error}");
    }
    login.output("sudo -n systemctl poweroff")?;
    power.wait_for_power_off(LIMIT).context("powering off")?;
    Ok(true)
}
