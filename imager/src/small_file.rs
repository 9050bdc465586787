//! Reading files that have to be small, whoever wrote them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::image::ByteSize;

/// The content of a file of at most so many bytes.
///
/// # Errors
/// `FileTooLarge` where it has more, of which no more is read; what opening and reading say.
pub fn read(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most_bytes {
        return Err(too_large(most_bytes));
    }
    Ok(content)
}

/// The same of a text.
///
/// # Errors
/// As [`read`]; `InvalidData` where it is not UTF-8.
pub fn read_text(path: &Path, most_bytes: u64) -> io::Result<String> {
    String::from_utf8(read(path, most_bytes)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// The refusal of what is larger than that.
pub fn too_large(most_bytes: u64) -> io::Error {
    let problem = format!("it is larger than {}", ByteSize(most_bytes).short());
    io::Error::new(io::ErrorKind::FileTooLarge, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_is_refused_and_never_cut() {
        let file = tempfile::Builder::new().prefix("pikube-test-").tempfile().unwrap();
        std::fs::write(file.path(), "four").unwrap();
        assert_eq!(read_text(file.path(), 4).unwrap(), "four");
        let error = read(file.path(), 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        // Without an end: only the bound ends it.
        let endless = read(Path::new("/dev/zero"), 1 << 20).unwrap_err();
        assert_eq!(endless.to_string(), "it is larger than 1 MiB");
        std::fs::write(file.path(), b"\xff").unwrap();
        assert_eq!(read_text(file.path(), 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
