//! A master on a virtual network, with what it installs beside it, and a laptop that asks it: with Kubernetes' own programs,
//! or with those of the tests in their place.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use pikube_tests::cluster::{Cluster, Seat};
use pikube_tests::internet::Kubernetes;
use pikube_tests::needs;
use pikube_tests::node::Order;

use crate::{about, show};

/// A control plane wants 1700 MB, and the kernel of a real computer keeps more for itself.
const MEMORY_MIB: u32 = 1900;
const REAL_MEMORY_MIB: u32 = 2300;
/// Several times what it takes, also without KVM and beside other programs.
const LIMIT: Duration = Duration::from_secs(3600);

/// The demonstration with stand-ins for Kubernetes; `false` where this computer cannot show it, after a line that says why.
///
/// # Errors
/// What does not work; with where it was.
pub fn run() -> Result<bool> {
    let Some(cluster) = Cluster::new("demo")? else { return Ok(false) };
    about(
        "piflash; the card, both partitions of it; pikube-agent; the boot from that card with systemd, apt, docker and \
         containerd; kubectl on the laptop",
        "an image built from Debian's packages for Raspberry Pi OS; a User Mode Linux machine for the Pi; programs of the \
         tests for kubeadm, kubelet and the API server, which check everything and run no pods (`make demo REAL=1` has \
         the real ones)",
    );
    let version = Kubernetes::StandIns.version()?;
    let folder = format!("target/test-standins/downloads/v{version}/bin/linux/amd64/kubectl");
    story(&cluster, MEMORY_MIB, &needs::clone_root().join(folder))?;
    Ok(true)
}

/// The demonstration with a real Kubernetes.
///
/// # Errors
/// What is missing, or does not work; with where it was.
pub fn run_real() -> Result<()> {
    let Some(cluster) = Cluster::real("demo-real")? else {
        bail!("a real Kubernetes cannot be shown here: see the line above")
    };
    let version = Kubernetes::Real.version()?;
    about(
        &format!(
            "piflash; the card, both partitions of it; pikube-agent; the boot from that card with systemd, apt, docker \
             and containerd; Kubernetes {version} with etcd, CoreDNS and flannel; kubectl on the laptop"
        ),
        "an image built from Debian's packages for Raspberry Pi OS; a QEMU machine for the Pi; packages and images that \
         were built here for those of pkgs.k8s.io and registry.k8s.io",
    );
    let kubectl = PathBuf::from(format!("target/test-kubernetes/bin/v{version}/kubectl"));
    story(&cluster, REAL_MEMORY_MIB, &needs::clone_root().join(kubectl))
}

/// Writes the master's card, boots it, and asks it.
fn story(cluster: &Cluster, memory_mib: u32, kubectl: &Path) -> Result<()> {
    let seat = Seat {
        image: "raspios-trixie-amd64",
        role: "master",
        name: "laperouse",
        address: Some("192.168.77.10"),
        memory_mib,
    };
    let laperouse = cluster.member(&seat, &Order::changes())?;
    show(
        "laptop$ piflash --role master --hostname laperouse --address 192.168.77.10/24 card.img",
        laperouse.node.receipt(),
    );
    println!("\nlaptop$ piflash kubeconfig > kc        # before the card has booted");
    let kubeconfig = cluster.kubeconfig()?;
    println!(
        "\n# the power goes on: {} (consoles: target/tmp/pikube-test-consoles/cluster)",
        laperouse.kind()
    );
    let began = Instant::now();
    let power = laperouse.power_on();
    cluster.done(&laperouse, &power, LIMIT)?;
    println!("# the node is ready after {} s", began.elapsed().as_secs());

    let login = cluster.login(&laperouse)?;
    for line in ["journalctl -u pikube-agent -o cat --no-pager", "pikube-agent status"] {
        let path = line.replace("pikube-agent status", "/usr/local/lib/pikube/pikube-agent status");
        show(&format!("laperouse$ {line}"), &login.run(&format!("sudo -n {path}"))?);
    }
    for words in ["get --raw /version", "get nodes,pods -A"] {
        let arguments: Vec<&str> = words.split(' ').collect();
        let output = cluster.kubectl(kubectl, &kubeconfig, &arguments)?;
        show(
            &format!("laptop$ kubectl --kubeconfig kc {words}"),
            &String::from_utf8_lossy(&output.stdout),
        );
        ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
    }
    login.output("sudo -n systemctl poweroff")?;
    power.wait_for_power_off(LIMIT).context("powering off")
}
