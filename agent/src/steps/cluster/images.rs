//! The images that this node starts with, pulled before anything waits for them: a slow network is then told by its
//! name, and not by a kubeadm that runs out of time.

use std::time::Duration;

use pikube_config::{PodNetwork, Role};

use super::member;
use crate::host::{Answer, Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::{flannel, kube_vip, kubeadm};
use crate::step::{Check, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "images",
    title: "container images",
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
    for image in absent(context, host)? {
        let command = runtime(context, ["pull", &image])?.within(LIMIT);
        let answer = host.ask(&command)?;
        if answer.status != 0 {
            return Err(stop(&image, &answer));
        }
    }
    Ok(Notes::new())
}

fn absent(context: &Context, host: &dyn Look) -> Result<Vec<String>, Stop> {
    let mut absent = Vec::new();
    for image in wanted(context, host)? {
        // Both clients end with a status other than 0 for an image that they do not have.
        let command = match is_docker(context)? {
            true => Command::new("docker", ["image", "inspect", "--format={{.Id}}", &image]),
            false => runtime(context, ["inspecti", &image])?,
        };
        if host.ask(&command)?.status != 0 {
            absent.push(image);
        }
    }
    Ok(absent)
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

fn is_docker(context: &Context) -> Result<bool, Stop> {
    Ok(kubeadm::uses_dockershim(member::tables(context)?.0))
}

/// The runtime's own client: `crictl`, or `docker` where the kubelet talks to it.
fn runtime(context: &Context, words: [&str; 2]) -> Result<Command, Stop> {
    let (kubernetes, _) = member::tables(context)?;
    if kubeadm::uses_dockershim(kubernetes) {
        return Ok(Command::new("docker", words));
    }
    if kubernetes.legacy {
        // The legacy line has no crictl.
        let verb = if words[0] == "inspecti" { "inspect" } else { words[0] };
        return Ok(Command::new("ctr", ["--namespace=k8s.io", "images", verb, words[1]]));
    }
    let endpoint = format!("--runtime-endpoint={}", kubeadm::socket(kubernetes));
    Ok(Command::new("crictl", [endpoint.as_str()].into_iter().chain(words)))
}

fn stop(image: &str, answer: &Answer) -> Stop {
    let said = if answer.stderr.trim().is_empty() { &answer.stdout } else { &answer.stderr };
    let said = said.trim();
    let line = said.lines().last().unwrap_or("nothing said");
    let doing = format!("pulling `{image}`: {line}");
    let error = Error::Command { line: "pull".into(), status: answer.status, said: said.into() };
    let says = |part: &str| said.contains(part);
    if says("no space left on device") || says("No space left on device") {
        match Stop::from(error) {
            Stop::Person { help, .. } => Stop::person(doing, help),
            Stop::Again(_) => Stop::person(doing, "make room on the card, or use a larger one"),
        }
    } else if says("no match for platform") {
        Stop::person(doing, "the registry has this image for other processors only")
    } else {
        Stop::Again(doing)
    }
}
