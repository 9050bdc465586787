//! The package side of the node in memory: apt, dpkg, the web, the container runtime. A package goes through the states
//! of the real one (half a file, unpacked, configured), one write at a time.

use super::programs::said;
use super::{Access, Answer, Command, Error, Look as _, Node, What};
use crate::render::package_sources;

/// dpkg's database: name, version, state per line.
const STATUS: &str = "/var/lib/dpkg/status";
const ARCHIVES: &str = "/var/cache/apt/archives";
/// What dpkg has not written into its database yet.
const UPDATES: &str = "/var/lib/dpkg/updates/";
const LISTS: &str = "/var/lib/apt/lists";

/// A key that apt trusts, and one that it does not.
pub const KEY: &str =
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQGOOD\n-----END PGP PUBLIC KEY BLOCK-----\n";
pub const OLD_KEY: &str =
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQOLD\n-----END PGP PUBLIC KEY BLOCK-----\n";

/// Package, versions (newest first), the list that has it, files, a unit.
type Known = (&'static str, &'static [&'static str], &'static str, &'static [&'static str]);

const KNOWN: [Known; 15] = [
    (
        "containerd.io",
        &["2.2.1-1~debian.13~trixie"],
        "docker",
        &["/usr/bin/containerd", "/usr/bin/ctr", "/lib/systemd/system/containerd.service"],
    ),
    (
        "docker-ce",
        &["5:29.1.0-1~debian.13~trixie"],
        "docker",
        &["/usr/bin/dockerd", "/lib/systemd/system/docker.service"],
    ),
    ("docker-ce-cli", &["5:29.1.0-1~debian.13~trixie"], "docker", &["/usr/bin/docker"]),
    (
        "containerd",
        &["1.7.24~ds1-6+deb13u1"],
        "system",
        &["/usr/bin/containerd", "/usr/bin/ctr", "/lib/systemd/system/containerd.service"],
    ),
    (
        "docker.io",
        &["26.1.5+dfsg1-9"],
        "system",
        &["/usr/sbin/dockerd", "/lib/systemd/system/docker.service"],
    ),
    ("docker-cli", &["26.1.5+dfsg1-9"], "system", &["/usr/bin/docker"]),
    (
        "kubelet",
        &["1.36.4-1.1", "1.36.3-1.1"],
        "kubernetes",
        &["/usr/bin/kubelet", "/lib/systemd/system/kubelet.service"],
    ),
    ("kubeadm", &["1.36.4-1.1", "1.36.3-1.1"], "kubernetes", &["/usr/bin/kubeadm"]),
    ("kubectl", &["1.36.4-1.1", "1.36.3-1.1"], "kubernetes", &["/usr/bin/kubectl"]),
    ("cri-tools", &["1.36.0-1.1"], "kubernetes", &["/usr/bin/crictl"]),
    ("kubernetes-cni", &["1.9.1-1.1"], "kubernetes", &["/opt/cni/bin/loopback"]),
    ("ca-certificates", &["20250419"], "system", &["/etc/ssl/certs/ca-certificates.crt"]),
    ("iptables", &["1.8.11-2"], "system", &["/usr/sbin/iptables"]),
    ("libnss-mdns", &["0.15.1-4"], "system", &[]),
    ("conntrack", &["1:1.4.8-2"], "system", &["/usr/sbin/conntrack"]),
];

