//! Which version of Kubernetes this file claims to be.

use std::io::{Read as _, Seek as _, SeekFrom};

/// What stands before the version at the end of the program's own file; `tests/standins/build.sh` appends both.
const MARK: &str = "\npikube-standin-version=";
/// What it claims without such an end.
const DEFAULT: &str = "v1.36.4";

/// The version, as `v1.36.4`.
pub(crate) fn own() -> String {
    trailer().unwrap_or_else(|| DEFAULT.to_owned())
}

fn trailer() -> Option<String> {
    let mut file = std::fs::File::open("/proc/self/exe").ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(64))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    let end = String::from_utf8_lossy(&end).into_owned();
    let (_, version) = end.rsplit_once(MARK)?;
    Some(version.trim().to_owned())
}

/// Major, minor and patch of a version such as `v1.36.4`; `None` where it is none.
pub(crate) fn parts(version: &str) -> Option<(u32, u32, u32)> {
    let plain = version.strip_prefix('v').unwrap_or(version);
    let plain = plain.split_once(['-', '+']).map_or(plain, |(plain, _)| plain);
    let mut numbers = plain.split('.').map(|part| part.parse().ok());
    let parts = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(parts)
}

/// The minor of this file's own version.
pub(crate) fn own_minor() -> u32 {
    parts(&own()).map_or(36, |(_, minor, _)| minor)
}
