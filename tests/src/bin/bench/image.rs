//! The images to measure with: partition table, boot partition and a real ext4 root, which holds files of this machine's
//! `/usr`, and free space, some of which files were deleted from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::programs::shell;

const MIB: u64 = 1 << 20;
/// First sector of the boot partition, as in Raspberry Pi OS' images.
const BOOT_SECTOR: u64 = 8192;

/// The same image in several packings.
pub struct Images {
    /// Not packed.
    pub plain: PathBuf,
    /// `xz -T0 -3`: blocks of 12 MiB.
    pub xz: PathBuf,
    /// `gzip -6`, and `zstd -3`.
    pub others: [PathBuf; 2],
    /// Block map of it.
    pub bmap: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// What is in it.
    pub description: String,
    /// A small one, for slow cards.
    pub small_xz: PathBuf,
    /// Size of that.
    pub small_bytes: u64,
}

/// What an image has, MiB.
struct Shape {
    total: u64,
    boot: u64,
    files: u64,
    deleted: u64,
}

/// 2.66 GiB, of which files are 1.0.
const LARGE: Shape = Shape { total: 2724, boot: 512, files: 1024, deleted: 300 };
/// For cards of 20 MB/s.
const SMALL: Shape = Shape { total: 64, boot: 16, files: 20, deleted: 4 };

impl Shape {
    fn scaled(&self, percent: u64) -> Self {
        let of = |mib: u64| (mib * percent / 100).max(1);
        Self {
            total: of(self.total),
            // FAT32 wants that much.
            boot: of(self.boot).max(128),
            files: of(self.files),
            deleted: of(self.deleted),
        }
    }
}

impl Images {
    /// Makes them, where an earlier run has not; the large one of `percent` of its usual size.
    pub fn make(folder: &Path, percent: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let large = LARGE.scaled(percent);
        let (plain, small) = (folder.join(format!("os-{percent}.img")), folder.join("small.img"));
        once(&plain, |to| build(to, &large))?;
        once(&small, |to| build(to, &SMALL))?;
        let bmap = folder.join(format!("os-{percent}.holes"));
        once(&bmap, |to| {
            shell(&format!("bmaptool -q create -o {} {}", to.display(), plain.display()))
        })?;
        let Shape { total, boot, files, deleted } = large;
        Ok(Self {
            xz: packed(&plain, "xz -T0 -3 -c", "xz")?,
            others: [packed(&plain, "gzip -6 -c", "gz")?, packed(&plain, "zstd -q -3 -c", "zst")?],
            small_xz: packed(&small, "xz -T0 -3 -c", "xz")?,
            bytes: fs::metadata(&plain)?.len(),
            small_bytes: fs::metadata(&small)?.len(),
            description: format!(
                "{total} MiB: boot partition of {boot} MiB, ext4 with {files} MiB of files of /usr, {deleted} MiB deleted"
            ),
            bmap,
            plain,
        })
    }

    /// The image packed in blocks of so many MiB, with the dictionary of `xz -6`.
    pub fn in_blocks(&self, block_mib: u64) -> Result<PathBuf> {
        let command = format!("xz -T2 --lzma2=preset=0,dict=8MiB --block-size={block_mib}MiB -c");
        packed(&self.plain, &command, &format!("{block_mib}.xz"))
    }
}

/// An image of so many GiB with 300 MiB of files, packed quickly: what is measured with it is what free space costs.
pub fn mostly_free(folder: &Path, gib: u64) -> Result<PathBuf> {
    let plain = folder.join(format!("free-{gib}.img"));
    let xz = PathBuf::from(format!("{}.xz", plain.display()));
    if !xz.exists() {
        let shape = Shape { total: gib * 1024, boot: 256, files: 300, deleted: 100 };
        once(&plain, |to| build(to, &shape))?;
        packed(&plain, "xz -T0 -0 -c", "xz")?;
        fs::remove_file(&plain)?;
    }
    Ok(xz)
}

fn packed(from: &Path, command: &str, suffix: &str) -> Result<PathBuf> {
    let packed = PathBuf::from(format!("{}.{suffix}", from.display()));
    once(&packed, |to| shell(&format!("{command} < {} > {}", from.display(), to.display())))?;
    Ok(packed)
}

/// Makes a file under another name first, so that what an interrupted run left is not taken for one.
fn once(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let part = path.with_extension("part");
    make(&part).with_context(|| format!("making {}", path.display()))?;
    Ok(fs::rename(part, path)?)
}

