//! `config/kubernetes.toml`: where Kubernetes comes from.

use std::path::PathBuf;

use pikube_config::values::cluster;
use serde::Deserialize;

use super::CatalogueError;

/// The file as it was when piflash was built.
const EMBEDDED: &str = include_str!("../../../config/kubernetes.toml");

/// Versions of Kubernetes and their addresses, as data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// What is installed where nothing is asked for: a patch version.
    pub default: String,
    /// Minor versions that can be asked for.
    pub supported: Vec<String>,
    /// apt repository; `{minor}` stands for a minor version.
    pub repository: String,
    /// Its key, beside it; absent: only the nodes fetch it.
    pub repository_key: Option<String>,
    /// Docker's apt repositories, without the distribution at the end; absent: the operating system's own packages.
    pub runtime_repository: Option<String>,
    /// The key in each of them; absent: only the nodes fetch it.
    pub runtime_repository_key: Option<String>,
    /// Plain binaries.
    pub downloads: String,
    /// The CNI plugins that go with them; `{arch}` stands for an architecture.
    pub cni_plugins: String,
    /// Calico's manifest.
    pub calico: String,
    /// SHA-256 sum of it, 64 hexadecimal digits; absent: it is taken as it comes.
    pub calico_sha256: Option<String>,
    /// What is installed with `--legacy` where nothing is asked for: a patch version.
    pub legacy: String,
}

impl Releases {
    /// The file that PIKUBE_KUBERNETES names, or the one that is embedded.
    ///
    /// # Errors
    /// [`CatalogueError::File`].
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CatalogueError> {
        let path = variable("PIKUBE_KUBERNETES").filter(|path| !path.is_empty());
        let (text, path) = match path.map(PathBuf::from) {
            None => (EMBEDDED.to_owned(), "config/kubernetes.toml".into()),
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => (text, path),
                Err(error) => {
                    return Err(CatalogueError::File { path, problem: error.to_string() });
                }
            },
        };
        let wrong = |problem: String| CatalogueError::File { path: path.clone(), problem };
        let releases: Self = toml::from_str(&text)
            .map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        if let Some(Err(why)) = releases.calico_sha256.as_deref().map(cluster::sha256) {
            return Err(wrong(format!("`calico_sha256`: {why}")));
        }
        Ok(releases)
    }

    /// The apt repository of a version.
    pub fn repository_of(&self, version: &str) -> String {
        self.repository.replace("{minor}", minor(version))
    }
}

/// `1.36` of `1.36.4`.
pub(crate) fn minor(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(point, _)| &version[..point])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_file_is_sound() {
        let releases = Releases::from_environment(|_| None).unwrap();
        assert!(releases.supported.iter().any(|version| version == minor(&releases.default)));
        assert_eq!(
            releases.repository_of("1.36.4"),
            "https://pkgs.k8s.io/core:/stable:/v1.36/deb/"
        );
        assert_eq!(releases.repository_of("1.35"), "https://pkgs.k8s.io/core:/stable:/v1.35/deb/");
    }

    #[test]
    fn another_file_is_named_where_it_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubernetes.toml");
        let read = || {
            Releases::from_environment(|_| Some(path.display().to_string()))
                .unwrap_err()
                .to_string()
        };
        assert!(read().contains("kubernetes.toml"));
        std::fs::write(&path, "defualt = \"1.36.4\"").unwrap();
        assert!(read().contains("defualt"));
        let sum = Releases::from_environment(|_| None).unwrap().calico_sha256.unwrap();
        std::fs::write(&path, EMBEDDED.replace(&sum, "0a")).unwrap();
        assert!(read().contains("`calico_sha256`: `0a` is not a SHA-256 sum"));
    }
}
