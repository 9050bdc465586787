//! A real control plane on this computer: etcd, API server, controller manager and, on demand, scheduler as processes on
//! loopback, with the identity and the configuration that a master's card carries. What they are told is what kubeadm writes
//! into the manifests of the node's static pods; what cannot be as on the node is changed in [`Card`] and [`flags`].

mod card;
mod certificates;
mod manifest;
mod process;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

pub use card::Card;
pub use certificates::end_s;
use manifest::Flags;
use process::{Process, free_ports};

use crate::kubernetes::Programs;

/// The programs without which none starts.
pub const PROGRAMS: [&str; 5] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kubeadm", "kubectl"];
/// Until `/readyz`: seconds on a quiet machine, minutes on one that builds Kubernetes meanwhile.
const LIMIT: Duration = Duration::from_secs(300);
const KUBECONFIGS: [&str; 4] = ["admin", "super-admin", "controller-manager", "scheduler"];

/// A control plane that runs. Dropping it ends it.
#[derive(Debug)]
pub struct ControlPlane {
    /// In the order in which they end: etcd last.
    processes: Vec<Process>,
    programs: Programs,
    ports: Ports,
    /// From the first process to `/readyz`.
    pub ready_after: Duration,
    folder: TempDir,
}

/// Ports on 127.0.0.1.
#[derive(Debug)]
struct Ports {
    api: u16,
    etcd: u16,
    peer: u16,
    metrics: u16,
    manager: u16,
    scheduler: u16,
}

