//! Programs of Debian's releases, unpacked from their packages and run where they lie: nothing is installed, and this
//! machine's own systemd and cloud-init, if it has any, take no part.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A release's programs.
#[derive(Debug, Clone)]
pub struct Suite {
    pub name: &'static str,
    root: PathBuf,
}

/// Only one test at a time unpacks.
static UNPACKING: Mutex<()> = Mutex::new(());

impl Suite {
    /// Fetches and unpacks it, the first time; the reason why that cannot be done here.
    pub fn get(name: &'static str) -> Result<Self, String> {
        let _alone = UNPACKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let root = cache().join("readers").join(name);
        if !root.join("complete").exists() {
            unpack(name, &root)?;
        }
        Ok(Self { name, root })
    }

    fn path(&self, path: &str) -> PathBuf {
        // `/lib` and `/usr/lib` are one folder on an installed system; here they are as each package has them.
        let usr = self.root.join("usr").join(path);
        if usr.exists() { usr } else { self.root.join(path) }
    }

    /// A program, run with its own C library and an environment of its own.
    pub fn program(&self, path: &str) -> Command {
        let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
        let loader = match std::env::consts::ARCH {
            "aarch64" => "ld-linux-aarch64.so.1",
            _ => "ld-linux-x86-64.so.2",
        };
        let mut libraries = Vec::new();
        for base in ["usr/lib", "lib"] {
            for folder in [triplet.clone(), format!("{triplet}/systemd"), "systemd".to_owned()] {
                libraries.push(self.root.join(base).join(folder).display().to_string());
            }
        }
        let mut command = Command::new(self.path(&format!("lib/{triplet}/{loader}")));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command.args(["--library-path", &libraries.join(":")]).arg(self.path(path));
        command
    }

    /// Its Python with its own modules.
    pub fn python(&self) -> Command {
        let minor = match self.name {
            "bullseye" => "9",
            "bookworm" => "11",
            _ => "13",
        };
        let mut python = self.program(&format!("bin/python3.{minor}"));
        python
            .env("PYTHONHOME", self.root.join("usr"))
            .env("PYTHONPATH", self.root.join("usr/lib/python3/dist-packages"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        python
    }
}

fn cache() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    named("PIKUBE_TEST_CACHE").unwrap_or_else(|| {
        let home = || named("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache");
        named("XDG_CACHE_HOME").unwrap_or_else(home).join("pikube-tests")
    })
}

fn unpack(name: &str, root: &Path) -> Result<(), String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("there are no packages for {other}")),
    };
    let folder = root.parent().ok_or("no cache")?;
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let new = tempfile::Builder::new()
        .prefix("pikube-test-")
        .tempdir_in(folder)
        .map_err(|error| error.to_string())?;
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/images/fetch.sh");
    let packages = new.path().join("packages");
    run(Command::new("bash")
        .arg(fetch)
        .args([name, architecture])
        .arg(&packages)
        .args(["cloud-init", "systemd"]))?;
    let unpacked = new.path().join("root");
    for package in std::fs::read_dir(&packages).map_err(|error| error.to_string())? {
        let package = package.map_err(|error| error.to_string())?.path();
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    }
    std::fs::write(unpacked.join("complete"), name).map_err(|error| error.to_string())?;
    // Whole or not at all; another process may have been faster.
    match std::fs::rename(&unpacked, root) {
        Err(error) if !root.join("complete").exists() => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{}: {}",
        command.get_program().display(),
        errors.lines().last().unwrap_or("failed")
    ))
}
