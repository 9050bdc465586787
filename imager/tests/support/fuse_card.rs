//! A card as a file of a FUSE file system, under a loop device: a block device that fails, lies or dawdles as it is
//! told. Needs root. Included as a module by the tests of the engine and by the bench.
#![allow(dead_code, missing_docs, reason = "each program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, Request, Session, WriteFlags,
};

/// What the card does wrong; several at once are possible.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A write that touches this byte fails.
    pub write_error: Option<u64>,
    /// A read that touches this byte fails.
    pub read_error: Option<u64>,
    /// A write takes at most so many bytes.
    pub short_writes: Option<usize>,
    /// Reads show this byte flipped.
    pub flipped: Option<u64>,
    /// True capacity: what is written beyond lands at the beginning again.
    pub wraps_at: Option<u64>,
    /// True capacity: what is written beyond is lost.
    pub ends_at: Option<u64>,
    /// From this write on all writes are lost, and no error is returned.
    pub drops_after: Option<u64>,
    /// After so many writes everything fails: pulled out.
    pub gone_after: Option<u64>,
    /// Bytes per second, reading and writing together.
    pub rate: Option<u64>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    writes: u64,
    /// Until when the card is busy with what it was given.
    busy_until: Instant,
}

/// The file system with its one file.
struct FileOf {
    backing: File,
    size: u64,
    state: Arc<Mutex<State>>,
}

const TTL: Duration = Duration::from_secs(3600);
const FILE: INodeNo = INodeNo(2);
const NAME: &str = "card.img";

impl FileOf {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == FILE;
        FileAttr {
            ino: inode,
            size: if is_file { self.size } else { 0 },
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// Waits as long as a card of that rate would.
    fn pace(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap();
        let Some(rate) = state.faults.rate else { return };
        let now = Instant::now();
        let begin = state.busy_until.max(now);
        state.busy_until = begin + Duration::from_secs_f64(bytes as f64 / rate as f64);
        let wait = state.busy_until - now;
        drop(state);
        std::thread::sleep(wait);
    }
}

fn touches(offset: u64, len: usize, byte: Option<u64>) -> bool {
    byte.is_some_and(|byte| (offset..offset + len as u64).contains(&byte))
}

impl Filesystem for FileOf {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match parent == INodeNo::ROOT && name == NAME {
            true => reply.entry(&TTL, &self.attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Nothing is answered from memory.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let faults = self.state.lock().unwrap().faults.clone();
        let gone = faults.gone_after.is_some_and(|n| self.state.lock().unwrap().writes >= n);
        if gone { reply.error(Errno::EIO) } else { reply.ok() }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.pace(size as usize);
        let state = self.state.lock().unwrap();
        let (faults, writes) = (state.faults.clone(), state.writes);
        drop(state);
        let len = self.size.saturating_sub(offset).min(u64::from(size)) as usize;
        let gone = faults.gone_after.is_some_and(|n| writes >= n);
        if gone || touches(offset, len, faults.read_error) {
            return reply.error(Errno::EIO);
        }
        let mut data = vec![0; len];
        let real = faults.wraps_at.map_or(offset, |real| offset % real);
        let there =
            faults.ends_at.map_or(len, |end| end.saturating_sub(offset).min(len as u64) as usize);
        self.backing.read_exact_at(&mut data[..there], real).unwrap();
        if let Some(byte) = faults.flipped.filter(|byte| touches(offset, len, Some(*byte))) {
            data[(byte - offset) as usize] ^= 0x10;
        }
        reply.data(&data);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.pace(data.len());
        let mut state = self.state.lock().unwrap();
        state.writes += 1;
        let (faults, writes) = (state.faults.clone(), state.writes);
        drop(state);
        let gone = faults.gone_after.is_some_and(|n| writes > n);
        if gone || touches(offset, data.len(), faults.write_error) {
            return reply.error(Errno::EIO);
        }
        let taken = data.len().min(faults.short_writes.unwrap_or(usize::MAX));
        let lost = faults.drops_after.is_some_and(|n| writes > n);
        let kept = faults
            .ends_at
            .map_or(taken, |end| end.saturating_sub(offset).min(taken as u64) as usize);
        if !lost {
            let real = faults.wraps_at.map_or(offset, |real| offset % real);
            self.backing.write_all_at(&data[..kept], real).unwrap();
        }
        reply.written(taken as u32);
    }
}

/// The mounted file system and the loop device over its file; both end when this is dropped.
pub struct FuseCard {
    /// The block device.
    pub node: PathBuf,
    state: Arc<Mutex<State>>,
    backing: tempfile::NamedTempFile,
    session: Option<BackgroundSession>,
    folder: tempfile::TempDir,
}

impl FuseCard {
    /// `None` where this user or this kernel cannot have one.
    pub fn new(size: u64, faults: Faults) -> Option<Self> {
        if !nix_is_root() || !Path::new("/dev/fuse").exists() {
            return None;
        }
        let backing =
            tempfile::Builder::new().prefix("pikube-test-").tempfile_in("/var/tmp").unwrap();
        backing.as_file().set_len(size).unwrap();
        let folder = tempfile::Builder::new().prefix("pikube-test-").tempdir().unwrap();
        let state = State { faults, writes: 0, busy_until: Instant::now() };
        let state = Arc::new(Mutex::new(state));
        let files = FileOf { backing: backing.reopen().unwrap(), size, state: state.clone() };
        let session =
            Session::new(files, folder.path(), &Config::default()).unwrap().spawn().unwrap();
        let file = folder.path().join(NAME);
        let output =
            Command::new("losetup").args(["--find", "--show"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        let node = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        Some(Self { node, state, backing, session: Some(session), folder })
    }

    /// The file under the loop device.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    /// Names of this card that no other has: what `traces` looks for once it is gone.
    pub fn names(&self) -> Vec<String> {
        vec![self.folder.path().display().to_string(), self.backing.path().display().to_string()]
    }

    /// Changes what the card does wrong.
    pub fn set(&self, faults: Faults) {
        self.state.lock().unwrap().faults = faults;
    }

    /// Detaches the loop device while it is in use: the kernel lets go of it when its last user does.
    pub fn detach(&self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.node).status();
    }

    /// What the card really holds.
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut data = vec![0; len];
        self.backing.as_file().read_exact_at(&mut data, offset).unwrap();
        data
    }

    /// Puts something on the card, as its last owner did.
    pub fn fill(&self, offset: u64, data: &[u8]) {
        self.backing.as_file().write_all_at(data, offset).unwrap();
    }
}

impl Drop for FuseCard {
    fn drop(&mut self) {
        // What does not answer any more cannot be detached.
        self.set(Faults::default());
        self.detach();
        // The loop device lets go of the file a moment later.
        for _ in 0..50 {
            let attached = Command::new("losetup").arg(&self.node).output();
            if !attached.is_ok_and(|output| output.status.success()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

fn nix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// What is attached or mounted, in words, of which a line mentions one of these names.
pub fn traces(of: &[String]) -> Vec<String> {
    let loops = Command::new("losetup").args(["--list", "--noheadings"]).output().unwrap().stdout;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let loops = String::from_utf8_lossy(&loops);
    let ours = |line: &&str| of.iter().any(|name| line.contains(name.as_str()));
    loops.lines().filter(ours).chain(mounts.lines().filter(ours)).map(str::to_owned).collect()
}
