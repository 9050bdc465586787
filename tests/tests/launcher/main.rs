//! The launcher under the shells that Debian and busybox have: what it leaves behind, and that a cut at any line,
//! followed by another run, leaves the same.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod units;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const UNIT: &str = include_str!("../../../units/pikube-agent.service");
const LAUNCHER: &str = include_str!("../../../units/pikube-launch.sh");
const KEPT: &str = "console=tty1 root=PARTUUID=d9b3a0f1-02 rootwait quiet cgroup_enable=memory";
const SECRETS: &str = "schema = 1\n[user]\npassword_hash = \"$6$swordfish\"\n";
const PLAN: &str = "schema = 1\n\n[node]\nhostname = \"laperouse\"\n\n[system]\nswap = \"off\"\n\n[user]\nname = \"captain\"\n";

/// The shells that Pi systems run `/bin/sh` with.
const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];

/// How a family lays out its boot partition and starts the launcher.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Where the boot partition is mounted.
    boot: &'static str,
    /// `config.txt`.
    config: &'static str,
    /// The command line that the firmware takes, below the boot partition.
    cmdline: &'static str,
    /// Started by cloud-init, not by the command line.
    cloud: bool,
}

/// Raspberry Pi OS buster and bullseye; bookworm, trixie and Debian; HypriotOS; Ubuntu with one boot asset and with two.
const LAYOUTS: [Layout; 5] = [
    Layout { boot: "boot", config: "", cmdline: "cmdline.txt", cloud: false },
    Layout { boot: "boot/firmware", config: "[all]\n", cmdline: "cmdline.txt", cloud: false },
    Layout { boot: "boot", config: "enable_uart=0\n", cmdline: "cmdline.txt", cloud: true },
    Layout {
        boot: "boot/firmware",
        config: "[all]\nkernel=vmlinuz\ncmdline=cmdline.txt\n",
        cmdline: "cmdline.txt",
        cloud: true,
    },
    Layout {
        boot: "boot/firmware",
        config: "[all]\r\nos_prefix=current/\r\n[pi4]\r\nos_prefix=four/\r\n[tryboot]\r\nos_prefix=new/",
        cmdline: "current/cmdline.txt",
        cloud: true,
    },
];

impl Layout {
    /// The command line as piflash leaves it.
    fn line(&self) -> String {
        if self.cloud {
            return format!("{KEPT}\n");
        }
        format!(
            "{KEPT} systemd.run=/{}/pikube-launch.sh systemd.run_success_action=reboot \
             systemd.run_failure_action=reboot systemd.unit=kernel-command-line.target\n",
            self.boot
        )
    }
}

struct Pi {
    folder: TempDir,
    layout: Layout,
}

impl Pi {
    fn new() -> Self {
        Self::with(LAYOUTS[1])
    }

    fn with(layout: Layout) -> Self {
        let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        let pi = Self { folder, layout };
        for folder in [
            "root/etc/rpi",
            "root/usr/lib/systemd/system",
            "root/etc/systemd/system/multi-user.target.wants",
        ] {
            fs::create_dir_all(pi.path(folder)).unwrap();
        }
        for name in [layout.cmdline, "new/cmdline.txt", "four/cmdline.txt"] {
            fs::create_dir_all(pi.boot(name).parent().unwrap()).unwrap();
            fs::write(pi.boot(name), "another line\n").unwrap();
        }
        let machine = Command::new("uname").arg("-m").output().unwrap().stdout;
        let agent = match String::from_utf8_lossy(&machine).trim() {
            "x86_64" => "pikube-agent-amd64",
            "aarch64" => "pikube-agent-arm64",
            _ => "pikube-agent-armv7",
        };
        for (name, content) in [
            ("config.txt", layout.config),
            (layout.cmdline, &layout.line()),
            ("pikube.toml", PLAN),
            ("pikube-secrets.toml", SECRETS),
            ("pikube-agent.service", UNIT),
            ("pikube-launch.sh", LAUNCHER),
            (agent, "the agent's binary"),
        ] {
            fs::write(pi.boot(name), content).unwrap();
        }
        for name in [
            "root/etc/rpi/swap.conf",
            "root/usr/lib/systemd/system/userconfig.service",
            "root/etc/systemd/system/multi-user.target.wants/dphys-swapfile.service",
        ] {
            fs::write(pi.path(name), "").unwrap();
        }
        pi
    }

