//! Which decoder for which format: the one place that a further format has to be added to.

use std::io::Read;
use std::path::Path;

use super::error::{Error, Result};
use super::members::MembersReader;
use super::sniff::Format;
use super::xz::{self, XzReader};
use super::xz_blocks::XzBlocks;
use super::xz_index::Index;
use super::zip::ZipReader;

type Input = Box<dyn Read + Send>;
type Gzip = flate2::bufread::GzDecoder<super::input::Input<Input>>;
type Bzip2 = bzip2::bufread::BzDecoder<super::input::Input<Input>>;
type Zstd = zstd::stream::read::Decoder<'static, super::input::Input<Input>>;

/// The decoded bytes of `input`, which is at its first byte and is read up to its end: a decoder does not say that it
/// is done before its input has said so. An xz file's index, where it is known, lets several blocks be decoded at once.
///
/// # Errors
/// [`Error::UnsupportedFormat`] for what is recognised and not decoded.
pub(super) fn decoded(
    format: Format,
    input: Input,
    path: &Path,
    xz_index: Option<Index>,
) -> Result<Input> {
    let owned = path.to_owned();
    match format {
        Format::Plain => Ok(input),
        Format::Xz => match xz_index.and_then(xz::plan_for) {
            Some((index, plan)) => Ok(Box::new(XzBlocks::new(input, path, index, plan)?)),
            None => Ok(Box::new(XzReader::new(input, owned)?)),
        },
        Format::Gzip => Ok(Box::new(MembersReader::<Gzip, _>::new(input, owned))),
        Format::Bzip2 => Ok(Box::new(MembersReader::<Bzip2, _>::new(input, owned))),
        Format::Zstd => Ok(Box::new(MembersReader::<Zstd, _>::new(input, owned))),
        Format::Zip => Ok(Box::new(ZipReader::new(input, owned))),
        other => Err(Error::UnsupportedFormat {
            path: owned,
            format: other.name(),
            unpack: other.unpack_command(),
        }),
    }
}
