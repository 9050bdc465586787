//! What nodes on a switch find beyond their router, in place of the internet: Debian's packages, Docker's and Kubernetes'
//! with their keys, plain binaries and images, all from one web server on the laptop; names, and the time.
//! `farm/build.sh` makes what is served, and `standins/build.sh` or `kubernetes/nodes.sh` the Kubernetes in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::card::Card;
use crate::needs::{Missing, clone_root};
use crate::node::Order;
use crate::switch::{BEYOND, LAPTOP, Switch};
use crate::time_server::TimeServer;
use crate::web::Web;

/// The name of the web server.
pub const HOST: &str = "packages.pikube.test";
/// Version of Kubernetes that the stand-ins are of.
pub const KUBERNETES: &str = "1.36.4";

const FARM: &str = "tests/farm/build.sh";
const STANDINS: &str = "tests/standins/build.sh target/test-standins";
const REAL: &str = "tests/kubernetes/nodes.sh";

/// A folder of the web server: its name, the folder of `target/` where it is, and what makes it.
type Folder = (&'static str, &'static str, &'static str);

/// Which Kubernetes nodes find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kubernetes {
    /// Programs of the tests with the same names, and images that do nothing: they run in User Mode Linux too.
    StandIns,
    /// Kubernetes' own programs and images that hold them.
    Real,
}

impl Kubernetes {
    fn folders(self) -> &'static [Folder] {
        match self {
            Self::StandIns => &[
                ("debian", "test-farm", FARM),
                ("linux", "test-farm", FARM),
                ("v2", "test-farm", FARM),
                ("kubernetes", "test-standins", STANDINS),
                ("downloads", "test-standins", STANDINS),
            ],
            Self::Real => &[
                ("debian", "test-farm", FARM),
                ("linux", "test-farm", FARM),
                ("v2", "test-kubernetes", REAL),
                ("kubernetes", "test-kubernetes", REAL),
            ],
        }
    }

    /// Its version, without `v`.
    ///
    /// # Errors
    /// When the list of packages cannot be read, or has no kubeadm.
    pub fn version(self) -> Result<String> {
        if self == Self::StandIns {
            return Ok(KUBERNETES.to_owned());
        }
        let path = target("test-kubernetes").join("kubernetes/Packages");
        let list = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let kubeadm = list.split("\n\n").find(|entry| entry.contains("Package: kubeadm\n"));
        let version = kubeadm.and_then(|entry| entry.split_once("Version: ")?.1.split('-').next());
        Ok(version.with_context(|| format!("no kubeadm in {}", path.display()))?.to_owned())
    }
}

/// Where apt of the test images has the keys that Debian's archive may be signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Programs of iptables, in their form for older kernels: User Mode Linux has no nftables for IPv4 (its kernel is built
/// without NF_TABLES_IPV4). Services find what is here before what is in /usr/sbin.
const IPTABLES: [&str; 6] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
];

/// All that there is beyond the router. Gone when dropped.
#[derive(Debug)]
pub struct Internet {
    /// The web server, and what goes wrong with it.
    pub web: Web,
    /// The time server; without it nobody knows the time but the web server.
    pub clock: Option<TimeServer>,
    kubernetes: Kubernetes,
    folder: TempDir,
    key: PathBuf,
}

impl Internet {
    /// What this needs.
    ///
    /// # Errors
    /// What has not been built first.
    pub fn needs(kubernetes: Kubernetes) -> Result<(), Missing> {
        for (name, built, remedy) in kubernetes.folders() {
            let folder = target(built).join(name);
            if !folder.is_dir() {
                return Err(Missing::new(format!("no {}", folder.display()), remedy));
            }
        }
        Ok(())
    }

    /// Everything at its place, reachable from this switch, and working.
    ///
    /// # Errors
    /// When a server cannot be started.
    pub fn of(switch: &Switch, kubernetes: Kubernetes) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pikube-test-internet").tempdir()?;
        for (name, built, _) in kubernetes.folders() {
            std::os::unix::fs::symlink(target(built).join(name), folder.path().join(name))?;
        }
        let web = Web::start(switch, folder.path())?;
        let clock = TimeServer::start(switch)?;
        switch.set_names(&[(HOST, BEYOND)])?;
        let key = target("test-farm").join("archive.pgp");
        Ok(Self { web, clock: Some(clock), kubernetes, folder, key })
    }

    /// The catalogue for piflash that leads here: `PIKUBE_KUBERNETES`. The keys go with the cards: there is no TLS here, and
    /// no node takes a key over http.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn catalogue(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("kubernetes.toml");
        let plugins = "containernetworking/plugins/releases/download/v1.9.1";
        let version = self.kubernetes.version()?;
        let minor = version.rsplit_once('.').map_or("", |(minor, _)| minor);
        let key = |path: &str| self.folder.path().join(path).display().to_string();
        let (own, docker) = (key("kubernetes/Release.key"), key("linux/debian/gpg"));
        let text = format!(
            "repository_key = \"{own}\"\nruntime_repository_key = \"{docker}\"\n\
             default = \"{version}\"\nsupported = [\"{minor}\"]\nlegacy = \"1.23.17\"\n\
             repository = \"http://{HOST}/kubernetes/\"\nruntime_repository = \"http://{HOST}/linux\"\n\
             downloads = \"http://{HOST}/downloads\"\n\
             cni_plugins = \"http://{HOST}/downloads/{plugins}/cni-plugins-linux-{{arch}}-v1.9.1.tgz\"\n\
             calico = \"http://{HOST}/downloads/calico.yaml\"\n"
        );
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// What leads a node here, for Kubernetes.
    #[must_use]
    pub fn order(&self) -> Order {
        Order::changes()
            .with("--ntp", LAPTOP)
            .with("--apt-mirror", format!("http://{HOST}/debian"))
            .with("--image-repository", format!("http://{HOST}"))
    }

    /// Makes a card's system take our archive for Debian's and, where it boots in User Mode Linux, iptables for what that
    /// kernel has. For a card that has not been booted.
    ///
    /// # Errors
    /// When its root file system cannot be written.
    pub fn introduce(&self, card: &Card) -> Result<()> {
        card.put_root_file(KEYRING, &std::fs::read(&self.key)?)?;
        if self.kubernetes == Kubernetes::Real {
            return Ok(());
        }
        for program in IPTABLES {
            let link = Path::new("/usr/local/sbin").join(program);
            card.put_root_link(&link, Path::new("/usr/sbin/xtables-legacy-multi"))?;
        }
        Ok(())
    }
}

fn target(folder: &str) -> PathBuf {
    clone_root().join("target").join(folder)
}
