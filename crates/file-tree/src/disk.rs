//! A tree that lies on the disk.
//!
//! The root may be a file or a link itself. Components below the root are never followed when they are links in the last
//! place; the folders above it are the host's. Absent: caching.

use crate::accessor::Contents;
use crate::{Error, FileType, Metadata, SourceAccessor, TreePath};
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Reads a tree below a path of the host.
#[derive(Debug, Clone)]
pub struct DiskAccessor {
    root: PathBuf,
}

impl DiskAccessor {
    /// The tree at `root`. Nothing is looked at yet.
    pub fn new(root: impl Into<PathBuf>) -> DiskAccessor {
        DiskAccessor { root: root.into() }
    }

    fn host(&self, path: &TreePath) -> PathBuf {
        if path.is_root() { self.root.clone() } else { self.root.join(path.as_path()) }
    }
}

fn file_type(file_type: fs::FileType) -> FileType {
    if file_type.is_file() {
        FileType::Regular
    } else if file_type.is_dir() {
        FileType::Directory
    } else if file_type.is_symlink() {
        FileType::Symlink
    } else {
        FileType::Other
    }
}

fn metadata(metadata: &fs::Metadata) -> Metadata {
    let file_type = file_type(metadata.file_type());
    let regular = file_type == FileType::Regular;
    Metadata {
        file_type,
        executable: regular && metadata.mode() & 0o100 != 0,
        size: if regular { metadata.size() } else { 0 },
    }
}

impl SourceAccessor for DiskAccessor {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, Error> {
        let host = self.host(path);
        match fs::symlink_metadata(&host) {
            Ok(found) => Ok(Some(metadata(&found))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::io("getting status of", &host)(error)),
        }
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, Error> {
        let host = self.host(path);
        let (file, found) = open_regular(&host)?;
        Ok(Contents { size: found.size, executable: found.executable, reader: Box::new(file) })
    }

    fn host_file(&self, path: &TreePath) -> Result<Option<(File, Metadata)>, Error> {
        open_regular(&self.host(path)).map(Some)
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, Error> {
        let host = self.host(path);
        let failed = || Error::io("reading directory", &host);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&host).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let kind = entry.file_type().map_err(failed())?;
            entries.push((entry.file_name().into_vec(), file_type(kind)));
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        let host = self.host(path);
        let target = fs::read_link(&host).map_err(Error::io("reading symbolic link", &host))?;
        Ok(target.as_os_str().as_bytes().to_vec())
    }

    fn show(&self, path: &TreePath) -> String {
        self.host(path).display().to_string()
    }
}

/// Opens a regular file without following a link and without waiting for a pipe.
fn open_regular(path: &Path) -> Result<(File, Metadata), Error> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
        .map_err(Error::io("opening file", path))?;
    let found = metadata(&file.metadata().map_err(Error::io("getting status of", path))?);
    if found.file_type != FileType::Regular {
        return Err(Error::WrongType { path: path.display().to_string(), expected: "regular file" });
    }
    Ok((file, found))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}
