//! What we write, judged by those who will read it: systemd's generator and cloud-init itself, of Debian 11, 12 and 13.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod support;

use std::io::Write as _;
use std::path::Path;

use piflash::boot::{self, Extras, NodeFiles};
use pikube_config::{FirstbootPlan, Secrets};
use serde_json::Value;
use support::boot_partition::BootImage;
use support::suites::Suite;
use support::{prepared, releases};
use tempfile::TempDir;

const SUITES: [&str; 3] = ["bullseye", "bookworm", "trixie"];

/// The suites that can be had here; the others are named, or fail the test where nothing may be left out.
fn suites() -> Vec<Suite> {
    let required = std::env::var_os("PIKUBE_REQUIRE_NODES").is_some_and(|value| value == "1");
    let get = |name| match Suite::get(name) {
        Ok(suite) => Some(suite),
        Err(reason) => {
            assert!(!required, "the programs of Debian {name}: {reason}");
            // Past the capture of the test harness: a skipped test is otherwise a silent one.
            let _ = writeln!(std::io::stderr(), "skipped: the programs of Debian {name}: {reason}");
            None
        }
    };
    SUITES.into_iter().filter_map(get).collect()
}

fn node(password: bool) -> NodeFiles {
    let plan = format!(
        "schema = 1\n[node]\nhostname = 'laperouse'\nrole = 'master'\n[user]\nname = 'captain'\nssh_keys = ['{}']\n\
         [wifi]\ncountry = 'FR'\nnetworks = [{{ ssid = 'Atelier', security = 'open' }}]\n",
        support::KEY
    );
    let secrets = "schema = 1\n[user]\npassword_hash = '$6$saltsalt$0123456789abcdef'\n";
    NodeFiles {
        plan: FirstbootPlan::from_toml(&plan).unwrap(),
        secrets: if password { Secrets::from_toml(secrets).unwrap() } else { Secrets::default() },
    }
}

/// The card of that release, prepared.
fn card(release: &str, password: bool, extras: &Extras) -> BootImage {
    let image = BootImage::new(&releases::small(release));
    let head = image.head();
    let os = boot::survey(&head).unwrap().os;
    let agents = support::agents(&[("arm64", 1 << 20), ("armv7", 1 << 20)]);
    image.apply(&boot::prepare(&head, &os, &node(password), &agents, extras).unwrap().patch);
    image
}

/// The card's seed in a folder, as cloud-init finds it.
fn seed(card: &BootImage) -> TempDir {
    let folder = TempDir::with_prefix("pikube-test-").unwrap();
    let seed = folder.path().join("seed/nocloud");
    std::fs::create_dir_all(&seed).unwrap();
    for name in ["user-data", "meta-data"] {
        std::fs::write(seed.join(name), card.read(name).unwrap()).unwrap();
    }
    folder
}

