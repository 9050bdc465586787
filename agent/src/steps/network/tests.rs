//! The step on systems of each kind, before and after the secrets are gone, and with plans that change.

use pikube_config::{FirstbootPlan, Secrets};

use super::*;
use crate::host::scripted::Node;
use crate::plan::Facts;
use crate::render::network::{
    dhcpcd, interfaces, keyfile, netplan, networkd, resolv_conf, tests as plans, wpa_supplicant,
};

/// The plan's own passwords, but for the two signs that netplan cannot write.
fn context(plan: &str, secrets: bool) -> Context {
    let text = plans::SECRETS.replace(" \\\"#", "");
    let secrets = secrets.then(|| Secrets::from_toml(&text).unwrap());
    Context::new(FirstbootPlan::from_toml(plan).unwrap(), secrets, Facts::default())
}

fn whole() -> Context {
    context(plans::PLAN, true)
}

/// Nothing in it for the network.
fn nothing() -> Context {
    context(&plans::PLAN[..plans::PLAN.find("[[network").unwrap()], false)
}

fn unit(node: &Node, name: &str, enabled: bool) {
    node.put(&format!("/lib/systemd/system/{name}"), "");
    if enabled {
        let path = format!("/etc/systemd/system/multi-user.target.wants/{name}");
        node.link(&format!("/lib/systemd/system/{name}"), &path).unwrap();
        node.active.borrow_mut().insert(name.to_owned());
    }
}

fn interfaces_of_kernel(node: &Node) {
    for name in ["eth0/type", "wlan0/phy80211/index"] {
        node.put(&format!("/sys/class/net/{name}"), "1\n");
    }
}

/// A node with one manager.
fn node(manager: &str) -> Node {
    let node = Node::bare();
    interfaces_of_kernel(&node);
    match manager {
        "nm" => {
            unit(&node, "NetworkManager.service", true);
            node.put("/usr/bin/nmcli", "");
        }
        "netplan" => {
            unit(&node, "systemd-networkd.service", true);
            node.put("/usr/sbin/netplan", "");
            node.put("/usr/share/netplan/netplan_cli/_features.py", "'regdom',\n");
            node.put("/etc/netplan/50-cloud-init.yaml", "network:\n  version: 2\n");
        }
        "dhcpcd" => {
            unit(&node, "dhcpcd.service", true);
            node.put("/sbin/ifup", "");
            node.put(dhcpcd::PATH, "hostname\nslaac private\n");
            node.put(wpa_supplicant::PATH, "country=GB\nupdate_config=1\n");
        }
        "ifupdown" => {
            node.put("/sbin/ifup", "");
            node.put(interfaces::MAIN, "source-directory /etc/network/interfaces.d\n");
            node.put(
                "/etc/network/interfaces.d/eth0",
                "allow-hotplug eth0\niface eth0 inet dhcp\n",
            );
            node.put(resolv_conf::PATH, "nameserver 9.9.9.9\n");
        }
        _ => {
            unit(&node, "systemd-networkd.service", true);
            unit(&node, "wpa_supplicant@.service", false);
        }
    }
    node
}

const MANAGERS: [&str; 5] = ["nm", "netplan", "dhcpcd", "ifupdown", "networkd"];

fn make(context: &Context, node: &Node) -> Notes {
    assert!(matches!(check(context, node), Ok(Check::Needed(_))));
    let notes = apply(context, node).unwrap();
    assert_eq!(check(context, node).unwrap(), Check::Satisfied);
    notes
}

/// Files and links, without what lives in memory.
fn files(node: &Node) -> Vec<(String, String)> {
    node.lasting().into_iter().map(|(path, (content, _, _))| (path, content)).collect()
}

#[test]
fn each_manager_is_found_and_gets_its_files() {
    let found = [
        Manager::Nm,
        Manager::Netplan { regulatory: true, sae: true },
        Manager::Dhcpcd,
        Manager::Ifupdown,
        Manager::Networkd,
    ];
    let signs = [
        format!("{}/pikube-eth0.nmconnection", keyfile::FOLDER),
        netplan::PATH.to_owned(),
        wpa_supplicant::PATH.to_owned(),
        interfaces::PATH.to_owned(),
        format!("{}/10-pikube-eth0.network", networkd::FOLDER),
    ];
    for ((name, manager), sign) in MANAGERS.into_iter().zip(found).zip(signs) {
        let node = node(name);
        assert_eq!(manager::find(&node).unwrap(), Some(manager), "{name}");
        let notes = make(&whole(), &node);
        assert!(!node.get(&sign).is_empty(), "{name}: {sign}");
        assert!(notes.iter().any(|note| note.contains("no interface `eth1`")), "{name}: {notes:?}");
        let managers: Vec<_> = ["pikube-", "60-pikube", "interfaces.d/pikube"].into();
        let others = files(&node)
            .iter()
            .filter(|(path, _)| managers.iter().any(|m| path.contains(m)))
            .count();
        assert!(others <= 5, "{name}: files of one manager only");
    }
}

