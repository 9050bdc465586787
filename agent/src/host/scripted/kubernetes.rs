//! Kubernetes' programs on the node in memory. Each leaves what the real one leaves, one write at a time, and refuses
//! what the real one refuses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::card::TOKEN;
use super::programs::said;
use super::{Answer, Command, Error, Host as _, Look as _, Node};

/// What stands for the cluster's database: one object a line.
pub const OBJECTS: &str = "/var/lib/etcd/objects";
const CNI: &str = "/etc/cni/net.d/10-flannel.conflist";
/// The certificate that kubeadm makes when it renews any; what the API server has of requests and nodes; which requests were
/// signed, with what.
pub const RENEWED: &str = "/test/renewed.crt";
pub const REQUESTS: &str = "/test/requests.json";
pub const NODES: &str = "/test/nodes.json";
pub const SIGNED: &str = "/test/signed";
const CONFIG: &str = "/etc/pikube/kubeadm.yaml";
const MANIFESTS: [&str; 4] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// What the program says; `None` where it is none of these.
pub(super) fn run(node: &Node, command: &Command) -> Option<Result<Answer, Error>> {
    let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
    Some(match (command.program, &args[..]) {
        ("kubeadm", ["config", "images", "list", ..]) => Ok(said(
            0,
            "registry.k8s.io/kube-apiserver:v1.36.4\nregistry.k8s.io/kube-proxy:v1.36.4\nregistry.k8s.io/pause:3.10.2\n",
        )),
        ("kubeadm", ["init", "--config", CONFIG, "--v=1"]) => init(node),
        ("kubeadm", ["join", "--config", CONFIG, "--v=1"]) => join(node),
        ("kubeadm", ["reset", "--force", _]) => reset(node),
        ("kubeadm", ["version", "-o", "short"]) => Ok(said(0, "v1.36.4\n")),
        ("kubeadm", ["certs", "renew", "all", "--config", path]) => renew(node, path),
        ("kubeadm", ["kubeconfig", "user", .., "--config", _]) => {
            Ok(said(0, &kubeconfig_of(&node.get(RENEWED))))
        }
        ("kubectl", [_, _, _, "replace", "--raw", path, "--filename=-"]) => {
            let body = command.input.as_ref().map(|body| String::from_utf8_lossy(body));
            put(node, SIGNED, &format!("{}{path} {}\n", node.get(SIGNED), body.unwrap_or_default()))
                .map(|()| Answer::default())
        }
        ("kubectl", ["--kubeconfig", kubeconfig, _, rest @ ..]) => kubectl(node, kubeconfig, rest),
        ("crictl", [_, rest @ ..]) => crictl(node, rest),
        _ => return None,
    })
}

fn init(node: &Node) -> Result<Answer, Error> {
    if let Some(refusal) = preflight(node, &["/etc/kubernetes/admin.conf"])? {
        return Ok(refusal);
    }
    let ca = node.get("/etc/kubernetes/pki/ca.crt");
    if ca.is_empty() || !node.get(CONFIG).contains(TOKEN) {
        return Ok(said(1, "error: no CA or no token: this would be another cluster\n"));
    }
    for path in ["/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/etcd/server.crt"] {
        put(node, path, &format!("signed by {ca}"))?;
    }
    for path in ["/etc/kubernetes/admin.conf", "/etc/kubernetes/kubelet.conf"] {
        put(node, path, &ca)?;
    }
    put(node, "/var/lib/kubelet/config.yaml", "KubeletConfiguration")?;
    for name in MANIFESTS {
        put(node, &format!("/etc/kubernetes/manifests/{name}.yaml"), name)?;
    }
    let mut objects = String::new();
    for object in ["configmap/kubelet-config", "deployment/coredns", "daemonset/kube-proxy"] {
        objects.extend([object, "\n"]);
        put(node, OBJECTS, &objects)?;
    }
    Ok(said(0, &format!("kubeadm join cp.pikube.internal:6443 --token {TOKEN}\n")))
}

/// A kubeconfig, or what kubeadm prints of one.
pub fn kubeconfig_of(certificate: &str) -> String {
    let data = STANDARD.encode(certificate);
    let key = STANDARD.encode("-----BEGIN PRIVATE KEY-----\nNEW\n-----END PRIVATE KEY-----\n");
    format!("    client-certificate-data: {data}\n    client-key-data: {key}\n")
}

fn renew(node: &Node, config: &str) -> Result<Answer, Error> {
    if !node.get(config).contains("kind: ClusterConfiguration") {
        return Ok(said(1, "error: no configuration\n"));
    }
    let renewed = node.get(RENEWED);
    let paths: Vec<String> = node.entries.borrow().keys().cloned().collect();
    for path in paths {
        let is_ca = path.ends_with("ca.crt");
        if path.starts_with("/etc/kubernetes/pki/") && path.ends_with(".crt") && !is_ca {
            put(node, &path, &renewed)?;
        } else if path.starts_with("/etc/kubernetes/") && path.ends_with(".conf") {
            put(node, &path, &kubeconfig_of(&renewed))?;
        }
    }
    Ok(Answer::default())
}

