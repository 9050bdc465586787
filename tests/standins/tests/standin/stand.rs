//! A directory that stands for a node, with its kubelet kept running as systemd would.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

/// The token of these clusters.
pub const TOKEN: &str = "abcdef.0123456789abcdef";
/// The name at which the cluster is reached; only the nodes' `/etc/hosts` know it.
pub const ENDPOINT: &str = "cp.pikube-test.internal";

/// A node.
pub struct Stand {
    root: TempDir,
    name: String,
    stop: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Stand {
    /// A node without anything, its kubelet installed and not configured.
    pub fn new(name: &str) -> Self {
        let root = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        let stand = Self { root, name: name.to_owned(), stop: Arc::default(), keeper: None };
        stand.write("etc/hosts", &format!("127.0.0.1 localhost {ENDPOINT} {name}\n"));
        stand.write("etc/resolv.conf", "");
        // the kubelet's two ports lie close together
        let base = free_port() % 20_000 + 20_000;
        stand.write("etc/pikube-standin/port-shift", &(base - 10_248).to_string());
        stand
    }

    /// Where a file of it is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// What a file of it holds.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Copies the pairs that control planes share.
    pub fn take_pairs_of(&self, other: &Self) {
        for name in [
            "ca.crt",
            "ca.key",
            "sa.key",
            "sa.pub",
            "front-proxy-ca.crt",
            "front-proxy-ca.key",
            "etcd/ca.crt",
            "etcd/ca.key",
        ] {
            let path = format!("etc/kubernetes/pki/{name}");
            self.write(&path, &other.read(&path));
        }
    }

    /// Starts the kubelet, and again whenever it ends.
    pub fn keep_kubelet(&mut self) {
        let (stop, root, name) =
            (self.stop.clone(), self.root.path().to_owned(), self.name.clone());
        self.keeper = Some(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let flags = ["kubelet", "--node-ip=127.0.0.1", "--hostname-override", &name];
                let mut child = command(&root).args(flags).stderr(Stdio::null()).spawn().unwrap();
                while child.try_wait().unwrap().is_none() {
                    if stop.load(Ordering::Relaxed) {
                        end(&mut child);
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }));
    }

    /// Ends the kubelet, and its API server with it.
    pub fn stop_kubelet(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            keeper.join().unwrap();
        }
        self.stop.store(false, Ordering::Relaxed);
    }

    /// Runs kubeadm.
    pub fn kubeadm(&self, arguments: &[&str]) -> Output {
        command(self.root.path()).arg("kubeadm").args(arguments).output().unwrap()
    }

    /// `kubeadm init`; the API on this port.
    pub fn init(&self, port: u16, more: &str) -> Output {
        let text = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n\
             bootstrapTokens: [{{token: {TOKEN}, ttl: 24h}}]\n\
             localAPIEndpoint: {{advertiseAddress: 127.0.0.1, bindPort: {port}}}\n\
             nodeRegistration: {{name: {}, ignorePreflightErrors: [all]}}\n\
             timeouts: {{kubeletHealthCheck: 60s, controlPlaneComponentHealthCheck: 60s}}\n---\n\
             apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.4\n\
             controlPlaneEndpoint: {ENDPOINT}:{port}\nencryptionAlgorithm: ECDSA-P256\n\
             networking: {{podSubnet: 10.244.0.0/16}}\n{more}---\n\
             apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nfailSwapOn: false\n",
            self.name
        );
        self.write("kubeadm.yaml", &text);
        self.kubeadm(&["init", "--config", self.path("kubeadm.yaml").to_str().unwrap()])
    }

    /// `kubeadm join` with this token and this hash of the CA; `more` as `controlPlane: …`.
    pub fn join(&self, port: u16, token: &str, hash: &str, more: &str) -> Output {
        let text = format!(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n\
             discovery: {{bootstrapToken: {{token: {token}, apiServerEndpoint: '{ENDPOINT}:{port}', caCertHashes: ['{hash}']}}}}\n\
             timeouts: {{discovery: 1s, tlsBootstrap: 60s, kubeletHealthCheck: 60s}}\n\
             nodeRegistration: {{name: {}, ignorePreflightErrors: [all]}}\n{more}",
            self.name
        );
        self.write("kubeadm.yaml", &text);
        self.kubeadm(&["join", "--config", self.path("kubeadm.yaml").to_str().unwrap()])
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop_kubelet();
    }
}

fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command.env("PIKUBE_STANDIN_ROOT", root).stdin(Stdio::null());
    command
}

fn end(child: &mut Child) {
    // it may have ended by itself
    let _ = child.kill();
}

/// What a command said, both ways.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}
