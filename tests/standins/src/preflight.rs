//! What must hold before anything is changed (`cmd/kubeadm/app/preflight/checks.go`), in the same order and words.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use crate::config::{Config, text};
use crate::cri::Runtime;
use crate::{place, processes, resolve, say, version};

/// Least memory of a control plane, MB (kubeadm, `ControlPlaneMem`).
const MEMORY_MB: u64 = 1700;

/// A check's name and what it found.
#[derive(Default)]
struct Findings {
    warnings: Vec<(String, String)>,
    errors: Vec<(String, String)>,
}

impl Findings {
    fn warn(&mut self, name: &str, why: impl Into<String>) {
        self.warnings.push((name.to_owned(), why.into()));
    }

    fn fail(&mut self, name: &str, why: impl Into<String>) {
        self.errors.push((name.to_owned(), why.into()));
    }

    /// Prints all of it; errors that are not ignored end the command.
    fn end(self, config: &Config) -> Result<()> {
        let ignored = config.ignored();
        let is_ignored = |name: &str| {
            ignored.iter().any(|ignored| ignored == "all" || *ignored == name.to_lowercase())
        };
        let (mild, fatal): (Vec<_>, Vec<_>) =
            self.errors.into_iter().partition(|(name, _)| is_ignored(name));
        for (name, why) in self.warnings.into_iter().chain(mild) {
            say::err(&format!("\t[WARNING {name}]: {why}"));
        }
        if fatal.is_empty() {
            return Ok(());
        }
        say::err("[preflight] Some fatal errors occurred:");
        for (name, why) in fatal {
            say::err(&format!("\t[ERROR {name}]: {why}"));
        }
        say::err(
            "[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`",
        );
        if version::own_minor() < 36 {
            bail!("error execution phase preflight: [preflight] Some fatal errors occurred");
        }
        bail!("error execution phase preflight: preflight checks failed")
    }
}

/// The first check of every command.
///
/// # Errors
/// Not root.
pub(crate) fn root(config: &Config) -> Result<()> {
    let mut found = Findings::default();
    if !rustix::process::geteuid().is_root() {
        found.fail("IsPrivilegedUser", "user is not running as root");
    }
    found.end(config)
}

/// Before `init`.
///
/// # Errors
/// One fails and is not ignored.
pub(crate) fn init(config: &Config) -> Result<()> {
    let mut found = Findings::default();
    control_plane(config, &mut found);
    common(config, text(&config.cluster, "/kubernetesVersion"), &mut found);
    forwarding(&mut found);
    etcd(config, &mut found);
    found.end(config)
}

/// Before `join`.
///
/// # Errors
/// One fails and is not ignored.
pub(crate) fn join(config: &Config) -> Result<()> {
    let mut found = Findings::default();
    absent("/etc/kubernetes/kubelet.conf", &mut found);
    absent("/etc/kubernetes/bootstrap-kubelet.conf", &mut found);
    common(config, "", &mut found);
    let join = config.join.clone().unwrap_or_default();
    if join.get("controlPlane").is_none_or(serde_json::Value::is_null) {
        absent(text(&join, "/caCertPath"), &mut found);
    }
    // only for an endpoint that is an address, as the real one
    let endpoint = text(&join, "/discovery/bootstrapToken/apiServerEndpoint");
    if endpoint.rsplit_once(':').is_some_and(|(host, _)| host.parse::<Ipv4Addr>().is_ok()) {
        forwarding(&mut found);
    }
    found.end(config)
}

/// Before a node that has joined becomes a further control plane.
///
/// # Errors
/// One fails and is not ignored.
pub(crate) fn further_control_plane(config: &Config) -> Result<()> {
    let mut found = Findings::default();
    control_plane(config, &mut found);
    etcd(config, &mut found);
    found.end(config)
}

