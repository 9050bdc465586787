//! Settings that this computer already has, as defaults for the nodes.

use std::fs;
use std::path::{Path, PathBuf};

use pikube_config::values::{locale, person};

use super::{accounts, keyboards, locales};
use crate::person::Person;

/// What this computer is set to; `None` where it does not say, or says something no node can have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Laptop {
    /// tz database name.
    pub timezone: Option<String>,
    /// From `LC_ALL`, `LC_CTYPE` or `LANG`.
    pub locale: Option<String>,
    /// From keyboard(5), `/etc/default/keyboard`.
    pub keyboard: Option<String>,
    /// The person who called, also behind sudo.
    pub user: Option<String>,
    /// `~/.ssh/*.pub` of that person, in the order of their names.
    pub ssh_keys: Vec<String>,
}

impl Laptop {
    /// Asks the environment, the files under `root` (`/`) and, with that person's rights, their home folder.
    pub fn ask(root: &Path, caller: &Person, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            timezone: iana_time_zone::get_timezone()
                .ok()
                .filter(|zone| locale::timezone(zone).is_ok()),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"]
                .into_iter()
                .find_map(&set)
                .and_then(|name| posix_locale(&name)),
            keyboard: fs::read_to_string(root.join("etc/default/keyboard"))
                .ok()
                .and_then(|text| keyboard(&text)),
            user: caller.name().filter(|user| accounts::check(user).is_ok()).map(str::to_owned),
            ssh_keys: public_keys(caller),
        }
    }
}

/// glibc writes `utf8` as well as `UTF-8`; the node's files want the latter.
fn posix_locale(name: &str) -> Option<String> {
    let (language, rest) = name.split_once('.')?;
    let (charset, modifier) = rest.split_once('@').map_or((rest, None), |(c, m)| (c, Some(m)));
    if !charset.replace('-', "").eq_ignore_ascii_case("utf8") {
        return None;
    }
    let name = format!("{language}.UTF-8{}", modifier.map(|m| format!("@{m}")).unwrap_or_default());
    locales::check(&name).is_ok().then_some(name)
}

fn keyboard(text: &str) -> Option<String> {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"'))
            .filter(|value| !value.is_empty())
    };
    // Several layouts are separated by commas; a node gets the first.
    let first = |value: &str| value.split(',').next().unwrap_or_default().to_owned();
    let layout = first(value("XKBLAYOUT")?);
    let name = match value("XKBVARIANT").map(first).filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{layout}:{variant}"),
        None => layout,
    };
    keyboards::check(&name).is_ok().then_some(name)
}

fn public_keys(caller: &Person) -> Vec<String> {
    let (Some(home), Ok(_acting)) = (caller.home(), caller.act()) else { return Vec::new() };
    let folder = home.join(".ssh");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "pub"));
    files.sort();
    files
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .filter(|line| person::ssh_key(line).is_ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJf5m8Yx1hZ0v0s4n0yQm0l6n7w8x9y0z1a2b3c4d5e6 me";

    #[test]
    fn the_person_behind_sudo_is_asked_for() {
        let root = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        let ssh = root.path().join("home/jean/.ssh");
        fs::create_dir_all(&ssh).unwrap();
        fs::create_dir_all(root.path().join("etc/default")).unwrap();
        let home = root.path().join("home/jean");
        fs::write(
            root.path().join("etc/passwd"),
            format!("root:x:0:0::/root:/bin/sh\njean:x:1000:1000::{}:/bin/sh\n", home.display()),
        )
        .unwrap();
        fs::write(ssh.join("id_ed25519.pub"), format!("{KEY}\n")).unwrap();
        fs::write(ssh.join("id_ed25519"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        fs::write(
            root.path().join("etc/default/keyboard"),
            "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"de,us\"\nXKBVARIANT=\"nodeadkeys,\"\n",
        )
        .unwrap();
        // Somebody may act for themselves, with root's rights or without.
        let (uid, gid) = (Uid::effective(), Gid::effective());
        let environment = |name: &str| match name {
            "SUDO_USER" => Some("jean".to_owned()),
            "SUDO_UID" => Some(uid.to_string()),
            "SUDO_GID" => Some(gid.to_string()),
            "USER" => Some("root".to_owned()),
            "HOME" => Some("/root".to_owned()),
            "LANG" => Some("fr_FR.utf8".to_owned()),
            _ => None,
        };
        let caller = Person::ask(root.path(), Uid::from_raw(0), environment);
        let laptop = Laptop::ask(root.path(), &caller, environment);
        assert_eq!(laptop.user.as_deref(), Some("jean"));
        assert_eq!(laptop.ssh_keys, [KEY]);
        assert_eq!(laptop.keyboard.as_deref(), Some("de:nodeadkeys"));
        assert_eq!(laptop.locale.as_deref(), Some("fr_FR.UTF-8"));
    }

    #[test]
    fn what_no_node_can_have_is_no_default() {
        let root = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/default")).unwrap();
        fs::write(root.path().join("etc/default/keyboard"), "XKBLAYOUT=uk\n").unwrap();
        let environment = |name: &str| match name {
            "USER" => Some("games".to_owned()),
            "LANG" => Some("C".to_owned()),
            _ => None,
        };
        let caller = Person::ask(root.path(), Uid::effective(), environment);
        let laptop = Laptop::ask(root.path(), &caller, environment);
        assert_eq!((laptop.user, laptop.locale, laptop.keyboard), (None, None, None));
        assert!(laptop.ssh_keys.is_empty());
    }
}
