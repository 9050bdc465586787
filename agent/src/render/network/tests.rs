//! What each format gets for one plan; that the real programs read it the same is tried in `tests/`.

use pikube_config::{FirstbootPlan, Secrets};

use super::*;

/// A plan with one of everything.
pub(crate) const PLAN: &str = r#"
schema = 1
[node]
hostname = "laperouse"
role = "worker"
[[network.addresses]]
interface = "eth0"
address = "192.168.1.21/24"
router = "192.168.1.1"
dns = ["192.168.1.1", "fd00::1"]
[[network.addresses]]
interface = "eth1"
address = "fd00:2::21/64"
[wifi]
country = "FR"
[[wifi.networks]]
ssid = "Café; du \\Port"
security = "wpa3"
hidden = true
[[wifi.networks]]
ssid = "harbour"
[[wifi.networks]]
ssid = "quay"
security = "open"
"#;

pub(crate) const SECRETS: &str = r##"
schema = 1
[[wifi.networks]]
ssid = "Café; du \\Port"
password = " sword\\fish \"#"
[[wifi.networks]]
ssid = "harbour"
password = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"
"##;

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF";

fn with<T>(plan: &str, act: impl FnOnce(&Wanted) -> T) -> T {
    let plan = FirstbootPlan::from_toml(plan).unwrap();
    let secrets = Secrets::from_toml(SECRETS).unwrap();
    act(&Wanted::new(&plan, Some(&secrets), WIRELESS))
}

fn text(draft: &Draft) -> String {
    draft.text("").unwrap().to_string()
}

#[test]
fn keyfiles() {
    let drafts = with(PLAN, keyfile::drafts);
    let names: Vec<&str> = drafts.iter().map(|draft| keyfile::name(&draft.path)).collect();
    assert_eq!(
        names,
        ["pikube-eth0", "pikube-eth1", "pikube-wifi-1", "pikube-wifi-2", "pikube-wifi-3"]
    );
    assert!(drafts.iter().all(|draft| draft.mode == 0o600));
    assert_eq!(
        text(&drafts[0]),
        format!(
            "{OURS}\n[connection]\nid=pikube-eth0\ntype=ethernet\nautoconnect-priority=200\n\
             interface-name=eth0\n[ipv4]\naddress1=192.168.1.21/24,192.168.1.1\nmethod=manual\n\
             dns=192.168.1.1;\n[ipv6]\nmethod=auto\ndns=fd00::1;\n"
        )
    );
    assert!(text(&drafts[1]).contains("[ipv4]\nmethod=auto\n[ipv6]\naddress1=fd00:2::21/64\n"));
    let first = text(&drafts[2]);
    assert!(first.contains("hidden=true\nssid=67;97;102;195;169;59;32;100;117;32;92;80;111;"));
    assert!(first.contains("key-mgmt=sae\npsk=\\ssword\\\\fish\\s\"#\n"), "{first}");
    assert!(text(&drafts[3]).contains(&format!("priority=199\n[wifi]\nmode=infrastructure\nssid=104;97;114;98;111;117;114;\n[wifi-security]\nkey-mgmt=wpa-psk\npsk={KEY}\n")));
    assert!(!text(&drafts[4]).contains("security"));
}

#[test]
fn a_static_address_of_the_wireless_interface_goes_into_its_networks() {
    let plan = PLAN.replace("\"eth0\"", "\"wlan0\"");
    for draft in &with(&plan, keyfile::drafts)[1..] {
        assert!(text(draft).contains("interface-name=wlan0\n[wifi]"));
        assert!(text(draft).contains("address1=192.168.1.21/24,192.168.1.1\n"));
    }
    let netplan = text(&with(&plan, |wanted| netplan::draft(wanted, true)).unwrap());
    assert!(!netplan.contains("eth0") && netplan.contains("dhcp4: false\n      addresses: [\"192"));
    let interfaces = text(&with(&plan, interfaces::draft).unwrap());
    assert!(interfaces.contains("iface wlan0 inet static\n    address 192.168.1.21\n"));
    assert!(
        interfaces.trim_end().ends_with("wpa_supplicant.conf")
            && !interfaces.contains("wlan0 inet dhcp")
    );
}

