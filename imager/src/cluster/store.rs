//! Where clusters are kept: a folder per cluster, and beside it its lock and what `--new-cluster` set aside.
//!
//! | file | holds |
//! |---|---|
//! | `NAME/cluster.toml` | format, name, nodes |
//! | `NAME/token.toml` | the bootstrap token and its end |
//! | `NAME/ca.crt`, `ca.key`, `front-proxy-ca.*`, `etcd-ca.*`, `sa.pub`, `sa.key` | the identity; never changes |
//! | `NAME.lock` | held while a `piflash` works on the cluster |
//! | `NAME.backup-TIME/` | what was set aside |

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use pikube_config::values::{cluster, host};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::folder::{Folder, acting};
use super::identity::{Identity, Pair};
use super::token::Token;
use super::{Cluster, Error, Node};
use crate::person::Person;

const VERSION: i64 = 1;
const CLUSTER: &str = "cluster.toml";
const TOKEN: &str = "token.toml";
/// All files of a cluster.
const FILES: [&str; 10] = [
    CLUSTER,
    TOKEN,
    "ca.crt",
    "ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "etcd-ca.crt",
    "etcd-ca.key",
    "sa.pub",
    "sa.key",
];

/// All clusters of a person.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    owner: Person,
}

/// Held until dropped, or until the program ends, however it does.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Flock<File>,
    /// The store's own folder.
    pub(super) root: Folder,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterFile {
    version: i64,
    name: String,
    created_at: Timestamp,
    /// Absent where it is the usual one; a `piflash` that does not know it must not write cards.
    #[serde(default, skip_serializing_if = "is_default")]
    endpoint: Endpoint,
    #[serde(default, rename = "node")]
    nodes: Vec<Node>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    token: Zeroizing<String>,
    expires: Timestamp,
}

fn is_default(endpoint: &Endpoint) -> bool {
    *endpoint == Endpoint::default()
}

impl Store {
    /// Of this person: PIKUBE_STATE_DIR, else XDG_STATE_HOME/pikube, else ~/.local/state/pikube.
    ///
    /// # Errors
    /// Nobody says where.
    pub fn find(owner: Person, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let xdg = || set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let path = set("PIKUBE_STATE_DIR")
            .or_else(|| Some(xdg()?.join("pikube")))
            .or_else(|| Some(owner.home()?.join(".local/state/pikube")))
            .ok_or(Error::NoHome)?;
        // Messages and `sudo` need more than a path that is true from here.
        let path = std::path::absolute(&path).map_err(Error::io("finding", &path))?;
        Ok(Self { path, owner })
    }

    /// Who they belong to.
    pub fn owner(&self) -> &Person {
        &self.owner
    }

    /// Takes the cluster for this program alone.
    ///
    /// # Errors
    /// [`Error::Busy`]; any other reason why the folder cannot be used.
    pub(super) fn lock(&self, name: &str) -> Result<Lock, Error> {
        let root = Folder::make(&self.path, &self.owner)?;
        let path = root.join(&format!("{name}.lock"));
        let file = root.open(&path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => {
                root.sweep(Some(name));
                Ok(Lock { _file: file, root })
            }
            Err((_, Errno::EWOULDBLOCK)) => Err(Error::Busy(name.to_owned())),
            Err((_, errno)) => Err(Error::io("locking", &path)(errno.into())),
        }
    }

    /// The cluster as it is kept.
    ///
    /// # Errors
    /// The folder cannot be used, or its files cannot be understood.
    pub(super) fn load(&self, name: &str) -> Result<Option<Cluster>, Error> {
        let Some(root) = Folder::find(&self.path, &self.owner)? else { return Ok(None) };
        let Some(folder) = Folder::find(&root.join(name), &self.owner)? else { return Ok(None) };
        whole(&folder).map(Some)
    }

    /// The files of a cluster that is kept, as they are.
    ///
    /// # Errors
    /// One is missing, or cannot be read.
    pub(super) fn files(
        &self,
        lock: &Lock,
        name: &str,
    ) -> Result<BTreeMap<String, Zeroizing<String>>, Error> {
        let Some(folder) = Folder::find(&lock.root.join(name), &self.owner)? else {
            return Err(Error::Unknown(name.to_owned()));
        };
        FILES.iter().map(|file| Ok(((*file).to_owned(), needed(&folder, file)?))).collect()
    }

