//! kubectl's lock of a kubeconfig (client-go, `clientcmd.lockFile`): a file `NAME.lock` beside it, which is made by whoever
//! changes the kubeconfig and removed afterwards.
//!
//! A program that is killed in between leaves it, and kubectl then refuses to change the kubeconfig for ever. Ours says
//! whose it is and is locked with flock(2) as well, which ends with the program.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;

/// What is in a lock of ours. kubectl's are empty.
const OURS: &[u8] = b"piflash\n";
/// kubectl holds its lock for as long as it takes to write one file: what is older is left over.
const LEFT_OVER: Duration = Duration::from_secs(60);

/// Held until dropped.
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock of a kubeconfig; one that a killed program left is taken over.
    ///
    /// # Errors
    /// Another program has it; any I/O error.
    pub(super) fn take(kubeconfig: &Path) -> Result<Self, Error> {
        let mut name = kubeconfig.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let taken = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => hold(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => take_over(&path),
            Err(error) => Err(error),
        };
        match taken.map_err(Error::io("making", &path))? {
            Some(file) => Ok(Self { path, _file: file }),
            None => Err(Error::Merge {
                path: kubeconfig.to_owned(),
                message: "another program, `kubectl` perhaps, is changing it".into(),
                help: format!("try again; if nothing runs, `rm {}`", path.display()),
            }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks the file first and writes whose it is then: what says that it is ours and is free belongs to nobody any more.
fn hold(mut file: File) -> io::Result<File> {
    file.try_lock()?;
    file.write_all(OURS)?;
    Ok(file)
}

/// The lock, if nobody alive has it.
fn take_over(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    let mut file = match options.open(path) {
        // Its owner was faster than this look at it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let metadata = file.metadata()?;
    let mut content = Vec::new();
    (&mut file).take(64).read_to_end(&mut content)?;
    let old = metadata.modified()?.elapsed().is_ok_and(|age| age > LEFT_OVER);
    let abandoned = content == OURS || content.is_empty() && old;
    if !abandoned || file.try_lock().is_err() {
        return Ok(None);
    }
    // Between the two its owner may have removed it, and somebody else have made another.
    let still = fs::symlink_metadata(path).is_ok_and(|now| now.ino() == metadata.ino());
    match (still, content.is_empty()) {
        (false, _) => Ok(None),
        (true, true) => hold(file).map(Some),
        (true, false) => Ok(Some(file)),
    }
}
