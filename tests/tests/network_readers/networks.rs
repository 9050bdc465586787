//! Names and passwords of wireless networks: every legal one comes through every reader unchanged.

use pikube_agent::render::draft::Draft;
use pikube_agent::render::network::{WIRELESS, Wanted, keyfile, netplan, wpa_supplicant};
use pikube_config::values::wifi::is_cut;
use pikube_config::{FirstbootPlan, Secrets, Security, Wifi, WifiNetwork, WifiPassword};
use pikube_tests::needs::{Missing, or_skip};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::programs::{Readers, folder, put, run, stdout};
use super::supplicant::{self, Understood, hex};
use super::{plan, wanted};

/// Name, security, hidden, password.
type Network = (String, Security, bool, String);

/// Names that somebody has given a network or that somebody's parser has tripped over, each with such a password.
const NOTORIOUS: [(&str, &str); 16] = [
    ("harbour", "swordfish"),
    ("Café; du \\Port", " blanks \\ everywhere "),
    (" leading", "\"quoted\""),
    ("trailing ", "#comment#"),
    ("1;2;3;", "a\"b#cdef"),
    ("49;50", "semi;colon;"),
    ("\"quoted\"", "=equals=="),
    ("P\"x\"", "\\s\\t\\n\\r\\\\"),
    ("#comment", "${HOME}`id`"),
    ("a\"b#c", "'single'"),
    ("日本語ネットワー", "12345678"),
    ("{network}", "~}|{zyxw"),
    ("a=b", "ext:12345"),
    ("true", "%s%n%d%x"),
    ("deadbeef", "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"),
    ("\u{feff}zero\u{200b}width", "password"),
];

fn notorious() -> Vec<Network> {
    let securities = [Security::Wpa2, Security::Wpa3, Security::Open];
    NOTORIOUS
        .iter()
        .enumerate()
        .flat_map(|(index, (ssid, password))| {
            // A second name for each, for names have to differ.
            let other = format!("{ssid}.");
            let security = securities[index % 3];
            [
                ((*ssid).to_owned(), Security::Wpa2, index % 2 == 0, (*password).to_owned()),
                (other, security, index % 2 == 1, (*password).to_owned()),
            ]
        })
        .filter(|(ssid, ..)| ssid.len() <= 32)
        .collect()
}

/// Any legal name: 1 to 32 bytes of UTF-8 without control characters.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,32}", "\\PC{1,12}", "[\"#\\\\;' =]{1,32}"]
        .prop_filter("legal", |ssid| pikube_config::values::wifi::ssid(ssid).is_ok())
}

/// Any legal password: a pass phrase or a key.
fn password() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{8,63}", "[\"#\\\\;' =]{8,63}", "[0-9a-fA-F]{64}"]
}

fn networks() -> impl Strategy<Value = Vec<Network>> {
    let security = prop_oneof![Just(Security::Wpa2), Just(Security::Wpa3), Just(Security::Open)];
    prop::collection::vec((name(), security, any::<bool>(), password()), 1..24).prop_map(
        |mut networks| {
            networks.sort_by(|a, b| a.0.cmp(&b.0));
            networks.dedup_by(|a, b| a.0 == b.0);
            networks
        },
    )
}

/// The notorious ones, then any.
fn each(check: impl Fn(&[Network])) {
    check(&notorious());
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    runner
        .run(&networks(), |networks| {
            check(&networks);
            Ok(())
        })
        .unwrap();
}

/// Plan and secrets, through the files of the card as on the way to a Pi.
fn contract(networks: &[Network]) -> (FirstbootPlan, Secrets) {
    let mut plan = plan("");
    plan.wifi = Some(Wifi {
        country: "FR".to_owned(),
        networks: networks
            .iter()
            .map(|(ssid, security, hidden, _)| WifiNetwork {
                ssid: ssid.clone(),
                security: *security,
                hidden: *hidden,
            })
            .collect(),
    });
    let wifi_passwords = networks
        .iter()
        .filter(|network| network.1 != Security::Open)
        .map(|(ssid, _, _, password)| WifiPassword {
            ssid: ssid.clone(),
            password: password.as_str().into(),
        })
        .collect();
    let secrets = Secrets { wifi_passwords, ..Secrets::default() };
    let plan = FirstbootPlan::from_toml(&plan.to_toml().unwrap()).unwrap();
    let secrets = Secrets::from_toml(&secrets.to_toml().unwrap()).unwrap();
    (plan, secrets)
}

