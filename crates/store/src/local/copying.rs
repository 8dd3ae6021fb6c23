//! A large file of the host, copied by the kernel into a scratch folder and hashed as it lies there.
//!
//! The bytes never pass through this process: they are copied, or their blocks shared where the file system does that, and what
//! has arrived is read from the copy. So what was hashed is what is stored, whatever happens to the source meanwhile, and
//! the copying goes on beside the hashing.
//!
//! Absent: other trees (`source.rs`).

use super::LocalStore;
use super::add::Scratch;
use super::source::describe_tree;
use crate::{AddTree, Error, Result};
use activity::Activity;
use file_tree::{Contents, FileType, Metadata, SourceAccessor, TreePath};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use store_model::{ContentAddressMethod, PathInfo};

/// Bytes that are copied at once: they are hashed while a processor still has them at hand.
const PIECE: u64 = 1 << 20;

/// Copies the file at a tree's root, and tells what will be registered.
pub(super) fn copy_file<'s>(
    activity: &Activity,
    store: &'s LocalStore,
    tree: &mut AddTree<'_, '_>,
    (from, found): (&File, Metadata),
) -> Result<(Scratch<'s>, PathBuf, PathInfo)> {
    let folder = store.create_scratch(activity)?;
    let place = folder.path().join("tree");
    let to = File::options().read(true).write(true).create_new(true).open(&place);
    let to = to.map_err(Error::io("creating file", &place))?;
    let shown = tree.accessor.show(tree.path);
    let (state, news) = Default::default();
    let copy = Copy { from, to: &to, size: found.size, executable: found.executable, shown, state, news };
    let info = std::thread::scope(|scope| {
        let copying = std::thread::Builder::new().name("copy".to_owned()).spawn_scoped(scope, || copy.run());
        copying.map_err(Error::io("starting a thread for", &place))?;
        let mut all = |_: &TreePath, _| Ok(true);
        let root = TreePath::root();
        let mut copied =
            AddTree { accessor: &copy, path: &root, filter: &mut all, references: tree.references.clone(), ..*tree };
        let info = describe_tree(activity, &store.options.store_dir, &mut copied, &mut io::sink());
        copy.state().unwanted = true;
        info
    });
    if let Some(error) = copy.state().failed.take() {
        return Err(Error::io("copying", Path::new(&copy.shown))(error));
    }
    let info = info?;
    let executable = found.executable && tree.method == ContentAddressMethod::NixArchive;
    file_tree::make_canonical(&to, &place, executable)?;
    Ok((folder, place, info))
}

/// A file that grows: the accessor of a tree that is nothing else.
struct Copy<'a> {
    from: &'a File,
    to: &'a File,
    size: u64,
    executable: bool,
    /// The source as people should see it.
    shown: String,
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes that have arrived.
    here: u64,
    /// No more will.
    over: bool,
    /// Why not, if that was a failure.
    failed: Option<io::Error>,
    /// Nobody reads any more.
    unwanted: bool,
}

impl Copy<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let (mut from, mut to, mut here) = (self.from, self.to, 0);
        while here < self.size {
            // By the best means that the kernel has.
            let copied = io::copy(&mut (&mut from).take(PIECE.min(self.size - here)), &mut to);
            let mut state = self.state();
            match copied {
                // The source has shrunk.
                Ok(0) => state.over = true,
                Ok(count) => {
                    here += count;
                    state.here = here;
                }
                Err(error) => (state.over, state.failed) = (true, Some(error)),
            }
            self.news.notify_one();
            if state.over || state.unwanted {
                return;
            }
        }
    }

    /// Waits until there is more than `at`; tells up to where, which is `at` if no more will come.
    fn wait(&self, at: u64) -> u64 {
        let mut state = self.state();
        while state.here <= at && !state.over {
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.here.max(at)
    }
}

impl SourceAccessor for Copy<'_> {
    fn stat(&self, _: &TreePath) -> Result<Option<Metadata>, file_tree::Error> {
        let Copy { size, executable, .. } = *self;
        Ok(Some(Metadata { file_type: FileType::Regular, executable, size }))
    }

    fn open(&self, _: &TreePath) -> Result<Contents<'_>, file_tree::Error> {
        let reader = Box::new(Arrived { copy: self, at: 0 });
        Ok(Contents { size: self.size, executable: self.executable, reader })
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, file_tree::Error> {
        Err(file_tree::Error::WrongType { path: self.show(path), expected: "directory" })
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, file_tree::Error> {
        Err(file_tree::Error::WrongType { path: self.show(path), expected: "symbolic link" })
    }

    fn show(&self, _: &TreePath) -> String {
        self.shown.clone()
    }
}

/// Reads what has arrived.
struct Arrived<'a> {
    copy: &'a Copy<'a>,
    at: u64,
}

impl Read for Arrived<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.copy.wait(self.at) - self.at;
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = self.copy.to.read_at(&mut buffer[..count], self.at)?;
        self.at += got as u64;
        Ok(got)
    }
}
