//! Kubernetes as plain binaries (`kubernetes-on-pi.md` §3.5): each is downloaded, compared with its checksum, put beside
//! its place, synced and renamed. What a power cut leaves is either not used or compared again.

use pikube_config::names;

use crate::host::{Access, Command, Error, Host, Look};
use crate::plan::Context;
use crate::render::kubelet_units;
use crate::step::Stop;
use crate::steps::download::{self, Failure};
use crate::steps::origin::Origin;
use crate::steps::{in_place, package_manager, patience, put, units};

const BINARIES: [&str; 3] = ["kubelet", "kubeadm", "kubectl"];
const BIN: &str = "/usr/bin";
/// Where pod networks' plugins are looked for.
const PLUGINS: &str = "/opt/cni/bin";
/// Downloads that are compared already, until everything is installed.
const CACHE: &str = "/var/cache/pikube";

/// What has been installed: file, size and checksum per line, under the version.
fn memory() -> String {
    format!("{}/binaries", names::STATE_DIR)
}

/// What is not as it should be.
pub fn missing(origin: &Origin<'_>, host: &dyn Look) -> Result<Vec<String>, Error> {
    let mut reasons = Vec::new();
    for file in kubelet_units::files() {
        if !in_place(host, &file)? {
            reasons.push(format!("`{}` is not there", file.path));
        }
    }
    let text = host.text(&memory())?.unwrap_or_default();
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    let lines: Vec<&str> = lines.collect();
    if !is_version(origin, version) {
        reasons
            .push(format!("the binaries of Kubernetes {} are not installed", origin.plan.version));
        return Ok(reasons);
    }
    for name in BINARIES {
        let path = format!("{BIN}/{name}");
        let size = host.stat(&path)?.map(|stat| stat.size_bytes).unwrap_or_default();
        let start = format!("{path} {size} ");
        if !lines.iter().any(|line| line.starts_with(&start)) {
            reasons.push(format!("`{path}` is not the one that was installed"));
        }
    }
    if !host.exists(&format!("{PLUGINS}/loopback"))? {
        reasons.push(format!("`{PLUGINS}` has no plugins"));
    }
    Ok(reasons)
}

fn is_version(origin: &Origin<'_>, found: &str) -> bool {
    let version = &origin.plan.version;
    found == version || !origin.plan.is_exact() && found.starts_with(&format!("{version}."))
}

/// Installs what is missing.
pub fn install(context: &Context, origin: &Origin<'_>, host: &dyn Host) -> Result<(), Stop> {
    if missing(origin, host)?.is_empty() {
        return Ok(());
    }
    let (Some(downloads), Some(plugins)) = (&origin.plan.downloads, &origin.plan.cni_plugins)
    else {
        return Err(Stop::person(
            "installing plain binaries: the plan does not say where they come from",
            "set `kubernetes.downloads` and `kubernetes.cni_plugins` in the plan",
        ));
    };
    let architecture = architecture(host)?;
    let shop = Shop { context, host };
    host.folder(CACHE, Access::root(0o700))?;
    let version = if origin.plan.is_exact() {
        origin.plan.version.clone()
    } else {
        shop.newest(downloads, &origin.plan.version)?
    };
    let mut lines = format!("{version}\n");
    for name in BINARIES {
        let url = format!(
            "{}/v{version}/bin/linux/{architecture}/{name}",
            downloads.trim_end_matches('/')
        );
        let (file, sum) = shop.get(&url, name)?;
        let path = format!("{BIN}/{name}");
        let size = place(host, &file, &path)?;
        lines.push_str(&format!("{path} {size} {sum}\n"));
    }
    let (file, sum) = shop.get(&plugins.replace("{arch}", architecture), "cni-plugins.tgz")?;
    host.run(&Command::new("mkdir", ["-p", PLUGINS]))?;
    host.run(&Command::new("tar", ["--no-same-owner", "-xzf", &file, "-C", PLUGINS]))?;
    lines.push_str(&format!("{PLUGINS} 0 {sum}\n"));
    for file in kubelet_units::files() {
        put(host, &file)?;
    }
    units::reload(host)?;
    // Nothing is remembered as installed that a power cut could still take away.
    host.sync();
    host.write(&memory(), lines.as_bytes(), Access::root(0o644))?;
    for name in BINARIES.into_iter().chain(["cni-plugins.tgz"]) {
        host.remove(&format!("{CACHE}/{name}"))?;
    }
    patience::regain(host)?;
    Ok(())
}

