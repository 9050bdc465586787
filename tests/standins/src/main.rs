//! Strict stand-ins for kubeadm and kubelet, for booted test nodes: the packages of Kubernetes cannot be downloaded
//! where the tests run.
//!
//! One program, called by the name of what it stands in for (`kubeadm`, `kubelet`) or by a first argument of that name.
//! It reads configuration as kubeadm does (field lists of Kubernetes' own source in `schema/`), checks the same
//! conditions before it begins, and serves a real TLS endpoint that Debian's real kubectl talks to. What it does not
//! do: run containers other than one sandbox per pod that needs the pod network, schedule, or replicate etcd.
//!
//! * `PIKUBE_STANDIN_ROOT`: a directory that it takes for `/`, so that it can be tried without being a node
//! * `/etc/pikube-standin/faults`: where to break off, see [`faults`]
//! * the version it claims is the trailer that `tests/standins/build.sh` appends to the file, see [`version`]

mod api;
mod client;
mod config;
mod cri;
mod faults;
mod kubeadm;
mod kubeconfig;
mod kubelet;
mod link;
mod pki;
mod place;
mod preflight;
mod processes;
mod resolve;
mod say;
mod time;
mod tls;
mod token;
mod version;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let called = arguments.next().unwrap_or_default();
    let name = called.rsplit('/').next().unwrap_or_default().to_owned();
    let mut arguments: Vec<String> = arguments.collect();
    let name = match name.as_str() {
        "kubeadm" | "kubelet" | "kube-apiserver" | "crictl" => name,
        _ if !arguments.is_empty() => arguments.remove(0),
        _ => name,
    };
    let ended = match name.as_str() {
        "kubeadm" => kubeadm::run(&arguments),
        "kubelet" => kubelet::run(&arguments),
        "kube-apiserver" => api::run(&arguments),
        "crictl" => cri::command(&arguments),
        other => Err(anyhow::anyhow!("no stand-in for {other:?}: kubeadm, kubelet, crictl")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match name.as_str() {
                "kubeadm" => {
                    say::err(&format!("error: {error:#}"));
                    say::err("To see the stack trace of this error execute with --v=5 or higher");
                }
                "kubelet" => say::err(&format!(
                    "E{} run.go:72] \"command failed\" err=\"{error:#}\"",
                    time::klog()
                )),
                _ => say::err(&format!("{error:#}")),
            }
            ExitCode::FAILURE
        }
    }
}
