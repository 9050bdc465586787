//! Files that only their owner reads, each as it was before or as it is after, whatever happens in between.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use zeroize::Zeroizing;

use super::Error;
use crate::person::{Acting, Person};

/// Mode of a folder.
const FOLDER: u32 = 0o700;
/// Permission bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Largest file that is read, bytes: an inventory of thousands of nodes fits.
const MAX_BYTES: u64 = 4 << 20;
/// How the name of a file begins that is not complete yet.
const UNFINISHED: &str = ".unfinished-";

/// A folder of the state.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    owner: Person,
}

impl Folder {
    /// The folder, if it is there.
    ///
    /// # Errors
    /// It is not the owner's alone.
    pub(super) fn find(path: &Path, owner: &Person) -> Result<Option<Self>, Error> {
        let _acting = acting(owner, path)?;
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(Error::io("reading", path))?,
        };
        if !metadata.is_dir() {
            return Err(Error::Kind { path: path.to_owned(), wanted: "folder" });
        }
        private(path, &metadata, owner)?;
        Ok(Some(Self { path: path.to_owned(), owner: owner.clone() }))
    }

    /// The folder; it is made where it is not there, and the folders above it.
    ///
    /// # Errors
    /// It cannot be made, or is not the owner's alone.
    pub(super) fn make(path: &Path, owner: &Person) -> Result<Self, Error> {
        if let Some(folder) = Self::find(path, owner)? {
            return Ok(folder);
        }
        let _acting = acting(owner, path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            Self::make(parent, owner)?;
        }
        match fs::DirBuilder::new().mode(FOLDER).create(path) {
            // Another program was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(Self { path: path.to_owned(), owner: owner.clone() });
            }
            made => made.map_err(Error::io("making folder", path))?,
        }
        if let Some(parent) = path.parent() {
            sync(parent)?;
        }
        Ok(Self { path: path.to_owned(), owner: owner.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The text of a file; `None` where there is none.
    ///
    /// # Errors
    /// Others could have read or changed it; it is no text.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, Error> {
        let path = self.join(name);
        let _acting = acting(&self.owner, &path)?;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => {
                return Err(Error::Kind { path, wanted: "file" });
            }
            file => file.map_err(Error::io("opening", &path))?,
        };
        let metadata = file.metadata().map_err(Error::io("reading", &path))?;
        if !metadata.is_file() {
            return Err(Error::Kind { path, wanted: "file" });
        }
        private(&path, &metadata, &self.owner)?;
        // A buffer that grew would leave copies behind.
        let mut text =
            Zeroizing::new(String::with_capacity(metadata.len().min(MAX_BYTES) as usize + 1));
        let read = file.take(MAX_BYTES).read_to_string(&mut text);
        read.map_err(Error::io("reading", &path))?;
        Ok(Some(text))
    }

    /// Writes a file in full and puts it into the place of the one before.
    ///
    /// # Errors
    /// Any I/O error; the file is then as it was.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        replace(&self.join(name), bytes, 0o600, &self.owner)
    }

    /// Opens a file without content, which is made where it is not there.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn open(&self, path: &Path) -> Result<File, Error> {
        let _acting = acting(&self.owner, path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(nix::libc::O_NOFOLLOW).open(path);
        file.map_err(Error::io("opening", path))
    }

    /// Removes what a killed program left unfinished: of one name, or everything where nobody else is at work.
    pub(super) fn sweep(&self, name: Option<&str>) {
        let Ok(_acting) = self.owner.act() else { return };
        let is_left = |file: &str| match (file.strip_prefix(UNFINISHED), name) {
            (Some(rest), Some(name)) => {
                rest.strip_prefix(name).is_some_and(|more| more.is_empty() || more.starts_with('.'))
            }
            (found, _) => found.is_some(),
        };
        sweep(&self.path, is_left);
    }

    /// Removes something in it, as [`Folder::sweep`] does.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn erase(&self, path: &Path) -> Result<(), Error> {
        let _acting = acting(&self.owner, path)?;
        wipe(path).map_err(Error::io("removing", path))?;
        sync(&self.path)
    }

    /// The names of what is in it, in order.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let _acting = acting(&self.owner, &self.path)?;
        let entries = fs::read_dir(&self.path).map_err(Error::io("reading", &self.path))?;
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| !name.starts_with(UNFINISHED));
        names.sort();
        Ok(names)
    }

    /// A new folder in this one, which nobody takes for finished before [`Folder::finish`].
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn unfinished(&self, name: &str) -> Result<Self, Error> {
        let path = self.join(&format!("{UNFINISHED}{name}"));
        let _acting = acting(&self.owner, &path)?;
        if path.exists() {
            wipe(&path).map_err(Error::io("removing", &path))?;
        }
        Self::make(&path, &self.owner)
    }

    /// Gives an unfinished folder its name.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn finish(&self, made: &Self, name: &str) -> Result<(), Error> {
        let _acting = acting(&self.owner, &made.path)?;
        sync(&made.path)?;
        self.rename(&made.path, &self.join(name))
    }

    /// Gives something in this folder another name, for good.
    ///
    /// # Errors
    /// Any I/O error.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let _acting = acting(&self.owner, from)?;
        fs::rename(from, to).map_err(Error::io("renaming", from))?;
        sync(&self.path)
    }

    /// Two things in this folder change names, at once and for good.
    ///
    /// # Errors
    /// Any I/O error, a file system that cannot do it among it.
    pub(super) fn exchange(&self, one: &Path, other: &Path) -> Result<(), Error> {
        let _acting = acting(&self.owner, one)?;
        renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)
            .map_err(|errno| Error::io("renaming", other)(errno.into()))?;
        sync(&self.path)
    }
}

