//! A bucket in a folder of this machine.
//!
//! Files are written beside their place under a name that nobody asks for, synced, and renamed; the folder of the place is
//! synced after that. Names never leave the folder.

use crate::bucket::{Bucket, Upload};
use activity::Activity;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Error, ErrorClass, Result};

/// A bucket in a folder.
pub struct DirectoryBucket {
    folder: PathBuf,
    uri: String,
    sync: bool,
    next: AtomicU64,
}

impl DirectoryBucket {
    /// A bucket in a folder, which is made when the first file is written. With `sync` files are on the disk before they
    /// have their names.
    pub fn new(folder: impl Into<PathBuf>, sync: bool) -> DirectoryBucket {
        let folder = folder.into();
        let uri = format!("file://{}", folder.display());
        DirectoryBucket { folder, uri, sync, next: AtomicU64::new(0) }
    }

    /// Where a file lies.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if !name.split('/').all(is_plain) {
            return Err(Error::Remote {
                message: format!("'{name}' is no name of a file in the binary cache '{}'", self.uri),
                class: ErrorClass::Corrupt,
            });
        }
        Ok(self.folder.join(name))
    }

    fn begin(&self) -> Result<Pending<'_>> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.folder.join(format!(".tmp-{}-{number}", std::process::id()));
            match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let file = BufWriter::with_capacity(256 << 10, file);
                    return Ok(Pending { bucket: self, path, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let nar = self.folder.join("nar");
                    fs::create_dir_all(&nar).map_err(Error::io("creating directory", &nar))?;
                }
                Err(error) => return Err(Error::io("creating file", &path)(error)),
            }
        }
    }
}

impl Bucket for DirectoryBucket {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn get(&self, _: &Activity, name: &str) -> Result<Option<Box<dyn Read + Send + '_>>> {
        let path = self.place(name)?;
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(Error::io("opening file", &path)(error)),
        }
    }

    fn has(&self, _: &Activity, name: &str) -> Result<bool> {
        let path = self.place(name)?;
        match fs::metadata(&path) {
            Ok(found) => Ok(found.is_file()),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(Error::io("getting status of", &path)(error)),
        }
    }

    fn put(&self, _: &Activity, name: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let mut pending = self.begin()?;
        let path = pending.path.clone();
        pending.file.write_all(bytes).map_err(Error::io("writing", &path))?;
        Box::new(pending).finish(name, media_type)
    }

    fn upload(&self, _: &Activity) -> Result<Box<dyn Upload + '_>> {
        Ok(Box::new(self.begin()?))
    }

    fn names(&self, _: &Activity, suffix: &str) -> Result<Vec<String>> {
        let failed = || Error::io("reading directory", &self.folder);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            entries => entries.map_err(failed())?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            names.extend(name.to_str().filter(|name| name.ends_with(suffix)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A file on its way.
struct Pending<'a> {
    bucket: &'a DirectoryBucket,
    path: PathBuf,
    file: BufWriter<File>,
}

impl Write for Pending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Upload for Pending<'_> {
    fn finish(mut self: Box<Self>, name: &str, _: &str) -> Result<()> {
        let place = self.bucket.place(name)?;
        let folder = place.parent().unwrap_or(Path::new("/"));
        self.file.flush().map_err(Error::io("writing", &self.path))?;
        if self.bucket.sync {
            self.file.get_ref().sync_all().map_err(Error::io("syncing", &self.path))?;
        }
        match fs::rename(&self.path, &place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(Error::io("creating directory", folder))?;
                fs::rename(&self.path, &place).map_err(Error::io("renaming to", &place))?;
            }
            renamed => renamed.map_err(Error::io("renaming to", &place))?,
        }
        if self.bucket.sync {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("syncing", folder))?;
        }
        // Nothing is left to take away.
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
