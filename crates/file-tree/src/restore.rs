//! Events onto a disk.
//!
//! Nothing that exists is overwritten or followed: files are created exclusively, folders and links must be new. With
//! `canonical` the objects get the metadata of a store at once (0444 or 0555, modification time 1), which saves a second
//! walk over the tree; a folder gets it when it is complete. Absent: ownership and extended attributes (new files have
//! none), durability (the store's), the threads that large trees are written by (`crew.rs`).

use crate::crew::{Crew, SMALL, SmallFile};
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

/// Files of one tree that are not worth further threads.
const ALONE: usize = 64;

/// Makes the tree it is given at a path that must not exist. Of a large tree, small files are written by threads of its own;
/// they have ended when the tree's last event was taken, and when this is dropped.
pub struct Restorer {
    path: PathBuf,
    file: Target,
    executable: bool,
    options: RestoreOptions,
    /// The numbers of the folders that are open, the innermost last.
    open: Vec<usize>,
    folders: usize,
    files: usize,
    crew: Option<Crew>,
    /// Folders that are complete when the threads are done.
    closed: Vec<PathBuf>,
}

/// Where the contents of the file go.
enum Target {
    None,
    File(File),
    Kept(Vec<u8>),
}

impl Restorer {
    /// Will make the tree's root at `path`.
    pub fn new(path: impl Into<PathBuf>, options: RestoreOptions) -> Restorer {
        Restorer {
            path: path.into(),
            file: Target::None,
            executable: false,
            options,
            open: Vec::new(),
            folders: 0,
            files: 0,
            crew: None,
            closed: Vec::new(),
        }
    }

    fn begin_file(&mut self, executable: bool, size: u64) -> Result<(), Error> {
        self.executable = executable;
        self.files += 1;
        if self.files == ALONE && !self.open.is_empty() {
            self.crew = Crew::start();
        }
        self.file = match &self.crew {
            Some(_) if size <= SMALL => Target::Kept(Vec::with_capacity(size as usize)),
            _ => Target::File(make_file(&self.path, executable)?),
        };
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let canonical = self.options.canonical;
        match (std::mem::replace(&mut self.file, Target::None), &mut self.crew, self.open.last()) {
            (Target::File(file), ..) if canonical => make_canonical(&file, &self.path, self.executable),
            (Target::Kept(contents), Some(crew), Some(folder)) => {
                let (path, executable) = (self.path.clone(), self.executable);
                crew.write(*folder, SmallFile { path, executable, contents, canonical })
            }
            _ => Ok(()),
        }
    }

    fn begin_directory(&mut self) -> Result<(), Error> {
        self.open.push(self.folders);
        self.folders += 1;
        fs::create_dir(&self.path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists if self.path.is_dir() => Error::Exists(self.path.clone()),
            _ => Error::io("creating directory", &self.path)(source),
        })
    }

    fn end_directory(&mut self) -> Result<(), Error> {
        self.open.pop();
        let Some(crew) = &mut self.crew else { return self.complete(&self.path) };
        self.closed.push(self.path.clone());
        if !self.open.is_empty() {
            return Ok(());
        }
        crew.finish()?;
        self.crew = None;
        self.closed.iter().try_for_each(|folder| self.complete(folder))
    }

    /// Nothing will be made in the folder any more.
    fn complete(&self, folder: &Path) -> Result<(), Error> {
        if self.options.canonical {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o555))
                .map_err(Error::io("changing mode of", folder))?;
            set_store_time(folder)?;
        }
        Ok(())
    }
}

impl TreeSink for Restorer {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Directory => self.begin_directory()?,
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
            TreeEvent::Regular { executable, size } => self.begin_file(executable, size)?,
            TreeEvent::Contents(bytes) => match &mut self.file {
                Target::File(file) => file.write_all(bytes).map_err(Error::io("writing to", &self.path))?,
                Target::Kept(contents) => contents.extend_from_slice(bytes),
                Target::None => {}
            },
            TreeEvent::RegularEnd => self.end_file()?,
        }
        Ok(())
    }
}

/// A new file.
pub(crate) fn make_file(path: &Path, executable: bool) -> Result<File, Error> {
    let mode = if executable { 0o777 } else { 0o666 };
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.map_err(Error::io("creating file", path))
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
