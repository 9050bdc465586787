//! The container runtime's files (`kubernetes-on-pi.md` D5, §3.2, §5, §11). containerd gets a configuration of our own
//! beside the packaged one: no question of dpkg about a changed file, and no `disabled_plugins = ["cri"]`.

use pikube_config::{FirstbootPlan, Kubernetes, Runtime};

use super::{File, text, when};

/// containerd's configuration.
pub const CONTAINERD: &str = "/etc/pikube/containerd.toml";
/// Makes containerd read it.
pub const DROP_IN: &str = "/etc/systemd/system/containerd.service.d/10-pikube.conf";
/// crictl's settings.
pub const CRICTL: &str = "/etc/crictl.yaml";
/// Keeps NetworkManager off the pods' interfaces.
pub const NETWORK_MANAGER: &str = "/etc/NetworkManager/conf.d/90-pikube.conf";
/// Docker's settings: the user's own.
pub const DOCKER: &str = "/etc/docker/daemon.json";

/// Where containerd listens for CRI.
pub const CONTAINERD_SOCKET: &str = "unix:///run/containerd/containerd.sock";
/// Where the kubelet's own adapter for docker listens, up to Kubernetes 1.23.
pub const DOCKERSHIM_SOCKET: &str = "/var/run/dockershim.sock";
/// The last minor version whose kubelet speaks to docker itself (kubernetes/enhancements#2221).
const LAST_DOCKERSHIM_MINOR: u32 = 23;

/// What the kubelet speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cri {
    /// containerd, with or without docker beside it.
    Containerd,
    /// docker, through the kubelet's own adapter.
    Dockershim,
}

impl Cri {
    /// What a plan makes it speak to.
    pub fn of(kubernetes: &Kubernetes) -> Self {
        let old = kubernetes.legacy && kubernetes.minor() <= LAST_DOCKERSHIM_MINOR;
        if old && kubernetes.runtime == Runtime::Docker {
            Self::Dockershim
        } else {
            Self::Containerd
        }
    }

    /// kubeadm's `nodeRegistration.criSocket`.
    pub fn socket(self) -> &'static str {
        match self {
            Self::Containerd => CONTAINERD_SOCKET,
            Self::Dockershim => DOCKERSHIM_SOCKET,
        }
    }
}

/// Files that need nothing but the plan.
pub fn files(plan: &FirstbootPlan) -> Vec<File> {
    let Some(kubernetes) = &plan.kubernetes else { return Vec::new() };
    let mut files = vec![when(text(NETWORK_MANAGER, UNMANAGED), "where NetworkManager is used")];
    if Cri::of(kubernetes) == Cri::Dockershim {
        return files;
    }
    files.push(text(
        DROP_IN,
        format!("[Service]\nExecStart=\nExecStart=/usr/bin/containerd --config {CONTAINERD}\n"),
    ));
    // Its own two seconds are too few for a pod on a slow card.
    files.push(text(
        CRICTL,
        format!(
            "runtime-endpoint: {CONTAINERD_SOCKET}\nimage-endpoint: {CONTAINERD_SOCKET}\ntimeout: 120\n"
        ),
    ));
    files.extend(plain_registry(kubernetes));
    files
}

/// All files, with containerd's as version 2 and later of it reads it.
pub fn shown(plan: &FirstbootPlan) -> Vec<File> {
    let mut files = files(plan);
    if let Some(kubernetes) = &plan.kubernetes
        && Cri::of(kubernetes) == Cri::Containerd
    {
        let sandbox = sandbox(kubernetes, None);
        files.push(when(containerd((2, 1), &sandbox), "its keys are others for containerd 1"));
    }
    files
}

const UNMANAGED: &str = "[keyfile]\nunmanaged-devices=interface-name:cni0;interface-name:flannel*;\
    interface-name:cali*;interface-name:tunl*;interface-name:vxlan.calico;interface-name:veth*;\
    interface-name:docker0\n";

/// The registry that has no TLS, if the plan names one.
fn plain_host(kubernetes: &Kubernetes) -> Option<&str> {
    kubernetes.image_repository.as_deref()?.strip_prefix("http://")?.split('/').next()
}