/// Runs one of them; `None` where the program is none of these.
pub(super) fn run(node: &Node, command: &Command) -> Result<Option<Answer>, Error> {
    let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
    Ok(Some(match (command.program, &args[..]) {
        ("getent", ["ahosts", name]) => {
            let known = node.get(&format!("/run/dns/{name}"));
            let line = |address: &str| format!("{address}  STREAM {name}\n{address}  DGRAM\n");
            said(
                if known.is_empty() { 2 } else { 0 },
                &known.split_whitespace().map(line).collect::<String>(),
            )
        }
        ("ip", ["-o", "-4", "address", "show", interface @ .., "scope", "global"]) => {
            let of = |line: &&str| match interface {
                ["dev", name] => line.split_whitespace().nth(1) == Some(name),
                _ => true,
            };
            let text = node.get("/run/ip-address");
            said(0, &text.lines().filter(of).map(|line| format!("{line}\n")).collect::<String>())
        }
        ("ip", ["-4", "route", "show", "default"]) => said(0, &node.get("/run/ip-route")),
        ("ip", ["-4", "route", "get", target]) => match node.get("/run/ip-route").is_empty() {
            true => said(2, ""),
            false => {
                let via = "via 192.168.1.1 dev eth0 src 192.168.1.21 uid 0";
                said(0, &format!("{target} {via}\n    cache\n"))
            }
        },
        ("timedatectl", ["status"]) => said(0, &node.get("/run/timedatectl")),
        ("/usr/lib/apt/apt-helper", [.., "download-file", url, to]) => fetch(node, url, to)?,
        ("/usr/lib/apt/apt-helper", [.., "download-file", url, to, sum]) => {
            let answer = fetch(node, url, to)?;
            if answer.status == 0 && sum.trim_start_matches("SHA256:") != checksum(&node.get(to)) {
                complaint(
                    100,
                    &format!("E: Failed to fetch {url}  Hash Sum mismatch\nE: Download Failed\n"),
                )
            } else {
                answer
            }
        }
        ("curl", [.., "--output", to, url]) | ("wget", [.., "--output-document", to, url]) => {
            fetch(node, url, to)?
        }
        ("dpkg", ["--print-architecture"]) => {
            let other = node.get("/etc/other-architecture");
            said(0, if other.is_empty() { "arm64\n" } else { &other })
        }
        ("dpkg", ["--audit"]) => {
            let half: String = packages(node)
                .into_iter()
                .filter(|(_, _, state)| !is_whole(state))
                .map(|(name, ..)| format!(" {name}  what it is\n"))
                .collect();
            said(0, &half)
        }
        ("dpkg", [.., "--configure", "-a"]) => {
            for (name, ..) in packages(node).iter().filter(|(_, _, state)| state == "iU") {
                configure(node, name)?;
            }
            node.tick(UPDATES)?;
            node.drop_below(UPDATES);
            match packages(node).iter().find(|(_, _, state)| state.starts_with("iH")) {
                Some((name, ..)) => complaint(
                    1,
                    &format!(
                        "dpkg: error processing package {name} (--configure):\n package is in a very bad inconsistent state; you should\n reinstall it before attempting configuration\nErrors were encountered while processing:\n {name}\n"
                    ),
                ),
                None => Answer::default(),
            }
        }
        ("dpkg-query", ["-W", "-f", _, names @ ..]) => {
            let line = |(name, version, state): &(String, String, String)| {
                format!("{name} {version} {state} \n")
            };
            let known = packages(node);
            let known = known.iter().filter(|(name, ..)| names.contains(&name.as_str()));
            said(1, &known.map(line).collect::<String>())
        }
        ("apt-get", [.., "update"]) => update(node, &args)?,
        ("apt-get", ["clean"]) => {
            node.tick(ARCHIVES)?;
            node.drop_below(ARCHIVES);
            Answer::default()
        }
        ("apt-get", args) => install(node, args)?,
        ("apt-mark", ["hold", names @ ..]) => {
            for name in names {
                let version = packages(node).into_iter().find(|(known, ..)| known == name);
                set(node, name, &version.unwrap_or_default().1, "hi")?;
            }
            Answer::default()
        }
        ("apt-cache", ["policy", name]) => match KNOWN.iter().find(|known| known.0 == *name) {
            Some(known) if has_list(node, known.2) => {
                said(0, &format!("{name}:\n  Installed: (none)\n  Candidate: {}\n", known.1[0]))
            }
            _ => said(0, ""),
        },
        ("apt-cache", ["madison", name]) => {
            let known = KNOWN.iter().find(|known| known.0 == *name && has_list(node, known.2));
            let line = |version: &&str| format!("   {name} | {version} | https://x  Packages\n");
            said(
                0,
                &known
                    .map(|known| known.1.iter().map(line).collect::<String>())
                    .unwrap_or_default(),
            )
        }
        ("containerd", ["--version"]) => {
            let io = packages(node).iter().any(|(name, ..)| name == "containerd.io");
            let line = if io {
                "containerd containerd.io v2.2.1 1c4457e0\n"
            } else {
                "containerd github.com/containerd/containerd 1.7.24~ds1 1.7.24~ds1-6\n"
            };
            let own = node.get("/etc/containerd-says");
            said(0, if own.is_empty() { line } else { &own })
        }
        ("kubeadm", ["version", ..]) => said(0, "v1.36.4\n"),
        ("kubeadm", ["config", "images", "list", "--kubernetes-version", version, more @ ..]) => {
            let from = more.get(1).unwrap_or(&"registry.k8s.io");
            said(0, &format!("{from}/kube-proxy:{version}\n{from}/pause:3.10.2\n"))
        }
        ("crictl", [.., "info"]) | ("ctr", ["plugins", "ls"]) => {
            let configured = node.exists(crate::render::runtime::CONTAINERD)?
                && node.exists(crate::render::runtime::DROP_IN)?;
            if node.active.borrow().contains("containerd.service") && configured {
                said(0, "io.containerd.grpc.v1    cri    -    ok\n")
            } else {
                complaint(1, "unknown service runtime.v1.RuntimeService\n")
            }
        }
        ("sha256sum", [path]) => said(0, &format!("{}  {path}\n", checksum(&node.get(path)))),
        ("install", ["-m", "0755", "-T", from, to]) => {
            let content = node.get(from);
            halves(node, to, &content, 0o755)?;
            Answer::default()
        }
        ("mv", ["-f", "-T", from, to]) => {
            node.tick(to)?;
            let entry = node.entries.borrow_mut().remove(*from).unwrap();
            node.entries.borrow_mut().insert((*to).to_owned(), entry);
            Answer::default()
        }
        ("mkdir", ["-p", path]) => {
            node.tick(path)?;
            node.place(path, What::Folder, Access::root(0o755));
            Answer::default()
        }
        ("tar", [.., "-xzf", _, "-C", folder]) => {
            for plugin in ["bridge", "host-local", "loopback", "portmap"] {
                halves(node, &format!("{folder}/{plugin}"), plugin, 0o755)?;
            }
            Answer::default()
        }
        _ => return Ok(None),
    }))
}

