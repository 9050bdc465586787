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
