//! The images that `images/build.sh` made.

use std::path::PathBuf;

use crate::needs::{Missing, clone_root};

/// The uncompressed image of that name, to be copied, never written to.
///
/// # Errors
/// When it has not been built.
pub fn image(name: &str) -> Result<PathBuf, Missing> {
    found(clone_root().join(format!("target/test-images/nodes/{name}.img")), name)
}

/// The image as a user would download it: `.img.xz`, of Raspberry Pi OS trixie for arm64.
///
/// # Errors
/// When it has not been built.
pub fn compressed() -> Result<PathBuf, Missing> {
    let name = "raspios-trixie-arm64";
    found(clone_root().join(format!("target/test-images/{name}.img.xz")), name)
}

fn found(path: PathBuf, name: &str) -> Result<PathBuf, Missing> {
    if path.is_file() {
        Ok(path)
    } else {
        let remedy = format!("tests/images/build.sh {name}");
        Err(Missing::new(format!("no image {}", path.display()), remedy))
    }
}
