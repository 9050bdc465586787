//! What is looked at before anything is changed. Each case is made in namespaces of its own, with `/etc` and `/var/lib` under
//! overlays, so that this machine stays as it is. There is no container runtime in them: both programs always stop there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use pikube_tests::needs::{self, Missing};
use rustix::process::geteuid;
use tempfile::TempDir;

use super::kubeadm::{Pair, Verdict};

/// Makes the namespaces' files, provokes the case, and runs the program that its arguments are.
const SETTING: &str = r#"
set -eu
mount --make-rprivate /
mount -t tmpfs pikube-test "$PLACE"
for over in etc var/lib; do
    mkdir -p "$PLACE/$over.upper" "$PLACE/$over.work"
    mount -t overlay pikube-test -o "lowerdir=/$over,upperdir=$PLACE/$over.upper,workdir=$PLACE/$over.work" "/$over"
done
mkdir -p /etc/pikube /etc/kubernetes/manifests /etc/kubernetes/pki
cp "$CONFIG" /etc/pikube/kubeadm.yaml
echo "127.0.0.1 localhost laperouse" >/etc/hosts
head -n 1 /proc/swaps >/etc/no-swaps
mount --bind /etc/no-swaps /proc/swaps
ip link set lo up
ip link add pikube-test0 type veth peer name pikube-test1
ip addr add 192.168.1.21/24 dev pikube-test0
ip link set pikube-test0 up
ip link set pikube-test1 up
ip route add default via 192.168.1.1
echo 1 >/proc/sys/net/ipv4/ip_forward
occupy() {
    perl -MIO::Socket::INET -e 'IO::Socket::INET->new(Listen => 1, LocalAddr => "0.0.0.0", LocalPort => shift) or die; $| = 1; print "\n"; sleep' "$1" >/etc/occupied &
    until [ -s /etc/occupied ]; do sleep 0.1; done
}
eval "$CASE"
"$@"
"#;

/// A condition: its name, and the shell that makes it.
const CONDITIONS: &[(&str, &str)] = &[
    ("nothing special", ""),
    (
        "swap",
        "printf '%s\\n' \"$(cat /etc/no-swaps)\" '/dev/zram0 partition 1000 0 100' >/etc/swaps; umount /proc/swaps; mount --bind /etc/swaps /proc/swaps",
    ),
    ("no forwarding", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    ("API server's port", "occupy 6443"),
    ("kubelet's port", "occupy 10250"),
    ("etcd's port", "occupy 2379"),
    ("manager's port", "occupy 10257"),
    ("a manifest", "touch /etc/kubernetes/manifests/kube-apiserver.yaml"),
    (
        "all manifests",
        "touch /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/manifests/kube-controller-manager.yaml /etc/kubernetes/manifests/kube-scheduler.yaml /etc/kubernetes/manifests/etcd.yaml",
    ),
    ("another manifest", "touch /etc/kubernetes/manifests/kube-vip.yaml"),
    ("etcd's data", "mkdir -p /var/lib/etcd/member"),
    ("kubelet.conf", "touch /etc/kubernetes/kubelet.conf"),
    ("bootstrap-kubelet.conf", "touch /etc/kubernetes/bootstrap-kubelet.conf"),
    ("a CA", "touch /etc/kubernetes/pki/ca.crt"),
    ("admin.conf", "touch /etc/kubernetes/admin.conf"),
    ("one processor", "set -- taskset 1 \"$@\""),
    ("a name that nobody knows", "echo '127.0.0.1 localhost' >/etc/hosts"),
    (
        "no privileges",
        "chmod 755 \"$PLACE\"; set -- setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"",
    ),
];

/// Checks that depend on this machine's own kernel and service manager, which no case provokes.
const OF_THE_MACHINE: [&str; 3] = ["SystemVerification", "Service-Kubelet", "Service-kubelet"];

/// `[ERROR Swap]`, `[WARNING Hostname]`: which checks have failed.
fn marks(said: &str) -> BTreeSet<String> {
    let lines = said.lines().filter_map(|line| line.trim_start().strip_prefix('['));
    let marks = lines.filter_map(|line| Some(line.split_once(']')?.0.to_owned()));
    marks
        .filter(|mark| mark.starts_with("ERROR ") || mark.starts_with("WARNING "))
        .filter(|mark| !OF_THE_MACHINE.iter().any(|name| mark.ends_with(name)))
        .collect()
}

/// A folder that is the whole PATH before the system's own: kubeadm and a kubelet of its version.
fn programs(kubeadm: &Path, version: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
    fs::copy(kubeadm, folder.path().join("kubeadm")).unwrap();
    let kubelet = format!("#!/bin/sh\necho Kubernetes {version}\n");
    fs::write(folder.path().join("kubelet"), kubelet).unwrap();
    for path in [folder.path().to_owned(), folder.path().join("kubelet")] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    }
    folder
}

fn run(programs: &Path, config: &str, case: &str, verb: &str) -> Verdict {
    let place = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
    let file = programs.join("kubeadm.yaml");
    fs::write(&file, config).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--uts", "--pid", "--fork"])
        .args(["--kill-child=KILL", "--mount-proc", "bash", "-c", SETTING, "bash"])
        .args(["kubeadm", verb, "--config", "/etc/pikube/kubeadm.yaml"])
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("PLACE", place.path())
        .env("CONFIG", &file)
        .env("CASE", case)
        .output()
        .unwrap();
    Verdict::of(&output)
}

fn configurations(version: &str) -> Vec<(&'static str, &'static str, String)> {
    let of = |role: &str| {
        let rendered = super::plans::rendered(version);
        let name = format!("static address, {role}, {}", version.trim_start_matches('v'));
        rendered.into_iter().find(|(found, _)| *found == name).unwrap().1
    };
    let low = of("master")
        .replace("ignorePreflightErrors: []", "ignorePreflightErrors: [NumCPU, Port-6443]");
    vec![
        ("init", "master", of("master")),
        ("init", "master that ignores some", low),
        ("join", "worker", of("worker")),
        ("join", "control plane", of("control-plane")),
    ]
}

#[test]
fn the_same_checks_fail() {
    let test = "preflight checks beside the stand-in's";
    let is_root = geteuid().is_root().then_some(());
    let root = is_root.ok_or_else(|| Missing::new("namespaces", "they need root"));
    let Some(()) = needs::or_skip(test, root) else { return };
    let mut differences = Vec::new();
    for (pair, real) in Pair::all(test) {
        let (real, standin) =
            (programs(&real, pair.version), programs(&pair.standin, pair.version));
        for (verb, role, config) in configurations(pair.version) {
            for (name, case) in CONDITIONS {
                let verdict = |programs: &TempDir| run(programs.path(), &config, case, verb);
                let (real, standin) = (verdict(&real), verdict(&standin));
                let (theirs, ours) = (marks(&real.said), marks(&standin.said));
                assert!(real.code != 0, "{role}, {name}: nothing stops the real one");
                if (real.code, &theirs) != (standin.code, &ours) {
                    differences.push(format!(
                        "{}, {role}, {name}: kubeadm {} {theirs:?}, stand-in {} {ours:?}\n{}---\n{}",
                        pair.version, real.code, standin.code, real.said, standin.said
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n"));
}
