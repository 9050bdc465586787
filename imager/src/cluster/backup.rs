//! A cluster in one file, encrypted with a passphrase: what `age` (age-encryption.org/v1) makes and reads, so that it can
//! be opened without this program.
//!
//! Within is TOML: version, name, and the files of the cluster's folder as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::folder::{acting, replace};
use super::store::check_name;
use super::{Cluster, Error, Store};

/// Version of what is within.
const VERSION: i64 = 1;
/// What a passphrase costs, as a power of two: what the program `age` asks for, about a second and 256 MiB.
const WORK: u8 = 18;
/// The most that is paid for opening a file that somebody else made.
const MOST_WORK: u8 = 20;
/// Largest file that is opened, bytes.
const MAX_BYTES: u64 = 16 << 20;
/// How such a file begins, in either form.
const BEGINNINGS: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"];

/// What is within. It has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Archive {
    version: i64,
    name: String,
    saved_at: Timestamp,
    files: BTreeMap<String, Zeroizing<String>>,
}

/// What became of a backup that was read.
#[derive(Debug)]
pub enum Imported {
    /// The cluster is here now.
    New(Cluster),
    /// It was here already, just so.
    Same(Cluster),
}

/// Writes a cluster's backup; with `armor` as text, which mail and paper do not damage.
///
/// # Errors
/// There is no such cluster; at `path` is something else than a backup; any I/O error, the file is then as it was.
pub fn export(
    store: &Store,
    name: &str,
    path: &Path,
    passphrase: SecretString,
    armor: bool,
    now: Timestamp,
) -> Result<Cluster, Error> {
    let cluster = Cluster::open(store, name)?;
    let files = store.files(&store.lock(name)?, name)?;
    // A folder of the working directory has a parent as well.
    let path = std::path::absolute(path).map_err(Error::io("finding", path))?;
    let _acting = acting(store.owner(), &path)?;
    refuse_other_file(&path)?;
    let archive = Archive { version: VERSION, name: name.to_owned(), saved_at: now, files };
    let text = toml::to_string(&archive).map(Zeroizing::new);
    let text = text.map_err(|_| broken(&path, "it cannot be written as TOML"))?;
    let bytes = encrypt(text.as_bytes(), passphrase, armor);
    let bytes = bytes.map_err(Error::io("encrypting", &path))?;
    replace(&path, &bytes, 0o600, store.owner())?;
    Ok(cluster)
}

/// Puts a cluster from its backup into its place.
///
/// # Errors
/// The file is none, or the passphrase is another; a cluster of its name is here already.
pub fn import(store: &Store, path: &Path, passphrase: SecretString) -> Result<Imported, Error> {
    let acting = acting(store.owner(), path)?;
    let file = fs::File::open(path).map_err(Error::io("opening", path))?;
    drop(acting);
    let text = decrypt(file.take(MAX_BYTES), passphrase).map_err(|error| opening(path, error))?;
    let text =
        std::str::from_utf8(&text).map_err(|_| broken(path, "it holds no backup of a cluster"))?;
    // serde's message could quote a value.
    let table: toml::Table =
        text.parse().map_err(|_| broken(path, "it holds no backup of a cluster"))?;
    match table.get("version").and_then(toml::Value::as_integer) {
        Some(VERSION) => {}
        Some(found) => return Err(Error::Version { path: path.to_owned(), found }),
        None => return Err(broken(path, "it holds no backup of a cluster")),
    }
    let archive: Result<Archive, _> = table.try_into();
    let archive = archive.map_err(|_| broken(path, "it does not have the shape of version 1"))?;
    check_name(&archive.name)?;
    let lock = store.lock(&archive.name)?;
    if let Some(here) = store.load(&archive.name)? {
        if store.files(&lock, &archive.name)? == archive.files {
            return Ok(Imported::Same(here));
        }
        let name = &archive.name;
        return Err(Error::Refused {
            message: format!(
                "cluster `{name}` is on this computer already, with other nodes, another token or other keys than in `{}`",
                path.display()
            ),
            help: format!(
                "`piflash cluster export --cluster {name} FILE` keeps the one that is here, `piflash cluster delete {name}` makes room"
            ),
        });
    }
    store.adopt(&lock, &archive.name, &archive.files).map(Imported::New).map_err(
        |error| match error {
            // The folder that it was looked at in is gone: what a person has is the backup.
            Error::Broken { path: file, message } => {
                let file = file.file_name().unwrap_or_default().display().to_string();
                broken(path, &format!("its {file}: {message}"))
            }
            other => other,
        },
    )
}

fn encrypt(text: &[u8], passphrase: SecretString, armor: bool) -> io::Result<Vec<u8>> {
    let mut recipient = scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(WORK);
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(io::Error::other)?;
    let format = if armor { Format::AsciiArmor } else { Format::Binary };
    let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), format)?)?;
    writer.write_all(text)?;
    writer.finish()?.finish()
}

fn decrypt(
    file: impl io::Read,
    passphrase: SecretString,
) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let decryptor = Decryptor::new(ArmoredReader::new(file))?;
    if !decryptor.is_scrypt() {
        return Err(DecryptError::NoMatchingKeys);
    }
    let mut identity = scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MOST_WORK);
    let mut text = Zeroizing::new(Vec::with_capacity(64 << 10));
    decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))?.read_to_end(&mut text)?;
    Ok(text)
}

fn opening(path: &Path, error: DecryptError) -> Error {
    let message = match error {
        DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            "the passphrase is another one".to_owned()
        }
        DecryptError::NoMatchingKeys => {
            "it is encrypted for a key, not with a passphrase; `age --decrypt` opens it".to_owned()
        }
        DecryptError::ExcessiveWork { .. } => {
            "its passphrase costs more work than a backup's should".to_owned()
        }
        DecryptError::InvalidMac => "it is damaged".to_owned(),
        DecryptError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "it is damaged".to_owned()
        }
        DecryptError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it is cut off".to_owned()
        }
        DecryptError::Io(error) => error.to_string(),
        _ => "it is no backup of a cluster".to_owned(),
    };
    broken(path, &message)
}

/// Where a backup goes, there may be another one, and nothing else.
fn refuse_other_file(path: &Path) -> Result<(), Error> {
    let mut beginning = Vec::new();
    let read = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if !metadata.is_file() => {
            return Err(Error::Kind { path: path.to_owned(), wanted: "file" });
        }
        metadata => metadata.and_then(|_| fs::File::open(path)),
    };
    let read = read.and_then(|file| file.take(64).read_to_end(&mut beginning));
    read.map_err(Error::io("reading", path))?;
    if BEGINNINGS.iter().any(|known| beginning.starts_with(known)) {
        return Ok(());
    }
    Err(Error::Refused {
        message: format!("`{}` is there already, and no backup of a cluster", path.display()),
        help: "give the backup another name".into(),
    })
}

fn broken(path: &Path, message: &str) -> Error {
    Error::Broken { path: PathBuf::from(path), message: message.to_owned() }
}