impl ControlPlane {
    /// Starts it and waits until the API server is ready. It is as a node is before `kubeadm init` has come to its end:
    /// administrators have no rights yet, no token lets anybody in.
    ///
    /// # Errors
    /// A program fails or ends; with its last words.
    pub fn start(programs: &Programs, card: &Card) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir()?;
        let [api, etcd, peer, metrics, manager, scheduler] = free_ports()?;
        let mut plane = Self {
            processes: Vec::new(),
            programs: programs.clone(),
            ports: Ports { api, etcd, peer, metrics, manager, scheduler },
            ready_after: Duration::ZERO,
            folder,
        };
        plane.prepare(card)?;
        let began = Instant::now();
        let start = |plane: &mut Self, name: &str| {
            let flags = plane.flags(name)?;
            plane.run(name, flags.arguments())
        };
        start(&mut plane, "etcd")?;
        start(&mut plane, "kube-apiserver")?;
        plane.wait_until_ready(began)?;
        plane.ready_after = began.elapsed();
        // It ends when it does not find a healthy API server within ten seconds; nobody starts it again here.
        start(&mut plane, "kube-controller-manager")?;
        Ok(plane)
    }

    /// Certificates, kubeconfigs and manifests, by kubeadm.
    fn prepare(&self, card: &Card) -> Result<()> {
        let folder = self.folder.path();
        card.write_identity(&folder.join("pki"))?;
        card.write_control_plane(folder)?;
        let text = card.configuration(folder, self.programs.version(), self.ports.api)?;
        fs::write(self.path("kubeadm.yaml"), text)?;
        let kubeconfigs = folder.join("etc/kubernetes");
        fs::create_dir_all(&kubeconfigs)?;
        fs::create_dir(self.path("manifests"))?;
        self.phase(["certs", "all"], [])?;
        let kubeconfig_dir = [OsStr::new("--kubeconfig-dir"), kubeconfigs.as_os_str()];
        for name in KUBECONFIGS {
            self.phase(["kubeconfig", name], kubeconfig_dir)?;
            here(&kubeconfigs.join(format!("{name}.conf")), &self.address())?;
        }
        // Only a dry run writes them elsewhere than into /etc/kubernetes/manifests.
        self.phase(["control-plane", "all"], [OsStr::new("--dry-run")])?;
        self.phase(["etcd", "local"], [OsStr::new("--dry-run")])
    }

    fn phase<const N: usize>(&self, phase: [&str; 2], more: [&OsStr; N]) -> Result<()> {
        let mut kubeadm = Command::new(self.programs.path("kubeadm"));
        kubeadm.args(["init", "phase"]).args(phase).args(more);
        kubeadm.arg("--config").arg(self.path("kubeadm.yaml"));
        kubeadm.env("KUBEADM_INIT_DRYRUN_DIR", self.path("manifests"));
        said(&mut kubeadm).map(drop)
    }

    /// What the node's static pod would be told, but for
    ///
    /// * addresses and ports: loopback, and free ones
    /// * files: those made here, not in `/etc/kubernetes` and `/var/log/kubernetes`
    /// * the `kubernetes` service, which has no node to lead to (`--endpoint-reconciler-type none`)
    fn flags(&self, name: &str) -> Result<Flags> {
        let mut flags = Flags::read(&self.path(&format!("manifests/{name}.yaml")))?;
        let ports = &self.ports;
        let tls = |port: u16| format!("https://127.0.0.1:{port}");
        match name {
            "etcd" => {
                let node = flags.value("name").context("etcd has no name")?;
                flags.set("advertise-client-urls", &tls(ports.etcd));
                flags.set("listen-client-urls", &tls(ports.etcd));
                flags.set("listen-peer-urls", &tls(ports.peer));
                flags.set("initial-advertise-peer-urls", &tls(ports.peer));
                flags.set("initial-cluster", &format!("{node}={}", tls(ports.peer)));
                flags.set("listen-metrics-urls", &format!("http://127.0.0.1:{}", ports.metrics));
            }
            "kube-apiserver" => {
                flags.set("etcd-servers", &tls(ports.etcd));
                flags.set("bind-address", "127.0.0.1");
                flags.set("endpoint-reconciler-type", "none");
            }
            "kube-controller-manager" => flags.set("secure-port", &ports.manager.to_string()),
            _ => flags.set("secure-port", &ports.scheduler.to_string()),
        }
        for path in ["/etc/kubernetes/", "/var/log/kubernetes/"] {
            flags.move_paths(path, &self.folder.path().display().to_string());
        }
        if flags.value("kubelet-certificate-authority").is_some() {
            let ca = self.path("pki/ca.crt").display().to_string();
            flags.set("kubelet-certificate-authority", &ca);
        }
        Ok(flags)
    }

    fn run(&mut self, name: &str, arguments: &[String]) -> Result<()> {
        let process = Process::start(&self.programs.path(name), arguments, self.folder.path())?;
        self.processes.insert(0, process);
        Ok(())
    }

    fn wait_until_ready(&mut self, began: Instant) -> Result<()> {
        loop {
            for process in &mut self.processes {
                process.check()?;
            }
            let answer = self.kubectl(["get", "--raw", "/readyz"]).output()?;
            if answer.status.success() {
                return Ok(());
            }
            if began.elapsed() > LIMIT {
                let words: Vec<String> = self.processes.iter().map(Process::last_words).collect();
                bail!(
                    "not ready within {} s: {}\n{}",
                    LIMIT.as_secs(),
                    text(&answer.stderr),
                    words.join("\n")
                );
            }
            // kubectl takes as much of a processor as what it waits for
            sleep(Duration::from_millis(300));
        }
    }

    /// `127.0.0.1:PORT` of the API server.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.api)
    }

    /// A file of the control plane's own folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// kubectl with all rights (`super-admin.conf`), which nobody else needs to be given first.
    #[must_use]
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut kubectl = Command::new(self.programs.path("kubectl"));
        kubectl.arg("--kubeconfig").arg(self.path("etc/kubernetes/super-admin.conf"));
        kubectl.args(arguments).env("HOME", self.folder.path());
        kubectl
    }

    /// What kubectl prints.
    ///
    /// # Errors
    /// It fails; with its words.
    pub fn ask<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        Ok(text(&said(&mut self.kubectl(arguments))?.stdout))
    }

    /// Administrators get their rights, as from `kubeadm init` (`EnsureAdminClusterRoleBinding`; its phases do it only with
    /// the kubeconfig in `/etc/kubernetes`).
    ///
    /// # Errors
    /// The API server refuses.
    pub fn admit_administrators(&self) -> Result<()> {
        let name = "kubeadm:cluster-admins";
        let group = format!("--group={name}");
        self.ask(["create", "clusterrolebinding", name, "--clusterrole=cluster-admin", &group])?;
        Ok(())
    }

    /// The card's token lets nodes in, and they find the cluster: the phase `bootstrap-token` of `kubeadm init`.
    ///
    /// # Errors
    /// kubeadm fails.
    pub fn admit_nodes(&self) -> Result<()> {
        let mut kubeadm = Command::new(self.programs.path("kubeadm"));
        kubeadm.args(["init", "phase", "bootstrap-token", "--skip-token-print", "--config"]);
        kubeadm.arg(self.path("kubeadm.yaml")).arg("--kubeconfig");
        kubeadm.arg(self.path("etc/kubernetes/super-admin.conf"));
        said(&mut kubeadm).map(drop)
    }

    /// Starts the scheduler too.
    ///
    /// # Errors
    /// It does not start.
    pub fn schedule(&mut self) -> Result<()> {
        let flags = self.flags("kube-scheduler")?;
        self.run("kube-scheduler", flags.arguments())
    }

    /// Starts kwok: nodes that are registered with the annotation `kwok.x-k8s.io/node: fake` become Ready.
    ///
    /// # Errors
    /// kwok does not start.
    pub fn simulate_nodes(&mut self) -> Result<()> {
        let [port] = free_ports()?;
        let kubeconfig = self.path("etc/kubernetes/super-admin.conf");
        let stages = self.programs.kwok_stages();
        self.run(
            "kwok",
            &[
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--config={}", stages.display()),
                "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
                format!("--server-address=127.0.0.1:{port}"),
            ],
        )
    }
}

/// Points a kubeconfig to this computer instead of to the node.
fn here(kubeconfig: &Path, address: &str) -> Result<()> {
    let text = fs::read_to_string(kubeconfig)?;
    let line = text.lines().find(|line| line.trim().starts_with("server: "));
    let line = line.with_context(|| format!("no server in {}", kubeconfig.display()))?;
    fs::write(kubeconfig, text.replace(line, &format!("    server: https://{address}")))?;
    Ok(())
}

fn said(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