    /// Keeps a cluster that is not kept yet, from such files.
    ///
    /// # Errors
    /// They are not all there, or not a cluster's of this name; any I/O error. There is no such cluster then.
    pub(super) fn adopt(
        &self,
        lock: &Lock,
        name: &str,
        files: &BTreeMap<String, Zeroizing<String>>,
    ) -> Result<Cluster, Error> {
        let folder = lock.root.unfinished(name)?;
        for (file, text) in files.iter().filter(|(file, _)| FILES.contains(&file.as_str())) {
            folder.write(file, text.as_bytes())?;
        }
        let of_this_name =
            |cluster: Cluster| match cluster.name == name && files.len() == FILES.len() {
                true => Ok(cluster),
                false => Err(broken(&folder, CLUSTER, "it is of another cluster")),
            };
        match whole(&folder).and_then(of_this_name) {
            Ok(cluster) => lock.root.finish(&folder, name).map(|()| cluster),
            Err(error) => {
                lock.root.erase(folder.path())?;
                Err(error)
            }
        }
    }

    /// The names of all clusters, and of those that were set aside.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<(Vec<String>, Vec<String>), Error> {
        let Some(root) = Folder::find(&self.path, &self.owner)? else {
            return Ok(Default::default());
        };
        let _acting = acting(&self.owner, &self.path)?;
        let is_cluster = |name: &String| root.join(name).join(CLUSTER).exists();
        let names = root.names()?.into_iter().filter(is_cluster);
        Ok(names.partition(|name| check_name(name).is_ok()))
    }

    /// Removes a cluster for good, also one that was set aside.
    ///
    /// # Errors
    /// There is none of this name; another `piflash` has it; any I/O error.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        let (clusters, aside) = self.names()?;
        if !clusters.iter().chain(&aside).any(|known| known == name) {
            return Err(Error::Unknown(name.to_owned()));
        }
        let lock = self.lock(name.split('.').next().unwrap_or(name))?;
        self.remove(&lock, &lock.root.join(name), name)
    }

    /// Renamed first, so that half of it is never taken for a cluster.
    fn remove(&self, lock: &Lock, path: &Path, name: &str) -> Result<(), Error> {
        let gone = lock.root.unfinished(&format!("{name}.forgotten"))?;
        lock.root.rename(path, &gone.join(name))?;
        lock.root.erase(gone.path())
    }

    /// Keeps a cluster that is not kept yet.
    ///
    /// # Errors
    /// Any I/O error; there is no such cluster then.
    pub(super) fn create(&self, lock: &Lock, cluster: &Cluster) -> Result<(), Error> {
        create(&lock.root, cluster, &cluster.name)
    }

    /// Keeps a cluster in the place of the one of its name; where that one is now.
    ///
    /// # Errors
    /// Any I/O error; the one before is then still in its place.
    pub(super) fn supersede(
        &self,
        lock: &Lock,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Result<PathBuf, Error> {
        let day = now.strftime("%Y%m%dT%H%M%SZ");
        let aside = |n: u32| match n {
            0 => format!("{}.backup-{day}", cluster.name),
            n => format!("{}.backup-{day}-{n}", cluster.name),
        };
        let _acting = acting(&self.owner, &self.path)?;
        let free = |name: &String| !lock.root.join(name).exists();
        let aside = (0..).map(aside).find(free).unwrap_or_default();
        // Both are complete before they change places at once: whenever the power goes, there is one cluster.
        create(&lock.root, cluster, &aside)?;
        let aside = lock.root.join(&aside);
        lock.root.exchange(&aside, &lock.root.join(&cluster.name))?;
        Ok(aside)
    }

    /// Keeps token and nodes of a cluster that is kept already.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn save(&self, lock: &Lock, cluster: &Cluster) -> Result<(), Error> {
        let Some(folder) = Folder::find(&lock.root.join(&cluster.name), &self.owner)? else {
            return Err(Error::Unknown(cluster.name.clone()));
        };
        folder.sweep(None);
        write_token(&folder, &cluster.token)?;
        write_nodes(&folder, cluster)
    }

    /// Forgets a cluster of which there is no card; `aside` takes its place again.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn forget(
        &self,
        lock: &Lock,
        name: &str,
        aside: Option<&PathBuf>,
    ) -> Result<(), Error> {
        let mut path = lock.root.join(name);
        if let Some(aside) = aside {
            lock.root.exchange(aside, &path)?;
            path.clone_from(aside);
        }
        self.remove(lock, &path, name)
    }
}