#[test]
fn several_managers_side_by_side() {
    let node = node("netplan");
    unit(&node, "NetworkManager.service", true);
    assert!(matches!(manager::find(&node).unwrap(), Some(Manager::Netplan { .. })));
    node.put("/lib/netplan/00-network-manager-all.yaml", "network:\n  renderer: NetworkManager\n");
    assert_eq!(manager::find(&node).unwrap(), Some(Manager::Nm));
    let generated = self::node("nm");
    generated.put("/usr/sbin/netplan", "");
    generated.put("/etc/netplan/50-cloud-init.yaml", "network:\n  version: 2\n");
    generated
        .put("/run/systemd/generator.late/multi-user.target.wants/systemd-networkd.service", "");
    assert!(matches!(manager::find(&generated).unwrap(), Some(Manager::Netplan { .. })));
    let trixie = self::node("nm");
    trixie.put("/usr/sbin/netplan", "");
    trixie.put("/etc/netplan/50-cloud-init.yaml", "");
    assert_eq!(manager::find(&trixie).unwrap(), Some(Manager::Nm));
    let bullseye = self::node("dhcpcd");
    unit(&bullseye, "NetworkManager.service", false);
    unit(&bullseye, "networking.service", true);
    assert_eq!(manager::find(&bullseye).unwrap(), Some(Manager::Dhcpcd));
    let networkd = self::node("networkd");
    networkd.put("/sbin/ifup", "");
    assert_eq!(manager::find(&networkd).unwrap(), Some(Manager::Networkd));
    unit(&networkd, "networking.service", true);
    assert_eq!(manager::find(&networkd).unwrap(), Some(Manager::Ifupdown));
}

#[test]
fn an_old_netplan_is_not_told_the_country() {
    let node = node("netplan");
    node.put("/usr/share/netplan/netplan_cli/_features.py", "'dhcp-use-domains',\n");
    make(&whole(), &node);
    assert!(!node.get(netplan::PATH).contains("regulatory"));
}

#[test]
fn an_old_netplan_refuses_wpa3_by_the_network_s_name() {
    let node = node("netplan");
    node.entries.borrow_mut().remove("/usr/share/netplan/netplan_cli/_features.py");
    node.put("/usr/share/netplan/netplan/_features.py", "'regdom',\n");
    let Err(Stop::Person { what, .. }) = apply(&whole(), &node) else { panic!() };
    assert!(what.contains("`Café; du \\Port`") && what.contains("no WPA3"), "{what}");
    assert!(!node.exists(netplan::PATH).unwrap());
    make(&context(&plans::PLAN.replace("wpa3", "wpa2"), true), &node);
    assert!(node.get(netplan::PATH).contains("regulatory-domain"));
}

#[test]
fn an_old_wpa_supplicant_refuses_wpa3_by_the_network_s_name() {
    for name in ["dhcpcd", "ifupdown", "networkd"] {
        let node = node(name);
        node.put("/sbin/wpa_supplicant", "");
        node.put("/etc/jessie", "");
        let before = files(&node);
        let Err(Stop::Person { what, .. }) = apply(&whole(), &node) else { panic!("{name}") };
        assert!(what.contains("`Café; du \\Port`: wpa_supplicant 2.3 has no WPA3"), "{what}");
        assert_eq!(files(&node), before, "{name}");
        node.entries.borrow_mut().remove("/etc/jessie");
        make(&whole(), &node);
    }
}

#[test]
fn without_secrets_a_good_file_is_left_and_a_changed_one_keeps_its_passwords() {
    for name in MANAGERS {
        let node = node(name);
        make(&whole(), &node);
        let before = files(&node);
        assert_eq!(check(&context(plans::PLAN, false), &node).unwrap(), Check::Satisfied, "{name}");
        // Another country and another order, but no password comes with them.
        let plan = plans::PLAN.replace("ssid = \"harbour\"", "ssid = \"harbour\"\nhidden = true");
        let later = context(&plan, false);
        if check(&later, &node).unwrap() != Check::Satisfied {
            make(&later, &node);
        }
        let now: String = files(&node).into_iter().map(|(_, content)| content).collect();
        let then: String = before.into_iter().map(|(_, content)| content).collect();
        for secret in ["89ABCDEF", "fish"] {
            assert_eq!(now.matches(secret).count(), then.matches(secret).count(), "{name}");
            assert!(now.contains(secret), "{name}");
        }
    }
}