/// As the downloads call it.
fn architecture(host: &dyn Look) -> Result<&'static str, Stop> {
    let found = package_manager::architecture(host)?;
    match found.as_str() {
        "armhf" => Ok("arm"),
        "arm64" => Ok("arm64"),
        "amd64" => Ok("amd64"),
        other => Err(Stop::person(
            format!("installing plain binaries: there are none for `{other}`"),
            "use an image for a Raspberry Pi 2 or later (armhf or arm64)",
        )),
    }
}

/// Puts an executable in its place, whole or not at all; its size in bytes.
fn place(host: &dyn Host, file: &str, path: &str) -> Result<u64, Stop> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let beside = format!("{folder}/.{name}.pikube-new");
    host.run(&Command::new("install", ["-m", "0755", "-T", file, &beside]))?;
    host.sync();
    host.run(&Command::new("mv", ["-f", "-T", &beside, path]))?;
    Ok(host.stat(path)?.map(|stat| stat.size_bytes).unwrap_or_default())
}

/// Where binaries are got.
struct Shop<'a> {
    context: &'a Context,
    host: &'a dyn Host,
}

impl Shop<'_> {
    /// A small text.
    fn text(&self, url: &str) -> Result<String, Failure> {
        let to = format!("{CACHE}/answer");
        download::fetch(self.host, &self.context.plan, url, &to, None)?;
        let text = self.host.text(&to)?.unwrap_or_default();
        self.host.remove(&to)?;
        Ok(text)
    }

    /// The newest patch of a minor version (`stable-1.36.txt`, beside the versions or in `release/`).
    fn newest(&self, downloads: &str, minor: &str) -> Result<String, Stop> {
        let downloads = downloads.trim_end_matches('/');
        let url = |folder: &str| format!("{downloads}/{folder}stable-{minor}.txt");
        let text = match self.text(&url("")) {
            Err(Failure::Absent(_)) => self.text(&url("release/")),
            other => other,
        };
        let text = text
            .map_err(|failure| self.stop(failure, "correct `kubernetes.downloads` in the plan"))?;
        let version = text.trim().trim_start_matches('v');
        if pikube_config::values::cluster::version(version).is_err() {
            return Err(Stop::Again(format!("`{}` does not hold a version", url(""))));
        }
        Ok(version.to_owned())
    }

    /// A file that is as its checksum says; path and checksum.
    fn get(&self, url: &str, name: &str) -> Result<(String, String), Stop> {
        const HELP: &str = "correct `kubernetes.version`, `kubernetes.downloads` or `kubernetes.cni_plugins` in the plan";
        let listed =
            self.text(&format!("{url}.sha256")).map_err(|failure| self.stop(failure, HELP))?;
        let sum = listed.split_whitespace().next().unwrap_or_default().to_lowercase();
        if sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Stop::Again(format!(
                "downloading `{url}.sha256`: what came is no checksum (a captive portal?)"
            )));
        }
        let to = format!("{CACHE}/{name}");
        if !download::has_sum(self.host, &to, &sum)? {
            download::fetch(self.host, &self.context.plan, url, &to, Some(&sum))
                .map_err(|failure| self.stop(failure, HELP))?;
        }
        Ok((to, sum))
    }

    fn stop(&self, failure: Failure, help: &str) -> Stop {
        match failure {
            Failure::Absent(what) => {
                patience::lose(self.host, what, help).unwrap_or_else(Stop::from)
            }
            Failure::Passing(what) => Stop::Again(what),
            Failure::Stop(stop) => stop,
        }
    }
}