/// The checksum of this world.
pub fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{sum:064x}")
}

fn complaint(status: i32, stderr: &str) -> Answer {
    Answer { status, stdout: String::new(), stderr: stderr.to_owned() }
}

/// A file as a program writes it: a power cut can leave a half.
fn halves(node: &Node, path: &str, content: &str, mode: u32) -> Result<(), Error> {
    for part in [content.len() / 2, content.len()] {
        node.tick(path)?;
        node.place(path, What::File(content[..part].into()), Access::root(mode));
    }
    Ok(())
}

fn fetch(node: &Node, url: &str, to: &str) -> Result<Answer, Error> {
    match node.text(&format!("web:{url}"))? {
        Some(content) => {
            halves(node, to, &content, 0o644)?;
            Ok(Answer::default())
        }
        None => Ok(complaint(
            100,
            &format!(
                "E: Failed to fetch {url}  404  Not Found [IP: 203.0.113.5 443]\nE: Download Failed\n"
            ),
        )),
    }
}

fn packages(node: &Node) -> Vec<(String, String, String)> {
    let text = node.get(STATUS);
    let words = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, words.next()?, words.next()?))
    };
    text.lines().filter_map(words).collect()
}

fn set(node: &Node, name: &str, version: &str, state: &str) -> Result<(), Error> {
    let mut all = packages(node);
    all.retain(|(known, ..)| known != name);
    all.push((name.to_owned(), version.to_owned(), state.to_owned()));
    all.sort();
    let text: String = all.iter().map(|(n, v, s)| format!("{n} {v} {s}\n")).collect();
    node.tick(STATUS)?;
    node.put(STATUS, text);
    Ok(())
}

