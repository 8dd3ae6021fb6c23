//! Getting rid of objects: renamed away at once, unlinked later by several threads.
//!
//! What is deleted is moved into a folder `tmp-*` of the store that this process has locked; a collector that finds it
//! unlocked takes what a killed one left. Unlinking goes by descriptors, so that no link can lead it elsewhere, and counts
//! what becomes free: a file with one link, or with two, of which the other one is most probably the one in `.links`.
//!
//! Absent: what may be deleted, and when.

use crate::{Error, Result};
use activity::{Activity, CancelToken};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Objects that one thread unlinks before it asks for more.
const SHARE: usize = 64;
const THREADS: usize = 8;
/// Objects that are worth more than one thread to take them.
const MANY: usize = 64;
/// Threads that unlink small files: on a disk they wait more than they work.
const UNLINKERS: usize = 4;
/// Bytes of a file that is unlinked at once.
const SMALL: i64 = 64 << 10;
/// Folders that lie deeper are moved up before they are unlinked: descriptors and stack are bounded.
const DEEPEST: usize = 48;

type Errno = rustix::io::Errno;

/// A folder of the store for what is being deleted, locked by us.
pub(super) struct Trash {
    real_dir: PathBuf,
    store: OwnedFd,
    folder: PathBuf,
    _lock: Option<File>,
    is_root: bool,
    share: Option<(OwnedFd, PathBuf, usize)>,
    shares: usize,
    unlinkers: Unlinkers,
}

impl Trash {
    /// Makes the folder. On a disk without a free block there may be none, and objects are unlinked where they are.
    pub(super) fn create(activity: &Activity, real_dir: &Path, name: &str) -> Result<Trash> {
        let folder = real_dir.join(name);
        let lock = match fs::create_dir(&folder) {
            Ok(()) => {
                let file = File::open(&folder).map_err(Error::io("opening", &folder))?;
                // We hold the collector's lock: nobody else takes it away.
                crate::local::lock::wait_flock(activity, &file, &folder, true)?;
                Some(file)
            }
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => None,
            Err(error) => return Err(Error::io("creating directory", &folder)(error)),
        };
        let store = open_dir(rustix::fs::CWD, real_dir).map_err(Error::system("opening", real_dir))?;
        let unlinkers = Unlinkers::start(activity.cancel_token().clone());
        let is_root = rustix::process::geteuid().is_root();
        Ok(Trash {
            real_dir: real_dir.to_owned(),
            store,
            folder,
            _lock: lock,
            is_root,
            share: None,
            shares: 0,
            unlinkers,
        })
    }

    /// Takes an object from its place.
    pub(super) fn take(&mut self, name: &OsStr) -> Result<()> {
        let Some(found) = self.take_small(name)? else { return Ok(()) };
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        // No space for a name, a mount, a quota: it is unlinked where it is.
        if self.move_away(name, is_folder && found.st_mode & 0o200 == 0).is_ok() {
            return Ok(());
        }
        let c_name = c_name(name);
        let freed = Unlinker::new(self.store.as_fd()).unlink(self.store.as_fd(), &c_name, None, 0);
        let path = self.real_dir.join(name);
        self.unlinkers.count(freed.map_err(Error::system("deleting", &path))?);
        Ok(())
    }

    /// Takes objects from their places. Each goes whatever happens to another one; tells the first thing that failed.
    pub(super) fn take_many(&mut self, names: &[&OsStr]) -> Result<()> {
        let (others, mut done) = match names.len() {
            ..MANY => (names.to_vec(), Ok(())),
            _ => self.take_small_beside(names),
        };
        for name in others {
            done = done.and(self.take(name));
        }
        done
    }