fn texts(drafts: &[Draft]) -> Vec<String> {
    drafts.iter().map(|draft| draft.text("").unwrap().to_string()).collect()
}

#[test]
fn network_manager_reads_the_keyfiles() {
    let test = "network_manager_reads_the_keyfiles";
    let Some(readers) = or_skip(test, readers_with_gi()) else { return };
    each(|networks| {
        let (plan, secrets) = contract(networks);
        let texts = texts(&keyfile::drafts(&wanted(&plan, Some(&secrets))));
        for (index, (said, (ssid, security, hidden, password))) in
            keyfiles(&readers, &texts).iter().zip(networks).enumerate()
        {
            let context = format!("{ssid:?} {password:?}\n{}\n{said}", texts[index]);
            assert_eq!(said["valid"], true, "{context}");
            assert_eq!(said["warnings"], 0, "{context}");
            assert_eq!(said["id"], format!("pikube-wifi-{}", index + 1), "{context}");
            let digits: String = ssid.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(said["ssid"], digits, "{context}");
            assert_eq!(said["hidden"], *hidden, "{context}");
            let (management, password) = match security {
                Security::Wpa2 => (Value::from("wpa-psk"), Value::from(password.as_str())),
                Security::Wpa3 => (Value::from("sae"), Value::from(password.as_str())),
                Security::Open => (Value::Null, Value::Null),
            };
            assert_eq!(said["management"], management, "{context}");
            assert_eq!(said["password"], password, "{context}");
        }
    });
}

fn readers_with_gi() -> Result<Readers, Missing> {
    let readers = Readers::new()?;
    let mut python = readers.equipped(std::process::Command::new("/usr/bin/python3"));
    python.args(["-c", "import gi; gi.require_version('NM', '1.0'); from gi.repository import NM"]);
    if python.output().is_ok_and(|output| output.status.success()) {
        Ok(readers)
    } else {
        Err(Missing::new("no libnm for Python", "apt-get install python3-gi"))
    }
}

