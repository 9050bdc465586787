//! The images that this node starts with, pulled before anything waits for them: a slow network is then told by its
//! name, and not by a kubeadm that runs out of time.

use std::time::Duration;

use pikube_config::{Kubernetes, PodNetwork, Role};

use super::{crictl, member, reason};
use crate::host::{Answer, Command, Host, Look};
use crate::plan::Context;
use crate::render::runtime::Cri;
use crate::render::{flannel, kube_vip};
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "images",
    title: "container images",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

/// One image of a control plane is 30 MB; a slow line and a slow card take their time.
const LIMIT: Duration = Duration::from_secs(3600);

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if !host.live() {
        return Ok(Check::Unknown);
    }
    // What the kubelet throws away later to make room, it pulls again itself.
    if member::is_marked(context, host)? {
        return Ok(Check::Satisfied);
    }
    let absent = absent(context, host)?;
    Ok(Check::of(absent.iter().map(|image| format!("`{image}` is not here yet")).collect(), false))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let client = Client::of(member::tables(context)?.0);
    for image in absent(context, host)? {
        let answer = host.ask(&client.pull(&image).within(LIMIT))?;
        if answer.status != 0 {
            return Err(stop(&image, &answer));
        }
    }
    Ok(Notes::new())
}

fn absent(context: &Context, host: &dyn Look) -> Result<Vec<String>, Stop> {
    let client = Client::of(member::tables(context)?.0);
    let mut absent = Vec::new();
    for image in wanted(context, host)? {
        let answer = host.ask(&client.look_for(&image))?;
        if answer.status != 0 || answer.stdout.trim().is_empty() {
            absent.push(image);
        }
    }
    Ok(absent)
}

/// Who pulls images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// The CRI's own client, of the package cri-tools.
    Crictl,
    /// containerd's client; the legacy line has no crictl.
    Ctr,
    /// docker, where the kubelet talks to it.
    Docker,
}

impl Client {
    fn of(kubernetes: &Kubernetes) -> Self {
        match (Cri::of(kubernetes), kubernetes.legacy) {
            (Cri::Dockershim, _) => Self::Docker,
            (Cri::Containerd, true) => Self::Ctr,
            (Cri::Containerd, false) => Self::Crictl,
        }
    }

    fn pull(self, image: &str) -> Command {
        match self {
            Self::Crictl => crictl::command(&["pull", image]),
            Self::Ctr => {
                let hosts = "--hosts-dir=/etc/containerd/certs.d";
                Command::new("ctr", ["--namespace=k8s.io", "images", "pull", hosts, image])
            }
            Self::Docker => Command::new("docker", ["pull", "--quiet", image]),
        }
    }

    /// Prints something, with status 0, if the image is there.
    fn look_for(self, image: &str) -> Command {
        match self {
            Self::Crictl => crictl::command(&["inspecti", "--quiet", image]),
            Self::Ctr => {
                let name = format!("name=={image}");
                Command::new("ctr", ["--namespace=k8s.io", "images", "list", "--quiet", &name])
            }
            Self::Docker => Command::new("docker", ["image", "inspect", "--format={{.Id}}", image]),
        }
    }
}

/// kubeadm's list: all of it on a control plane; a worker runs kube-proxy, and CoreDNS and the pod network perhaps.
fn wanted(context: &Context, host: &dyn Look) -> Result<Vec<String>, Stop> {
    let (kubernetes, cluster) = member::tables(context)?;
    let version = format!("--kubernetes-version=v{}", member::version(context, host)?);
    let mut words = vec!["config".to_owned(), "images".to_owned(), "list".to_owned(), version];
    words.extend(kubernetes.images().map(|images| format!("--image-repository={images}")));
    let command = Command::new("kubeadm", words);
    let answer = host.ask(&command)?.ok(&command)?;
    let all = answer.stdout.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_worker = context.plan.node.role == Role::Worker;
    let of_worker = |image: &&str| image.contains("/kube-proxy:") || image.contains("/pause:");
    let mut images: Vec<String> =
        all.filter(|image| !is_worker || of_worker(image)).map(str::to_owned).collect();
    if kubernetes.pod_network == PodNetwork::Flannel {
        images.extend(flannel::images(kubernetes));
    }
    if cluster.virtual_ip == Some(true) && !is_worker {
        images.push(kube_vip::image(kubernetes));
    }
    Ok(images)
}

fn stop(image: &str, answer: &Answer) -> Stop {
    let doing = format!("pulling `{image}`: {}", reason::of_answer(answer));
    let says = |part: &str| answer.said().to_lowercase().contains(part);
    if says("no space left on device") {
        Stop::person(doing, "make room on the card, or use a larger one")
    } else if says("no match for platform") {
        Stop::person(doing, "the registry has this image for other processors only")
    } else {
        Stop::Again(doing)
    }
}