#[test]
fn a_password_that_is_nowhere_is_asked_for_and_nothing_is_written() {
    for name in MANAGERS {
        let node = node(name);
        let before = files(&node);
        let Err(Stop::Person { what, help }) = apply(&context(plans::PLAN, false), &node) else {
            panic!("{name}")
        };
        assert!(
            what.contains("Wi-Fi network `Café; du \\Port`") && help.contains("configure"),
            "{what}"
        );
        assert_eq!(files(&node), before, "{name}");
    }
}

#[test]
fn a_plan_that_wants_nothing_any_more_leaves_what_was_there_before() {
    for name in MANAGERS {
        let node = node(name);
        assert_eq!(check(&nothing(), &node).unwrap(), Check::Satisfied, "{name}");
        let before = files(&node);
        make(&whole(), &node);
        assert_ne!(files(&node), before);
        make(&nothing(), &node);
        let mut after = files(&node);
        // Name servers stay until a DHCP client writes its own.
        for (path, content) in &mut after {
            if path == resolv_conf::PATH {
                assert!(content.ends_with("nameserver 9.9.9.9\n"));
                *content = "nameserver 9.9.9.9\n".to_owned();
            }
        }
        assert_eq!(after, before, "{name}");
    }
}

#[test]
fn one_network_less_is_one_file_less() {
    let node = node("nm");
    make(&whole(), &node);
    let plan = &plans::PLAN[..plans::PLAN.rfind("[[wifi.networks]]").unwrap()];
    make(&context(plan, false), &node);
    assert!(!node.exists(&format!("{}/pikube-wifi-3.nmconnection", keyfile::FOLDER)).unwrap());
    assert!(node.exists(&format!("{}/pikube-wifi-2.nmconnection", keyfile::FOLDER)).unwrap());
}

#[test]
fn the_first_network_may_go_and_the_others_keep_their_passwords() {
    let node = node("nm");
    make(&whole(), &node);
    let from = plans::PLAN.find("[[wifi.networks]]").unwrap();
    let to = plans::PLAN[from + 1..].find("[[wifi.networks]]").unwrap() + from + 1;
    let plan = format!("{}{}", &plans::PLAN[..from], &plans::PLAN[to..]);
    make(&context(&plan, false), &node);
    let first = node.get(&format!("{}/pikube-wifi-1.nmconnection", keyfile::FOLDER));
    assert!(first.contains("psk=0123456789abcdef") && !first.contains("fish"), "{first}");
}

#[test]
fn others_keep_what_is_theirs() {
    let pi = node("dhcpcd");
    make(&whole(), &pi);
    assert!(pi.get(dhcpcd::PATH).starts_with("hostname\nslaac private\n# pikube: begin"));
    let kept = format!("{}.pikube-orig", wpa_supplicant::PATH);
    assert_eq!(pi.get(&kept), "country=GB\nupdate_config=1\n");
    assert_eq!(pi.access(&kept).unwrap().mode, 0o600);
    let hypriot = node("ifupdown");
    make(&whole(), &hypriot);
    assert_eq!(
        hypriot.get("/etc/network/interfaces.d/eth0"),
        "# pikube: allow-hotplug eth0\n# pikube: iface eth0 inet dhcp\n"
    );
    assert!(hypriot.get(resolv_conf::PATH).starts_with("nameserver 192.168.1.1\n"));
}

#[test]
fn the_manager_is_told_once_and_only_of_changes() {
    for (name, told) in [
        ("nm", "nmcli --wait 30 connection up id pikube-eth0"),
        ("netplan", "netplan apply"),
        ("dhcpcd", "systemctl restart dhcpcd.service"),
        ("ifupdown", "ifup --force eth0"),
        ("networkd", "networkctl reload"),
    ] {
        let node = node(name);
        make(&whole(), &node);
        let count = |node: &Node| node.log.borrow().iter().filter(|line| *line == told).count();
        assert_eq!(count(&node), 1, "{name}: {:?}", node.log.borrow());
        apply(&whole(), &node).unwrap();
        assert_eq!(count(&node), 1, "{name}: a second time");
        let missing =
            node.log.borrow().iter().any(|line| line.ends_with(" eth1") || line.ends_with("-eth1"));
        assert!(!missing, "{name}: an interface that is not there");
    }
}

#[test]
fn a_dhcp_client_of_before_does_not_bring_its_address_back() {
    let node = node("ifupdown");
    for path in ["/run/dhclient.eth0.pid", "/sbin/dhclient"] {
        node.put(path, "716\n");
    }
    make(&whole(), &node);
    let log = node.log.borrow();
    let at = |start: &str| log.iter().position(|line| line.starts_with(start)).unwrap();
    assert!(at("dhclient -r -pf /run/dhclient.eth0.pid ") < at("ifdown --force eth0"), "{log:?}");
    assert_eq!(log.iter().filter(|line| line.starts_with("dhclient")).count(), 1, "{log:?}");
}

