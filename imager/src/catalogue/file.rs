//! `config/images.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use super::address::AddressPattern;

/// The file as it was when piflash was built.
const EMBEDDED: &str = include_str!("../../../config/images.toml");

/// What is wrong with the catalogue, or with what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The file cannot be read.
    #[error("reading catalogue `{}`: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Neither a file nor a name.
    #[error("looking for image `{alias}`: there is no such file and no such name in the catalogue")]
    Unknown {
        /// What was asked for.
        alias: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// An address that cannot be used.
    #[error(
        "looking for image `{alias}`: the catalogue has an address that cannot be used: {problem}"
    )]
    Address {
        /// What was asked for.
        alias: String,
        /// What is wrong.
        problem: String,
    },
    /// Raspberry Pi's list.
    #[error("reading the list of images `{name}`: {problem}")]
    List {
        /// Its address.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl CatalogueError {
    /// Text for the `help:` line.
    pub fn help(&self) -> Option<String> {
        match self {
            CatalogueError::Unknown { near, .. } if !near.is_empty() => {
                let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
                Some(format!("is {} meant? `piflash images` lists all names", near.join(" or ")))
            }
            CatalogueError::Unknown { .. } => Some("`piflash images` lists all names".into()),
            _ => None,
        }
    }
}

/// The catalogue as data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Alias of what is taken where nothing is asked for.
    pub default: String,
    /// Address of Raspberry Pi's list.
    pub list: String,
    /// Parts of the file names of what piflash prepares.
    #[serde(default)]
    pub prepares: Vec<String>,
    /// What has a stable name.
    #[serde(default)]
    pub image: Vec<Named>,
}

/// An image with a stable name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The name to ask for it.
    pub alias: String,
    /// For people.
    pub name: String,
    /// Its address in Raspberry Pi's own list, not in one that this names: the newest that fits is taken.
    pub in_list: Option<AddressPattern>,
    /// Its address where there is no list.
    pub url: String,
    /// SHA-256 sum of what is at `url`; no list changes either then.
    pub sha256: Option<String>,
    /// Why it cannot become a node of a cluster, although it is prepared.
    pub no_kubernetes: Option<String>,
}

impl Named {
    /// Whether an address and a sum are given, so that no list and no network are needed.
    pub fn is_fixed(&self) -> bool {
        self.sha256.is_some() || self.in_list.is_none()
    }
}

impl Catalogue {
    /// The file that PIKUBE_IMAGES names, or the one that is embedded.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CatalogueError> {
        let Some(path) = variable("PIKUBE_IMAGES").filter(|path| !path.is_empty()) else {
            return Self::parse(EMBEDDED, "config/images.toml".into());
        };
        let path = PathBuf::from(path);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) => Err(CatalogueError::File { path, problem: error.to_string() }),
        }
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self, CatalogueError> {
        toml::from_str(text).map_err(|error| CatalogueError::File {
            path,
            problem: error.to_string().trim_end().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::address;
    use super::*;
    use crate::image::{Location, Sha256Sum};

    #[test]
    fn the_embedded_file_is_sound() {
        let catalogue = Catalogue::from_environment(|_| None).unwrap();
        assert_eq!(catalogue.default, "raspios-lite");
        assert!(address::is_https(&catalogue.list));
        let mut aliases = std::collections::BTreeSet::new();
        for image in &catalogue.image {
            assert!(aliases.insert(&image.alias), "`{}` twice", image.alias);
            assert!(image.url.starts_with("https://"), "{}", image.url);
            Location::parse(&image.url).unwrap();
            assert!(image.in_list.as_ref().is_none_or(AddressPattern::is_https), "{}", image.alias);
            if let Some(sum) = &image.sha256 {
                sum.parse::<Sha256Sum>().unwrap();
            }
        }
        for alias in [
            "raspios-lite",
            "raspios-lite-bookworm",
            "hypriotos-1.12.3",
            "ubuntu-24.04",
            "debian-trixie",
        ] {
            assert!(aliases.contains(&alias.to_owned()), "{alias}");
        }
    }
}
