//! The seam between the engine and what it writes to. Tests put faulty cards here.

use std::io;
use std::path::Path;

/// A card as the engine sees it. Offsets are from the start of the card; the engine aligns offsets, lengths and memory
/// to 512 bytes at least, except at the end of an image whose size is not a multiple of that, on a destination that is
/// not [`padded`](Destination::padded).
pub trait Destination: Send {
    /// Name for messages.
    fn path(&self) -> &Path;

    /// Its size; `None` for a file that grows as it is written.
    fn size_bytes(&self) -> Option<u64>;

    /// Whether only whole sectors can be written, and an old backup partition table may be at its end: block devices.
    fn padded(&self) -> bool;

    /// Whether what was never written is known to read as zeros: a file made for this purpose, nothing else.
    fn unwritten_is_zero(&self) -> bool;

    /// Writes at a place; how many bytes were taken, which may be fewer than given.
    ///
    /// # Errors
    /// What the device says.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<usize>;

    /// Whether [`zero_at`](Destination::zero_at) is worth trying.
    fn zeroes(&self) -> bool {
        false
    }

    /// Makes the device zero a run of whole sectors, which from then on reads as zeros: nothing less, a mere discard
    /// will not do. Where it fails the engine writes the zeros.
    ///
    /// # Errors
    /// What the device says.
    fn zero_at(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Discards a run of whole sectors that nobody reads again.
    ///
    /// # Errors
    /// The device cannot.
    fn forget_at(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The open card, for io_uring(7); `None` where writes have to come through
    /// [`write_at`](Destination::write_at).
    fn queue(&self) -> Option<std::fs::File> {
        None
    }

    /// Another handle on the same card, for writing at the same time as this one; `None` where one write at a time is
    /// all there is.
    fn second_writer(&self) -> Option<Box<dyn Destination>> {
        None
    }

    /// Reads at a place, past every cache of the computer; how many bytes came, which may be fewer than asked for.
    ///
    /// # Errors
    /// What the device says.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Returns when everything that was written is on the card, the card's own write cache included. From then on
    /// [`read_at`](Destination::read_at) may not be answered from memory.
    ///
    /// # Errors
    /// What the device says, of this or of any earlier write.
    fn sync(&mut self) -> io::Result<()>;

    /// Sets the end of a file that grows; nothing elsewhere.
    ///
    /// # Errors
    /// What the system says.
    fn set_end(&mut self, image_bytes: u64) -> io::Result<()>;

    /// The card is complete: lets the kernel look at its partitions. Best effort, the card is good without it.
    fn announce(&mut self) {}
}

/// Writes all of `data`, whatever portions the destination takes.
pub(super) fn write_all(
    to: &mut dyn Destination,
    offset: u64,
    data: &[u8],
) -> Result<(), (u64, io::Error)> {
    transfer(to.padded(), data.len(), |done| to.write_at(offset + done as u64, &data[done..]))
        .map_err(|(done, error)| {
            (offset + done as u64, error.unwrap_or(io::ErrorKind::WriteZero.into()))
        })
}

/// Fills `buf`.
pub(super) fn read_all(
    from: &mut dyn Destination,
    offset: u64,
    buf: &mut [u8],
) -> Result<(), (u64, io::Error)> {
    let len = buf.len();
    transfer(from.padded(), len, |done| from.read_at(offset + done as u64, &mut buf[done..]))
        .map_err(|(done, error)| {
            (offset + done as u64, error.unwrap_or(io::ErrorKind::UnexpectedEof.into()))
        })
}

/// Repeats `step(done)` until `len` bytes are done; otherwise how many were, and the error where there was one.
fn transfer(
    sectors_only: bool,
    len: usize,
    mut step: impl FnMut(usize) -> io::Result<usize>,
) -> Result<(), (usize, Option<io::Error>)> {
    let mut done = 0;
    while done < len {
        match step(done) {
            Ok(count) => {
                let mut now = done + count.min(len - done);
                if sectors_only && now < len {
                    // Direct I/O goes on at a sector only: the part of one that was taken is done again.
                    now -= now % 512;
                }
                if now <= done {
                    return Err((done, None));
                }
                done = now;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((done, Some(error))),
        }
    }
    Ok(())
}
