//! Reading a tree that is to be added, once: what was hashed is what is written.
//!
//! While it is read it is hashed for its address and its archive. A small tree is kept until its place is known. A large one is
//! unpacked beside the reading into a scratch folder of the store, from where it is moved to its place; a large file of the
//! host is copied there by the kernel (`copying.rs`). Absent: where its place is.

use super::copying::copy_file;
use super::stream::StreamHasher;
use super::{LocalStore, add::Scratch};
use crate::pipe::{PipeWriter, is_closed, pipe};
use crate::{AddTree, Error, Result};
use activity::Activity;
use file_tree::{
    Both, FlatContents, NarWriter, RestoreOptions, Restorer, TreeEvent, TreeSink, move_tree, read_nar, walk,
};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use store_model::{ContentAddress, ContentAddressMethod, HashAlgorithm, PathInfo, StoreDir, StorePath};

/// Bytes of an archive that are kept between reading and writing.
pub(super) const KEPT: usize = 32 << 20;
/// Bytes of an archive that are unpacked at once.
const PIECE: usize = 128 << 10;

/// The path that a tree would get; nothing is written.
pub fn address_of_tree(activity: &Activity, dir: &StoreDir, tree: &mut AddTree<'_, '_>) -> Result<StorePath> {
    Ok(describe_tree(activity, dir, tree, &mut io::sink())?.path)
}

/// What a store would know of a tree that is added; its archive is written on the way.
pub fn describe_tree(
    activity: &Activity,
    dir: &StoreDir,
    tree: &mut AddTree<'_, '_>,
    out: &mut dyn Write,
) -> Result<PathInfo> {
    let mut archive = StreamHasher::new(HashAlgorithm::Sha256);
    let mut other = None;
    let out = Tee { activity, out, hasher: &mut archive };
    match tree.method {
        ContentAddressMethod::NixArchive if tree.algorithm == HashAlgorithm::Sha256 => write_tree(tree, out)?,
        ContentAddressMethod::NixArchive => {
            let mut out = out;
            write_tree(tree, Tee { activity, out: &mut out, hasher: other.insert(StreamHasher::new(tree.algorithm)) })?;
        }
        ContentAddressMethod::Flat | ContentAddressMethod::Text => {
            let contents = FlatContents(other.insert(StreamHasher::new(tree.algorithm)));
            let mut both = Both(contents, NotExecutable(NarWriter::new(out)?));
            walk(tree.accessor, tree.path, tree.filter, &mut both)?;
            both.1.0.finish()?;
        }
        ContentAddressMethod::Git => return Err(Error::GitHashing),
    }
    let nar = archive.finish();
    let hash = other.map_or(nar.0, |hasher| hasher.finish().0);
    let address = ContentAddress { method: tree.method, hash };
    let path = dir.content_addressed_path(tree.name, &address, &tree.references)?;
    Ok(PathInfo::addressed(path, nar, address, tree.references.clone()))
}

fn write_tree(tree: &mut AddTree<'_, '_>, out: Tee<'_>) -> Result<()> {
    let mut writer = NarWriter::new(out)?;
    walk(tree.accessor, tree.path, tree.filter, &mut writer)?;
    writer.finish()?;
    Ok(())
}

/// A tree that was read, on its way to its place.
pub(super) enum Source<'s> {
    /// Its archive.
    Kept(Vec<u8>),
    /// The tree itself, canonical, in a folder that vanishes with this.
    Unpacked { _folder: Scratch<'s>, tree: PathBuf },
}

