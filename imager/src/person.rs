//! Whose work this is: the person's who called, also behind sudo; and their rights where their files are.
//!
//! Under sudo this program is root, and root follows a link wherever it leads. A person's folders are full of names that
//! the person can exchange at any moment, so that no look at them before is worth anything. What is done there is done
//! with the person's own rights instead: the kernel then refuses what the person could not have done.

use std::ffi::CString;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, getgrouplist, setfsgid, setfsuid};
use rustix::process::getgroups;
use rustix::thread::set_thread_groups;

/// A person of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    uid: Uid,
    gid: Gid,
    /// All groups, [`Person::gid`] among them.
    groups: Vec<Gid>,
    name: Option<String>,
    home: Option<PathBuf>,
}

/// While it lives, this thread reads and writes files as the person does.
#[must_use]
pub struct Acting {
    /// Who it was before; absent where that is the person already.
    before: Option<(Uid, Gid, Vec<rustix::process::Gid>)>,
    /// Rights on files are a thread's own: it stays where it was made.
    _thread: PhantomData<*const ()>,
}

impl Person {
    /// Asks the environment, and passwd(5) under `root` (`/`). Only root, `effective`, is believed to act for somebody
    /// else.
    pub fn ask(root: &Path, effective: Uid, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str| set(name).and_then(|text| text.parse().ok());
        if effective.is_root()
            && let (Some(name), Some(uid), Some(gid)) =
                (set("SUDO_USER"), number("SUDO_UID"), number("SUDO_GID"))
        {
            let gid = Gid::from_raw(gid);
            // Somebody whom the group database does not know is in no other group.
            let groups = CString::new(name.as_str())
                .ok()
                .and_then(|name| getgrouplist(&name, gid).ok())
                .unwrap_or_else(|| vec![gid]);
            // sudo may keep root's HOME; passwd(5) knows the caller's.
            let home = home_of(root, &name);
            return Self { uid: Uid::from_raw(uid), gid, groups, name: Some(name), home };
        }
        let gid = Gid::effective();
        let (name, home) = (set("USER"), set("HOME").map(PathBuf::from));
        Self { uid: effective, gid, groups: vec![gid], name, home }
    }

    /// The person of this process, by its environment.
    pub fn of_this_process() -> Self {
        Self::ask("/".as_ref(), Uid::effective(), |name| std::env::var(name).ok())
    }

    /// The login name, where it is known.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The home folder, where it is known.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// User number.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Reads and writes files in this thread with the person's rights (setfsuid(2)), until the guard is dropped. What is
    /// made meanwhile is the person's.
    ///
    /// # Errors
    /// The kernel does not let this process act for the person, as in a container that does not know their number.
    pub fn act(&self) -> io::Result<Acting> {
        if Uid::effective() == self.uid {
            return Ok(Acting { before: None, _thread: PhantomData });
        }
        let groups = getgroups()?;
        let own: Vec<_> =
            self.groups.iter().map(|gid| rustix::process::Gid::from_raw(gid.as_raw())).collect();
        // The kernel's call is for one thread; the C library's would be for all, those that write cards among them.
        set_thread_groups(&own)?;
        let gid = setfsgid(self.gid);
        let uid = setfsuid(self.uid);
        let acting = Acting { before: Some((uid, gid, groups)), _thread: PhantomData };
        // Both tell only who it was before the call: asked twice, whether it worked.
        match setfsuid(self.uid) == self.uid && setfsgid(self.gid) == self.gid {
            true => Ok(acting),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some((uid, gid, groups)) = &self.before {
            setfsuid(*uid);
            setfsgid(*gid);
            // A thread that had them may have them again.
            let _ = set_thread_groups(groups);
        }
    }
}

fn home_of(root: &Path, user: &str) -> Option<PathBuf> {
    let passwd = fs::read_to_string(root.join("etc/passwd")).ok()?;
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&user)).then(|| fields.get(5).map(PathBuf::from))?
    })
}
