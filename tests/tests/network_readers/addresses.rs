//! Static addresses, as each manager's own program understands them.

use std::fs;

use pikube_agent::render::network::{interfaces, keyfile, netplan as yaml};
use pikube_tests::needs::or_skip;
use serde_json::json;
use tempfile::TempDir;

use super::networks::{keyfile_readers, keyfiles};
use super::programs::{Readers, folder, put, run, stdout};
use super::{plan, wanted};

/// IPv4 with everything, IPv6 with a router, IPv6 alone.
const ADDRESSES: &str = r#"
[[network.addresses]]
interface = "eth0"
address = "192.168.1.21/20"
router = "192.168.1.1"
dns = ["192.168.1.1", "fd00::1"]
[[network.addresses]]
interface = "eth1"
address = "fd00:2::21/64"
"#;

/// Runs netplan's generator on one file of ours beside one as cloud-init writes it; the root that it wrote into.
pub fn netplan(readers: &Readers, text: &str) -> TempDir {
    let root = folder();
    let cloud = "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n      optional: true\n";
    put(root.path(), "etc/netplan/50-cloud-init.yaml", cloud);
    put(root.path(), yaml::PATH, text);
    let mut command =
        readers.program(&["usr/libexec/netplan/generate", "lib/netplan/generate"]).unwrap();
    command.arg("--root-dir").arg(root.path());
    let output = run(command, "");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
    root
}

#[test]
fn network_manager_reads_them() {
    let Some(readers) = or_skip("network_manager_reads_them", keyfile_readers()) else { return };
    let plan = plan(ADDRESSES);
    let drafts = keyfile::drafts(&wanted(&plan, None));
    let texts: Vec<String> = drafts.iter().map(|d| d.text("").unwrap().to_string()).collect();
    let said = keyfiles(&readers, &texts);
    assert!(said.iter().all(|said| said["valid"] == true && said["warnings"] == 0), "{said:?}");
    assert_eq!((&said[0]["interface"], &said[0]["priority"]), (&json!("eth0"), &json!(200)));
    assert_eq!(
        said[0]["ipv4"],
        json!({"method": "manual", "addresses": ["192.168.1.21/20"], "gateway": "192.168.1.1", "dns": ["192.168.1.1"]})
    );
    assert_eq!(
        said[0]["ipv6"],
        json!({"method": "auto", "addresses": [], "gateway": null, "dns": ["fd00::1"]})
    );
    assert_eq!(said[1]["ipv4"]["method"], "auto");
    assert_eq!(
        said[1]["ipv6"],
        json!({"method": "manual", "addresses": ["fd00:2::21/64"], "gateway": null, "dns": []})
    );
}

#[test]
fn netplan_makes_networkd_files_of_them() {
    let Some(readers) = or_skip("netplan_makes_networkd_files_of_them", Readers::new()) else {
        return;
    };
    let plan = plan(&format!(
        "{ADDRESSES}[wifi]\ncountry = \"FR\"\n[[wifi.networks]]\nssid = \"quay\"\nsecurity = \"open\"\n"
    ));
    let draft = yaml::draft(&wanted(&plan, None), true).unwrap();
    let root = netplan(&readers, &draft.text("").unwrap());
    let read = |name: &str| fs::read_to_string(root.path().join("run/systemd").join(name)).unwrap();
    let eth0 = read("network/10-netplan-eth0.network");
    for line in
        ["Address=192.168.1.21/20", "Gateway=192.168.1.1", "DNS=fd00::1", "RequiredForOnline=no"]
    {
        assert!(eth0.lines().any(|found| found == line), "{line}: {eth0}");
    }
    assert!(!eth0.contains("DHCP="), "cloud-init's own word is overruled: {eth0}");
    let eth1 = read("network/10-netplan-eth1.network");
    assert!(eth1.contains("DHCP=ipv4\n") && eth1.contains("Address=fd00:2::21/64\n"), "{eth1}");
    assert!(read("network/10-netplan-wlan0.network").contains("RouteMetric=600\n"));
    assert!(read("system/netplan-regdom.service").contains("reg set FR"));
}

#[test]
fn ifupdown_runs_what_they_say() {
    let Some(readers) = or_skip("ifupdown_runs_what_they_say", Readers::new()) else { return };
    let plan = plan(ADDRESSES);
    let folder = folder();
    let draft = interfaces::draft(&wanted(&plan, None)).unwrap();
    put(folder.path(), "interfaces.d/pikube", &draft.text("").unwrap());
    let theirs = "auto eth0\niface eth0 inet dhcp\n    metric 7\n";
    let names = interfaces::names(&wanted(&plan, None));
    put(folder.path(), "interfaces.d/eth0", &interfaces::without(theirs, &names));
    let main = format!("source {}/interfaces.d/*\n", folder.path().display());
    let main = put(folder.path(), "interfaces", &main);
    let query = |interface: &str| {
        let mut command = readers.program(&["sbin/ifquery", "usr/sbin/ifquery"]).unwrap();
        command.arg("-i").arg(&main).arg(interface);
        let output = run(command, "");
        assert!(output.status.success(), "{output:?}");
        stdout(&output)
    };
    let eth0 = query("eth0");
    for line in ["address: 192.168.1.21", "netmask: 255.255.240.0", "gateway: 192.168.1.1"] {
        assert!(eth0.lines().any(|found| found == line), "{line}: {eth0}");
    }
    assert!(!eth0.contains("metric"), "{eth0}");
    let eth1 = query("eth1");
    assert!(eth1.contains("address: fd00:2::21\n") && eth1.contains("netmask: 64\n"), "{eth1}");
    let mut command = readers.program(&["sbin/ifup", "usr/sbin/ifup"]).unwrap();
    command.args(["--no-act", "--force", "-v", "-i"]).arg(&main);
    command.arg("--state-dir").arg(folder.path().join("state")).arg("eth0");
    let output = run(command, "");
    let said = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ip addr add 192.168.1.21/255.255.240.0"), "{said}");
    assert!(said.contains("ip route add default via 192.168.1.1"), "{said}");
    assert!(!said.contains("dhclient"), "{said}");
}