/// Whether all images are there or can be had.
///
/// # Errors
/// They cannot, and that is not ignored.
pub(crate) fn images(config: &Config) -> Result<()> {
    let mut found = Findings::default();
    let runtime = Runtime::at(text(&config.init, "/nodeRegistration/criSocket"));
    for image in crate::kubeadm::images(config) {
        let pulled = match runtime.has(&image) {
            Ok(true) => Ok(()),
            Ok(false) => runtime.pull(&image),
            Err(error) => Err(error),
        };
        if let Err(error) = pulled {
            found.fail("ImagePull", format!("failed to pull image {image}: {error:#}"));
        }
    }
    found.end(config)
}

fn control_plane(config: &Config, found: &mut Findings) {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    // User Mode Linux knows no second processor, however many there are
    let is_uml =
        std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"));
    if cpus < 2 && !is_uml {
        let why = format!("the number of available CPUs {cpus} is less than the required 2");
        found.fail("NumCPU", why);
    }
    let memory = memory_mb();
    if memory < MEMORY_MB {
        let why = format!("the system RAM ({memory} MB) is less than the minimum {MEMORY_MB} MB");
        found.fail("Mem", why);
    }
    let wanted = text(&config.cluster, "/kubernetesVersion");
    let is_newer = |(major, minor, _): (u32, u32, u32)| (major, minor) > (1, version::own_minor());
    if version::parts(wanted).is_some_and(is_newer) {
        found.warn("KubernetesVersion", format!("Kubernetes version is greater than kubeadm version. Please consider to upgrade kubeadm. Kubernetes version: {}. Kubeadm version: 1.{}.x", wanted.trim_start_matches('v'), version::own_minor()));
    }
    for port in [config.local_endpoint().1, 10259, 10257] {
        free(port, found);
    }
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
        absent(&format!("/etc/kubernetes/manifests/{name}.yaml"), found);
    }
}

fn etcd(config: &Config, found: &mut Findings) {
    free(2379, found);
    free(2380, found);
    let folder = text(&config.cluster, "/etcd/local/dataDir");
    let is_empty =
        std::fs::read_dir(place::at(folder)).map_or(true, |mut all| all.next().is_none());
    if !is_empty {
        found.fail(&format!("DirAvailable-{}", label(folder)), format!("{folder} is not empty"));
    }
}

fn common(config: &Config, wanted: &str, found: &mut Findings) {
    runtime(config, found);
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    if swaps.lines().count() > 1 {
        found.warn("Swap", "swap is supported for cgroup v2 only. The kubelet must be properly configured to use swap. Please refer to https://kubernetes.io/docs/concepts/architecture/nodes/#swap-memory, or disable swap on the node");
    }
    let mut needed = vec!["losetup", "mount", "cp"];
    let minor = version::parts(wanted).map_or(version::own_minor(), |(_, minor, _)| minor);
    if minor < 32 {
        needed.extend(["conntrack", "ip", "iptables"]);
    }
    for program in needed {
        if !processes::has(program) {
            let why = format!("{program} not found in system path");
            found.fail(&format!("FileExisting-{program}"), why);
        }
    }
    // A kubelet of this kind refuses cgroups of version 1 (failCgroupV1), and none works without the memory one.
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let has_memory = match &controllers {
        Ok(list) => list.split_whitespace().any(|name| name == "memory"),
        Err(_) => std::path::Path::new("/sys/fs/cgroup/memory").exists(),
    };
    if !has_memory {
        found.fail("SystemVerification", "missing required cgroups: memory");
    } else if controllers.is_err() && version::own_minor() >= 35 {
        found.fail("SystemVerification", "cgroups v1 support is deprecated and will be removed in a future release. Please migrate to cgroups v2. To explicitly enable cgroups v1 support for kubelet v1.35 or newer, you must set the kubelet configuration option 'FailCgroupV1' to 'false'");
    }
    let name = config.node_name();
    if resolve::address(name).is_err() {
        found.warn("Hostname", format!("hostname \"{name}\" could not be reached"));
    }
    kubelet(found);
    free(place::port(10250), found);
}