#[test]
fn netplan_yaml() {
    let draft = with(PLAN, |wanted| netplan::draft(wanted, true)).unwrap();
    assert_eq!(draft.mode, 0o600);
    let yaml = text(&draft);
    assert_eq!(
        yaml,
        format!(
            r##"{OURS}
network:
  version: 2
  ethernets:
    "eth0":
      renderer: networkd
      optional: true
      dhcp4: false
      addresses: ["192.168.1.21/24"]
      routes:
        - to: "0.0.0.0/0"
          via: "192.168.1.1"
      nameservers:
        addresses: ["192.168.1.1", "fd00::1"]
    "eth1":
      renderer: networkd
      optional: true
      dhcp4: true
      addresses: ["fd00:2::21/64"]
  wifis:
    "wlan0":
      renderer: networkd
      optional: true
      dhcp4: true
      regulatory-domain: "FR"
      access-points:
        "Caf\U000000E9; du \\Port":
          hidden: true
          auth:
            key-management: sae
            password: " sword\\fish \"#"
        "harbour":
          auth:
            key-management: psk
            password: "{KEY}"
        "quay": {{}}
"##
        )
    );
    let old = text(&with(PLAN, |wanted| netplan::draft(wanted, false)).unwrap());
    assert!(!old.contains("regulatory"));
}

#[test]
fn wpa_supplicant_conf() {
    let draft = with(PLAN, |wanted| wpa_supplicant::draft(wanted, wpa_supplicant::PATH)).unwrap();
    assert_eq!(draft.mode, 0o600);
    assert_eq!(
        text(&draft),
        format!(
            "{OURS}\nctrl_interface=DIR=/run/wpa_supplicant\ncountry=FR\n\
             network={{\n\tssid=436166c3a93b206475205c506f7274\n\tscan_ssid=1\n\tpriority=3\n\
             \tkey_mgmt=SAE\n\tieee80211w=2\n\tsae_password=2073776f72645c66697368202223\n}}\n\
             network={{\n\tssid=\"harbour\"\n\tpriority=2\n\tkey_mgmt=WPA-PSK\n\tpsk={KEY}\n}}\n\
             network={{\n\tssid=\"quay\"\n\tpriority=1\n\tkey_mgmt=NONE\n}}\n"
        )
    );
}

#[test]
fn pass_phrases_that_wpa_supplicant_would_cut_become_keys() {
    let cut = |draft: fn(&Wanted) -> Option<Draft>| {
        let plan = FirstbootPlan::from_toml(PLAN).unwrap();
        let secrets = SECRETS.replace(KEY, "pass\\\"#word");
        let secrets = Secrets::from_toml(&secrets).unwrap();
        text(&draft(&Wanted::new(&plan, Some(&secrets), WIRELESS)).unwrap())
    };
    let key = "\n\tpsk=";
    let conf = cut(|wanted| wpa_supplicant::draft(wanted, wpa_supplicant::PATH));
    let key = &conf[conf.find(key).unwrap() + key.len()..][..64];
    assert!(key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{conf}");
    assert!(cut(|wanted| netplan::draft(wanted, true)).contains(&format!("password: \"{key}\"")));
}

#[test]
fn what_netplan_cannot_hand_on_is_refused() {
    let refusal = |from: &str, to: &str, sae| {
        let secrets = SECRETS.replace(" \\\"#", "");
        let secrets = Secrets::from_toml(&secrets).unwrap();
        let plan = FirstbootPlan::from_toml(&PLAN.replace(from, to)).unwrap();
        netplan::refusal(&Wanted::new(&plan, Some(&secrets), WIRELESS), sae)
    };
    assert_eq!(refusal("quay", "quay", true), None);
    assert!(refusal("quay", "quay", false).unwrap().0.contains("no WPA3"));
    assert!(refusal("\"quay\"", "\"q\\\"u#ay\"", true).unwrap().1.contains("another name"));
    assert!(with(PLAN, |wanted| netplan::refusal(wanted, true)).unwrap().1.contains("password"));
}

#[test]
fn dhcpcd_conf() {
    assert_eq!(
        with(PLAN, dhcpcd::block),
        [
            "interface eth0",
            "static ip_address=192.168.1.21/24",
            "static routers=192.168.1.1",
            "static domain_name_servers=192.168.1.1 fd00::1",
            "interface eth1",
            "static ip6_address=fd00:2::21/64",
        ]
    );
}

#[test]
fn networkd_files() {
    let drafts = with(PLAN, networkd::drafts);
    let paths: Vec<&str> = drafts.iter().map(|draft| draft.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/etc/systemd/network/10-pikube-eth0.network",
            "/etc/systemd/network/10-pikube-eth1.network",
            "/etc/systemd/network/10-pikube-wlan0.network",
            "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
        ]
    );
    assert_eq!(
        text(&drafts[0]),
        format!(
            "{OURS}\n[Match]\nName=eth0\n[Network]\nDHCP=no\nAddress=192.168.1.21/24\n\
             Gateway=192.168.1.1\nDNS=192.168.1.1\nDNS=fd00::1\n"
        )
    );
    assert!(text(&drafts[1]).contains("DHCP=ipv4\nAddress=fd00:2::21/64\n"));
}

