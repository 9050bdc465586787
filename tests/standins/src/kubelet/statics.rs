//! Static pods: of those of a control plane, the API server runs, as a child that is this program again.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Told;
use crate::client::{self, Client};
use crate::config::{text, yaml};
use crate::{place, say, time};

const NAMES: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// The child, if there is one.
#[derive(Default)]
pub(super) struct Statics {
    api: Option<Child>,
}

impl Statics {
    /// Starts it where all four manifests are, starts it again when it has died, ends it when one has gone.
    ///
    /// # Errors
    /// It cannot be started or ended.
    pub(super) fn keep(&mut self, config: &Value) -> Result<()> {
        let folder = match text(config, "/staticPodPath") {
            "" => return Ok(()),
            folder => folder,
        };
        let is_wanted = NAMES.iter().all(|name| place::exists(&format!("{folder}/{name}.yaml")));
        if let Some(child) = &mut self.api {
            match child.try_wait()? {
                Some(status) => {
                    say::log('E', &format!("kube-apiserver ended: {status}"));
                    self.api = None;
                }
                None if !is_wanted => {
                    child.kill()?;
                    child.wait()?;
                    self.api = None;
                }
                None => return Ok(()),
            }
        }
        if is_wanted {
            let child = Command::new("/proc/self/exe")
                .arg("kube-apiserver")
                .stdin(Stdio::null())
                .spawn()
                .context("kube-apiserver")?;
            self.api = Some(child);
        }
        Ok(())
    }
}

impl Drop for Statics {
    fn drop(&mut self) {
        if let Some(mut child) = self.api.take() {
            // it may have died by itself
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Shows the static pods in the API.
///
/// # Errors
/// The API server refuses.
pub(super) fn mirror(told: &Told, client: &Client) -> Result<()> {
    for name in NAMES {
        let path = format!("/etc/kubernetes/manifests/{name}.yaml");
        let Ok(file) = place::read(&path) else { continue };
        let pod = format!("{name}-{}", told.name);
        let collection = "/api/v1/namespaces/kube-system/pods";
        if client.find(&format!("{collection}/{pod}"))?.is_some() {
            continue;
        }
        let documents = yaml::documents(&file)?;
        let Some(mut object) = documents.into_iter().next() else { continue };
        let command = object.pointer("/spec/containers/0/command").and_then(Value::as_array);
        let flag = |name: &str| {
            let prefix = format!("--{name}=");
            let flags = command.into_iter().flatten().filter_map(Value::as_str);
            flags
                .filter_map(|flag| flag.strip_prefix(&prefix))
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let endpoint = format!("{}:{}", flag("advertise-address"), flag("secure-port"));
        object["metadata"]["name"] = pod.as_str().into();
        object["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "1"});
        if name == "kube-apiserver" {
            let key = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";
            object["metadata"]["annotations"][key] = endpoint.into();
        }
        object["spec"]["nodeName"] = told.name.as_str().into();
        object["status"] = json!({"phase": "Running", "startTime": time::stamp(),
            "conditions": [{"type": "Ready", "status": "True"}]});
        match client.ask("POST", collection, Some(&object)) {
            // another round was faster
            Err(error) if client::code(&error) == Some(409) => {}
            other => drop(other?),
        }
    }
    Ok(())
}
