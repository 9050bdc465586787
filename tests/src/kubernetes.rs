//! The programs of a real Kubernetes, as `tests/kubernetes/build.sh` builds them from their Go modules.

use std::path::PathBuf;

use crate::needs::{self, Missing};

/// The version of which the tests have the whole control plane.
pub const VERSION: &str = "v1.36.3";

/// The programs of one version, and those that go with every version.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
    version: String,
}

impl Programs {
    /// The programs of `version`, all of `names` among them.
    ///
    /// # Errors
    /// One of them is not built.
    pub fn of(version: &str, names: &[&str]) -> Result<Self, Missing> {
        let folder = needs::clone_root().join("target/test-kubernetes/bin");
        let programs = Self { folder, version: version.to_owned() };
        for name in names {
            let path = programs.path(name);
            if !path.is_file() {
                return Err(Missing::new(
                    format!("no {}", path.display()),
                    format!("tests/kubernetes/build.sh {}", programs.target(name)),
                ));
            }
        }
        Ok(programs)
    }

    /// The same, or `None` after a line that says what was skipped and why.
    ///
    /// # Panics
    /// Where a program is missing and `PIKUBE_REQUIRE_KUBERNETES=1`.
    #[must_use]
    pub fn or_skip(test: &str, version: &str, names: &[&str]) -> Option<Self> {
        needs::unless_required("PIKUBE_REQUIRE_KUBERNETES", test, Self::of(version, names))
    }

    /// Where a program is, built or not.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(self.target(name))
    }

    /// `v1.36.3`
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What `build.sh` calls it: Kubernetes' own programs are under their version, others under a folder of their own.
    fn target(&self, name: &str) -> String {
        match name {
            "etcd" | "kwok" | "crictl" => format!("{name}/{name}"),
            "etcdctl" | "etcdutl" => format!("etcd/{name}"),
            _ => format!("{}/{name}", self.version),
        }
    }

    /// How kwok's nodes and pods come along, as its own module has it.
    #[must_use]
    pub fn kwok_stages(&self) -> PathBuf {
        self.folder.join("kwok/stages.yaml")
    }
}
