//! The read-only view of a tree, and the walk that turns it into events.
//!
//! An accessor answers about one path at a time; [`walk`] asks it in the order of NAR and feeds a sink. Files are streamed
//! in pieces, so memory does not grow with them. Absent: following links; a link is an object like any other.

use crate::{Error, FileType, MAX_DEPTH, Metadata, TreeEvent, TreePath, TreeSink};
use std::fs::File;
use std::io::Read;

/// The bytes of a regular file, and how many there will be.
pub struct Contents<'a> {
    /// Bytes to come.
    pub size: u64,
    /// Whether the file is executable.
    pub executable: bool,
    /// Where they come from.
    pub reader: Box<dyn Read + 'a>,
}

/// A read-only tree of files.
pub trait SourceAccessor: Send + Sync {
    /// Type, size and executable bit; `None` when nothing is there. Links are not followed.
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, Error>;

    /// Opens a regular file.
    fn open(&self, path: &TreePath) -> Result<Contents<'_>, Error>;

    /// The entries of a directory, sorted by their bytes, with their types.
    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, Error>;

    /// The target of a link.
    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, Error>;

    /// The path as people should see it.
    fn show(&self, path: &TreePath) -> String;

    /// A regular file as the host has it, if this tree lies on its disk: the kernel can copy it.
    fn host_file(&self, _path: &TreePath) -> Result<Option<(File, Metadata)>, Error> {
        Ok(None)
    }

    /// All bytes of a regular file.
    fn read_file(&self, path: &TreePath) -> Result<Vec<u8>, Error> {
        let mut contents = self.open(path)?;
        let mut bytes = Vec::new();
        contents.reader.read_to_end(&mut bytes).map_err(|source| Error::Io {
            action: "reading",
            path: self.show(path).into(),
            source,
        })?;
        Ok(bytes)
    }
}

/// Decides which entries of directories a walk enters; not asked about the root.
pub type Filter<'a> = dyn FnMut(&TreePath, FileType) -> Result<bool, Error> + 'a;

/// Walks the object at `root` and everything below it into the sink.
pub fn walk(
    accessor: &dyn SourceAccessor,
    root: &TreePath,
    filter: &mut Filter<'_>,
    sink: &mut dyn TreeSink,
) -> Result<(), Error> {
    let metadata = accessor.stat(root)?.ok_or_else(|| Error::NotFound(accessor.show(root)))?;
    let mut walker = Walker { accessor, filter, sink, buffer: Vec::new() };
    walker.object(&mut root.clone(), metadata.file_type, 0)
}

struct Walker<'a, 'f> {
    accessor: &'a dyn SourceAccessor,
    filter: &'a mut Filter<'f>,
    sink: &'a mut dyn TreeSink,
    buffer: Vec<u8>,
}

const PIECE: usize = 128 << 10;

impl Walker<'_, '_> {
    fn object(&mut self, path: &mut TreePath, file_type: FileType, depth: usize) -> Result<(), Error> {
        if depth >= MAX_DEPTH {
            return Err(Error::TooDeep(self.accessor.show(path)));
        }
        match file_type {
            FileType::Regular => self.regular(path),
            FileType::Symlink => {
                let target = self.accessor.read_link(path)?;
                self.sink.event(TreeEvent::Symlink(&target))
            }
            FileType::Directory => {
                self.sink.event(TreeEvent::Directory)?;
                for (name, file_type) in self.accessor.read_dir(path)? {
                    path.push(&name)?;
                    if (self.filter)(path, file_type)? {
                        self.sink.event(TreeEvent::Entry(&name))?;
                        self.object(path, file_type, depth + 1)?;
                        self.sink.event(TreeEvent::EntryEnd)?;
                    }
                    path.pop();
                }
                self.sink.event(TreeEvent::DirectoryEnd)
            }
            FileType::Other => Err(Error::UnsupportedType(self.accessor.show(path))),
        }
    }

    fn regular(&mut self, path: &TreePath) -> Result<(), Error> {
        let Contents { size, executable, mut reader } = self.accessor.open(path)?;
        self.sink.event(TreeEvent::Regular { executable, size })?;
        // Most files are smaller than the buffer may be, and most walks see one.
        let most = usize::try_from(size).map_or(PIECE, |size| size.min(PIECE));
        if self.buffer.len() < most {
            self.buffer.resize(most, 0);
        }
        let mut left = size;
        while left > 0 {
            let want = most.min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match reader.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(Error::Changed(self.accessor.show(path))),
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::Io { action: "reading", path: self.accessor.show(path).into(), source });
                }
            };
            self.sink.event(TreeEvent::Contents(&self.buffer[..got]))?;
            left -= got as u64;
        }
        self.sink.event(TreeEvent::RegularEnd)
    }
}