    /// Takes the small files among objects in several threads, and tells the others.
    fn take_small_beside<'n>(&self, names: &[&'n OsStr]) -> (Vec<&'n OsStr>, Result<()>) {
        let share = names.len().div_ceil(UNLINKERS);
        std::thread::scope(|scope| {
            let taking = names.chunks(share).map(|names| scope.spawn(move || self.take_all_small(names)));
            let threads: Vec<_> = taking.collect();
            let (mut others, mut done) = (Vec::new(), Ok(()));
            for thread in threads {
                let (more, taken) = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                others.extend(more);
                done = done.and(taken);
            }
            (others, done)
        })
    }

    /// Takes the small files among objects; tells the others, and the first thing that failed.
    fn take_all_small<'n>(&self, names: &[&'n OsStr]) -> (Vec<&'n OsStr>, Result<()>) {
        let mut others = Vec::new();
        let mut result = Ok(());
        for &name in names {
            match self.take_small(name) {
                Ok(Some(_)) => others.push(name),
                Ok(None) => {}
                Err(error) if result.is_ok() => result = Err(error),
                Err(_) => {}
            }
        }
        (others, result)
    }

    /// Takes an object if it is a small file, which costs no more to unlink than to rename; else tells what it is.
    fn take_small(&self, name: &OsStr) -> Result<Option<rustix::fs::Stat>> {
        let found = match rustix::fs::statat(&self.store, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            found => found.map_err(Error::system("getting status of", &self.real_dir.join(name)))?,
        };
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory || found.st_size > SMALL {
            return Ok(Some(found));
        }
        let removed = rustix::fs::unlinkat(&self.store, name, AtFlags::empty());
        removed.map_err(Error::system("deleting", &self.real_dir.join(name)))?;
        self.unlinkers.count(freed(&found));
        Ok(None)
    }

    fn move_away(&mut self, name: &OsStr, is_closed: bool) -> Result<(), Errno> {
        if self._lock.is_none() {
            return Err(Errno::NOSPC);
        }
        if self.share.as_ref().is_none_or(|(_, _, count)| *count == SHARE) {
            self.hand_over();
            let path = self.folder.join(self.shares.to_string());
            rustix::fs::mkdir(&path, Mode::from_raw_mode(0o700))?;
            self.shares += 1;
            self.share = Some((open_dir(rustix::fs::CWD, &path)?, path, 0));
        }
        let Some((share, _, count)) = &mut self.share else { return Err(Errno::NOENT) };
        if is_closed && !self.is_root {
            // To move a folder elsewhere is to change its entry for `..`.
            rustix::fs::chmodat(&self.store, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
        }
        rustix::fs::renameat(&self.store, name, &*share, name)?;
        *count += 1;
        Ok(())
    }

    /// Lets the threads have what was taken so far.
    pub(super) fn hand_over(&mut self) {
        if let Some((_, path, _)) = self.share.take() {
            self.unlinkers.send(path);
        }
    }

    /// Bytes that became free so far.
    pub(super) fn bytes_freed(&self) -> u64 {
        self.unlinkers.bytes.load(Ordering::Relaxed)
    }

    /// Waits until all that was handed over is unlinked.
    pub(super) fn drain(&mut self) {
        self.hand_over();
        self.unlinkers.stop();
        self.unlinkers.start_threads();
    }

    /// Waits for the end of it all; tells the bytes that became free, and the first thing that failed.
    pub(super) fn finish(mut self) -> (u64, Result<()>) {
        self.hand_over();
        self.unlinkers.stop();
        let mut result = Ok(());
        if self._lock.is_some() && !self.unlinkers.cancel.is_cancelled() {
            result = fs::remove_dir(&self.folder).map_err(Error::io("deleting", &self.folder));
        }
        let failure = self.unlinkers.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        (self.bytes_freed(), failure.map_or(result, Err))
    }
}

/// Threads that unlink folders of objects.
struct Unlinkers {
    work: Option<Sender<PathBuf>>,
    threads: Vec<JoinHandle<()>>,
    bytes: Arc<AtomicU64>,
    failures: Arc<Mutex<Option<Error>>>,
    cancel: CancelToken,
}

impl Unlinkers {
    fn start(cancel: CancelToken) -> Unlinkers {
        let (bytes, failures) = Default::default();
        let mut unlinkers = Unlinkers { work: None, threads: Vec::new(), bytes, failures, cancel };
        unlinkers.start_threads();
        unlinkers
    }

    fn start_threads(&mut self) {
        let (work, next) = channel::<PathBuf>();
        let next = Arc::new(Mutex::new(next));
        self.work = Some(work);
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        for _ in 0..count {
            let (next, bytes) = (Arc::clone(&next), Arc::clone(&self.bytes));
            let (failures, cancel) = (Arc::clone(&self.failures), self.cancel.clone());
            let work = move || unlink_shares(&next, &bytes, &failures, &cancel);
            // With fewer threads it takes longer; with none, the next collection does it.
            if let Ok(thread) = std::thread::Builder::new().name("unlink".to_owned()).spawn(work) {
                self.threads.push(thread);
            }
        }
    }

    fn send(&self, folder: PathBuf) {
        if let Some(work) = &self.work {
            // The receiver lives as long as its threads, which end only after this sender.
            let _ = work.send(folder);
        }
    }

    fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn stop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Unlinkers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn unlink_shares(
    next: &Mutex<Receiver<PathBuf>>,
    bytes: &AtomicU64,
    failures: &Mutex<Option<Error>>,
    cancel: &CancelToken,
) {
    loop {
        let folder = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).recv();
        let Ok(folder) = folder else { return };
        // Who asked for the end does not want to wait; a later collection takes what is left.
        if cancel.is_cancelled() {
            continue;
        }
        match remove_share(&folder) {
            Ok(freed) => {
                bytes.fetch_add(freed, Ordering::Relaxed);
            }
            Err(error) => {
                let mut first = failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                first.get_or_insert(Error::io("deleting", &folder)(error.into()));
            }
        }
    }
}

fn remove_share(folder: &Path) -> Result<u64, Errno> {
    let top = open_dir(rustix::fs::CWD, folder)?;
    let mut unlinker = Unlinker::new(top.as_fd());
    let mut freed = 0;
    // What is moved up from the depth appears here, so it is looked at until nothing is left.
    loop {
        rustix::fs::seek(&top, rustix::fs::SeekFrom::Start(0))?;
        let names = names(&top)?;
        if names.is_empty() {
            break;
        }
        for (name, kind) in names {
            freed += unlinker.unlink(top.as_fd(), &name, Some(kind), 0)?;
        }
    }
    rustix::fs::rmdir(folder)?;
    Ok(freed)
}

fn open_dir(at: impl AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

fn c_name(name: &OsStr) -> CString {
    CString::new(name.as_bytes()).unwrap_or_default()
}

/// The entries of a folder. All are read before the first is removed.
fn names(folder: &OwnedFd) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); 8 << 10];
    let mut entries = RawDir::new(folder, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

/// Unlinks objects. Folders in great depth are moved to the top under new names, for whoever looks there again.
struct Unlinker<'a> {
    top: BorrowedFd<'a>,
    moved: u64,
    /// Others need write permission on a folder to change it.
    is_root: bool,
}

impl<'a> Unlinker<'a> {
    fn new(top: BorrowedFd<'a>) -> Unlinker<'a> {
        Unlinker { top, moved: 0, is_root: rustix::process::geteuid().is_root() }
    }

    /// Unlinks an object and tells the bytes that became free.
    fn unlink(&mut self, at: BorrowedFd<'_>, name: &CStr, kind: Option<FileType>, depth: usize) -> Result<u64, Errno> {
        if !matches!(kind, Some(FileType::Directory)) {
            let found = match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return Ok(0),
                found => found?,
            };
            if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
                rustix::fs::unlinkat(at, name, AtFlags::empty())?;
                return Ok(freed(&found));
            }
        }
        if depth > DEEPEST {
            self.moved += 1;
            let _ = rustix::fs::chmodat(at, name, Mode::from_raw_mode(0o700), AtFlags::empty());
            rustix::fs::renameat(at, name, self.top, format!("deep-{}", self.moved))?;
            return Ok(0);
        }
        let folder = match open_dir(at, name) {
            Err(Errno::ACCESS) => {
                rustix::fs::chmodat(at, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
                open_dir(at, name)?
            }
            folder => folder?,
        };
        let entries = names(&folder)?;
        if !entries.is_empty() && !self.is_root {
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o700))?;
        }
        let mut freed = 0;
        for (name, kind) in entries {
            freed += self.unlink(folder.as_fd(), &name, Some(kind), depth + 1)?;
        }
        rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)?;
        Ok(freed)
    }
}

/// The bytes that unlinking a file gives back. With two links the other one is most probably in `.links`.
fn freed(found: &rustix::fs::Stat) -> u64 {
    if found.st_nlink <= 2 { found.st_size as u64 } else { 0 }
}

/// The bytes that deleting an object of the folder would give back; what lies in great depth is left out.
pub(super) fn measure(at: BorrowedFd<'_>, name: &CStr) -> Result<u64, Errno> {
    measure_below(at, name, 0)
}

fn measure_below(at: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<u64, Errno> {
    let found = match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(0),
        found => found?,
    };
    if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
        return Ok(freed(&found));
    }
    let mut bytes = 0;
    if depth <= DEEPEST {
        let folder = open_dir(at, name)?;
        for (name, _) in names(&folder)? {
            bytes += measure_below(folder.as_fd(), &name, depth + 1)?;
        }
    }
    Ok(bytes)
}
