//! Equal files as one: hard links to a file of the folder `.links` that is named by the hash of its archive.
//!
//! A file is hashed; if `.links` has that hash, the bytes are compared (what decays on the disk must not spread) and the file
//! is replaced at once by a link, made in a locked folder and renamed. Otherwise it becomes the one that others link to. Files
//! that differ in whether they are executable differ in their hash. Where a file can have no more links, its blocks are
//! shared instead, on file systems that do that.
//!
//! Absent: deleting links (`gc/links.rs`), checking them (`verify.rs`).

use super::stream::hash_tree;
use super::sync::sync_file_system;
use super::{LocalStore, Scratch};
use crate::threads::on_threads;
use crate::{Error, Result, Store, TemporaryRoots};
use activity::{Activity, ActivityKind, Field, ResultKind, Verbosity};
use rustc_hash::FxHashSet;
use rustix::fs::{AtFlags, Dir, Timespec, Timestamps};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use store_model::StorePath;

/// Paths that are rooted and asked about together.
const SHARE: usize = 64;

/// What linking equal files came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OptimiseStats {
    /// Files that are links now and were not before.
    pub files_linked: u64,
    /// The bytes that they had.
    pub bytes_freed: u64,
}

/// One run over some objects, by several threads.
struct Linking<'a> {
    store: &'a LocalStore,
    links: PathBuf,
    scratch: Scratch<'a>,
    /// Files that are in `.links` already.
    known: RwLock<FxHashSet<u64>>,
    files: AtomicU64,
    bytes: AtomicU64,
    next: AtomicU64,
}

impl LocalStore {
    /// Links the equal files of all valid paths.
    pub fn optimise(&self, activity: &Activity) -> Result<OptimiseStats> {
        if self.options.read_only {
            return Err(Error::ReadOnly(self.options.state_dir.clone()));
        }
        let activity = activity.child_at(Verbosity::Info, ActivityKind::OptimiseStore, "", &[]);
        let paths: Vec<StorePath> = self.all_valid_paths(&activity)?.into_iter().collect();
        // Entries of a new folder that change before the folder itself is on the disk can be lost with a btrfs (the old name
        // and the new one) if somebody syncs another folder and the power goes.
        let sync = || match self.options.fsync_store_paths {
            true => sync_file_system(&self.options.real_dir),
            false => Ok(()),
        };
        sync()?;
        let linking = Linking::new(self, &activity)?;
        linking.load_known(&activity)?;
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || -> Result<()> {
            while let Some(share) = paths.chunks(SHARE).nth(next.fetch_add(1, Ordering::Relaxed)) {
                self.add_temp_roots(&activity, share)?;
                // Some may have been collected before they were rooted.
                let valid = self.valid_paths(&activity, share)?;
                for path in share.iter().filter(|path| valid.contains(*path)) {
                    linking.link_tree(&activity, &self.real_path(path))?;
                }
                let done = done.fetch_add(share.len() as u64, Ordering::Relaxed) + share.len() as u64;
                activity.progress(done, paths.len() as u64, 0, 0);
            }
            Ok(())
        };
        on_threads(usize::MAX, work)?;
        sync()?;
        Ok(linking.stats())
    }

    /// Links the files of objects that are about to be registered (`auto-optimise-store`); tells whether any was changed.
    pub(super) fn optimise_new(&self, activity: &Activity, paths: &[PathBuf]) -> Result<bool> {
        if !self.options.auto_optimise || paths.is_empty() {
            return Ok(false);
        }
        let linking = Linking::new(self, activity)?;
        paths.iter().try_for_each(|path| linking.link_tree(activity, path))?;
        Ok(linking.stats().files_linked > 0)
    }
}

