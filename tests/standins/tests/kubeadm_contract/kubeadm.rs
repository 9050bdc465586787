//! The real kubeadm and the stand-in, asked the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pikube_tests::kubernetes::Programs;
use tempfile::TempDir;

/// Versions of kubeadm, that of the booted nodes first.
pub const VERSIONS: [&str; 4] = ["v1.36.3", "v1.36.1", "v1.35.4", "v1.37.2"];

/// How a call has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub code: i32,
    pub said: String,
}

impl Verdict {
    pub fn of(output: &Output) -> Self {
        let said = [&output.stdout[..], &output.stderr].concat();
        Self {
            code: output.status.code().unwrap(),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }
}

/// The stand-in as kubeadm of a version, and the real one where it is built.
pub struct Pair {
    pub version: &'static str,
    pub standin: PathBuf,
    pub real: Option<PathBuf>,
    folder: TempDir,
}

impl Pair {
    pub fn of(test: &str, version: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        let standin = folder.path().join("kubeadm");
        let mut bytes = fs::read(env!("CARGO_BIN_EXE_standin")).unwrap();
        bytes.extend_from_slice(format!("\npikube-standin-version={version}\n").as_bytes());
        fs::write(&standin, bytes).unwrap();
        fs::set_permissions(&standin, fs::Permissions::from_mode(0o755)).unwrap();
        let test = format!("{test}: kubeadm {version} beside its stand-in");
        let programs = Programs::or_skip(&test, version, &["kubeadm"]);
        Self { version, standin, real: programs.map(|found| found.path("kubeadm")), folder }
    }

    /// Both, where there are both.
    pub fn all(test: &str) -> impl Iterator<Item = (Self, PathBuf)> {
        VERSIONS.into_iter().map(move |version| Self::of(test, version)).filter_map(|pair| {
            let real = pair.real.clone()?;
            Some((pair, real))
        })
    }

    /// `kubeadm config validate` of a text.
    pub fn validate(&self, program: &Path, text: &str) -> Verdict {
        let file = self.folder.path().join("kubeadm.yaml");
        fs::write(&file, text).unwrap();
        self.call(program, &["config", "validate", "--config", file.to_str().unwrap()])
    }

    /// Any call, on a root of its own where it is the stand-in's.
    pub fn call(&self, program: &Path, args: &[&str]) -> Verdict {
        let mut command = Command::new(program);
        command.args(args).env("PIKUBE_STANDIN_ROOT", self.folder.path());
        Verdict::of(&command.output().unwrap())
    }
}
