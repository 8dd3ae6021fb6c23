//! Events onto a disk.
//!
//! Nothing that exists is overwritten or followed: files are created exclusively, folders and links must be new. With
//! `canonical` the objects get the metadata of a store at once (0444 or 0555, modification time 1), which saves a second
//! walk over the tree; a folder gets it when it is complete. Absent: ownership and extended attributes (new files have
//! none), durability (the store's).

use crate::{Error, TreeEvent, TreeSink};
use rustix::fs::{AtFlags, Mode, Timespec, Timestamps};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// How objects are made.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreOptions {
    /// Give every object the metadata that objects of a store have. Otherwise the process's umask decides.
    pub canonical: bool,
}

/// Makes the tree it is given at a path that must not exist.
pub struct Restorer {
    path: PathBuf,
    file: Option<File>,
    executable: bool,
    options: RestoreOptions,
}

impl Restorer {
    /// Will make the tree's root at `path`.
    pub fn new(path: impl Into<PathBuf>, options: RestoreOptions) -> Restorer {
        Restorer { path: path.into(), file: None, executable: false, options }
    }

    fn begin_file(&mut self, executable: bool) -> Result<(), Error> {
        let mode = if executable { 0o777 } else { 0o666 };
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&self.path)
            .map_err(Error::io("creating file", &self.path))?;
        self.file = Some(file);
        self.executable = executable;
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let Some(file) = self.file.take() else { return Ok(()) };
        if self.options.canonical {
            make_canonical(&file, &self.path, self.executable)?;
        }
        Ok(())
    }

    fn end_directory(&self) -> Result<(), Error> {
        if self.options.canonical {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o555))
                .map_err(Error::io("changing mode of", &self.path))?;
            set_store_time(&self.path)?;
        }
        Ok(())
    }
}

impl TreeSink for Restorer {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Directory => {
                fs::create_dir(&self.path).map_err(|source| match source.kind() {
                    std::io::ErrorKind::AlreadyExists if self.path.is_dir() => Error::Exists(self.path.clone()),
                    _ => Error::io("creating directory", &self.path)(source),
                })?;
            }
            TreeEvent::Entry(name) => self.path.push(std::ffi::OsStr::from_bytes(name)),
            TreeEvent::EntryEnd => {
                self.path.pop();
            }
            TreeEvent::DirectoryEnd => self.end_directory()?,
            TreeEvent::Symlink(target) => {
                let target = Path::new(std::ffi::OsStr::from_bytes(target));
                symlink(target, &self.path).map_err(Error::io("creating symlink", &self.path))?;
                if self.options.canonical {
                    set_store_time(&self.path)?;
                }
            }
            TreeEvent::Regular { executable, .. } => self.begin_file(executable)?,
            TreeEvent::Contents(bytes) => {
                if let Some(file) = &mut self.file {
                    file.write_all(bytes).map_err(Error::io("writing to", &self.path))?;
                }
            }
            TreeEvent::RegularEnd => self.end_file()?,
        }
        Ok(())
    }
}

/// Gives an open file the mode and the time that files of a store have.
///
/// # Errors
/// With the path, if the system refuses.
pub fn make_canonical(file: &File, path: &Path, executable: bool) -> Result<(), Error> {
    let mode = if executable { 0o555 } else { 0o444 };
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode)).map_err(system("changing mode of", path))?;
    rustix::fs::futimens(file, &store_times()).map_err(system("changing time of", path))
}

/// The times of store objects: modified at second 1, access time left alone.
fn store_times() -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        last_modification: Timespec { tv_sec: 1, tv_nsec: 0 },
    }
}

fn set_store_time(path: &Path) -> Result<(), Error> {
    rustix::fs::utimensat(rustix::fs::CWD, path, &store_times(), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(system("changing time of", path))
}

fn system(action: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> Error {
    let failed = Error::io(action, path);
    move |errno| failed(errno.into())
}