fn kubelet(found: &mut Findings) {
    if !place::is_node() {
        return;
    }
    match processes::run("kubelet", &["--version"]) {
        Err(error) => found.fail(
            "KubeletVersion",
            format!("couldn't get kubelet version: cannot execute 'kubelet --version': {error:#}"),
        ),
        Ok(said) => {
            let theirs = version::parts(said.trim().rsplit(' ').next().unwrap_or_default());
            let oldest = version::own_minor().saturating_sub(3);
            if theirs.is_none_or(|(_, minor, _)| minor < oldest) {
                found.fail("KubeletVersion", format!("Kubelet version \"{}\" is lower than kubeadm can support. Please upgrade kubelet", said.trim()));
            }
        }
    }
    let service = if version::own_minor() < 36 { "Service-Kubelet" } else { "Service-kubelet" };
    match processes::run("systemctl", &["is-enabled", "kubelet"]) {
        Ok(_) => {}
        Err(error)
            if format!("{error:#}").contains("not-found")
                || format!("{error:#}").contains("No such file") =>
        {
            found.warn(service, "kubelet service does not exist");
        }
        Err(_) => found.warn(
            service,
            "kubelet service is not enabled, please run 'systemctl enable kubelet.service'",
        ),
    }
}

fn runtime(config: &Config, found: &mut Findings) {
    let socket = text(&config.init, "/nodeRegistration/criSocket");
    if socket.contains("dockershim") {
        if let Err(error) =
            processes::run("docker", &["version", "--format", "{{.Server.Version}}"])
        {
            found.fail("SystemVerification", format!("error verifying Docker info: \"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\": {error:#}"));
        } else if place::is_node()
            && processes::run("systemctl", &["is-enabled", "docker"]).is_err()
        {
            found.warn(
                "Service-Docker",
                "docker service is not enabled, please run 'systemctl enable docker.service'",
            );
        }
        return;
    }
    let runtime = Runtime::at(socket);
    if let Err(error) = runtime.version() {
        let head = if version::own_minor() < 32 {
            "container runtime is not running: output"
        } else {
            "could not connect to the container runtime: failed to create new CRI runtime service"
        };
        found.fail("CRI", format!("{head}: {error:#}"));
        if version::own_minor() >= 35 {
            // the check beside it connects anew
            found.fail("ContainerRuntimeVersion", format!("{head}: {error:#}"));
        }
        return;
    }
    match runtime.tells_its_config() {
        Ok(true) => {}
        Ok(false) if version::own_minor() >= 35 => found.warn(
            "ContainerRuntimeVersion",
            format!("You must update your container runtime to a version that supports the CRI method RuntimeConfig. Falling back to using cgroupDriver from kubelet config will be removed in 1.{}. For more information, see https://git.k8s.io/enhancements/keps/sig-node/4033-group-driver-detection-over-cri", version::own_minor() + 1),
        ),
        Ok(false) => {}
        Err(error) => found.fail("ContainerRuntimeVersion", format!("could not check if the runtime config is available: {error:#}")),
    }
}

fn forwarding(found: &mut Findings) {
    let path = "/proc/sys/net/ipv4/ip_forward";
    let name = format!("FileContent-{}", label(path));
    match std::fs::read_to_string(path) {
        Ok(value) if value.trim() == "1" => {}
        Ok(_) => found.fail(&name, format!("{path} contents are not set to 1")),
        Err(_) => found.fail(&name, format!("{path} does not exist")),
    }
}

fn absent(path: &str, found: &mut Findings) {
    if place::exists(path) {
        found.fail(&format!("FileAvailable-{}", label(path)), format!("{path} already exists"));
    }
}

fn free(port: u16, found: &mut Findings) {
    if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err() {
        found.fail(&format!("Port-{port}"), format!("Port {port} is in use"));
    }
}

fn label(path: &str) -> String {
    path.replace('/', "-")
}

fn memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / 1_000_000
}
