//! Whose files these are: the person's who called, also behind sudo.

use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};

use crate::plan::home_of;

/// A person of this computer.
#[derive(Debug, Clone)]
pub struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Absent where nobody says.
    pub(super) home: Option<PathBuf>,
}

impl Owner {
    /// Asks the environment, and passwd(5) under `root` (`/`). Only root is believed to act for somebody else.
    pub fn ask(root: &Path, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str| set(name).and_then(|text| text.parse().ok());
        let (uid, gid) = (Uid::effective(), Gid::effective());
        if uid.is_root()
            && let (Some(user), Some(uid), Some(gid)) =
                (set("SUDO_USER"), number("SUDO_UID"), number("SUDO_GID"))
        {
            return Self { uid, gid, home: home_of(root, &user) };
        }
        Self { uid: uid.as_raw(), gid: gid.as_raw(), home: set("HOME").map(PathBuf::from) }
    }

    /// The home folder, where it is known.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }
}