pub fn keyfiles(readers: &Readers, texts: &[String]) -> Vec<Value> {
    let mut python = readers.equipped(std::process::Command::new("/usr/bin/python3"));
    python.args(["-c", include_str!("keyfiles.py")]);
    let output = run(python, &serde_json::to_string(texts).unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn keyfile_readers() -> Result<Readers, Missing> {
    readers_with_gi()
}

#[test]
fn wpa_supplicant_reads_its_file() {
    let Some(readers) = or_skip("wpa_supplicant_reads_its_file", Readers::new()) else { return };
    each(|networks| {
        let (plan, secrets) = contract(networks);
        let draft =
            wpa_supplicant::draft(&wanted(&plan, Some(&secrets)), wpa_supplicant::PATH).unwrap();
        compare(&readers, &draft.text("").unwrap(), networks);
    });
}

/// Reads a file of wpa_supplicant and compares it with the networks.
fn compare(readers: &Readers, text: &str, networks: &[Network]) {
    let folder = folder();
    let file = put(folder.path(), "wpa.conf", text);
    let (found, said) = supplicant::read(readers, &file).unwrap();
    assert!(!said.contains("Line ") && !said.contains("ailed to parse"), "{said}\n{text}");
    assert!(said.contains("country='FR'"), "{said}");
    assert_eq!(found.len(), networks.len(), "{said}\n{text}");
    for (found, (ssid, security, hidden, password)) in found.iter().zip(networks) {
        let context = format!("{ssid:?} {password:?}: {found:?}\n{text}");
        assert_eq!(found.ssid, ssid.as_bytes(), "{context}");
        assert_eq!(found.hidden, *hidden, "{context}");
        match security {
            Security::Open => {
                assert_eq!(
                    (&found.phrase, &found.key, &found.sae),
                    (&None, &None, &None),
                    "{context}"
                );
            }
            Security::Wpa3 => {
                let given = found.sae.as_ref().or(found.phrase.as_ref());
                assert_eq!(given.unwrap(), password.as_bytes(), "{context}");
            }
            Security::Wpa2 if password.len() == 64 => {
                let spaced: Vec<&str> = password
                    .as_bytes()
                    .chunks(2)
                    .map(|b| std::str::from_utf8(b).unwrap())
                    .collect();
                assert_eq!(found.key, Some(hex(&spaced.join(" "), 32)), "{context}");
            }
            Security::Wpa2 if is_cut(password) => {
                assert_eq!(found.key, Some(passphrase_key(readers, ssid, password)), "{context}");
            }
            Security::Wpa2 => {
                assert_eq!(found.phrase.as_deref(), Some(password.as_bytes()), "{context}");
                assert_eq!(found.key.as_ref().map(Vec::len), Some(32), "{context}");
            }
        }
    }
}

/// The key as wpa_passphrase makes it.
fn passphrase_key(readers: &Readers, ssid: &str, password: &str) -> Vec<u8> {
    let mut command = readers.program(&["usr/bin/wpa_passphrase"]).unwrap();
    command.arg(ssid).arg(password);
    let said = stdout(&run(command, ""));
    let key = said
        .lines()
        .find_map(|line| line.strip_prefix("\tpsk="))
        .unwrap_or_else(|| panic!("{said}"));
    let pairs: Vec<&str> =
        key.as_bytes().chunks(2).map(|b| std::str::from_utf8(b).unwrap()).collect();
    hex(&pairs.join(" "), 32)
}

#[test]
fn wpa_supplicant_prefers_the_first_network() {
    let Some(readers) = or_skip("wpa_supplicant_prefers_the_first_network", Readers::new()) else {
        return;
    };
    let networks: Vec<Network> =
        ["a", "b", "c"].map(|ssid| (ssid.to_owned(), Security::Open, false, String::new())).into();
    let (plan, secrets) = contract(&networks);
    let wanted = Wanted::new(&plan, Some(&secrets), WIRELESS);
    let draft = wpa_supplicant::draft(&wanted, wpa_supplicant::PATH).unwrap();
    let folder = folder();
    let file = put(folder.path(), "wpa.conf", &draft.text("").unwrap());
    let (found, _) = supplicant::read(&readers, &file).unwrap();
    let priorities: Vec<u32> = found.iter().map(|network: &Understood| network.priority).collect();
    assert_eq!(priorities, [3, 2, 1]);
}

#[test]
fn netplan_hands_the_networks_on() {
    let test = "netplan_hands_the_networks_on";
    let Some(readers) = or_skip(test, Readers::new()) else { return };
    each(|networks| {
        // What the unpacked netplan (0.106) refuses, the agent refuses by name.
        let networks: Vec<Network> = networks
            .iter()
            .filter(|network| network.1 != Security::Wpa3 && !is_cut(&network.0))
            .cloned()
            .collect();
        if networks.is_empty() {
            return;
        }
        let (plan, secrets) = contract(&networks);
        let wanted = wanted(&plan, Some(&secrets));
        assert_eq!(netplan::refusal(&wanted, false), None);
        let yaml = netplan::draft(&wanted, true).unwrap().text("").unwrap().to_string();
        let root = super::addresses::netplan(&readers, &yaml);
        let conf = std::fs::read_to_string(root.path().join("run/netplan/wpa-wlan0.conf")).unwrap();
        // netplan sorts nothing, but goes through them in an order of its own.
        let mut sorted = networks;
        let position = |ssid: &str| {
            conf.find(&format!("ssid=\"{ssid}\"\n")).unwrap_or_else(|| panic!("{ssid:?}\n{conf}"))
        };
        sorted.sort_by_key(|network| position(&network.0));
        compare(&readers, &conf, &sorted);
    });
}
