//! Why the cluster's state could not be read, made or changed.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::unistd::Uid;
use thiserror::Error;

use super::ApiError;

/// No message quotes a secret.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system said no.
    #[error("{doing} `{path}`")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// Nobody says where the state belongs.
    #[error("finding the folder for clusters: HOME is not set")]
    NoHome,
    /// Somebody else could have put it there.
    #[error("using `{path}`: it belongs to user {uid}, not to user {wanted}")]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Who it has to belong to.
        wanted: u32,
    },
    /// Others can read or change it.
    #[error("using `{path}`: its mode is {mode:04o}, others can read or change it")]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A link, a device, or a file where a folder should be.
    #[error("using `{path}`: it is not a {wanted}")]
    Kind {
        /// What is there.
        path: PathBuf,
        /// What should be.
        wanted: &'static str,
    },
    /// Another `piflash` works on it.
    #[error("cluster `{0}` is in use by another piflash")]
    Busy(String),
    /// What was written by a newer `piflash`.
    #[error("reading `{path}`: it has version {found}, and this piflash knows version 1")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// Changed by hand, or damaged.
    #[error("reading `{path}`: {message}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong; never its content.
        message: String,
    },
    /// There is none of this name.
    #[error("there is no cluster `{0}` on this computer")]
    Unknown(String),
    /// Keys could not be made.
    #[error("making the keys of cluster `{cluster}`: {message}")]
    Keys {
        /// The cluster.
        cluster: String,
        /// Why.
        message: String,
    },
    /// A name that no cluster can have.
    #[error("`--cluster`: {0}")]
    Name(String),
    /// An address that is none.
    #[error("{option}: {message}")]
    Value {
        /// The option.
        option: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The inventory forbids it.
    #[error("{message}")]
    Refused {
        /// What clashes.
        message: String,
        /// The ways out.
        help: String,
    },
    /// The API server did not do it.
    #[error("{doing} of cluster `{cluster}`")]
    Api {
        /// What was attempted.
        doing: &'static str,
        /// The cluster.
        cluster: String,
        /// Why it did not work.
        source: ApiError,
    },
    /// A card needs a token, and there is none that would let its node in.
    #[error("the token of cluster `{cluster}` ran out on {over}, and the card needs a new one")]
    TokenOver {
        /// The cluster.
        cluster: String,
        /// When.
        over: Timestamp,
        /// Why there is no new one.
        source: ApiError,
    },
    /// A kubeconfig that cannot be added to.
    #[error("adding to `{path}`: {message}")]
    Merge {
        /// The kubeconfig.
        path: PathBuf,
        /// Why not; never its content.
        message: String,
        /// The ways out.
        help: String,
    },
}

impl Error {
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::Io { path, source, .. }
                if Uid::effective().is_root()
                    && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some(format!(
                    "behind sudo, piflash uses the files of clusters with the rights of the person who called it: give that person `{}`, or use a path in their home folder",
                    path.display()
                ))
            }
            Error::NoHome => Some("set PIKUBE_STATE_DIR to a folder of yours".into()),
            Error::Foreign { path, wanted, .. } => Some(format!(
                "`sudo chown -R {wanted} {}`, if you know what is in it",
                path.display()
            )),
            Error::Open { path, .. } => Some(format!("`chmod -R go-rwx {}`", path.display())),
            Error::Busy(_) => Some("wait until it is done, or write all cards in one run".into()),
            Error::Version { .. } => Some("use the newer piflash that wrote it".into()),
            Error::Unknown(name) => {
                Some(format!("`piflash --cluster {name} --hostname NAME CARD` begins one"))
            }
            Error::Api { source, .. } => source.help(),
            Error::TokenOver { source, .. } => {
                let first = source.help().map(|help| format!("{help}; or ")).unwrap_or_default();
                Some(format!(
                    "{first}`kubeadm token create` on the master prints a token: the file that has it goes with `--token-file FILE`; or write the card when the master answers, as `piflash configure` gives one with an old token a new one; or, if the master never came up, write its card again"
                ))
            }
            Error::Refused { help, .. } | Error::Merge { help, .. } => Some(help.clone()),
            _ => None,
        }
    }

    /// Whether something was refused so that nothing is lost or given away.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::Foreign { .. }
                | Error::Open { .. }
                | Error::Kind { .. }
                | Error::Busy(_)
                | Error::Refused { .. }
                | Error::Merge { .. }
        )
    }

    /// Whether the command line is what is wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Name(_) | Error::Value { .. })
    }
}
