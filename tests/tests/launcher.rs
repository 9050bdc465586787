//! The launcher under the shells that Debian and busybox have: what it leaves behind, and that a cut at any line,
//! followed by another run, leaves the same.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const LAUNCHER: &str = include_str!("../../units/pikube-launch.sh");
const UNIT: &str = include_str!("../../units/pikube-agent.service");
const CMDLINE: &str = "console=tty1 root=PARTUUID=d9b3a0f1-02 rootwait quiet cgroup_enable=memory \
    systemd.run=/boot/firmware/pikube-launch.sh systemd.run_success_action=reboot \
    systemd.run_failure_action=reboot systemd.unit=kernel-command-line.target\n";
const KEPT: &str = "console=tty1 root=PARTUUID=d9b3a0f1-02 rootwait quiet cgroup_enable=memory";
const SECRETS: &str = "schema = 1\n[user]\npassword_hash = \"$6$swordfish\"\n";
const PLAN: &str = "schema = 1\n\n[node]\nhostname = \"laperouse\"\n\n[system]\nswap = \"off\"\n\n[user]\nname = \"captain\"\n";

/// The shells that Pi systems run `/bin/sh` with.
const SHELLS: [&[&str]; 2] = [&["dash"], &["busybox", "sh"]];

struct Pi {
    folder: TempDir,
}

impl Pi {
    fn new() -> Self {
        let pi =
            Self { folder: tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap() };
        for folder in [
            "boot",
            "root/etc/rpi",
            "root/usr/lib/systemd/system",
            "root/etc/systemd/system/multi-user.target.wants",
        ] {
            fs::create_dir_all(pi.path(folder)).unwrap();
        }
        let machine = Command::new("uname").arg("-m").output().unwrap().stdout;
        let agent = match String::from_utf8_lossy(&machine).trim() {
            "x86_64" => "pikube-agent-amd64",
            "aarch64" => "pikube-agent-arm64",
            _ => "pikube-agent-armv7",
        };
        for (name, content) in [
            ("boot/cmdline.txt", CMDLINE),
            ("boot/pikube.toml", PLAN),
            ("boot/pikube-secrets.toml", SECRETS),
            ("boot/pikube-agent.service", UNIT),
            ("boot/pikube-launch.sh", LAUNCHER),
            (&format!("boot/{agent}"), "the agent's binary"),
            ("root/etc/rpi/swap.conf", ""),
            ("root/usr/lib/systemd/system/userconfig.service", ""),
            ("root/etc/systemd/system/multi-user.target.wants/dphys-swapfile.service", ""),
        ] {
            fs::write(pi.path(name), content).unwrap();
        }
        pi
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs `script`, which lies where the launcher lies.
    fn run(&self, shell: &[&str], script: &str) -> Output {
        let path = self.path("boot/pikube-launch.sh");
        fs::write(&path, script).unwrap();
        let root = self.path("root");
        Command::new(shell[0])
            .args(&shell[1..])
            .arg(path)
            .env("PIKUBE_ROOT", root)
            .output()
            .unwrap()
    }

    /// Everything the launcher is for.
    fn assert_installed(&self, context: &str) {
        let units = "root/etc/systemd/system";
        assert_eq!(self.read("boot/cmdline.txt").trim_end(), KEPT, "{context}");
        assert_eq!(self.read("boot/cmdline.txt").len(), CMDLINE.len(), "{context}: not in place");
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
        assert!(!self.path("boot/pikube-secrets.toml").exists(), "{context}");
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

#[test]
fn it_installs_everything_and_its_hook_goes_under_every_shell() {
    for shell in SHELLS {
        let pi = Pi::new();
        for run in ["first run", "second run"] {
            let output = pi.run(shell, LAUNCHER);
            let context = format!("{shell:?}, {run}: {output:?}");
            assert!(output.status.success(), "{context}");
            pi.assert_installed(&context);
        }
    }
}

#[test]
fn cut_at_any_line_another_run_ends_in_the_same_place() {
    let lines: Vec<&str> = LAUNCHER.lines().collect();
    for shell in SHELLS {
        let mut cuts = 0;
        for position in 1..lines.len() {
            // A kill that the script cannot catch, as a power cut; only where a statement may stand.
            let mut cut = lines.clone();
            cut.insert(position, "kill -9 $$");
            let cut = cut.join("\n");
            let pi = Pi::new();
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
            if pi.path("boot/pikube-secrets.toml").exists() {
                // Never lost: either still whole on the card, or safe on the root file system.
                let on_card =
                    fs::read_to_string(pi.path("boot/pikube-secrets.toml")).unwrap() == SECRETS;
                let safe = pi.path("root/etc/pikube/pikube-secrets.toml");
                assert!(
                    on_card || fs::read_to_string(safe).unwrap() == SECRETS,
                    "secrets lost at line {position}"
                );
            }
            if pi.read("boot/cmdline.txt").contains("systemd.run=") {
                pi.run(shell, LAUNCHER);
            }
            pi.assert_installed(&format!(
                "{shell:?}, cut after line {position}: {}",
                lines[position - 1]
            ));
        }
        assert!(cuts > 30, "{shell:?} was cut only {cuts} times");
    }
}

#[test]
fn a_card_without_an_agent_says_so_and_boots_on() {
    for shell in SHELLS {
        let pi = Pi::new();
        for architecture in ["arm64", "armv7", "amd64"] {
            let _ = fs::remove_file(pi.path(&format!("boot/pikube-agent-{architecture}")));
        }
        let output = pi.run(shell, LAUNCHER);
        assert!(output.status.success(), "{output:?}");
        assert!(pi.read("boot/pikube-report.txt").contains("no agent for"), "{shell:?}");
        assert_eq!(pi.read("boot/cmdline.txt").trim_end(), KEPT);
        assert_eq!(
            pi.read("boot/pikube-secrets.toml"),
            SECRETS,
            "secrets are kept until someone can use them"
        );
    }
}

#[test]
fn swap_that_is_kept_and_users_that_are_left_alone_stay() {
    for shell in SHELLS {
        let pi = Pi::new();
        fs::write(pi.path("boot/pikube.toml"), "[system]\nswap = \"keep\"\n").unwrap();
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
fn only_our_own_tokens_go() {
    let foreign =
        "a systemd.run=/boot/firstrun.sh b systemd.unit=rescue.target systemd.log_level=debug\n";
    let pi = Pi::new();
    fs::write(pi.path("boot/cmdline.txt"), foreign).unwrap();
    pi.run(SHELLS[0], LAUNCHER);
    assert_eq!(pi.read("boot/cmdline.txt"), foreign);
}

#[test]
fn shellcheck_finds_nothing() {
    assert!(has("shellcheck"), "shellcheck is not installed: `make test` installs it");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/pikube-launch.sh");
    let output = Command::new("shellcheck").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
