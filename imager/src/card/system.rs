//! Where the kernel's own files are: a parameter, so that the guard can be tried on a computer that does not exist.

use std::path::PathBuf;

/// Roots of the kernel's file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// procfs.
    pub proc: PathBuf,
    /// sysfs.
    pub sys: PathBuf,
    /// Device nodes.
    pub dev: PathBuf,
}

impl Default for System {
    /// This computer.
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), dev: "/dev".into() }
    }
}
