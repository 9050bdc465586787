//! The legacy line: what looks like HypriotOS, with the docker that it brings, and package mirrors that are dead. Its kind
//! is 32-bit ARM; here it is the twin for this computer's processor, with the binaries for that.

use anyhow::{Context, Result, ensure};
use pikube_tests::cluster::{Cluster, Member, Seat};
use pikube_tests::node::Order;
use pikube_tests::web::{Fault, Times};

use super::{MASTER_ADDRESS, MASTER_MIB, WORKER_MIB};

const IMAGE: &str = "hypriot-amd64";
/// What piflash takes without `--kubernetes`.
const VERSION: &str = "v1.23.17";

#[test]
fn the_legacy_line() -> Result<()> {
    let Some(cluster) = Cluster::new("legacy")? else { return Ok(()) };
    let Some(kubectl) = super::kubectl::kubectl() else { return Ok(()) };
    let web = &cluster.internet.web;
    web.fail("/debian/", Fault::Status(404), Times::Always);
    let address = Some(MASTER_ADDRESS);
    let seat =
        |role, name, address, memory_mib| Seat { image: IMAGE, role, name, address, memory_mib };
    let pirate = member(&cluster, &seat("master", "pirate", address, MASTER_MIB))?;
    let parrot = member(&cluster, &seat("worker", "parrot", None, WORKER_MIB))?;
    let nodes = [(&pirate, pirate.power_on()), (&parrot, parrot.power_on())];
    for (member, power) in &nodes {
        super::is_done(&cluster, member, power)?;
        runs_on_docker(&cluster, member)?;
        is_told_to_be_out_of_support(&cluster, member)?;
    }
    let names = ["parrot", "pirate"];
    super::nodes_are_ready(&cluster, &kubectl, &cluster.kubeconfig()?, &names)?;
    super::was_made_once(&cluster, &pirate)?;
    super::joined_by_the_hash(&cluster, &parrot)?;
    for (member, power) in &nodes {
        super::no_secret_is_told(&cluster, member)?;
        super::leaves_in_order(&cluster, member, power)?;
    }
    let log = web.log();
    ensure!(!log.iter().any(|access| access.path.starts_with("/debian/")), "apt was asked");
    let binaries = log.iter().filter(|access| {
        access.path.starts_with(&format!("/downloads/{VERSION}/bin/")) && access.status == 200
    });
    // Three programs and their checksums, for each node.
    ensure!(binaries.count() == 12, "what was downloaded: {:#?}", log);
    Ok(())
}

fn member(cluster: &Cluster, seat: &Seat<'_>) -> Result<Member> {
    let member = cluster.member(seat, &Order::changes().flag("--legacy"))?;
    member.node.give_own_agent()?;
    Ok(member)
}

/// The kubelet of that version is active, and speaks to the image's own docker, which has pulled what kubeadm wants.
fn runs_on_docker(cluster: &Cluster, member: &Member) -> Result<()> {
    let login = cluster.login(member)?;
    login.run("systemctl is-active kubelet docker")?;
    let kubelet = login.run("kubelet --version")?;
    ensure!(kubelet == format!("Kubernetes {VERSION}"), "{}: {kubelet}", member.name());
    let docker =
        login.run("sudo -n docker info --format '{{.CgroupDriver}} {{.ServerVersion}}'")?;
    ensure!(docker.starts_with("systemd 20.10."), "{}: docker {docker}", member.name());
    let flags = login.run("sudo -n cat /var/lib/kubelet/kubeadm-flags.env")?;
    ensure!(!flags.contains("containerd.sock"), "{}: {flags}", member.name());
    let images = login.run("sudo -n docker images --format '{{.Repository}}:{{.Tag}}'")?;
    ensure!(images.contains(&format!("/kube-proxy:{VERSION}")), "{}: {images}", member.name());
    Ok(())
}

/// Whoever looks at the node learns that nobody looks after its Kubernetes any more.
fn is_told_to_be_out_of_support(cluster: &Cluster, member: &Member) -> Result<()> {
    let login = cluster.login(member)?;
    let journal = login.run("sudo -n journalctl -u pikube-agent -o cat --no-pager")?;
    ensure!(journal.contains("out of support"), "{}:\n{journal}", member.name());
    let plan = member.node.card().boot_text("pikube.toml").context("the plan")?;
    ensure!(plan.contains("legacy = true"), "{plan}");
    Ok(())
}
