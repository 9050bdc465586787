//! What is on a card, read and changed without mounting anything: the FAT by mtools, the root by debugfs, both through the
//! partition table of the card file itself.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use tempfile::NamedTempFile;

const SECTOR_BYTES: u64 = 512;

/// One partition of the card, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Where it starts on the card.
    pub offset_bytes: u64,
    /// How long it is.
    pub size_bytes: u64,
}

/// A card: a regular file with an MBR, a FAT boot partition and an ext4 root.
#[derive(Debug, Clone)]
pub struct Card {
    path: PathBuf,
}

impl Card {
    /// The card in that file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// A new card of `size_bytes` with the image on it, as if written and never booted. Holes stay holes.
    ///
    /// # Errors
    /// When the image cannot be copied or is larger than the card.
    pub fn copy_of(image: &Path, path: impl Into<PathBuf>, size_bytes: u64) -> Result<Self> {
        let path = path.into();
        run(Command::new("cp").args(["--sparse=always", "--"]).arg(image).arg(&path))?;
        let file = File::options().write(true).open(&path)?;
        ensure!(
            file.metadata()?.len() <= size_bytes,
            "{} is larger than the card",
            image.display()
        );
        file.set_len(size_bytes)?;
        Ok(Self { path })
    }

    /// The card file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Partition 1 (boot) or 2 (root), from the card's own MBR.
    ///
    /// # Errors
    /// When there is no MBR or no such partition.
    pub fn partition(&self, number: usize) -> Result<Partition> {
        ensure!((1..=4).contains(&number), "an MBR has partitions 1 to 4");
        let mut mbr = [0_u8; 512];
        File::open(&self.path)?.read_exact(&mut mbr).context("reading the partition table")?;
        ensure!(mbr[510..] == [0x55, 0xaa], "{} has no partition table", self.path.display());
        let entry = &mbr[446 + 16 * (number - 1)..][..16];
        let field = |at: usize| {
            u64::from(u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]))
        };
        let (offset_bytes, size_bytes) = (field(8) * SECTOR_BYTES, field(12) * SECTOR_BYTES);
        ensure!(size_bytes > 0, "{} has no partition {number}", self.path.display());
        Ok(Partition { offset_bytes, size_bytes })
    }

    /// A file in the boot partition, or `None` where there is none of that name.
    ///
    /// # Errors
    /// When the boot partition cannot be read.
    pub fn boot_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if !self.boot_names()?.iter().any(|present| present.eq_ignore_ascii_case(name)) {
            return Ok(None);
        }
        let output = run(self.mtools("mcopy")?.arg(format!("::{name}")).arg("-"))?;
        Ok(Some(output.stdout))
    }

    /// A text file in the boot partition.
    ///
    /// # Errors
    /// When it is not there or not UTF-8.
    pub fn boot_text(&self, name: &str) -> Result<String> {
        let bytes = self.boot_file(name)?;
        let bytes = bytes.with_context(|| format!("no {name} on the boot partition"))?;
        String::from_utf8(bytes).with_context(|| format!("{name} is not text"))
    }

    /// The names in the root of the boot partition.
    ///
    /// # Errors
    /// When the boot partition cannot be read.
    pub fn boot_names(&self) -> Result<Vec<String>> {
        let output = run(self.mtools("mdir")?.args(["-b", "-a", "::"]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text
            .lines()
            .map(|line| line.trim_start_matches("::/").trim_end_matches('/').to_owned())
            .collect())
    }

    /// Puts a file on the boot partition, over one of the same name.
    ///
    /// # Errors
    /// When the boot partition cannot be written.
    pub fn put_boot_file(&self, name: &str, contents: &[u8]) -> Result<()> {
        let file = as_file(contents)?;
        run(self.mtools("mcopy")?.arg("-o").arg(file.path()).arg(format!("::{name}")))?;
        Ok(())
    }

    /// A file of the root file system, or `None` where there is none. What lies in the journal only (after a power
    /// cut) is not seen.
    ///
    /// # Errors
    /// When debugfs cannot open the root.
    pub fn root_file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let request = format!("cat \"{path}\"");
        let output =
            run(Command::new("debugfs").arg("-R").arg(request).arg(self.root_argument()?))?;
        if String::from_utf8_lossy(&output.stderr).contains("File not found") {
            return Ok(None);
        }
        Ok(Some(output.stdout))
    }

    /// Puts a file, mode 0644, into the root file system of a card that has not been booted, over one of the same name.
    ///
    /// # Errors
    /// When debugfs cannot, or the directory is not there.
    pub fn put_root_file(&self, path: &str, contents: &[u8]) -> Result<()> {
        let (directory, name) = path.rsplit_once('/').context("no directory")?;
        let file = as_file(contents)?;
        let source = file.path().display();
        self.debugfs(&format!(
            "cd {directory}\nrm {name}\nwrite {source} {name}\nset_inode_field {name} mode 0100644\n"
        ))?;
        ensure!(self.root_file(path)?.is_some(), "{path} was not written");
        Ok(())
    }

    /// Puts a symbolic link into the root file system of a card that has not been booted.
    ///
    /// # Errors
    /// When debugfs cannot, or the directory is not there.
    pub fn put_root_link(&self, link: &Path, target: &Path) -> Result<()> {
        let directory = link.parent().context("no directory")?.display();
        let name = link.file_name().context("no name")?.display();
        self.debugfs(&format!("cd {directory}\nsymlink {name} {}\n", target.display()))
    }

    /// Changes the root file system by commands of debugfs(8), which go on after one that fails.
    fn debugfs(&self, commands: &str) -> Result<()> {
        let file = as_file(commands.as_bytes())?;
        run(Command::new("debugfs")
            .arg("-w")
            .arg("-f")
            .arg(file.path())
            .arg(self.root_argument()?))?;
        Ok(())
    }

    /// Whether the bytes occur anywhere in the boot partition: files, free space, slack.
    ///
    /// # Errors
    /// When the card cannot be read.
    pub fn boot_holds(&self, needle: &[u8]) -> Result<bool> {
        Ok(self.boot_holds_any(&[needle])?.is_some())
    }

    /// Which of these, first, occurs anywhere in the boot partition; looked for in one pass.
    ///
    /// # Errors
    /// When the card cannot be read.
    pub fn boot_holds_any<N: AsRef<[u8]>>(&self, needles: &[N]) -> Result<Option<usize>> {
        let longest = needles.iter().map(|needle| needle.as_ref().len()).max().unwrap_or(0);
        ensure!(needles.iter().all(|needle| !needle.as_ref().is_empty()), "nothing to look for");
        let boot = self.partition(1)?;
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(boot.offset_bytes))?;
        let mut rest = file.take(boot.size_bytes);
        let (mut window, mut kept) = (vec![0_u8; 4 << 20], 0);
        let zeros = window.clone();
        loop {
            let read = rest.read(&mut window[kept..])?;
            if read == 0 {
                return Ok(None);
            }
            let filled = kept + read;
            // most of a boot partition was never written
            if window[..filled] != zeros[..filled] {
                let found = |needle: &N| memmem::find(&window[..filled], needle.as_ref()).is_some();
                if let Some(index) = needles.iter().position(found) {
                    return Ok(Some(index));
                }
            }
            // what may be the beginning of a hit across two reads
            kept = filled.min(longest.saturating_sub(1));
            window.copy_within(filled - kept..filled, 0);
        }
    }

    /// Checks the FAT with `fsck.fat -n`.
    ///
    /// # Errors
    /// With what fsck.fat says, when it is not clean.
    pub fn check_boot(&self) -> Result<()> {
        let partition = self.partition(1)?;
        let mut copy = tempfile::Builder::new().prefix("pikube-test-fat").tempfile()?;
        let card = File::open(&self.path)?;
        copy.as_file().set_len(partition.size_bytes)?;
        let (mut block, mut at) = (vec![0_u8; 1 << 20], 0);
        while at < partition.size_bytes {
            let length = block.len().min(usize::try_from(partition.size_bytes - at)?);
            card.read_exact_at(&mut block[..length], partition.offset_bytes + at)?;
            if block[..length].iter().any(|byte| *byte != 0) {
                copy.as_file_mut().write_all_at(&block[..length], at)?;
            }
            at += length as u64;
        }
        run(Command::new("fsck.fat").arg("-n").arg(copy.path())).context("the FAT is not clean")?;
        Ok(())
    }

    /// Checks the root with `e2fsck -fn`. Only after an orderly shutdown: a journal to be replayed is not clean.
    ///
    /// # Errors
    /// With what e2fsck says, when it is not clean.
    pub fn check_root(&self) -> Result<()> {
        let argument = self.root_argument()?;
        run(Command::new("e2fsck").arg("-fn").arg(argument)).context("the root is not clean")?;
        Ok(())
    }

    fn root_argument(&self) -> Result<String> {
        Ok(format!("{}?offset={}", self.path.display(), self.partition(2)?.offset_bytes))
    }

    fn mtools(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(program);
        let offset = self.partition(1)?.offset_bytes;
        command.arg("-i").arg(format!("{}@@{offset}", self.path.display()));
        Ok(command)
    }
}

/// A file for a tool that takes no bytes; it is removed with what is returned.
fn as_file(contents: &[u8]) -> Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix("pikube-test-put").tempfile()?;
    file.write_all(contents)?;
    Ok(file)
}

/// Runs a tool to its end; its directories need not be on the PATH of an ordinary user.
fn run(command: &mut Command) -> Result<Output> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [path.as_os_str(), OsStr::new("/usr/sbin:/sbin")].join(OsStr::new(":"));
    let output = command
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        let (out, err) = (&output.stdout[..output.stdout.len().min(2000)], &output.stderr);
        bail!(
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(out),
            String::from_utf8_lossy(err)
        );
    }
    Ok(output)
}
