//! The static pods of a control plane.

use anyhow::Result;
use serde_json::{Value, json};

use crate::config::{Config, text, yaml};
use crate::{place, say};

/// Writes them.
///
/// # Errors
/// They cannot be written.
pub(super) fn write(config: &Config) -> Result<()> {
    say::out("[etcd] Creating static Pod manifest for local etcd in \"/etc/kubernetes/manifests\"");
    let images = super::images(config);
    let (address, port) = config.local_endpoint();
    let node = config.node_name();
    let services = text(&config.cluster, "/networking/serviceSubnet");
    let pods = text(&config.cluster, "/networking/podSubnet");
    let cluster = text(&config.cluster, "/clusterName");
    let folder = text(&config.cluster, "/certificatesDir");
    let data = text(&config.cluster, "/etcd/local/dataDir");
    let mut manager = vec![
        format!("--cluster-name={cluster}"),
        format!("--cluster-signing-cert-file={folder}/ca.crt"),
        format!("--cluster-signing-key-file={folder}/ca.key"),
        format!("--service-cluster-ip-range={services}"),
    ];
    if !pods.is_empty() {
        manager.extend(["--allocate-node-cidrs=true".into(), format!("--cluster-cidr={pods}")]);
    }
    let all = [
        (
            "etcd",
            "etcd",
            "/etcd/local/extraArgs",
            vec![
                format!("--advertise-client-urls=https://{address}:2379"),
                format!("--data-dir={data}"),
                format!("--name={node}"),
            ],
        ),
        (
            "kube-apiserver",
            "kube-apiserver",
            "/apiServer/extraArgs",
            vec![
                format!("--advertise-address={address}"),
                format!("--client-ca-file={folder}/ca.crt"),
                "--enable-bootstrap-token-auth=true".into(),
                "--etcd-servers=https://127.0.0.1:2379".into(),
                format!("--secure-port={port}"),
                format!("--service-cluster-ip-range={services}"),
                format!("--tls-cert-file={folder}/apiserver.crt"),
                format!("--tls-private-key-file={folder}/apiserver.key"),
            ],
        ),
        (
            "kube-controller-manager",
            "kube-controller-manager",
            "/controllerManager/extraArgs",
            manager,
        ),
        (
            "kube-scheduler",
            "kube-scheduler",
            "/scheduler/extraArgs",
            vec!["--leader-elect=true".into()],
        ),
    ];
    for (name, image, pointer, mut flags) in all {
        say::out(&format!("[control-plane] Creating static Pod manifest for \"{name}\""));
        let more = config.cluster.pointer(pointer).and_then(Value::as_array);
        for argument in more.into_iter().flatten() {
            let (key, value) = (text(argument, "/name"), text(argument, "/value"));
            let prefix = format!("--{key}=");
            flags.retain(|flag| !flag.starts_with(&prefix));
            flags.push(format!("--{key}={value}"));
        }
        let mut command = vec![name.to_owned()];
        command.extend(flags);
        let wanted = format!("/{image}:");
        let image = images.iter().find(|known| known.contains(&wanted));
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "kube-system",
                "labels": {"component": name, "tier": "control-plane"}},
            "spec": {"hostNetwork": true, "priorityClassName": "system-node-critical",
                "containers": [{"name": name, "image": image, "command": command}]},
        });
        let path = format!("/etc/kubernetes/manifests/{name}.yaml");
        place::write(&path, &yaml::text(&pod), 0o600)?;
    }
    Ok(())
}
