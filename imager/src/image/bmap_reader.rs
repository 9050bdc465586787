//! A decoded image with its block map laid over it, as a [`Read`].

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::bmap::{Bmap, Checksum, bad};
use super::error::{Error, Result};
use super::source::Image;

impl Image {
    /// The same image with a block map: what is not mapped reads as zeros, what is mapped is checked.
    ///
    /// # Errors
    /// [`Error::Bmap`] where the map is for an image of another size. (Where the size is known only at the end, it is
    /// found then, as is another image of the same size.)
    pub fn with_bmap(mut self, bmap: Bmap) -> Result<Self> {
        if let Some(size_bytes) = self.size_bytes()
            && size_bytes != bmap.image_bytes
        {
            return Err(other_size(&bmap, size_bytes));
        }
        let inner = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(BmapReader::new(inner, bmap));
        Ok(self)
    }
}

fn other_size(bmap: &Bmap, size_bytes: u64) -> Error {
    let wanted = bmap.image_bytes;
    bad(
        &bmap.path,
        format!("it is for another image, of {wanted} bytes; this one has {size_bytes}"),
    )
}

/// Zeros what is not mapped, checks what is, passes the rest on.
struct BmapReader<R> {
    inner: R,
    bmap: Bmap,
    /// Bytes passed on.
    at: u64,
    /// The range that is next, or in which `at` is.
    next: usize,
    hash: Hash,
}

/// Of the range in which the reader is.
enum Hash {
    None,
    Sha1(sha1::Sha1),
    Sha256(Sha256),
}

impl Hash {
    fn of(checksum: Option<&Checksum>) -> Self {
        match checksum {
            None => Hash::None,
            Some(Checksum::Sha1(_)) => Hash::Sha1(sha1::Sha1::new()),
            Some(Checksum::Sha256(_)) => Hash::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Hash::None => {}
            Hash::Sha1(hash) => hash.update(data),
            Hash::Sha256(hash) => hash.update(data),
        }
    }

    fn finish(self) -> Option<Checksum> {
        match self {
            Hash::None => None,
            Hash::Sha1(hash) => Some(Checksum::Sha1(hash.finalize().into())),
            Hash::Sha256(hash) => Some(Checksum::Sha256(hash.finalize().into())),
        }
    }
}

impl<R: Read> BmapReader<R> {
    fn new(inner: R, bmap: Bmap) -> Self {
        let hash = Hash::of(bmap.ranges.first().and_then(|range| range.checksum.as_ref()));
        Self { inner, bmap, at: 0, next: 0, hash }
    }

    /// Goes through what was read; it may be the end of one range and the beginning of another.
    fn lay_over(&mut self, mut data: &mut [u8]) -> Result<()> {
        while !data.is_empty() {
            let Some(range) = self.bmap.ranges.get(self.next) else {
                data.fill(0);
                self.at += data.len() as u64;
                break;
            };
            let mapped = self.at >= range.begin;
            let until = if mapped { range.end } else { range.begin };
            let len = usize::try_from(until - self.at).unwrap_or(usize::MAX).min(data.len());
            let (now, later) = data.split_at_mut(len);
            match mapped {
                true => self.hash.update(now),
                false => now.fill(0),
            }
            self.at += len as u64;
            if self.at == range.end {
                self.end_range()?;
            }
            data = later;
        }
        Ok(())
    }

    fn end_range(&mut self) -> Result<()> {
        let range = &self.bmap.ranges[self.next];
        self.next += 1;
        let next = self.bmap.ranges.get(self.next).and_then(|range| range.checksum.as_ref());
        let found = std::mem::replace(&mut self.hash, Hash::of(next)).finish();
        if found == range.checksum {
            return Ok(());
        }
        let (begin, end) = (range.begin, range.end);
        Err(bad(
            &self.bmap.path,
            format!("it does not match the image: bytes {begin} to {end} have another checksum"),
        ))
    }

    fn check_size(&self) -> Result<()> {
        let (at, wanted) = (self.at, self.bmap.image_bytes);
        if at == wanted { Ok(()) } else { Err(other_size(&self.bmap, at)) }
    }
}

impl<R: Read> Read for BmapReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        if len == 0 && !buf.is_empty() {
            self.check_size().map_err(Error::into_read)?;
        }
        self.lay_over(&mut buf[..len]).map_err(Error::into_read)?;
        if self.at > self.bmap.image_bytes {
            self.check_size().map_err(Error::into_read)?;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bmap::Range;
    use super::*;

    fn bmap(image: &[u8], mapped: &[(usize, usize)]) -> Bmap {
        let range = |(begin, end): &(usize, usize)| Range {
            begin: *begin as u64,
            end: *end as u64,
            checksum: Some(Checksum::Sha256(Sha256::digest(&image[*begin..*end]).into())),
        };
        let ranges = mapped.iter().map(range).collect();
        Bmap { path: "os.bmap".into(), image_bytes: image.len() as u64, ranges }
    }

    fn read(image: &[u8], bmap: Bmap, piece: usize) -> std::result::Result<Vec<u8>, String> {
        let mut reader = BmapReader::new(image, bmap);
        let (mut all, mut buf) = (Vec::new(), vec![0; piece]);
        loop {
            match reader.read(&mut buf) {
                Ok(0) => return Ok(all),
                Ok(len) => all.extend_from_slice(&buf[..len]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_not_mapped_is_zeros(
            image in prop::collection::vec(1u8.., 1..5000),
            cuts in prop::collection::btree_set(0usize..5000, 0..8),
            piece in 1usize..3000,
        ) {
            let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= image.len()).collect();
            let mapped: Vec<(usize, usize)> =
                cuts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let mut wanted = vec![0; image.len()];
            for (begin, end) in &mapped {
                wanted[*begin..*end].copy_from_slice(&image[*begin..*end]);
            }
            prop_assert_eq!(read(&image, bmap(&image, &mapped), piece).unwrap(), wanted);
        }
    }

    #[test]
    fn another_image_is_found_out() {
        let image = vec![7; 4000];
        let map = bmap(&image, &[(0, 512), (1024, 4000)]);
        let mut other = image.clone();
        other[2000] = 8;
        let error = read(&other, map.clone(), 600).unwrap_err();
        assert!(error.contains("bytes 1024 to 4000 have another checksum"), "{error}");
        // What is not mapped does not matter.
        other = image.clone();
        other[600] = 8;
        assert!(read(&other, map.clone(), 600).is_ok());
        assert!(read(&image[..3999], map.clone(), 600).unwrap_err().contains("another image"));
        other.push(0);
        assert!(read(&other, map, 600).unwrap_err().contains("of 4000 bytes; this one has 4001"));
    }
}