/// What containerd has to know of a registry without TLS (containerd, `docs/hosts.md`).
fn plain_registry(kubernetes: &Kubernetes) -> Option<File> {
    let host = plain_host(kubernetes)?;
    Some(text(
        format!("/etc/containerd/certs.d/{host}/hosts.toml"),
        format!(
            "server = \"http://{host}\"\n\n[host.\"http://{host}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        ),
    ))
}

/// The image that holds a pod's network. `images` is what kubeadm wants pulled, one per line: its own is used, so that
/// there is one and not two; where it cannot be asked, the one that Kubernetes' release notes name.
pub fn sandbox(kubernetes: &Kubernetes, images: Option<&str>) -> String {
    let asked = images.and_then(|images| images.lines().find(|image| image.contains("/pause:")));
    if let Some(image) = asked {
        return image.trim().to_owned();
    }
    let tag = match kubernetes.minor() {
        ..=21 => "3.4.1",
        22 => "3.5",
        23 => "3.6",
        24 => "3.7",
        25..=28 => "3.9",
        29..=33 => "3.10",
        34 | 35 => "3.10.1",
        _ => "3.10.2",
    };
    format!("{}/pause:{tag}", kubernetes.images().unwrap_or("registry.k8s.io"))
}

/// containerd's configuration for its version: format 3 came with containerd 2 (containerd-config.toml(5)), several
/// folders of plugins with 2.1, which warns of the single one.
pub fn containerd(version: (u32, u32), sandbox: &str) -> File {
    let folders =
        if version >= (2, 1) { "bin_dirs = ['/opt/cni/bin']" } else { "bin_dir = '/opt/cni/bin'" };
    let content = if version >= (2, 0) {
        format!(
            "version = 3

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '{sandbox}'

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'runc'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  {folders}
  conf_dir = '/etc/cni/net.d'
"
        )
    } else {
        format!(
            "version = 2

[plugins.\"io.containerd.grpc.v1.cri\"]
  sandbox_image = \"{sandbox}\"

[plugins.\"io.containerd.grpc.v1.cri\".registry]
  config_path = \"/etc/containerd/certs.d\"

[plugins.\"io.containerd.grpc.v1.cri\".containerd]
  default_runtime_name = \"runc\"

[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]
  runtime_type = \"io.containerd.runc.v2\"

[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]
  SystemdCgroup = true

[plugins.\"io.containerd.grpc.v1.cri\".cni]
  bin_dir = \"/opt/cni/bin\"
  conf_dir = \"/etc/cni/net.d\"
"
        )
    };
    text(CONTAINERD, content)
}

/// The first two numbers of a version, wherever it stands in what a program says: `containerd --version` ends in
/// `1.7.24~ds1`, `v2.1.5` or `2.1.9+unknown`.
pub fn version_in(said: &str) -> Option<(u32, u32)> {
    said.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor: String = numbers.next()?.chars().take_while(char::is_ascii_digit).collect();
        Some((major, minor.parse().ok()?))
    })
}

/// Docker's settings (dockerd(8), "Daemon configuration file") with the systemd cgroup driver, which kubeadm 1.22 and later
/// gives the kubelet, and with the plan's registry if that has no TLS; `None` where there is nothing to add. Whatever they
/// say of a driver already, and what else they hold, is kept.
///
/// # Errors
/// They cannot be read as JSON.
pub fn docker_settings(now: &str, kubernetes: &Kubernetes) -> Result<Option<String>, String> {
    let mut settings: serde_json::Map<String, serde_json::Value> = if now.trim().is_empty() {
        serde_json::Map::new()
    } else {
        serde_json::from_str(now).map_err(|error| error.to_string())?
    };
    let driver = add(&mut settings, "exec-opts", "native.cgroupdriver=systemd", |option| {
        option.starts_with("native.cgroupdriver")
    })?;
    let registry = match plain_host(kubernetes) {
        Some(host) => add(&mut settings, "insecure-registries", host, |known| known == host)?,
        None => false,
    };
    if !driver && !registry {
        return Ok(None);
    }
    let text = serde_json::to_string_pretty(&settings).map_err(|error| error.to_string())?;
    Ok(Some(text + "\n"))
}

/// Adds a word to a list in docker's settings unless one is there that will do; whether it was added.
fn add(
    settings: &mut serde_json::Map<String, serde_json::Value>,
    key: &str,
    word: &str,
    will_do: impl Fn(&str) -> bool,
) -> Result<bool, String> {
    let list = settings.entry(key).or_insert_with(|| serde_json::json!([]));
    let list = list.as_array_mut().ok_or_else(|| format!("`{key}` is no list"))?;
    let is_new = !list.iter().filter_map(|word| word.as_str()).any(will_do);
    if is_new {
        list.push(word.into());
    }
    Ok(is_new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legacy(version: &str) -> Kubernetes {
        Kubernetes { legacy: true, ..Kubernetes::new(version) }
    }

    #[test]
    fn the_kubelet_speaks_to_docker_up_to_1_23_only() {
        assert_eq!(Cri::of(&Kubernetes::new("1.36")), Cri::Containerd);
        assert_eq!(Cri::of(&legacy("1.24.17")), Cri::Containerd);
        assert_eq!(Cri::of(&legacy("1.23.17")), Cri::Dockershim);
        let alone = Kubernetes { runtime: Runtime::Containerd, ..legacy("1.23.17") };
        assert_eq!(Cri::of(&alone).socket(), CONTAINERD_SOCKET);
    }

    #[test]
    fn the_sandbox_is_kubeadm_s_own_or_the_release_s() {
        let mut plan = Kubernetes::new("1.36.4");
        let images = "registry.k8s.io/kube-proxy:v1.36.4\nregistry.k8s.io/pause:3.10.9\n";
        assert_eq!(sandbox(&plan, Some(images)), "registry.k8s.io/pause:3.10.9");
        assert_eq!(sandbox(&plan, Some("")), "registry.k8s.io/pause:3.10.2");
        plan.image_repository = Some("http://203.0.113.1:5000/k8s".to_owned());
        assert_eq!(sandbox(&plan, None), "203.0.113.1:5000/k8s/pause:3.10.2");
    }

    #[test]
    fn a_registry_without_tls_is_told_to_containerd() {
        let mut plan = Kubernetes::new("1.36.4");
        plan.image_repository = Some("registry.example.org/k8s".to_owned());
        assert_eq!(plain_registry(&plan), None);
        plan.image_repository = Some("http://203.0.113.1:5000/k8s".to_owned());
        let file = plain_registry(&plan).unwrap();
        assert_eq!(file.path, "/etc/containerd/certs.d/203.0.113.1:5000/hosts.toml");
        assert_eq!(
            file.text(),
            "server = \"http://203.0.113.1:5000\"\n\n[host.\"http://203.0.113.1:5000\"]\n  \
             capabilities = [\"pull\", \"resolve\"]\n"
        );
    }

    #[test]
    fn docker_s_settings_are_the_user_s_but_for_what_nobody_has_set() {
        let mut plan = legacy("1.23.17");
        let new = docker_settings("", &plan).unwrap().unwrap();
        assert!(new.contains("\"native.cgroupdriver=systemd\""), "{new}");
        assert_eq!(docker_settings(&new, &plan), Ok(None));
        let with = "{\"labels\":[\"arch=arm\"],\"experimental\":true}";
        let with = docker_settings(with, &plan).unwrap().unwrap();
        assert!(with.contains("arch=arm") && with.contains("true") && with.contains("systemd"));
        let cgroupfs = "{\"exec-opts\":[\"native.cgroupdriver=cgroupfs\"]}";
        assert_eq!(docker_settings(cgroupfs, &plan), Ok(None));
        for wrong in ["{", "{\"exec-opts\":1}"] {
            assert!(docker_settings(wrong, &plan).is_err(), "{wrong}");
        }
        // A registry without TLS is added to those that there are.
        plan.image_repository = Some("http://203.0.113.1:5000/k8s".to_owned());
        let own = docker_settings("{\"insecure-registries\":[\"nas:5000\"]}", &plan);
        let own: serde_json::Value = serde_json::from_str(&own.unwrap().unwrap()).unwrap();
        assert_eq!(own["insecure-registries"], serde_json::json!(["nas:5000", "203.0.113.1:5000"]));
        assert_eq!(docker_settings(&own.to_string(), &plan), Ok(None));
    }

    #[test]
    fn versions_as_containerd_says_them() {
        for (said, version) in [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", (1, 6)),
            ("containerd github.com/containerd/containerd/v2 2.1.9+unknown ", (2, 1)),
            ("containerd containerd.io v2.2.0 1c4457e00facac03ce1d75f7b6777a7a851e5c41", (2, 2)),
            ("1.7.24~ds1-6+deb13u1", (1, 7)),
        ] {
            assert_eq!(version_in(said), Some(version), "{said}");
        }
        assert_eq!(version_in("containerd"), None);
    }
}