/// What that cloud-init makes of the seed.
fn read_seed(suite: &Suite, folder: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/cloud_init.py");
    let output = suite.python().arg(script).arg(folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", suite.name);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `cloud-init schema`, with everything it says.
fn schema(suite: &Suite, file: &Path) -> (bool, String) {
    let mut python = suite.python();
    python.args(["-m", "cloudinit.cmd.main"]);
    if suite.name == "bullseye" {
        python.arg("devel");
    }
    let output = python.args(["schema", "-c"]).arg(file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn systemds_generator_runs_the_launcher_and_reboots_whatever_comes_of_it() {
    let hooked = |name: &str| name.starts_with("raspios") || name.starts_with("debian");
    let mut lines: Vec<(String, &str)> = Vec::new();
    for shape in releases::prepared().iter().filter(|shape| hooked(shape.name)) {
        let line = card(shape.name, true, &Extras::default()).text("cmdline.txt");
        let old = shape.name.contains("buster") || shape.name.contains("bullseye");
        lines.push((line, if old { "/boot" } else { "/boot/firmware" }));
    }
    assert!(lines.len() > 10);
    for suite in suites() {
        for (line, mount) in &lines {
            let folder = TempDir::with_prefix("pikube-test-").unwrap();
            let output = suite
                .program("lib/systemd/system-generators/systemd-run-generator")
                .args([folder.path(), folder.path(), folder.path()])
                .env("SYSTEMD_PROC_CMDLINE", line.trim_end())
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {errors}", suite.name);
            let unit = folder.path().join("kernel-command-line.service");
            let unit = std::fs::read_to_string(unit).unwrap();
            let values = |key: &str| -> Vec<String> {
                unit.lines().filter_map(|line| Some(line.strip_prefix(key)?.to_owned())).collect()
            };
            assert_eq!(values("ExecStart="), [format!("{mount}/pikube-launch.sh")], "{unit}");
            assert_eq!(values("SuccessAction="), ["reboot"], "{unit}");
            assert_eq!(values("FailureAction="), ["reboot"], "{unit}");
            let target = std::fs::read_link(folder.path().join("default.target")).unwrap();
            assert_eq!(target.file_name().unwrap(), "kernel-command-line.target");
        }
    }
}

#[test]
fn without_the_hook_systemd_starts_as_ever() {
    for suite in suites() {
        let line = card("ubuntu-24.04-arm64", true, &Extras::default()).text("cmdline.txt");
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let mut generator = suite.program("lib/systemd/system-generators/systemd-run-generator");
        generator.args([folder.path(), folder.path(), folder.path()]);
        assert!(generator.env("SYSTEMD_PROC_CMDLINE", line.trim_end()).status().unwrap().success());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{line}");
    }
}

#[test]
fn cloud_init_takes_our_user_data_and_no_default_user_is_left() {
    let suites = suites();
    for (release, mount) in [
        ("hypriotos-1.7.1", "/boot"),
        ("hypriotos-1.12.3", "/boot"),
        ("ubuntu-22.04-arm64", "/boot/firmware"),
        ("ubuntu-24.04-arm64", "/boot/firmware"),
    ] {
        for password in [false, true] {
            let folder = seed(&card(release, password, &Extras::default()));
            for suite in &suites {
                let read = read_seed(suite, folder.path());
                let context = format!("{} {release}: {read:#}", suite.name);
                assert_eq!(read["parts"][0]["type"], "text/cloud-config", "{context}");
                let users: Vec<&String> = read["users"].as_object().unwrap().keys().collect();
                assert_eq!(users, ["captain"], "{context}");
                assert_eq!(read["keys"][0][0], support::KEY, "{context}");
                assert_eq!(read["hostname"], "laperouse", "{context}");
                assert_eq!(read["ssh_pwauth"], password, "{context}");
                assert!(read["instance"].as_str().unwrap().starts_with("pikube-"), "{context}");
                let launcher = format!("{mount}/pikube-launch.sh");
                assert_eq!(
                    read["runcmd"],
                    serde_json::json!([["/bin/sh", launcher, "cloud"]]),
                    "{context}"
                );
                if release.starts_with("ubuntu") {
                    assert_eq!(read["dsmode"], "local", "{context}");
                    let (valid, said) =
                        schema(suite, &folder.path().join("seed/nocloud/user-data"));
                    assert!(
                        valid && said.contains("Valid") && !said.contains("eprecat"),
                        "{context}\n{said}"
                    );
                }
            }
        }
    }
}

#[test]
fn cloud_init_finds_the_mistake_that_we_would_not_make() {
    for suite in suites() {
        let folder = TempDir::with_prefix("pikube-test-").unwrap();
        let file = folder.path().join("user-data");
        std::fs::write(&file, "#cloud-config\nruncmd: {a: b}\n").unwrap();
        let (valid, said) = schema(&suite, &file);
        assert!(!valid, "{}: {said}", suite.name);
    }
}

#[test]
fn cloud_init_takes_the_archive_apart_as_it_was_put_together() {
    let own = [
        "#cloud-config\nwrite_files:\n  - path: /etc/motd\n    content: |\n      ahoy\n\n      there\nruncmd:\n  - [touch, /x]\n",
        "#cloud-config\ntimezone: \"Europe/Zürich\"\n\n\n",
        "#!/bin/sh\r\necho \"a\tb\" \\\\ '$x' \u{a0}\u{2028}😀\r\n",
        "#!/bin/sh\necho no newline at the end",
        "#cloud-boothook\n#!/bin/sh\n  \n",
    ];
    let suites = suites();
    for own in own {
        let extras = Extras::new(Some(own.as_bytes()), vec![], false, vec![]).unwrap();
        let folder = seed(&card("ubuntu-24.04-arm64", true, &extras));
        for suite in &suites {
            let read = read_seed(suite, folder.path());
            let context = format!("{}: {read:#}", suite.name);
            let parts = read["parts"].as_array().unwrap();
            assert_eq!(parts.len(), 2, "{context}");
            assert_eq!(parts[0]["content"], own, "{context}");
            assert_eq!(parts[1]["type"], "text/x-shellscript", "{context}");
            let hook = "#!/bin/sh\nexec /bin/sh /boot/firmware/pikube-launch.sh cloud\n";
            assert_eq!(parts[1]["content"], hook, "{context}");
            assert_eq!(read["hostname"], "laperouse", "{context}");
        }
    }
}

#[test]
fn cloud_init_of_trixie_reads_a_persons_own_user_data_beside_the_hook() {
    for suite in suites().iter().filter(|suite| suite.name == "trixie") {
        let own = "#cloud-config\ntimezone: Europe/Paris\n";
        let extras = Extras::new(Some(own.as_bytes()), vec![], false, vec![]).unwrap();
        let card = card("raspios-trixie-arm64-2025-11-24", false, &extras);
        let read = read_seed(suite, seed(&card).path());
        assert_eq!(read["parts"][0]["content"], own, "{read:#}");
        assert!(read["instance"].as_str().unwrap().starts_with("pikube-"), "{read:#}");
        assert_eq!(read["hostname"], "laperouse", "{read:#}");
    }
}

#[test]
fn another_plan_is_another_instance_with_the_same_host_keys() {
    let own = Extras::new(Some(b"#cloud-config\nruncmd: [ls]\n"), vec![], false, vec![]).unwrap();
    let suites = suites();
    for (release, extras) in [("hypriotos-1.12.3", Extras::default()), ("ubuntu-24.04-arm64", own)]
    {
        let image = BootImage::new(&releases::small(release));
        let mut instances = Vec::new();
        for (round, country) in ["FR", "GB", "FR"].into_iter().enumerate() {
            let node = prepared::node(&prepared::plan().replace("'FR'", &format!("'{country}'")));
            image.apply(&prepared::prepare(&image, &node, &extras).patch);
            let folder = seed(&image);
            for suite in &suites {
                let read = read_seed(suite, folder.path());
                let context = format!("{} {release}: {read:#}", suite.name);
                assert_eq!(read["ssh_deletekeys"], round == 0, "{context}");
                assert!(read["runcmd"].is_array(), "{context}");
                instances.push((round, read["instance"].clone()));
            }
            prepared::boot_once(&image);
        }
        // cloud-init remembers every instance that it has seen: none may come back.
        let distinct: std::collections::BTreeMap<String, usize> =
            instances.iter().map(|(round, name)| (name.to_string(), *round)).collect();
        assert_eq!(distinct.len(), if suites.is_empty() { 0 } else { 3 }, "{instances:?}");
    }
}
