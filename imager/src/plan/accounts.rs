//! Names that the operating systems have taken for themselves: a node would refuse them after its first boot only.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pikube_config::values::person;
use serde::Deserialize;

use crate::boot::Family;

/// What belongs to one system.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    accounts: Vec<String>,
    groups: Vec<String>,
}

/// By system; a test sees to it that the file can be read.
static TABLE: LazyLock<BTreeMap<String, Names>> = LazyLock::new(|| {
    toml::from_str(include_str!("../../../config/accounts.toml")).unwrap_or_default()
});

/// A login name that no system has taken.
///
/// # Errors
/// What is wrong with it.
pub fn check(name: &str) -> Result<(), String> {
    person::user_name(name)?;
    search("every", name)
}

/// As [`check`], for what the images of one family have besides.
///
/// # Errors
/// As [`check`].
pub fn check_for(family: Family, name: &str) -> Result<(), String> {
    let system = match family {
        Family::RaspberryPiOs => "raspberry-pi-os",
        Family::Ubuntu => "ubuntu",
        Family::Hypriot => "hypriotos",
        Family::Debian => "debian",
    };
    check(name).and_then(|()| search(system, name))
}

fn search(system: &str, name: &str) -> Result<(), String> {
    let Some(names) = TABLE.get(system) else { return Ok(()) };
    for (known, what) in [(&names.accounts, "an account"), (&names.groups, "a group")] {
        if known.iter().any(|known| known == name) {
            return Err(format!("`{name}` is {what} of the system; choose another login name"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_names_and_each_could_be_a_login_name() {
        let systems: Vec<&str> = TABLE.keys().map(String::as_str).collect();
        assert_eq!(systems, ["debian", "every", "hypriotos", "raspberry-pi-os", "ubuntu"]);
        for names in TABLE.values() {
            for name in names.accounts.iter().chain(&names.groups) {
                assert_eq!(person::user_name(name), Ok(()), "{name} need not be in the list");
            }
        }
    }

    #[test]
    fn accounts_and_groups_of_the_system_are_no_login_names() {
        for bad in ["root", "games", "backup", "www-data", "messagebus", "sudo", "docker", "users"]
        {
            assert!(check(bad).unwrap_err().contains("of the system"), "{bad}");
        }
        // The users that images come with are people's.
        for good in ["pi", "ubuntu", "pirate", "captain"] {
            for family in [Family::RaspberryPiOs, Family::Ubuntu, Family::Hypriot, Family::Debian] {
                assert_eq!(check_for(family, good), Ok(()), "{good}");
            }
        }
        assert!(check_for(Family::RaspberryPiOs, "gpio").unwrap_err().contains("a group"));
        assert_eq!(check_for(Family::Ubuntu, "gpio"), Ok(()));
        assert!(check_for(Family::Ubuntu, "syslog").unwrap_err().contains("an account"));
        assert!(check("Captain").unwrap_err().contains("not a user name"));
    }
}
