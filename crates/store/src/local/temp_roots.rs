//! Temporary roots: this process's word that some paths are in use.
//!
//! One file per open store, `temproots/<pid>-<n>`, locked for as long as it counts, holding paths that each end with a zero
//! byte. C++ Nix reads every file there whose name begins with a number, and takes the roots of those it cannot lock.
//! Roots are written under the shared `gc.lock`; when a collection holds that lock, each root goes to its socket and counts
//! once acknowledged, and is written to the file for the collections after it.
//!
//! Absent: the collector's end.

use super::files::Files;
use super::lock::{Pauses, delete_lock_file, is_stale, open_lock_file, try_flock, unlock, wait_flock};
use crate::{Error, Result};
use activity::Activity;
use rustc_hash::FxHashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use store_model::{StoreDir, StorePath};

/// Roots sent before their acknowledgements are read: few enough to fit the socket's buffers.
const BATCH: usize = 128;

/// The temporary roots of one open store.
pub(super) struct TempRoots {
    state_dir: PathBuf,
    files: Files,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    file: Option<(File, PathBuf)>,
    gc_lock: Option<File>,
    socket: Option<UnixStream>,
    known: FxHashSet<StorePath>,
}

impl TempRoots {
    pub(super) fn new(state_dir: &Path, files: Files) -> TempRoots {
        TempRoots { state_dir: state_dir.to_owned(), files, inner: Mutex::default() }
    }

    /// Roots the paths; those rooted before cost nothing.
    pub(super) fn add(&self, activity: &Activity, store_dir: &StoreDir, paths: &[StorePath]) -> Result<()> {
        // A panic elsewhere leaves at worst a root too many.
        let mut inner = self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let fresh: Vec<&StorePath> = paths.iter().filter(|path| !inner.known.contains(*path)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        if inner.file.is_none() {
            inner.file = Some(self.create_file(activity)?);
        }
        let gc_path = self.state_dir.join("gc.lock");
        if inner.gc_lock.is_none() {
            inner.gc_lock = Some(open_lock_file(&gc_path)?);
        }
        let shared = self.inform_collector(activity, &mut inner, &gc_path, store_dir, &fresh)?;
        let written = self.write(&mut inner, store_dir, &fresh);
        if shared && let Some(gc_lock) = &inner.gc_lock {
            unlock(gc_lock);
        }
        written?;
        inner.known.extend(fresh.into_iter().cloned());
        self.files.faults.pass("temp-root-written")
    }

    /// Tells a collection that runs now of a path that has just got a permanent root. C++ Nix's reads the permanent roots
    /// first: it may not have seen the new one, and this process may end before it comes to the temporary ones.
    pub(super) fn confirm(&self, activity: &Activity, store_dir: &StoreDir, path: &StorePath) -> Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let gc_path = self.state_dir.join("gc.lock");
        if inner.gc_lock.is_none() {
            inner.gc_lock = Some(open_lock_file(&gc_path)?);
        }
        if self.inform_collector(activity, &mut inner, &gc_path, store_dir, &[path])?
            && let Some(gc_lock) = &inner.gc_lock
        {
            unlock(gc_lock);
        }
        Ok(())
    }

    fn write(&self, inner: &mut Inner, store_dir: &StoreDir, paths: &[&StorePath]) -> Result<()> {
        let mut text = Vec::with_capacity(paths.len() * 80);
        for path in paths {
            store_dir.print_into(path, &mut text);
            text.push(0);
        }
        match &mut inner.file {
            Some((file, path)) => file.write_all(&text).map_err(Error::io("writing temporary roots to", path)),
            None => Ok(()),
        }
    }

    /// Takes the collector's lock (true), or has a running collection acknowledge the roots (false).
    fn inform_collector(
        &self,
        activity: &Activity,
        inner: &mut Inner,
        gc_path: &Path,
        store_dir: &StoreDir,
        paths: &[&StorePath],
    ) -> Result<bool> {
        let mut pauses = Pauses::new();
        loop {
            if let Some(gc_lock) = &inner.gc_lock
                && try_flock(gc_lock, gc_path, false)?
            {
                return Ok(true);
            }
            match self.send(inner, store_dir, paths) {
                Ok(()) => return Ok(false),
                // The collection has ended or has not begun to listen; look again.
                Err(Error::Io { source, .. }) if is_gone(&source) => inner.socket = None,
                Err(error) => return Err(error),
            }
            pauses.pause(activity)?;
        }
    }

    fn send(&self, inner: &mut Inner, store_dir: &StoreDir, paths: &[&StorePath]) -> Result<()> {
        let socket_path = self.state_dir.join("gc-socket/socket");
        let failed = || Error::io("talking to the garbage collector at", &socket_path);
        let socket = match &mut inner.socket {
            Some(socket) => socket,
            none => none.insert(connect(&socket_path).map_err(failed())?),
        };
        for batch in paths.chunks(BATCH) {
            let mut text = Vec::new();
            for path in batch {
                store_dir.print_into(path, &mut text);
                text.push(b'\n');
            }
            socket.write_all(&text).map_err(failed())?;
            let mut answers = vec![0; batch.len()];
            socket.read_exact(&mut answers).map_err(failed())?;
            if answers.iter().any(|answer| *answer != b'1') {
                return Err(Error::RootNotAcknowledged(socket_path));
            }
        }
        Ok(())
    }

    /// Makes and locks the file. Files of dead processes with our number are taken away; those of living ones (of another
    /// store handle, or another pid namespace) are left alone.
    fn create_file(&self, activity: &Activity) -> Result<(File, PathBuf)> {
        let folder = self.state_dir.join("temproots");
        let mut n = 0u64;
        loop {
            activity.check()?;
            let path = folder.join(format!("{}-{n}", std::process::id()));
            let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
            match opened {
                Ok(file) => {
                    wait_flock(activity, &file, &path, true)?;
                    // A collector may have found the file before we locked it, and unlinked it.
                    if !is_stale(&file, &path)? {
                        return Ok((file, path));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !take_away_if_stale(&path)? {
                        n += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.files.create_dirs(&folder)?,
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(Error::NotPermitted { path, source });
                }
                Err(error) => return Err(Error::io("creating", &path)(error)),
            }
        }
    }
}

impl Drop for TempRoots {
    fn drop(&mut self) {
        let inner = self.inner.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_file, path)) = inner.file.take() {
            // A note that cannot be made, as on a full disk, is missed by nobody.
            let _ = super::last_use::record(&self.state_dir, inner.known.iter());
            let _ = fs::remove_file(path);
        }
    }
}

fn take_away_if_stale(path: &Path) -> Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
        Err(error) => return Err(Error::io("opening", path)(error)),
    };
    let stale = try_flock(&file, path, true)?;
    if stale {
        delete_lock_file(&file, path);
    }
    Ok(stale)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotFound
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof
    )
}

/// Connects to a socket whose path may be longer than an address can hold.
fn connect(path: &Path) -> io::Result<UnixStream> {
    const LONGEST_ADDRESS: usize = 107;
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if path.as_os_str().len() > LONGEST_ADDRESS => {
            let folder = File::open(folder)?;
            UnixStream::connect(format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), name.to_string_lossy()))
        }
        _ => UnixStream::connect(path),
    }
}