/// With its owner's rights from here on, so that no link leads to where they may not go.
///
/// # Errors
/// This process may not act for them.
pub(super) fn acting(owner: &Person, path: &Path) -> Result<Acting, Error> {
    owner.act().map_err(Error::io("acting for the owner of", path))
}

/// Writes a file beside `path` and renames it into its place: nobody ever sees half of it, and a power cut leaves the
/// one or the other. What a killed program left of the same file goes.
///
/// # Errors
/// Any I/O error; what was at `path` is still there.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32, owner: &Person) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let prefix = format!("{UNFINISHED}{}~", path.file_name().unwrap_or_default().to_string_lossy());
    let _acting = acting(owner, path)?;
    let write = || -> io::Result<()> {
        sweep(folder, |name| name.starts_with(&prefix));
        // Made with mode 0600. The lock says that somebody is at work on it.
        let mut file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
        file.as_file().try_lock()?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(Error::io("writing", path))?;
    sync(folder)
}

/// Removes what has such a name, but for files that somebody still works on ([`replace`]).
fn sweep(folder: &Path, is_left: impl Fn(&str) -> bool) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_left(&entry.file_name().to_string_lossy())) {
        let path = entry.path();
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
        let is_held = options.open(&path).is_ok_and(|file| file.try_lock().is_err());
        if !is_held {
            // It is in nobody's way: the next sweep may take it.
            let _ = wipe(&path);
        }
    }
}

/// Removes a file, or a folder with all that is in it. Files are overwritten with zeros before: what was deleted can be
/// read from many a disk.
pub(super) fn wipe(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            wipe(&entry?.path())?;
        }
        return fs::remove_dir(path);
    }
    if metadata.is_file() {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&vec![0; metadata.len() as usize])?;
        file.sync_all()?;
    }
    fs::remove_file(path)
}

fn private(path: &Path, metadata: &fs::Metadata, owner: &Person) -> Result<(), Error> {
    let path = path.to_owned();
    if metadata.uid() != owner.uid() {
        return Err(Error::Foreign { path, uid: metadata.uid(), wanted: owner.uid() });
    }
    match metadata.mode() & 0o7777 {
        mode if mode & OTHERS != 0 => Err(Error::Open { path, mode }),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::io("writing", folder))
}