/// The cluster in a folder.
fn whole(folder: &Folder) -> Result<Cluster, Error> {
    let file: ClusterFile = read(folder, CLUSTER)?;
    check(&file).map_err(|message| broken(folder, CLUSTER, &message))?;
    let token: TokenFile = read(folder, TOKEN)?;
    if cluster::token(&token.token).is_err() {
        return Err(broken(folder, TOKEN, "it holds no token"));
    }
    let pair = |name: &str, public: &str| -> Result<Pair, Error> {
        let public = needed(folder, &format!("{name}.{public}"))?;
        let key = needed(folder, &format!("{name}.key"))?;
        Ok(Pair { public: public.as_str().to_owned(), key: SecretString::from(key.as_str()) })
    };
    let identity = Identity {
        ca: pair("ca", "crt")?,
        front_proxy: pair("front-proxy-ca", "crt")?,
        etcd: pair("etcd-ca", "crt")?,
        service_accounts: pair("sa", "pub")?,
    };
    for (name, pair) in [
        ("ca.crt", &identity.ca),
        ("front-proxy-ca.crt", &identity.front_proxy),
        ("etcd-ca.crt", &identity.etcd),
    ] {
        if !pair.fits() {
            return Err(broken(folder, name, "it is not the certificate of the key beside it"));
        }
    }
    if !identity.service_accounts.is_a_pair() {
        return Err(broken(folder, "sa.pub", "it is not the public half of the key beside it"));
    }
    let ca_hash =
        identity.ca_hash().map_err(|_| broken(folder, "ca.key", "it is no key of a CA"))?;
    let token = Token { text: SecretString::from(token.token.as_str()), expires: token.expires };
    let ClusterFile { name, created_at, endpoint, nodes, .. } = file;
    Ok(Cluster { name, created_at, endpoint, nodes, identity, ca_hash, token })
}

/// Whether it says what a `piflash` writes.
fn check(file: &ClusterFile) -> Result<(), String> {
    host::hostname(&file.name)?;
    file.endpoint.check_kept()?;
    file.nodes.iter().try_for_each(Node::check)?;
    let twice = |(at, node): (usize, &Node)| {
        file.nodes[..at].iter().any(|other| other.hostname == node.hostname)
    };
    match file.nodes.iter().enumerate().any(twice) {
        true => Err("two nodes have the same name".into()),
        false => Ok(()),
    }
}

fn create(root: &Folder, cluster: &Cluster, name: &str) -> Result<(), Error> {
    let folder = root.unfinished(name)?;
    let identity = &cluster.identity;
    for (name, public, pair) in [
        ("ca", "crt", &identity.ca),
        ("front-proxy-ca", "crt", &identity.front_proxy),
        ("etcd-ca", "crt", &identity.etcd),
        ("sa", "pub", &identity.service_accounts),
    ] {
        folder.write(&format!("{name}.{public}"), pair.public.as_bytes())?;
        folder.write(&format!("{name}.key"), pair.key.expose_secret().as_bytes())?;
    }
    write_token(&folder, &cluster.token)?;
    write_nodes(&folder, cluster)?;
    root.finish(&folder, name)
}

fn needed(folder: &Folder, name: &str) -> Result<Zeroizing<String>, Error> {
    folder.read(name)?.ok_or_else(|| broken(folder, name, "it is missing"))
}

fn broken(folder: &Folder, name: &str, message: &str) -> Error {
    Error::Broken { path: folder.join(name), message: message.into() }
}

fn read<T: serde::de::DeserializeOwned>(folder: &Folder, name: &str) -> Result<T, Error> {
    let text = needed(folder, name)?;
    // serde's message could quote a value.
    let table: toml::Table = text.parse().map_err(|_| broken(folder, name, "it is not TOML"))?;
    match table.get("version").map(toml::Value::as_integer) {
        Some(Some(VERSION)) | None => {}
        Some(found) => {
            let (path, found) = (folder.join(name), found.unwrap_or_default());
            return Err(Error::Version { path, found });
        }
    }
    table.try_into().map_err(|_| broken(folder, name, "it does not have the shape of version 1"))
}

fn write_nodes(folder: &Folder, cluster: &Cluster) -> Result<(), Error> {
    let file = ClusterFile {
        version: VERSION,
        name: cluster.name.clone(),
        created_at: cluster.created_at,
        endpoint: cluster.endpoint.clone(),
        nodes: cluster.nodes.clone(),
    };
    write(folder, CLUSTER, &file)
}

fn write_token(folder: &Folder, token: &Token) -> Result<(), Error> {
    let text = Zeroizing::new(token.text.expose_secret().to_owned());
    write(folder, TOKEN, &TokenFile { token: text, expires: token.expires })
}

fn write(folder: &Folder, name: &str, file: &impl Serialize) -> Result<(), Error> {
    let text = toml::to_string(file).map(Zeroizing::new);
    let text = text.map_err(|_| broken(folder, name, "it cannot be written as TOML"))?;
    // A file that is the same already needs no write, and a read of it has no moment at which it changes.
    if folder.read(name)?.as_deref() == Some(&text) {
        return Ok(());
    }
    folder.write(name, text.as_bytes())
}

/// A name that a cluster can have: one label, which fits into `cp.NAME.internal` and into the names of files.
///
/// # Errors
/// It is none.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    host::hostname(name).map_err(Error::Name)
}