#[test]
fn ifupdown_files() {
    let draft = with(PLAN, interfaces::draft).unwrap();
    assert_eq!(
        text(&draft),
        format!(
            "{OURS}\nallow-hotplug eth0\niface eth0 inet static\n    address 192.168.1.21\n    \
             netmask 255.255.255.0\n    gateway 192.168.1.1\n    dns-nameservers 192.168.1.1 fd00::1\n\
             allow-hotplug eth1\niface eth1 inet dhcp\niface eth1 inet6 static\n    \
             address fd00:2::21\n    netmask 64\n\
             allow-hotplug wlan0\niface wlan0 inet dhcp\n    wpa-conf {}\n",
            wpa_supplicant::PATH
        )
    );
}

#[test]
fn what_others_say_of_our_interfaces_becomes_a_comment_and_comes_back() {
    let text = "auto lo\niface lo inet loopback\n\nallow-hotplug eth0\niface eth0 inet dhcp\n    metric 5\n# x\nauto wlan0 eth9\niface wlan0 inet manual\n\tup echo\nsource-directory interfaces.d\n";
    let off = interfaces::without(text, &["eth0", "wlan0"]);
    for line in ["allow-hotplug eth0", "iface eth0 inet dhcp", "    metric 5", "\tup echo"] {
        assert!(off.contains(&format!("\n# pikube: {line}\n")), "{line}: {off}");
    }
    assert!(off.contains("\nauto wlan0 eth9\n") && off.contains("\niface lo inet loopback\n"));
    assert_eq!(interfaces::without(&off, &["eth0", "wlan0"]), off);
    assert!(interfaces::without(&off, &["wlan0"]).contains("\niface eth0 inet dhcp\n"));
    assert_eq!(interfaces::without(&off, &[]), text);
    assert_eq!(interfaces::sourced(text, true), text);
    let bare = "auto lo\n";
    let sourced = interfaces::sourced(bare, true);
    assert_eq!(sourced, "auto lo\nsource /etc/network/interfaces.d/pikube\n");
    assert_eq!(interfaces::sourced(&sourced, true), sourced);
    assert_eq!(interfaces::sourced(&sourced, false), bare);
}

#[test]
fn name_servers_come_before_those_of_others() {
    let plan = FirstbootPlan::from_toml(PLAN).unwrap();
    let wanted = Wanted::new(&plan, None, WIRELESS);
    let merged =
        resolv_conf::merge("search lan\nnameserver fd00::1\nnameserver 9.9.9.9\n", &wanted)
            .unwrap();
    assert_eq!(
        merged,
        "nameserver 192.168.1.1\nnameserver fd00::1\nsearch lan\nnameserver 9.9.9.9\n"
    );
    assert_eq!(resolv_conf::merge(&merged, &wanted), None);
}

#[test]
fn a_plan_that_asks_for_nothing_leads_to_nothing() {
    let plan = FirstbootPlan::from_toml(&PLAN[..PLAN.find("[[network").unwrap()]).unwrap();
    assert_eq!(shown(&plan), []);
}

#[test]
fn no_password_is_shown() {
    let plan = FirstbootPlan::from_toml(PLAN).unwrap();
    let files = shown(&plan);
    assert_eq!(files.len(), 13, "{files:#?}");
    for file in files {
        assert!(!file.text().contains("fish") && !file.text().contains(KEY), "{}", file.path);
        assert_eq!(
            file.mode == 0o600,
            file.text().contains("(hidden)") || file.path.contains("system-connections")
        );
    }
    let drafts = with(PLAN, keyfile::drafts);
    assert!(!format!("{drafts:?}").contains("fish"));
}
