//! Rung 3: where cloud-init starts the agent. The card's own boot partition is the seed, and cloud-init itself reads it:
//! 25.1.4 in the image that looks like Ubuntu Server, 22.4.2 in the one that looks like HypriotOS.

use anyhow::{Context, Result, ensure};
use pikube_tests::node::{self, Node, Order};
use pikube_tests::site::{Site, Visit};
use pikube_tests::ssh::Login;
use pikube_tests::switch::LAPTOP;

const CARD_BYTES: u64 = 4 << 30;
const ADDRESS: &str = "192.168.77.22";

#[test]
fn ubuntu_with_a_static_address() -> Result<()> {
    let Some(site) = Site::new("ubuntu-amd64")? else { return Ok(()) };
    let order = site
        .order(node::HOSTNAME)
        .with("--interface", "eth0")
        .with("--address", format!("{ADDRESS}/24"))
        .with("--router", LAPTOP)
        .with("--dns", LAPTOP);
    let node = written(&site, &order)?;
    becomes_a_node(&site, &node, Some(ADDRESS), ("ubuntu", "ubuntu"))
}

#[test]
fn hypriot_by_dhcp() -> Result<()> {
    let Some(site) = Site::new("hypriot-amd64")? else { return Ok(()) };
    let node = written(&site, &site.order(node::HOSTNAME))?;
    node.give_own_agent()?;
    becomes_a_node(&site, &node, None, ("pirate", "hypriot"))
}

fn written(site: &Site, order: &Order) -> Result<Node> {
    let node = site.workshop.write(CARD_BYTES, order)?;
    node.card().check_boot()?;
    Ok(node)
}

/// One boot makes the node, a second changes nothing of it. `known` is a login that everybody knows.
fn becomes_a_node(
    site: &Site,
    node: &Node,
    address: Option<&str>,
    known: (&str, &str),
) -> Result<()> {
    let first = site.visit(node, address)?;
    is_done(&first).context("first boot")?;
    let output = first.login.run("sudo -n cat /var/log/cloud-init-output.log")?;
    ensure!(output.contains("pikube-launch:"), "cloud-init ran no launcher:\n{output}");
    for (user, password) in [known, (node::USER, node::PASSWORD), ("root", known.1)] {
        let accepted = first.login.other(user).password_is_accepted(password)?;
        ensure!(!accepted, "{user} may log in with the password {password}");
    }
    let instance = first.login.run("sudo -n readlink /var/lib/cloud/instance")?;
    first.leave()?;
    card_is_clean(node)?;

    let second = site.visit(node, address).context("second boot")?;
    is_done(&second).context("second boot")?;
    let same = second.login.run("sudo -n readlink /var/lib/cloud/instance")?;
    ensure!(same == instance, "cloud-init begins anew at every boot: {instance}, then {same}");
    second.leave()?;
    card_is_clean(node)
}

/// cloud-init and the agent both say that they are through, without an error.
fn is_done(visit: &Visit<'_>) -> Result<()> {
    let login = &visit.login;
    let status = cloud_init(login)?;
    ensure!(status["status"] == "done", "cloud-init says {status:#}");
    let complaints = complaints(&status);
    ensure!(complaints.is_empty(), "cloud-init complains: {complaints:#?}");
    let agent = login.run("sudo -n /usr/local/lib/pikube/pikube-agent status --format json")?;
    let agent: serde_json::Value = serde_json::from_str(&agent)?;
    ensure!(agent["state"] == "done", "the agent says {agent:#}");
    let hostname = login.run("hostname")?;
    ensure!(hostname == node::HOSTNAME, "the host name is {hostname}");
    let root = login.run("sudo -n id -un")?;
    ensure!(root == "root", "sudo makes the login user {root}");
    let size_kib: u64 = login.run("df -k --output=size / | tail -n 1")?.trim().parse()?;
    ensure!(size_kib > CARD_BYTES / 2 / 1024, "the root did not grow: {size_kib} KiB");
    Ok(())
}

/// `cloud-init status`, as it tells programs. Its exit code 2 says what `recoverable_errors` says.
fn cloud_init(login: &Login<'_>) -> Result<serde_json::Value> {
    let said = login.output("cloud-init status --wait --format json")?.stdout;
    serde_json::from_slice(&said)
        .with_context(|| format!("cloud-init status: {}", String::from_utf8_lossy(&said)))
}

/// What went wrong or is frowned upon, over all stages, but for the one thing that Ubuntu's own configuration does.
fn complaints(status: &serde_json::Value) -> Vec<&str> {
    let errors = status["errors"].as_array().into_iter().flatten();
    let levels = status["recoverable_errors"].as_object().into_iter().flatten();
    let recoverable = levels.flat_map(|(_, list)| list.as_array().into_iter().flatten());
    errors
        .chain(recoverable)
        .map(|complaint| complaint.as_str().unwrap_or("a complaint that is no text"))
        .filter(|complaint| !complaint.contains("Custom fs_label keys is deprecated"))
        .collect()
}

fn card_is_clean(node: &Node) -> Result<()> {
    let card = node.card();
    let left = card.boot_holds_any(node.secrets())?;
    ensure!(left.is_none(), "secret {left:?} of the card is still on the boot partition");
    let report: serde_json::Value = serde_json::from_str(&card.boot_text("pikube-report.json")?)?;
    ensure!(report["state"] == "done", "the report on the card does not say done: {report:#}");
    card.check_boot()?;
    card.check_root()
}