    /// A file of the boot partition.
    fn boot(&self, name: &str) -> PathBuf {
        self.path(self.layout.boot).join(name)
    }

    fn on_boot(&self, name: &str) -> String {
        self.read(&format!("{}/{name}", self.layout.boot))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs `script`, which lies where the launcher lies. Only a power cut could tell whether `sync` did something, and
    /// it takes its time where others write too.
    fn run(&self, shell: &[&str], script: &str) -> Output {
        let path = self.boot("pikube-launch.sh");
        fs::write(&path, script.replacen("set -u", "set -u; sync() { :; }", 1)).unwrap();
        let root = self.path("root");
        Command::new(shell[0])
            .args(&shell[1..])
            .arg(path)
            .args(self.layout.cloud.then_some("cloud"))
            .env("PIKUBE_ROOT", root)
            .output()
            .unwrap()
    }

    fn put_done(&self) {
        fs::create_dir_all(self.path("root/var/lib/pikube")).unwrap();
        fs::write(self.path("root/var/lib/pikube/done"), "").unwrap();
    }

    fn is_done(&self) -> bool {
        self.path("root/var/lib/pikube/done").exists()
    }

    /// Everything the launcher is for.
    fn assert_installed(&self, context: &str) {
        let units = "root/etc/systemd/system";
        let line = self.on_boot(self.layout.cmdline);
        assert_eq!(line.trim_end(), KEPT, "{context}");
        assert_eq!(line.len(), self.layout.line().len(), "{context}: not in place");
        assert_eq!(self.on_boot("four/cmdline.txt"), "another line\n", "{context}");
        assert_eq!(
            self.read("root/usr/local/lib/pikube/pikube-agent"),
            "the agent's binary",
            "{context}"
        );
        assert_eq!(mode(&self.path("root/usr/local/lib/pikube/pikube-agent")), 0o755, "{context}");
        assert_eq!(self.read("root/etc/pikube/pikube.toml"), PLAN, "{context}");
        assert_eq!(self.read("root/etc/pikube/pikube-secrets.toml"), SECRETS, "{context}");
        assert_eq!(mode(&self.path("root/etc/pikube/pikube-secrets.toml")), 0o600, "{context}");
        assert_eq!(mode(&self.path("root/etc/pikube")), 0o700, "{context}");
        assert!(!self.boot("pikube-secrets.toml").exists(), "{context}");
        assert_eq!(self.read(&format!("{units}/pikube-agent.service")), UNIT, "{context}");
        assert_eq!(
            self.read(&format!("{units}/multi-user.target.wants/pikube-agent.service")),
            UNIT,
            "{context}"
        );
        assert!(
            !self.path(&format!("{units}/multi-user.target.wants/dphys-swapfile.service")).exists(),
            "{context}"
        );
        assert_eq!(
            self.read("root/etc/rpi/swap.conf.d/90-pikube.conf"),
            "[Main]\nMechanism=none\n",
            "{context}"
        );
        // Known before the first request for an address; cloud-init sets it by itself.
        let named = fs::read_to_string(self.path("root/etc/hostname")).unwrap_or_default();
        assert_eq!(named, if self.layout.cloud { "" } else { "laperouse\n" }, "{context}");
        let masked = fs::read_link(self.path(&format!("{units}/userconfig.service"))).unwrap();
        assert_eq!(masked, Path::new("/dev/null"), "{context}");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn has(program: &str) -> bool {
    Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap().status.success()
}

/// Every shell with every layout.
fn every() -> impl Iterator<Item = (&'static [&'static str], Layout)> {
    SHELLS.into_iter().flat_map(|shell| LAYOUTS.into_iter().map(move |layout| (shell, layout)))
}

#[test]
fn it_installs_everything_and_its_hook_goes_under_every_shell() {
    for (shell, layout) in every() {
        let pi = Pi::with(layout);
        for run in ["first run", "second run"] {
            let output = pi.run(shell, LAUNCHER);
            let context = format!("{shell:?}, {layout:?}, {run}: {output:?}");
            assert!(output.status.success() && output.stderr.is_empty(), "{context}");
            pi.assert_installed(&context);
        }
    }
}

#[test]
fn cut_at_any_line_another_run_ends_in_the_same_place() {
    // sync(1) is against a power cut, not a kill, and takes its time on a computer that writes a lot.
    let quick = |line| if str::trim(line) == "sync" { ":" } else { line };
    let lines: Vec<&str> = LAUNCHER.lines().map(quick).collect();
    let whole = lines.join("\n");
    for (shell, layout) in [0, 4].into_iter().flat_map(|at| SHELLS.map(|s| (s, LAYOUTS[at]))) {
        let mut cuts = 0;
        for position in 1..lines.len() {
            // A kill that the script cannot catch, as a power cut; only where a statement may stand.
            let mut cut = lines.clone();
            cut.insert(position, "kill -9 $$");
            let cut = cut.join("\n");
            let pi = Pi::with(layout);
            pi.put_done();
            fs::write(pi.path("cut.sh"), &cut).unwrap();
            let valid = Command::new(shell[0])
                .args(&shell[1..])
                .arg("-n")
                .arg(pi.path("cut.sh"))
                .output()
                .unwrap();
            if !valid.status.success() || lines[position - 1].ends_with(['\\', '|', '&']) {
                continue;
            }
            let output = pi.run(shell, &cut);
            cuts += usize::from(output.status.code().is_none());
            if pi.boot("pikube-secrets.toml").exists() {
                // Never lost: either still whole on the card, or safe on the root file system.
                let on_card =
                    fs::read_to_string(pi.boot("pikube-secrets.toml")).unwrap() == SECRETS;
                let safe = pi.path("root/etc/pikube/pikube-secrets.toml");
                assert!(
                    on_card || fs::read_to_string(safe).unwrap() == SECRETS,
                    "secrets lost at line {position}"
                );
            }
            if layout.cloud || pi.on_boot("cmdline.txt").contains("systemd.run=") {
                pi.run(shell, &whole);
            }
            assert!(!pi.is_done(), "{shell:?}, cut after line {position}");
            pi.assert_installed(&format!(
                "{shell:?}, cut after line {position}: {}",
                lines[position - 1]
            ));
        }
        assert!(cuts > 30, "{shell:?} was cut only {cuts} times");
    }
}

/// cloud-init starts it at every boot: a done node's card is not written to any more.
#[test]
fn where_the_node_is_done_cloud_init_starts_it_in_vain() {
    for (shell, layout) in every().filter(|(_, layout)| layout.cloud) {
        let pi = Pi::with(layout);
        pi.run(shell, LAUNCHER);
        pi.put_done();
        let log = pi.on_boot("pikube-launch.log");
        let output = pi.run(shell, LAUNCHER);
        assert!(output.status.success() && output.stdout.is_empty(), "{shell:?} {layout:?}");
        assert_eq!(pi.on_boot("pikube-launch.log"), log, "{shell:?} {layout:?}");
        assert!(pi.is_done());
        fs::write(pi.boot("pikube.toml"), PLAN.replace("laperouse", "fregate")).unwrap();
        pi.run(shell, LAUNCHER);
        assert!(!pi.is_done(), "another plan: {shell:?} {layout:?}");
    }
}

#[test]
fn a_card_without_an_agent_says_so_and_boots_on() {
    for shell in SHELLS {
        let pi = Pi::new();
        for architecture in ["arm64", "armv7", "amd64"] {
            let _ = fs::remove_file(pi.boot(&format!("pikube-agent-{architecture}")));
        }
        let output = pi.run(shell, LAUNCHER);
        assert!(output.status.success(), "{output:?}");
        assert!(pi.on_boot("pikube-report.txt").contains("no agent for"), "{shell:?}");
        assert_eq!(pi.on_boot("cmdline.txt").trim_end(), KEPT);
        assert_eq!(
            pi.on_boot("pikube-secrets.toml"),
            SECRETS,
            "secrets are kept until someone can use them"
        );
    }
}

#[test]
fn swap_that_is_kept_and_users_that_are_left_alone_stay() {
    for shell in SHELLS {
        let pi = Pi::new();
        fs::write(pi.boot("pikube.toml"), "[system]\nswap = \"keep\"\n").unwrap();
        pi.run(shell, LAUNCHER);
        let units = "root/etc/systemd/system";
        assert!(
            pi.path(&format!("{units}/multi-user.target.wants/dphys-swapfile.service")).exists()
        );
        assert!(!pi.path("root/etc/rpi/swap.conf.d").exists());
        assert!(!pi.path(&format!("{units}/userconfig.service")).exists());
    }
}

#[test]
fn the_marker_goes_for_another_plan_or_new_secrets_and_for_nothing_else() {
    for (shell, layout) in every() {
        let pi = Pi::with(layout);
        pi.run(shell, LAUNCHER);
        let context = format!("{shell:?}, {layout:?}");
        // The agent has done everything and scrubbed the secrets.
        fs::remove_file(pi.path("root/etc/pikube/pikube-secrets.toml")).unwrap();
        pi.put_done();
        pi.run(shell, LAUNCHER);
        assert!(pi.is_done(), "{context}: the same plan");
        fs::write(pi.boot("pikube.toml"), PLAN.replace("laperouse", "fregate")).unwrap();
        pi.run(shell, LAUNCHER);
        assert!(!pi.is_done(), "{context}: another plan");
        assert!(pi.read("root/etc/pikube/pikube.toml").contains("fregate"), "{context}");
        assert!(!pi.path("root/etc/pikube/pikube-secrets.toml").exists(), "{context}");
        pi.put_done();
        fs::write(pi.boot("pikube-secrets.toml"), SECRETS).unwrap();
        pi.run(shell, LAUNCHER);
        assert!(!pi.is_done(), "{context}: new secrets");
        assert_eq!(pi.read("root/etc/pikube/pikube-secrets.toml"), SECRETS, "{context}");
        pi.put_done();
        fs::write(pi.boot("pikube-secrets.toml"), [0; 80]).unwrap();
        pi.run(shell, LAUNCHER);
        assert!(pi.is_done(), "{context}: zeros are no secrets");
        assert!(pi.on_boot("pikube-launch.log").contains("new: nothing"), "{context}");
    }
}

#[test]
fn wireless_networks_are_in_place_for_the_next_boot_and_off_the_card() {
    const WIFI: &str =
        "# Written by pikube-agent from the firstboot plan.\ncountry=FR\npsk=swordfish\n";
    for shell in SHELLS.into_iter().filter(|shell| has(shell[0])) {
        for plan in [format!("{PLAN}\n[wifi]\ncountry = \"FR\"\n"), PLAN.to_owned()] {
            let pi = Pi::with(LAYOUTS[0]);
            let conf = pi.path("root/etc/wpa_supplicant/wpa_supplicant.conf");
            let radio = pi.path("root/var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan");
            for path in [&conf, &radio] {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
            }
            fs::write(&conf, "update_config=1\n").unwrap();
            fs::write(&radio, "1\n").unwrap();
            fs::write(pi.boot("pikube.toml"), &plan).unwrap();
            fs::write(pi.boot("wpa_supplicant.conf"), WIFI).unwrap();
            // What is under another name for the same bytes sees whether they were overwritten.
            fs::hard_link(pi.boot("wpa_supplicant.conf"), pi.path("bytes")).unwrap();
            pi.run(shell, LAUNCHER);
            pi.run(shell, LAUNCHER);
            let bytes = fs::read_to_string(pi.path("bytes")).unwrap();
            if plan == PLAN {
                assert_eq!(bytes, WIFI, "it is the owner's, for the operating system");
                assert!(pi.boot("wpa_supplicant.conf").exists());
                continue;
            }
            assert_eq!(fs::read_to_string(&conf).unwrap(), WIFI);
            assert_eq!(mode(&conf), 0o600);
            let kept = fs::read_to_string(format!("{}.pikube-orig", conf.display())).unwrap();
            assert_eq!(kept, "update_config=1\n");
            assert_eq!(fs::read_to_string(&radio).unwrap(), "0\n");
            assert!(!pi.boot("wpa_supplicant.conf").exists());
            assert!(bytes.bytes().all(|byte| byte == 0), "{bytes:?}");
        }
    }
}

#[test]
fn boards_that_no_agent_runs_on_are_told_so() {
    for (shell, layout) in every() {
        let pi = Pi::with(layout);
        let output = pi.run(shell, &LAUNCHER.replace("$(uname -m)", "armv6l"));
        assert!(output.status.success(), "{output:?}");
        let report = pi.on_boot("pikube-report.txt");
        assert!(report.contains("armv6l") && report.contains("Raspberry Pi 2"), "{report}");
        assert_eq!(pi.on_boot(layout.cmdline).trim_end(), KEPT);
    }
}

#[test]
fn thirty_two_bit_systems_get_the_armv7_agent() {
    for (machine, shell) in ["armv7l", "armv8l"].into_iter().zip(SHELLS) {
        let pi = Pi::new();
        fs::write(pi.boot("pikube-agent-arm64"), "64").unwrap();
        fs::write(pi.boot("pikube-agent-armv7"), "32").unwrap();
        pi.run(shell, &LAUNCHER.replace("$(uname -m)", machine));
        assert_eq!(pi.read("root/usr/local/lib/pikube/pikube-agent"), "32", "{machine}");
    }
}

#[test]
fn the_hook_goes_from_every_command_line_that_has_it() {
    for shell in SHELLS {
        let pi = Pi::new();
        let line = pi.layout.line();
        for name in ["four.txt", "four/cmdline.txt"] {
            fs::write(pi.boot(name), &line).unwrap();
        }
        // What is larger than any command line is not looked into.
        let large = format!("{}{line}", "x".repeat(5000));
        fs::write(pi.boot("large.txt"), &large).unwrap();
        let output = pi.run(shell, LAUNCHER);
        assert!(output.status.success() && output.stderr.is_empty(), "{shell:?}: {output:?}");
        for name in ["cmdline.txt", "four.txt", "four/cmdline.txt"] {
            assert_eq!(pi.on_boot(name).trim_end(), KEPT, "{shell:?}: {name}");
            assert_eq!(pi.on_boot(name).len(), line.len(), "{shell:?}: {name} not in place");
        }
        assert_eq!(pi.on_boot("large.txt"), large);
    }
}

#[test]
fn only_our_own_tokens_go() {
    let foreign =
        "a systemd.run=/boot/firstrun.sh b systemd.unit=rescue.target systemd.log_level=debug\n";
    let pi = Pi::new();
    fs::write(pi.boot("cmdline.txt"), foreign).unwrap();
    pi.run(SHELLS[0], LAUNCHER);
    assert_eq!(pi.on_boot("cmdline.txt"), foreign);
}
