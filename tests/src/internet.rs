//! What nodes on a switch find beyond their router, in place of the internet: Debian's packages, Docker's and Kubernetes'
//! with their keys, plain binaries and images, all from one web server on the laptop; names, and the time.
//! `farm/build.sh` and `standins/build.sh` make what is served.

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

/// Folders of the web server, and what makes each.
const FOLDERS: [(&str, &str, &str); 5] = [
    ("debian", "test-farm", "tests/farm/build.sh"),
    ("linux", "test-farm", "tests/farm/build.sh"),
    ("v2", "test-farm", "tests/farm/build.sh"),
    ("kubernetes", "test-standins", "tests/standins/build.sh target/test-standins"),
    ("downloads", "test-standins", "tests/standins/build.sh target/test-standins"),
];
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
    folder: TempDir,
    key: PathBuf,
}

impl Internet {
    /// What this needs.
    ///
    /// # Errors
    /// What has not been built first.
    pub fn needs() -> Result<(), Missing> {
        for (name, built, remedy) in FOLDERS {
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
    pub fn of(switch: &Switch) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pikube-test-internet").tempdir()?;
        for (name, built, _) in FOLDERS {
            std::os::unix::fs::symlink(target(built).join(name), folder.path().join(name))?;
        }
        let web = Web::start(switch, folder.path())?;
        let clock = TimeServer::start(switch)?;
        switch.set_names(&[(HOST, BEYOND)])?;
        let key = target("test-farm").join("archive.pgp");
        Ok(Self { web, clock: Some(clock), folder, key })
    }

    /// The catalogue for piflash that leads here: `PIKUBE_KUBERNETES`. Without keys: the nodes fetch them.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn catalogue(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("kubernetes.toml");
        let plugins = "containernetworking/plugins/releases/download/v1.9.1";
        let text = format!(
            "default = \"{KUBERNETES}\"\nsupported = [\"1.36\"]\nlegacy = \"1.23.17\"\n\
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

    /// Makes a card's system take our archive for Debian's, and iptables for what this machine's kernel has. For a card
    /// that has not been booted.
    ///
    /// # Errors
    /// When its root file system cannot be written.
    pub fn introduce(&self, card: &Card) -> Result<()> {
        card.put_root_file(KEYRING, &std::fs::read(&self.key)?)?;
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