fn is_whole(state: &str) -> bool {
    state.ends_with('i')
}

fn configure(node: &Node, name: &str) -> Result<(), Error> {
    let (_, version, _) = packages(node).into_iter().find(|(known, ..)| known == name).unwrap();
    set(node, name, &version, "ii")
}

fn has_list(node: &Node, list: &str) -> bool {
    list == "system" || node.exists(&format!("{LISTS}/{list}")).unwrap()
}

fn update(node: &Node, args: &[&str]) -> Result<Answer, Error> {
    let alone = args.iter().find_map(|arg| arg.strip_prefix("Dir::Etc::sourcelist="));
    let mut stderr = String::new();
    for (list, file, key) in [
        ("docker", package_sources::DOCKER, package_sources::DOCKER_KEY),
        ("kubernetes", package_sources::KUBERNETES, package_sources::KUBERNETES_KEY),
    ] {
        let source = node.get(file);
        if source.is_empty() || alone.is_some_and(|alone| alone != file) {
            continue;
        }
        let url = source.lines().find_map(|line| line.strip_prefix("URIs: ")).unwrap_or_default();
        let url = url.trim_end_matches('/');
        if node.get(key).trim() != KEY.trim() {
            stderr.push_str(&format!(
                "W: GPG error: {url}  InRelease: The following signatures were invalid: EXPKEYSIG 234654DA9A296436 x\n\
                 E: The repository '{url}  InRelease' is not signed.\n"
            ));
            continue;
        }
        halves(node, &format!("{LISTS}/{list}"), url, 0o644)?;
    }
    Ok(complaint(if stderr.is_empty() { 0 } else { 100 }, &stderr))
}

fn install(node: &Node, args: &[&str]) -> Result<Answer, Error> {
    let at = args.iter().position(|arg| *arg == "install").unwrap();
    if !node.list(UPDATES.trim_end_matches('/'))?.is_empty() {
        return Ok(complaint(
            100,
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n",
        ));
    }
    let mut chosen = Vec::new();
    for wanted in &args[at + 1..] {
        let (name, version) = wanted.split_once('=').unwrap_or((wanted, "*"));
        let Some(known) = KNOWN.iter().find(|known| known.0 == name && has_list(node, known.2))
        else {
            return Ok(complaint(100, &format!("E: Unable to locate package {name}\n")));
        };
        let start = version.trim_end_matches('*');
        let Some(version) = known.1.iter().find(|version| version.starts_with(start)) else {
            return Ok(complaint(
                100,
                &format!("E: Version '{version}' for '{name}' was not found\n"),
            ));
        };
        chosen.push((known, *version));
    }
    for (known, version) in &chosen {
        let archive = format!("{ARCHIVES}/{}_{version}.deb", known.0);
        let content = format!("the package {}", known.0);
        if node.get(&archive) != content {
            halves(node, &archive, &content, 0o644)?;
        }
    }
    if args.contains(&"--download-only") {
        return Ok(Answer::default());
    }
    node.tick(UPDATES)?;
    node.put(&format!("{UPDATES}0001"), "");
    for (known, version) in &chosen {
        set(node, known.0, version, "iHR")?;
        for path in known.3 {
            halves(node, path, known.0, 0o755)?;
        }
        set(node, known.0, version, "iU")?;
    }
    for (name, ..) in packages(node).iter().filter(|(_, _, state)| state == "iU") {
        configure(node, name)?;
    }
    node.tick(UPDATES)?;
    node.drop_below(UPDATES);
    Ok(Answer::default())
}
