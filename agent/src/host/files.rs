//! Writing files so that a power cut leaves the old contents or the new, never a mixture.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::Access;

/// End of a temporary file's name. The name holds a point at its start and no known extension, so that nothing that
/// reads a folder of drop-ins (sudoers.d, sysctl.d, modules-load.d) takes it for one.
pub(super) const TEMPORARY: &str = ".pikube-new";

/// Writes beside the file, syncs, renames, syncs the folder.
pub(super) fn replace(path: &Path, content: &[u8], access: Option<Access>) -> io::Result<()> {
    if is_already(path, content, access)? {
        return Ok(());
    }
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let temporary = beside(path);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    // Never readable by others before it has its owner: it may hold keys.
    if access.is_some() {
        options.mode(0o600);
    }
    let mut file = options.open(&temporary)?;
    file.write_all(content)?;
    if let Some(access) = access {
        give(&file, access)?;
    }
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Gives an open file or folder its owner and mode; the owner first, for chown clears set-id bits.
pub(super) fn give(file: &File, access: Access) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != access.owner {
        fchown(file, Some(access.owner.0), Some(access.owner.1))?;
    }
    if now.mode() & 0o7777 != access.mode {
        file.set_permissions(fs::Permissions::from_mode(access.mode))?;
    }
    Ok(())
}

/// Makes a symbolic link in the place of what is there.
pub(super) fn link(target: &str, path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let temporary = beside(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

/// Overwrites with zeros in place, then removes.
pub(super) fn scrub(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut left = file.metadata()?.len();
    while left > 0 {
        let zeros = [0_u8; 4096];
        let part = usize::try_from(left).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    file.sync_all()?;
    drop(file);
    fs::remove_file(path)?;
    File::open(folder_of(path))?.sync_all()
}

/// Adds to the end and syncs.
pub(super) fn append(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let is_new = !path.exists();
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
    file.write_all(content)?;
    file.sync_data()?;
    if is_new {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn is_already(path: &Path, content: &[u8], access: Option<Access>) -> io::Result<bool> {
    let stat = match fs::symlink_metadata(path) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let same_access = access.is_none_or(|access| {
        stat.mode() & 0o7777 == access.mode && (stat.uid(), stat.gid()) == access.owner
    });
    if !stat.is_file() || stat.len() != content.len() as u64 || !same_access {
        return Ok(false);
    }
    let mut found = Vec::with_capacity(content.len());
    File::open(path)?.read_to_end(&mut found)?;
    Ok(found == content)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}{TEMPORARY}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(mode: u32) -> Option<Access> {
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Some(Access { mode, owner })
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file");
        replace(&path, b"one", mine(0o600)).unwrap();
        replace(&path, b"two", mine(0o440)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o440);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_already_right_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"same", mine(0o644)).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        replace(&path, b"same", mine(0o644)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        replace(&path, b"same", mine(0o600)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_link_in_the_way_is_replaced_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (real, path) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "keep").unwrap();
        link("real", &path).unwrap();
        replace(&path, b"new", mine(0o644)).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"keep");
        link("real", &path).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("real"));
    }

    #[test]
    fn scrubbing_zeroes_the_bytes_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("secret"), folder.path().join("other"));
        fs::write(&path, vec![7_u8; 10_000]).unwrap();
        fs::hard_link(&path, &other).unwrap();
        scrub(&path).unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read(&other).unwrap(), vec![0_u8; 10_000]);
        scrub(&path).unwrap();
    }
}