fn join(node: &Node) -> Result<Answer, Error> {
    if let Some(refusal) = preflight(node, &["/etc/kubernetes/pki/ca.crt"])? {
        return Ok(refusal);
    }
    let cluster = node.answering.borrow().get(":6443").cloned();
    if cluster.is_none() {
        return Ok(said(1, "error: dial tcp 192.168.1.10:6443: connect: connection refused\n"));
    }
    put(node, "/etc/kubernetes/bootstrap-kubelet.conf", TOKEN)?;
    put(node, "/etc/kubernetes/pki/ca.crt", "the cluster's")?;
    put(node, "/var/lib/kubelet/config.yaml", "KubeletConfiguration")?;
    put(node, "/var/lib/kubelet/pki/kubelet-client-current.pem", "node")?;
    put(node, "/etc/kubernetes/kubelet.conf", "node")?;
    node.remove("/etc/kubernetes/bootstrap-kubelet.conf")?;
    Ok(said(0, "This node has joined the cluster\n"))
}

/// kubeadm's `FileAvailable` and `DirAvailable`.
fn preflight(node: &Node, more: &[&str]) -> Result<Option<Answer>, Error> {
    let manifests = MANIFESTS.map(|name| format!("/etc/kubernetes/manifests/{name}.yaml"));
    let always =
        ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/bootstrap-kubelet.conf", OBJECTS];
    for path in manifests.iter().map(String::as_str).chain(always).chain(more.iter().copied()) {
        if node.exists(path)? {
            return Ok(Some(said(1, &format!("\t[ERROR FileAvailable]: {path} already exists\n"))));
        }
    }
    Ok(None)
}

fn reset(node: &Node) -> Result<Answer, Error> {
    let below = |folder: &str| -> Vec<String> {
        let entries = node.entries.borrow();
        entries.keys().filter(|path| path.starts_with(folder)).cloned().collect()
    };
    for folder in
        ["/etc/kubernetes/manifests/", "/var/lib/etcd/", "/var/lib/kubelet/", "/etc/kubernetes/"]
    {
        for path in below(folder) {
            node.remove(&path)?;
        }
    }
    Ok(Answer::default())
}

fn kubectl(node: &Node, kubeconfig: &str, words: &[&str]) -> Result<Answer, Error> {
    let own = MANIFESTS
        .iter()
        .all(|name| node.exists(&format!("/etc/kubernetes/manifests/{name}.yaml")).unwrap());
    if !node.exists(kubeconfig)? || !(own || node.answering.borrow().contains_key(":6443")) {
        return Ok(failed("The connection to the server was refused"));
    }
    let objects = node.get(OBJECTS);
    let has = |object: &str| objects.lines().any(|line| line == object);
    Ok(match words {
        ["get", "--raw", "/readyz"] => said(0, "ok"),
        ["get", "--raw", "/api/v1/nodes"] => said(0, &node.get(NODES)),
        ["get", "--raw", path] if path.starts_with("/apis/certificates.k8s.io/v1/") => {
            said(0, &node.get(REQUESTS))
        }
        ["--namespace", "kube-system", "get", "--output=name", parts @ ..] => {
            if parts.iter().all(|part| has(part)) { said(0, "") } else { failed("NotFound") }
        }
        ["--namespace", "kube-flannel", "get", "daemonset", "kube-flannel-ds", _] => {
            if has("daemonset/flannel") { said(0, "") } else { failed("(NotFound): not found") }
        }
        ["apply", ..] => {
            put(node, OBJECTS, &format!("{objects}daemonset/flannel\n"))?;
            said(0, "")
        }
        ["get", "node", _, _] => {
            // The pod of flannel on this node.
            if has("daemonset/flannel") || !own {
                put(node, CNI, "flannel")?;
            }
            said(0, r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#)
        }
        _ => failed("unknown command"),
    })
}

fn crictl(node: &Node, words: &[&str]) -> Result<Answer, Error> {
    const POD: &str = "/run/containerd/probe";
    /// As many pods as this has letters are ended by the kubelet.
    const ENDS: &str = "/run/kubelet-ends";
    let image = |name: &str| format!("/var/lib/containerd/{}", name.replace('/', "_"));
    Ok(match words {
        ["pull", name] => {
            put(node, &image(name), "layers")?;
            Answer::default()
        }
        ["inspecti", _, name] if node.exists(&image(name))? => said(0, "{}"),
        ["inspecti", ..] => failed("no such image"),
        ["ps", "--quiet", "--state=Running", "--name", name] => {
            said(0, &format!("{}\n", name.trim_matches(['^', '$'])))
        }
        ["stop", ..] => Answer::default(),
        ["pods", ..] => said(0, if node.exists(POD)? { "probe\n" } else { "" }),
        ["runp", _] if !node.exists(CNI)? => failed("cni plugin not initialized"),
        ["runp", _] if node.exists(POD)? => failed("name is reserved"),
        ["runp", _] => {
            put(node, POD, "")?;
            said(0, "probe\n")
        }
        // The kubelet has ended it.
        ["inspectp", ..] if !node.get(ENDS).is_empty() => {
            node.put(ENDS, &node.get(ENDS)[1..]);
            node.remove(POD)?;
            failed("rpc error: code = NotFound desc = an error occurred: not found")
        }
        ["inspectp", _, "probe"] => said(0, r#"{"status":{"network":{"ip":"10.244.0.5"}}}"#),
        ["stopp", _] => Answer::default(),
        ["rmp", _, _] => {
            node.remove(POD)?;
            Answer::default()
        }
        _ => failed("unknown command"),
    })
}

fn put(node: &Node, path: &str, content: &str) -> Result<(), Error> {
    node.tick(path)?;
    node.put(path, content);
    Ok(())
}

fn failed(stderr: &str) -> Answer {
    Answer { status: 1, stdout: String::new(), stderr: format!("{stderr}\n") }
}
