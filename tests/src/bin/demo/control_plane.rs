//! A master on a virtual network, with what it installs beside it, and a laptop that asks it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use pikube_tests::cluster::{Cluster, Seat};
use pikube_tests::needs;
use pikube_tests::node::Order;

use crate::{about, show};

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
    about(
        "piflash; the card, both partitions of it; pikube-agent; the boot from that card with systemd, apt, docker, \
         containerd; kubectl on the laptop",
        "an image built from Debian's packages for Raspberry Pi OS; a User Mode Linux machine for the Pi; programs of the \
         tests for kubeadm, kubelet and the API server, which check everything and run no pods (`make demo REAL=1` has \
         the real ones)",
    );
    let began = Instant::now();
    let seat = Seat {
        image: "raspios-trixie-amd64",
        role: "master",
        name: "laperouse",
        address: Some("192.168.77.10"),
        memory_mib: MEMORY_MIB,
    };
    let laperouse = cluster.member(&seat, &Order::changes())?;
    show(
        "laptop$ piflash --role master --hostname laperouse --address 192.168.77.10/24 card.img",
        laperouse.node.said(),
    );
    println!("\nlaptop$ piflash kubeconfig > kc        # before the card has booted");
    let kubeconfig = cluster.kubeconfig()?;
    println!(
        "\n# {} s: the power goes on (console: target/tmp/pikube-test-consoles/cluster/demo)",
        began.elapsed().as_secs()
    );
    let power = laperouse.power_on();
    cluster.done(&laperouse, &power, LIMIT)?;
    println!("# {} s: the node is done", began.elapsed().as_secs());

    let login = cluster.login(&laperouse)?;
    for line in ["journalctl -u pikube-agent -o cat --no-pager", "pikube-agent status"] {
        let path = line.replace("pikube-agent status", "/usr/local/lib/pikube/pikube-agent status");
        show(&format!("laperouse$ {line}"), &login.run(&format!("sudo -n {path}"))?);
    }
    let kubectl = needs::clone_root().join(KUBECTL);
    for words in ["get --raw /version", "get nodes,pods -A"] {
        let arguments: Vec<&str> = words.split(' ').collect();
        let output = cluster.kubectl(&kubectl, &kubeconfig, &arguments)?;
        show(
            &format!("laptop$ kubectl --kubeconfig kc {words}"),
            &String::from_utf8_lossy(&output.stdout),
        );
        ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
    }
    login.output("sudo -n systemctl poweroff")?;
    power.wait_for_power_off(LIMIT).context("powering off")?;
    Ok(true)
}