#[test]
fn what_works_is_not_cut_off_for_a_change_elsewhere() {
    let wifi = plans::PLAN.replace("ssid = \"harbour\"", "ssid = \"harbour\"\nhidden = true");
    let wired = plans::PLAN.replace("192.168.1.21/24", "192.168.1.22/24");
    for (name, plan, told, untold) in [
        ("nm", &wifi, "nmcli connection reload", " connection up "),
        ("nm", &wired, "connection up id pikube-eth0", "wifi-"),
        ("dhcpcd", &wifi, "wpa_cli -i wlan0 reconfigure", "dhcpcd"),
        ("dhcpcd", &wired, "systemctl restart dhcpcd.service", "wpa_cli"),
        ("ifupdown", &wifi, "ifup --force wlan0", "eth0"),
        ("networkd", &wifi, "restart wpa_supplicant@wlan0.service", "eth0"),
        ("networkd", &wired, "networkctl reconfigure eth0", "restart"),
    ] {
        let node = node(name);
        node.put("/run/wpa_supplicant/wlan0", "");
        node.put("/sbin/wpa_cli", "");
        make(&whole(), &node);
        node.log.borrow_mut().clear();
        make(&context(plan, false), &node);
        let log = node.log.borrow().join("\n");
        assert!(log.contains(told), "{name}: {log}");
        assert!(!log.contains(untold), "{name}: {log}");
    }
}

#[test]
fn a_manager_that_refuses_its_file_stops_with_one_line() {
    let node = node("netplan");
    node.fail("netplan generate", 1, "/etc/netplan/60-pikube.yaml:9:3: Error", 1);
    let Err(Stop::Person { what, .. }) = apply(&whole(), &node) else { panic!() };
    assert!(what.contains("`netplan generate`") && what.contains(":9:3:"), "{what}");
    node.drop_below("/run/");
    assert!(matches!(check(&whole(), &node), Ok(Check::Needed(_))), "at the next boot as well");
    make(&whole(), &node);
    let node = self::node("nm");
    node.put("/run/nm-knows", "");
    node.fail("nmcli -t", 0, "", 1);
    let Err(Stop::Person { what, .. }) = apply(&whole(), &node) else { panic!() };
    assert!(
        what.contains("pikube-eth0.nmconnection") && what.contains("does not take it"),
        "{what}"
    );
}

#[test]
fn a_cable_that_is_not_plugged_in_is_a_note() {
    let node = node("nm");
    node.fail("nmcli --wait", 4, "Error: Connection activation failed", 1);
    let notes = make(&whole(), &node);
    assert!(notes.iter().any(|note| note.contains("activation failed")), "{notes:?}");
}

#[test]
fn the_radio_is_turned_on_where_software_can() {
    let node = Node::pi();
    let state = "/var/lib/NetworkManager/NetworkManager.state";
    make(&whole(), &node);
    assert_eq!(node.get(state), "[main]\nWirelessEnabled=true\n");
    assert_eq!(node.get("/var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan"), "0\n");
    assert_eq!(node.get("/var/lib/systemd/rfkill/platform-3f201000.serial:bluetooth"), "1\n");
    assert_eq!(node.get("/sys/class/rfkill/rfkill0/soft"), "0\n");
    assert_eq!(node.get("/sys/class/rfkill/rfkill1/soft"), "1\n");
    assert!(node.log.borrow().iter().any(|line| line == "iw reg set FR"));
    assert!(node.log.borrow().iter().any(|line| line == "nmcli radio wifi on"));
    let Check::Satisfied = check(&nothing(), &Node::pi()).unwrap() else { panic!() };
    let deaf = Node::pi();
    deaf.fail("iw", 161, "command failed: Invalid exchange (-52)", 1);
    assert!(make(&whole(), &deaf).iter().any(|note| note.contains("iw reg set FR")));
}

#[test]
fn a_system_without_a_manager_is_told_only_if_the_plan_needs_one() {
    let node = Node::bare();
    assert_eq!(check(&nothing(), &node).unwrap(), Check::Satisfied);
    let Err(Stop::Person { what, help }) = apply(&whole(), &node) else { panic!() };
    assert!(what.contains("no network manager") && help.contains("NetworkManager"));
}

#[test]
fn an_address_of_wifi_without_a_network_is_noted() {
    let plan = plans::PLAN[..plans::PLAN.find("[wifi]").unwrap()].replace("eth1", "wlan0");
    let notes = make(&context(&plan, false), &node("networkd"));
    assert_eq!(notes, ["`wlan0` has an address, but the plan has no Wi-Fi network"]);
}
