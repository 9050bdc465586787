//! Which decoder for which format: the one place that a further format has to be added to.

use std::io::Read;
use std::path::Path;

use super::error::{Error, Result};
use super::sniff::Format;
use super::xz::XzReader;

/// The decoded bytes of `input`, which is at its first byte and is read up to its end.
///
/// # Errors
/// [`Error::UnsupportedFormat`] for what is recognised and not decoded.
pub(super) fn decoded(
    format: Format,
    input: impl Read + Send + 'static,
    path: &Path,
) -> Result<Box<dyn Read + Send>> {
    match format {
        Format::Plain => Ok(Box::new(input)),
        Format::Xz => Ok(Box::new(XzReader::new(input, path.to_owned())?)),
        other => Err(Error::UnsupportedFormat {
            path: path.to_owned(),
            format: other.name(),
            unpack: other.unpack_command(),
        }),
    }
}