impl<'s> Source<'s> {
    /// Reads the tree, which is a file of `size` bytes where that is not 0; tells what will be registered.
    pub(super) fn read(
        activity: &Activity,
        store: &'s LocalStore,
        tree: &mut AddTree<'_, '_>,
        size: u64,
    ) -> Result<(Source<'s>, PathInfo)> {
        if size > KEPT as u64
            && !store.options.read_only
            && let Some((file, found)) = tree.accessor.host_file(tree.path)?
        {
            let (folder, tree, info) = copy_file(activity, store, tree, (&file, found))?;
            return Ok((Source::Unpacked { _folder: folder, tree }, info));
        }
        let mut reading = Reading { activity, store, kept: Vec::new(), unpacking: None, failed: None };
        let info = describe_tree(activity, &store.options.store_dir, tree, &mut reading);
        let info = reading.failed.map_or(info, Err);
        let Some(Unpacking { archive, thread, folder, tree }) = reading.unpacking else {
            return Ok((Source::Kept(reading.kept), info?));
        };
        let ended = match info {
            Ok(_) => archive.finish().map_err(Error::Stream),
            // What was read so far is not taken for the whole.
            Err(_) => {
                drop(archive);
                Ok(())
            }
        };
        let unpacked = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (info.and_then(|info| ended.map(|()| info)), unpacked) {
            (Ok(info), unpacked) => {
                unpacked?;
                Ok((Source::Unpacked { _folder: folder, tree }, info))
            }
            // Reading broke off because nobody took what was read.
            (Err(error), Err(why)) if is_closed(&error) => Err(why.into()),
            (Err(error), _) => Err(error),
        }
    }

    /// Bytes that putting it in its place takes.
    pub(super) fn to_write(&self) -> u64 {
        match self {
            Source::Kept(archive) => archive.len() as u64,
            Source::Unpacked { .. } => 0,
        }
    }

    /// Puts the tree in its place, canonical.
    pub(super) fn place(self, activity: &Activity, place: &Path) -> Result<()> {
        activity.check()?;
        match self {
            Source::Kept(archive) => {
                Ok(read_nar(&mut archive.as_slice(), &mut Restorer::new(place, RestoreOptions { canonical: true }))?)
            }
            Source::Unpacked { tree, .. } => move_tree(&tree, place).map_err(Error::io("moving into the store", place)),
        }
    }
}

/// Takes an archive while it is read.
struct Reading<'a, 's> {
    activity: &'a Activity,
    store: &'s LocalStore,
    kept: Vec<u8>,
    unpacking: Option<Unpacking<'s>>,
    /// Why unpacking could not begin.
    failed: Option<Error>,
}

/// An archive that a thread unpacks while it comes.
struct Unpacking<'s> {
    archive: PipeWriter,
    thread: JoinHandle<Result<(), file_tree::Error>>,
    folder: Scratch<'s>,
    tree: PathBuf,
}

impl<'s> Unpacking<'s> {
    fn begin(activity: &Activity, store: &'s LocalStore) -> Result<Unpacking<'s>> {
        let folder = store.create_scratch(activity)?;
        let tree = folder.path().join("tree");
        let mut restorer = Restorer::new(&tree, RestoreOptions { canonical: true });
        let (archive, reader) = pipe();
        let thread = std::thread::Builder::new().name("unpack".to_owned()).spawn(move || {
            let mut reader = BufReader::with_capacity(PIECE, reader);
            read_nar(&mut reader, &mut restorer)?;
            // The tree is complete when the other end says so.
            reader.read(&mut [0]).map(drop).map_err(file_tree::Error::Stream)
        });
        let thread = thread.map_err(Error::io("starting a thread for", &tree))?;
        Ok(Unpacking { archive, thread, folder, tree })
    }
}

impl Write for Reading<'_, '_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if let Some(unpacking) = &mut self.unpacking {
            unpacking.archive.write_all(data)?;
        } else {
            self.kept.extend_from_slice(data);
            // What cannot be written to is asked only whether it has the tree.
            if self.store.options.read_only {
                self.kept.clear();
            } else if self.kept.len() > KEPT {
                match Unpacking::begin(self.activity, self.store) {
                    Ok(begun) => self.unpacking.insert(begun).archive.write_all(&std::mem::take(&mut self.kept))?,
                    Err(error) => {
                        self.failed = Some(error);
                        return Err(io::Error::other("unpacking could not begin"));
                    }
                }
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what passes on its way out, while the user does not want to stop.
struct Tee<'a> {
    activity: &'a Activity,
    out: &'a mut dyn Write,
    hasher: &'a mut StreamHasher,
}

impl Write for Tee<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        self.hasher.update(data);
        self.out.write_all(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes the executable bit away: flat and text objects never have it.
struct NotExecutable<S>(S);

impl<S: TreeSink> TreeSink for NotExecutable<S> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), file_tree::Error> {
        match event {
            TreeEvent::Regular { size, .. } => self.0.event(TreeEvent::Regular { executable: false, size }),
            event => self.0.event(event),
        }
    }
}
