//! The files behind `--ssh-key` and `--password-file`.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use zeroize::Zeroizing;

use super::PlanError;
use super::ssh_keys::SshKey;

/// Largest key or password file that is read, bytes: an image named by mistake is not swallowed whole.
const MAX_BYTES: u64 = 64 << 10;

/// Bytes of salt, which are the 16 characters that crypt(5) allows. The crate's own salt has 22, of which libcrypt takes
/// 16: what it computes is then another text than the hash in shadow(5), and nobody logs in.
const SALT_BYTES: usize = 12;

/// A password as it was typed; it is kept only until it is hashed. `Debug` is redacted.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// Its sha512crypt hash (crypt(5)), which every release from Debian 8 on verifies, with fresh salt.
    ///
    /// # Errors
    /// The system has no random numbers for the salt.
    pub(super) fn hash(&self) -> Result<SecretString, String> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
        let password = self.0.expose_secret().as_bytes();
        let hash = ShaCrypt::default().hash_password_with_salt(password, &salt);
        hash.map(|hash| SecretString::from(hash.as_str())).map_err(|error| error.to_string())
    }

    /// Whether this hash is of this password.
    pub(super) fn is(&self, hash: &SecretString) -> bool {
        sha_crypt::PasswordHash::new(hash.expose_secret()).is_ok_and(|hash| {
            ShaCrypt::default().verify_password(self.0.expose_secret().as_bytes(), &hash).is_ok()
        })
    }
}

/// The first line of the file, without its line end.
///
/// # Errors
/// [`PlanError::File`]: unreadable, empty, or not text; never with the content.
pub fn read_password(path: &Path) -> Result<Password, PlanError> {
    first_line(path, "the password").map(Password)
}

/// A join token, the first line of the file.
///
/// # Errors
/// As of a password.
pub fn read_token(path: &Path) -> Result<SecretString, PlanError> {
    first_line(path, "the token")
}

/// What opens a backup, the first line of the file.
///
/// # Errors
/// As of a password.
pub fn read_passphrase(path: &Path) -> Result<SecretString, PlanError> {
    first_line(path, "the passphrase")
}

fn first_line(path: &Path, what: &str) -> Result<SecretString, PlanError> {
    let text = read(path)?;
    // A trailing newline in the password would make it one that nobody can type.
    let line = text.split(['\n', '\r']).next().unwrap_or("");
    if line.is_empty() {
        let message = format!("its first line, {what}, is empty");
        return Err(PlanError::File { path: path.to_owned(), message });
    }
    Ok(SecretString::from(line))
}

/// The public keys in these files, decoded: every line that is not empty and not a comment.
///
/// # Errors
/// [`PlanError::File`]: unreadable, a private key, or no key; never with the content of a private key.
pub fn read_key_files(paths: &[PathBuf]) -> Result<Vec<String>, PlanError> {
    let mut keys = Vec::new();
    for path in paths {
        let wrong = |message: String| PlanError::File { path: path.clone(), message };
        let text = read(path)?;
        if text.contains("PRIVATE KEY") {
            return Err(wrong("is a private key; give the public one, which ends in .pub".into()));
        }
        let before = keys.len();
        let many = text.trim().lines().count() > 1;
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = if many { format!("line {} ", index + 1) } else { String::new() };
            let key = SshKey::decode(line).map_err(|why| wrong(format!("{place}{why}")))?;
            keys.push(key.line);
        }
        if keys.len() == before {
            return Err(wrong("holds no public key".into()));
        }
    }
    Ok(keys)
}

/// A small text file; every file with a secret or a key is read here.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, PlanError> {
    let wrong = |message: String| PlanError::File { path: path.to_owned(), message };
    let mut text = Zeroizing::new(String::new());
    let file = fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let size = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| {
        wrong(match error.kind() {
            io::ErrorKind::InvalidData => "is not text".to_owned(),
            _ => error.to_string(),
        })
    })?;
    if size as u64 > MAX_BYTES {
        return Err(wrong("is larger than 64 KiB".into()));
    }
    // Editors of Windows put this mark before the text; as part of a password nobody could type it.
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(Zeroizing::new(rest.to_owned())),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me";

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn the_first_line_is_the_password() {
        for content in
            ["swordfish\n", "swordfish", "swordfish\r\nnot this\n", "\u{feff}swordfish\r\n"]
        {
            let password = read_password(file(content.as_bytes()).path()).unwrap();
            assert_eq!(password.0.expose_secret(), "swordfish", "{content:?}");
            let hash = password.hash().unwrap();
            assert_eq!(pikube_config::values::person::password_hash(hash.expose_secret()), Ok(()));
            assert!(password.is(&hash) && !Password("sword".into()).is(&hash));
            assert!(!format!("{password:?}").contains("swordfish"));
        }
        for bad in [&b""[..], b"\n", b"\xff\xfe", "\u{feff}\n".as_bytes()] {
            assert!(read_password(file(bad).path()).is_err());
        }
    }

    #[test]
    fn keys_are_public_ones() {
        let good = file(format!("# mine\n\n{KEY}\n").as_bytes());
        assert_eq!(read_key_files(&[good.path().into()]).unwrap(), [KEY]);
        let windows = KEY.replacen(' ', "  ", 1) + " at home\r\n\r\n";
        let windows = file(windows.as_bytes());
        assert_eq!(read_key_files(&[windows.path().into()]).unwrap(), [format!("{KEY} at home")]);
        let cut = file(format!("{KEY}\n\n{}\n", KEY.replace("4d5e6 me", "4d5 me")).as_bytes());
        let error = read_key_files(&[cut.path().into()]).unwrap_err().to_string();
        assert!(error.contains("line 3 is not a whole ssh-ed25519"), "{error}");
        let private = file(b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n");
        let error = read_key_files(&[private.path().into()]).unwrap_err().to_string();
        assert!(error.contains("is a private key") && !error.contains("b3Blbn"), "{error}");
        assert!(read_key_files(&[file(b"").path().into()]).is_err());
        assert!(read_key_files(&["/nonexistent.pub".into()]).is_err());
    }
}
