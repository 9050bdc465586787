//! passwd(5), shadow(5), group(5). Read as files: musl's getpwnam would do the same, without the errors.

use crate::host::{Error, Look};

/// One line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User and primary group number.
    pub owner: (u32, u32),
    /// Home folder.
    pub home: String,
}

/// Numbers of accounts that are made for people (login.defs(5) of Debian, `UID_MIN`, `UID_MAX`). Below are the system's,
/// above those of `nobody` and of systemd's dynamic users.
const PEOPLE: std::ops::RangeInclusive<u32> = 1000..=60_000;

impl Account {
    /// Why it is not a person's, whatever a plan says: to make it a login user would give the program behind it `sudo`, or
    /// take a folder away from everybody, such as `/`.
    pub fn refusal(&self) -> Option<String> {
        let (name, number) = (&self.name, self.owner.0);
        if !PEOPLE.contains(&number) {
            return Some(format!("`{name}` is an account of the system, number {number}"));
        }
        let below = self.home.strip_prefix("/home/").unwrap_or_default();
        let mut parts = below.trim_end_matches('/').split('/');
        let is_folder = parts.all(|part| !["", ".", ".."].contains(&part));
        (!is_folder).then(|| format!("the home of `{name}` is `{}`, outside `/home`", self.home))
    }
}

impl Group {
    /// Why no login user can have its name: the user's own group would be this one.
    pub fn refusal(&self) -> Option<String> {
        let (name, number) = (&self.name, self.number);
        (!PEOPLE.contains(&number))
            .then(|| format!("`{name}` is a group of the system, number {number}"))
    }
}

/// Why this name cannot be a login user's on this system.
pub fn refusal(host: &dyn Look, name: &str) -> Result<Option<String>, Error> {
    if let Some(account) = account(host, name)? {
        return Ok(account.refusal());
    }
    let group = groups(host)?.into_iter().find(|group| group.name == name);
    Ok(group.and_then(|group| group.refusal()))
}

/// One line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub number: u32,
    /// Login names.
    pub members: Vec<String>,
}

/// The account of this name.
pub fn account(host: &dyn Look, name: &str) -> Result<Option<Account>, Error> {
    let text = host.text("/etc/passwd")?.unwrap_or_default();
    Ok(text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [found, _, uid, gid, _, home, ..] = fields[..] else { return None };
        (found == name).then_some(Account {
            name: found.to_owned(),
            owner: (uid.parse().ok()?, gid.parse().ok()?),
            home: home.to_owned(),
        })
    }))
}

/// The groups.
pub fn groups(host: &dyn Look) -> Result<Vec<Group>, Error> {
    let text = host.text("/etc/group")?.unwrap_or_default();
    Ok(text
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, number, members] = fields[..] else { return None };
            let members = members.split(',').filter(|member| !member.is_empty());
            Some(Group {
                name: name.to_owned(),
                number: number.parse().ok()?,
                members: members.map(str::to_owned).collect(),
            })
        })
        .collect())
}

/// The password field of shadow(5); `None` without a line. A secret: never shown.
pub fn password(host: &dyn Look, name: &str) -> Result<Option<zeroize::Zeroizing<String>>, Error> {
    let text = zeroize::Zeroizing::new(host.text("/etc/shadow")?.unwrap_or_default());
    Ok(text.lines().find_map(|line| {
        let (found, rest) = line.split_once(':')?;
        (found == name)
            .then(|| zeroize::Zeroizing::new(rest.split(':').next().unwrap_or("").to_owned()))
    }))
}

/// Whether a password field lets anybody in with a password: a hash does, and so does nothing at all. `*` and `!` are
/// no hash, and `x` is what pwconv(8) makes of a passwd line that has lost its shadow line.
pub fn is_usable(field: &str) -> bool {
    !field.starts_with(['!', '*']) && field != "x"
}