impl<'a> Linking<'a> {
    fn new(store: &'a LocalStore, activity: &Activity) -> Result<Linking<'a>> {
        let links = store.options.real_dir.join(".links");
        store.files.create_dirs(&links)?;
        let scratch = store.create_scratch(activity)?;
        let (known, files, bytes, next) = Default::default();
        Ok(Linking { store, links, scratch, known, files, bytes, next })
    }

    fn stats(&self) -> OptimiseStats {
        let (files, bytes) = (&self.files, &self.bytes);
        OptimiseStats { files_linked: files.load(Ordering::Relaxed), bytes_freed: bytes.load(Ordering::Relaxed) }
    }

    /// Learns which files are linked already, without looking at each.
    fn load_known(&self, activity: &Activity) -> Result<()> {
        let failed = || Error::system("reading directory", &self.links);
        let folder = File::open(&self.links).map_err(Error::io("opening", &self.links))?;
        let mut known = self.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        for entry in Dir::read_from(&folder).map_err(failed())? {
            activity.check()?;
            known.insert(entry.map_err(failed())?.ino());
        }
        Ok(())
    }

    fn is_known(&self, inode: u64) -> bool {
        self.known.read().unwrap_or_else(|poisoned| poisoned.into_inner()).contains(&inode)
    }

    fn remember(&self, inode: u64) {
        self.known.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(inode);
    }

    fn link_tree(&self, activity: &Activity, path: &Path) -> Result<()> {
        activity.check()?;
        let found = fs::symlink_metadata(path).map_err(Error::io("getting status of", path))?;
        if !found.is_dir() {
            return self.link_file(activity, path, &found);
        }
        for entry in fs::read_dir(path).map_err(Error::io("reading directory", path))? {
            let entry = entry.map_err(Error::io("reading directory", path))?;
            if !self.is_known(std::os::unix::fs::DirEntryExt::ino(&entry)) {
                self.link_tree(activity, &entry.path())?;
            }
        }
        Ok(())
    }

    fn link_file(&self, activity: &Activity, path: &Path, found: &Metadata) -> Result<()> {
        if !found.is_file() && !found.is_symlink() {
            return Ok(());
        }
        // Somebody with the right to has changed it after it was registered.
        if found.is_file() && found.mode() & 0o200 != 0 {
            activity.warn(&format!("skipping suspicious writable file '{}'", path.display()));
            return Ok(());
        }
        if found.nlink() > 1 && self.is_known(found.ino()) {
            return Ok(());
        }
        let hash = hash_tree(activity, path)?.0;
        let link = self.links.join(hash.to_nix32());
        if self.is_broken(activity, &link, path, found)? {
            activity.warn(&format!("removing corrupted link '{}'", link.display()));
            activity.warn(
                "There may be more corrupted paths.\nYou should run `nix-store --verify --check-contents --repair` to fix them all",
            );
            remove_if_there(&link)?;
        }
        match fs::hard_link(path, &link) {
            Ok(()) => {
                self.remember(found.ino());
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // The index of the folder may be full; then this file stays as it is. One with as many links as it can have,
            // likewise, has nothing to gain.
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::TooManyLinks) => {
                let text = format!("cannot link '{}' to '{}': {error}", link.display(), path.display());
                activity.message(Verbosity::Info, &text);
                return Ok(());
            }
            Err(error) => return Err(Error::io("creating hard link to", path)(error)),
        }
        match fs::symlink_metadata(&link) {
            Ok(other) if other.ino() == found.ino() => {
                self.remember(found.ino());
                return Ok(());
            }
            Ok(other) => self.remember(other.ino()),
            // A collection has just deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("getting status of", &link)(error)),
        }
        if self.replace(activity, path, found, &link)? {
            self.files.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(found.len(), Ordering::Relaxed);
            activity.result(ResultKind::FileLinked, &[Field::Int(found.len()), Field::Int(found.blocks())]);
        }
        Ok(())
    }

    /// Whether the link of that hash is there and holds something else.
    fn is_broken(&self, activity: &Activity, link: &Path, path: &Path, found: &Metadata) -> Result<bool> {
        let other = match fs::symlink_metadata(link) {
            Ok(other) => other,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("getting status of", link)(error)),
        };
        if other.ino() == found.ino() {
            return Ok(false);
        }
        if other.file_type() != found.file_type() || other.len() != found.len() {
            return Ok(true);
        }
        if other.is_symlink() {
            return Ok(fs::read_link(link).ok() != fs::read_link(path).ok());
        }
        Ok((other.mode() ^ found.mode()) & 0o100 != 0 || !equal_files(activity, link, path)?)
    }

    /// Puts a link in the place of a file; false where it can have no more.
    fn replace(&self, activity: &Activity, path: &Path, found: &Metadata, link: &Path) -> Result<bool> {
        let temporary = self.scratch.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        match fs::hard_link(link, &temporary) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
                if found.len() == 0 || !found.is_file() || share_blocks(link, &temporary, found).is_err() {
                    let _ = fs::remove_file(&temporary);
                    if found.len() > 0 {
                        let text = format!("'{}' has maximum number of links", link.display());
                        activity.message(Verbosity::Info, &text);
                    }
                    return Ok(false);
                }
            }
            Err(error) => return Err(Error::io("creating hard link to", link)(error)),
        }
        let text = format!("linking '{}' to '{}'", path.display(), link.display());
        activity.message(Verbosity::Talkative, &text);
        let _open = OpenFolder::of(path, &self.store.options.real_dir)?;
        match fs::rename(&temporary, path) {
            Ok(()) => Ok(true),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                match error.kind() {
                    io::ErrorKind::TooManyLinks => Ok(false),
                    _ => Err(Error::io("replacing", path)(error)),
                }
            }
        }
    }
}

/// A folder of an object while one of its entries is replaced; canonical again when dropped.
struct OpenFolder(Option<PathBuf>);

impl OpenFolder {
    fn of(path: &Path, store: &Path) -> Result<OpenFolder> {
        let Some(folder) = path.parent().filter(|folder| *folder != store) else { return Ok(OpenFolder(None)) };
        if !rustix::process::geteuid().is_root() {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
                .map_err(Error::io("changing mode of", folder))?;
        }
        Ok(OpenFolder(Some(folder.to_owned())))
    }
}

impl Drop for OpenFolder {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Metadata alone: a failure leaves the object what it is.
            let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o555));
            let _ = set_time(folder);
        }
    }
}

fn set_time(path: &Path) -> rustix::io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// A new file that shares the blocks of another.
fn share_blocks(from: &Path, to: &Path, found: &Metadata) -> io::Result<()> {
    let new = File::create_new(to)?;
    rustix::fs::ioctl_ficlone(&new, File::open(from)?)?;
    fs::set_permissions(to, fs::Permissions::from_mode(found.mode() & 0o777))?;
    Ok(set_time(to)?)
}

fn equal_files(activity: &Activity, first: &Path, second: &Path) -> Result<bool> {
    let open = |path: &Path| File::open(path).map_err(Error::io("opening", path));
    let (mut one, mut two) = (open(first)?, open(second)?);
    let (mut left, mut right) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    loop {
        activity.check()?;
        let got = one.read(&mut left).map_err(Error::io("reading", first))?;
        if got == 0 {
            return Ok(two.read(&mut right).map_err(Error::io("reading", second))? == 0);
        }
        match two.read_exact(&mut right[..got]) {
            Ok(()) if left[..got] == right[..got] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(Error::io("reading", second)(error)),
        }
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("deleting", path)(error)),
        _ => Ok(()),
    }
}
