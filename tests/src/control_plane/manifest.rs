//! The command line in a static pod's manifest: what the card's node would run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use saphyr::{LoadableYamlNode as _, Yaml};

/// Flags of one program, `--name=value` each, in the manifest's order.
#[derive(Debug)]
pub(super) struct Flags(Vec<String>);

impl Flags {
    /// The command of the manifest's first container, without the program.
    pub(super) fn read(manifest: &Path) -> Result<Self> {
        let named = || format!("reading {}", manifest.display());
        let text = fs::read_to_string(manifest).with_context(named)?;
        let documents = Yaml::load_from_str(&text).with_context(named)?;
        let words =
            command(&documents).context("no container with a command").with_context(named)?;
        Ok(Self(words.iter().skip(1).filter_map(Yaml::as_str).map(str::to_owned).collect()))
    }

    /// The value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let prefix = format!("--{name}=");
        self.0.iter().find_map(|flag| flag.strip_prefix(&prefix)).map(str::to_owned)
    }

    /// Gives a flag this value, whether the manifest has it or not.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let flag = format!("--{name}={value}");
        let prefix = format!("--{name}=");
        match self.0.iter_mut().find(|flag| flag.starts_with(&prefix)) {
            Some(found) => *found = flag,
            None => self.0.push(flag),
        }
    }

    /// Puts `folder` before every path that begins with `path`.
    pub(super) fn move_paths(&mut self, path: &str, folder: &str) {
        for flag in &mut self.0 {
            *flag = flag.replace(&format!("={path}"), &format!("={folder}{path}"));
        }
    }

    /// As arguments.
    pub(super) fn arguments(&self) -> &[String] {
        &self.0
    }
}

fn command<'a>(documents: &'a [Yaml<'a>]) -> Option<&'a Vec<Yaml<'a>>> {
    let containers = documents.first()?.as_mapping_get("spec")?.as_mapping_get("containers")?;
    containers.as_sequence_get(0)?.as_mapping_get("command")?.as_sequence()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_manifest() -> Result<()> {
        let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir()?;
        let path = folder.path().join("pod.yaml");
        fs::write(
            &path,
            "kind: Pod\nspec:\n  containers:\n  - command:\n    - etcd\n    - --a=1\n    - --key=/etc/x/y\n",
        )?;
        let mut flags = Flags::read(&path)?;
        flags.set("a", "2");
        flags.set("b", "3");
        flags.move_paths("/etc/x", "/tmp/z");
        assert_eq!(flags.arguments(), ["--a=2", "--key=/tmp/z/etc/x/y", "--b=3"]);
        fs::write(&path, "kind: Pod\n")?;
        assert!(Flags::read(&path).is_err());
        Ok(())
    }
}