/// Files first, then the file systems, then what deletes some of the files again.
fn build(to: &Path, shape: &Shape) -> Result<()> {
    let work = tempfile::Builder::new()
        .prefix("pikube-test-")
        .tempdir_in(to.parent().unwrap_or(Path::new(".")))?;
    let work = work.path();
    let deleted = collect(&work.join("root"), shape)?;
    fs::write(work.join("requests"), deleted)?;
    fs::write(
        work.join("cmdline.txt"),
        "console=tty1 root=PARTUUID=d9b3a0f1-02 rootfstype=ext4 fsck.repair=yes rootwait resize\n",
    )?;
    fs::write(
        work.join("config.txt"),
        "dtparam=audio=on\nauto_initramfs=1\n\n[all]\narm_64bit=1\n",
    )?;
    fs::write(
        work.join("issue.txt"),
        "Raspberry Pi reference 2025-11-24\nGenerated using pi-gen, https://github.com/RPi-Distro/pi-gen, 0000, stage2\n",
    )?;
    let (boot_sectors, root) = (shape.boot * MIB / 512, BOOT_SECTOR * 512 + shape.boot * MIB);
    let root_sector = root / 512;
    let root_blocks = (shape.total * MIB - root) / 4096;
    // Bits, and sectors of a cluster: mkfs.vfat itself would go by the size of the whole disk.
    let (fat, cluster) = match shape.boot {
        ..64 => (16, 4),
        64..512 => (32, 1),
        _ => (32, 8),
    };
    let kernel_mib = shape.boot / 8;
    shell(&format!(
        "export PATH=$PATH:/usr/sbin:/sbin; cd {work}
        truncate -s {total}M disk
        printf 'label: dos\\nlabel-id: 0xd9b3a0f1\\n{BOOT_SECTOR},{boot_sectors},c\\n{root_sector},,83\\n' | sfdisk -q disk
        mkfs.vfat -F {fat} -s {cluster} -n BOOTFS --offset {BOOT_SECTOR} disk {boot_kib} > mkfs.log 2>&1
        cat root/usr/lib/* 2>/dev/null | head -c {kernel_mib}M > kernel8.img || true
        for file in cmdline.txt config.txt issue.txt kernel8.img; do
            mcopy -i disk@@$(({BOOT_SECTOR} * 512)) $file ::$file; done
        mke2fs -q -F -t ext4 -b 4096 -d root fs {root_blocks}
        debugfs -w -f requests fs > debugfs.log 2>&1
        e2fsck -fn fs > e2fsck.log 2>&1
        dd if=fs of=disk bs=1M seek={root_mib} conv=notrunc,sparse status=none
        mv disk {to}",
        work = work.display(),
        to = fs::canonicalize(to.parent().unwrap_or(Path::new(".")))?
            .join(to.file_name().unwrap_or_default())
            .display(),
        total = shape.total,
        boot_kib = shape.boot * 1024,
        root_mib = root / MIB,
    ))
}

/// Copies files of `/usr` until there are enough, some of them into a folder whose files are deleted later; what debugfs
/// has to be asked for that.
fn collect(to: &Path, shape: &Shape) -> Result<String> {
    let (mut kept, mut deleted, mut requests) = (0, 0, String::new());
    let mut folders = vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/lib")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let size = entry.metadata()?.len().next_multiple_of(4096);
            let name = path.strip_prefix("/")?;
            if !kind.is_file()
                || size > shape.files * MIB / 16
                || name.to_string_lossy().contains([' ', '"'])
            {
                continue;
            }
            // One part in four of what is copied, as long as there is something to be deleted.
            let goes = deleted < shape.deleted * MIB && deleted * 3 < kept;
            if !goes && kept + size > shape.files * MIB {
                if deleted >= shape.deleted * MIB {
                    return Ok(requests);
                }
                continue;
            }
            let place = if goes { Path::new("deleted").join(name) } else { name.to_owned() };
            if goes {
                requests.push_str(&format!("rm /{}\n", place.display()));
            }
            let target = to.join(&place);
            fs::create_dir_all(target.parent().unwrap_or(to))?;
            fs::copy(&path, &target)?;
            *(if goes { &mut deleted } else { &mut kept }) += size;
        }
    }
    Ok(requests)
}
