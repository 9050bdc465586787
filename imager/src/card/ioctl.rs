//! The ioctls of block devices; beside `ring`, the only `unsafe` of this program.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

#[allow(unsafe_code, missing_docs)] // nix's macros define one unsafe function per ioctl (linux/fs.h)
mod raw {
    use nix::libc::c_int;

    nix::ioctl_read_bad!(blk_ro_get, nix::request_code_none!(0x12, 94), c_int);
    nix::ioctl_none!(blk_rrpart, 0x12, 95);
    nix::ioctl_none!(blk_flsbuf, 0x12, 97);
    // linux/cdrom.h; disks that can be taken out answer to it as well.
    nix::ioctl_none_bad!(cdrom_eject, 0x5309);
    nix::ioctl_read_bad!(blk_ssz_get, nix::request_code_none!(0x12, 104), c_int);
    nix::ioctl_write_ptr_bad!(blk_discard, nix::request_code_none!(0x12, 119), [u64; 2]);
    nix::ioctl_write_ptr_bad!(blk_zeroout, nix::request_code_none!(0x12, 127), [u64; 2]);
    nix::ioctl_read!(blk_get_diskseq, 0x12, 128, u64);
    // The request code has size_t in it; the kernel always stores 64 bits, also for a 32-bit caller.
    nix::ioctl_read_bad!(
        blk_get_size64,
        nix::request_code_read!(0x12, 114, std::mem::size_of::<usize>()),
        u64
    );
}

/// Size of a block device in bytes (`BLKGETSIZE64`).
#[allow(unsafe_code)] // the pointer is to a live u64, which is what the kernel stores
pub(super) fn size_bytes(device: &File) -> io::Result<u64> {
    let mut size = 0;
    unsafe { raw::blk_get_size64(device.as_raw_fd(), &raw mut size) }?;
    Ok(size)
}

/// Number of the medium that is in the device, which no other gets until the computer starts again (`BLKGETDISKSEQ`);
/// `None` where the kernel is older than 5.15.
#[allow(unsafe_code)] // the pointer is to a live u64, which is what the kernel stores
pub(super) fn disk_sequence(device: &File) -> Option<u64> {
    let mut sequence = 0;
    unsafe { raw::blk_get_diskseq(device.as_raw_fd(), &raw mut sequence) }.ok()?;
    Some(sequence)
}

/// Logical sector size in bytes (`BLKSSZGET`).
#[allow(unsafe_code)] // the pointer is to a live int, which is what the kernel stores
pub(super) fn sector_bytes(device: &File) -> io::Result<u64> {
    let mut size = 0;
    unsafe { raw::blk_ssz_get(device.as_raw_fd(), &raw mut size) }?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// Whether the device refuses writes (`BLKROGET`).
#[allow(unsafe_code)] // the pointer is to a live int, which is what the kernel stores
pub(super) fn is_read_only(device: &File) -> io::Result<bool> {
    let mut flag = 0;
    unsafe { raw::blk_ro_get(device.as_raw_fd(), &raw mut flag) }?;
    Ok(flag != 0)
}

/// Drops what the kernel keeps of the device in memory (`BLKFLSBUF`).
#[allow(unsafe_code)] // no pointer is passed
pub(super) fn drop_cache(device: &File) -> io::Result<()> {
    unsafe { raw::blk_flsbuf(device.as_raw_fd()) }?;
    Ok(())
}

/// Makes a run of whole sectors read as zeros (`BLKZEROOUT`): by the device where it can, else the kernel writes them.
#[allow(unsafe_code)] // the pointer is to a live array, which the kernel only reads
pub(super) fn zero_out(device: &File, offset: u64, len: u64) -> io::Result<()> {
    let range = [offset, len];
    unsafe { raw::blk_zeroout(device.as_raw_fd(), &raw const range) }?;
    Ok(())
}

/// Tells the device that nobody wants a run of whole sectors any more (`BLKDISCARD`).
#[allow(unsafe_code)] // the pointer is to a live array, which the kernel only reads
pub(super) fn discard(device: &File, offset: u64, len: u64) -> io::Result<()> {
    let range = [offset, len];
    unsafe { raw::blk_discard(device.as_raw_fd(), &raw const range) }?;
    Ok(())
}

/// Makes the kernel read the partition table again (`BLKRRPART`).
#[allow(unsafe_code)] // no pointer is passed
pub(super) fn reread_partitions(device: &File) -> io::Result<()> {
    unsafe { raw::blk_rrpart(device.as_raw_fd()) }?;
    Ok(())
}

/// Lets the reader go of its medium (`CDROMEJECT`).
#[allow(unsafe_code)] // no pointer is passed
pub(super) fn eject(device: &File) -> io::Result<()> {
    unsafe { raw::cdrom_eject(device.as_raw_fd()) }?;
    Ok(())
}
