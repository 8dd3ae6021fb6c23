//! A work tree as it lies there: the files that Git tracks, changed or not.
//!
//! A file counts as changed when its bytes, passed through the filters that Git would use, are not those of the index; equal
//! size and times in the index save reading it. Files that are not tracked do not count and are not seen. Source:
//! `getWorkdirInfo` and `getAccessorFromWorkdir` of C++ Nix.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use activity::Activity;
use file_tree::{DiskAccessor, SourceAccessor};
use gix::ObjectId;
use gix::bstr::BStr;
use gix::filter::plumbing::pipeline::convert::ToGitOutcome;
use gix::index::entry::{Flags, Mode};

use super::ignore::ExportIgnore;
use super::repository::{Repository, Submodule, git_error, submodules};
use super::view::{Listed, Mounted};
use super::{Place, Wishes};
use crate::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::syntax::attributes::Attributes;
use crate::syntax::input::InputRef;

/// What is known of a work tree.
struct Status {
    head: Option<ObjectId>,
    files: BTreeSet<Vec<u8>>,
    dirty: bool,
    submodules: Vec<Submodule>,
}

impl Fetcher {
    /// The tree, and whether it has changes that are not committed.
    pub(super) fn work_tree(
        &self,
        activity: &Activity,
        place: &Place,
        input: &mut InputRef,
        wishes: Wishes,
    ) -> Result<(Box<dyn SourceAccessor>, bool)> {
        let Place::Local(folder) = place else {
            return Err(Error::Git(format!("'{}' has no work tree", place.shown())));
        };
        let repository = Repository::open(folder)?;
        let mut status = status(activity, &repository, folder)?;
        if wishes.submodules {
            status.files.extend(status.submodules.iter().map(|submodule| submodule.path.clone()));
        }
        let paths = std::mem::take(&mut status.files);
        let hidden = if wishes.export_ignore { hidden(&repository, &paths)? } else { BTreeSet::new() };
        let mut tree: Box<dyn SourceAccessor> = Box::new(Listed { inner: DiskAccessor::new(folder), paths, hidden });
        if wishes.submodules && !status.submodules.is_empty() {
            let mut mounts = BTreeMap::new();
            for submodule in &status.submodules {
                let (mounted, dirty) = self.submodule_work_tree(activity, folder, submodule, wishes)?;
                status.dirty |= dirty;
                mounts.insert(submodule.path.clone(), mounted);
            }
            tree = Box::new(Mounted { root: tree, mounts });
        }
        self.tell(activity, place, &repository, input, &status, wishes)?;
        Ok((tree, status.dirty))
    }

    /// What is known of the work tree, into the input.
    fn tell(
        &self,
        activity: &Activity,
        place: &Place,
        repository: &Repository,
        input: &mut InputRef,
        status: &Status,
        wishes: Wishes,
    ) -> Result<()> {
        if status.dirty {
            let shown = place.shown();
            if !self.options.allow_dirty {
                return Err(Error::Denied(format!("Git tree '{shown}' is dirty")));
            }
            if self.options.warn_dirty {
                activity.warn(&format!("Git tree '{shown}' is dirty"));
            }
            if let Some(head) = status.head {
                let rev = head.to_string();
                input.set("dirtyRev", format!("{rev}-dirty"));
                input.set("dirtyShortRev", format!("{}-dirty", &rev[..7]));
            }
        } else {
            if let Some(reference) = repository.head_ref()? {
                input.set("ref", reference);
            }
            // A repository without commits has a revision of zeros.
            let rev = status.head.unwrap_or(ObjectId::null(gix::hash::Kind::Sha1));
            input.set("rev", rev.to_string());
            if !wishes.shallow {
                let count = match status.head {
                    Some(head) => self.rev_count(activity, repository, head)?,
                    None => 0,
                };
                input.set("revCount", count);
            }
        }
        let changed = match status.head {
            Some(head) => self.last_modified(repository, head)?,
            None => 0,
        };
        input.set("lastModified", changed);
        Ok(())
    }

    fn submodule_work_tree(
        &self,
        activity: &Activity,
        folder: &Path,
        submodule: &Submodule,
        wishes: Wishes,
    ) -> Result<(Box<dyn SourceAccessor>, bool)> {
        let place = folder.join(std::ffi::OsStr::from_bytes(&submodule.path));
        let mut attributes = Attributes::new();
        attributes.insert("type".to_owned(), "git".into());
        attributes.insert("url".to_owned(), place.to_string_lossy().into_owned().into());
        attributes.insert("exportIgnore".to_owned(), wishes.export_ignore.into());
        attributes.insert("submodules".to_owned(), true.into());
        let mut input = InputRef::from_attributes(attributes, self.options.rules)?;
        let tree = self
            .git_tree(activity, &mut input)
            .map_err(|error| Error::While { input: input.print().unwrap_or_default(), source: Box::new(error) })?;
        let dirty = input.text("rev")?.is_none();
        Ok((tree, dirty))
    }
}

/// What is marked `export-ignore` of the files and the folders around them.
fn hidden(repository: &Repository, files: &BTreeSet<Vec<u8>>) -> Result<BTreeSet<Vec<u8>>> {
    let mut ignore = ExportIgnore::of_index(repository)?;
    let mut folders: HashMap<&[u8], bool> = HashMap::new();
    let mut found = BTreeSet::new();
    'files: for file in files {
        for (end, _) in file.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let folder = &file[..end];
            let hides = match folders.get(folder) {
                Some(hides) => *hides,
                None => {
                    let hides = ignore.hides(folder, true)?;
                    folders.insert(folder, hides);
                    hides
                }
            };
            if hides {
                found.insert(folder.to_vec());
                continue 'files;
            }
        }
        if ignore.hides(file, false)? {
            found.insert(file.clone());
        }
    }
    Ok(found)
}

fn status(activity: &Activity, repository: &Repository, folder: &Path) -> Result<Status> {
    let inner = &repository.inner;
    let head = repository.head_id()?;
    let committed = match head {
        Some(head) => {
            let index = inner.index_from_tree(&repository.tree_of(head)?.id).map_err(git_error)?;
            let entries = index.entries().iter().filter(|entry| is_file(entry.mode));
            entries.map(|entry| (entry.path(&index).to_vec(), (entry.mode, entry.id))).collect()
        }
        None => HashMap::new(),
    };
    let index = inner.index_or_empty().map_err(git_error)?;
    let executable_counts = inner.config_snapshot().boolean("core.fileMode").unwrap_or(true);
    let mut compare =
        Compare { folder: folder.to_owned(), index: &index, repository, filters: None, executable_counts };
    let mut status = Status { head, files: BTreeSet::new(), dirty: false, submodules: Vec::new() };
    let mut staged = 0;
    for entry in index.entries() {
        activity.check()?;
        if !is_file(entry.mode) {
            continue;
        }
        let path = entry.path(&index).to_vec();
        if entry.stage_raw() != 0 {
            status.dirty = true;
            status.files.insert(path);
            continue;
        }
        staged += usize::from(committed.contains_key(&path));
        let new = entry.flags.contains(Flags::INTENT_TO_ADD);
        if new || committed.get(&path) != Some(&(entry.mode, entry.id)) {
            status.dirty = true;
        }
        match compare.on_disk(entry, &path)? {
            OnDisk::Missing => status.dirty = true,
            found => {
                status.dirty |= found == OnDisk::Changed;
                status.files.insert(path);
            }
        }
    }
    // What is committed but not in the index any more was deleted.
    status.dirty |= staged < committed.len();
    let file = folder.join(".gitmodules");
    if file.exists() {
        status.submodules = submodules(&fs::read(&file).map_err(Error::io("reading", &file))?)?;
    }
    Ok(status)
}

/// Neither a submodule nor a folder that is not checked out.
fn is_file(mode: Mode) -> bool {
    matches!(mode, Mode::FILE | Mode::FILE_EXECUTABLE | Mode::SYMLINK)
}

#[derive(PartialEq)]
enum OnDisk {
    Missing,
    Same,
    Changed,
}

/// Git's own conversions of a file's bytes (line ends, encodings, `$Id$`), and the attributes that choose them.
type Filters = (gix::filter::plumbing::Pipeline, gix::worktree::Stack);

/// Holds files against the index.
struct Compare<'a> {
    folder: PathBuf,
    index: &'a gix::worktree::Index,
    repository: &'a Repository,
    filters: Option<Filters>,
    executable_counts: bool,
}

impl Compare<'_> {
    fn on_disk(&mut self, entry: &gix::index::Entry, path: &[u8]) -> Result<OnDisk> {
        // What the user told Git not to look at is as it was.
        if entry.flags.intersects(Flags::SKIP_WORKTREE | Flags::ASSUME_VALID) {
            return Ok(OnDisk::Same);
        }
        let place = self.folder.join(std::ffi::OsStr::from_bytes(path));
        let found = match fs::symlink_metadata(&place) {
            // A folder in the place of a file: the file is gone.
            Ok(found) if !found.is_dir() => found,
            _ => return Ok(OnDisk::Missing),
        };
        let same = if entry.mode == Mode::SYMLINK {
            found.is_symlink() && {
                let target = fs::read_link(&place).map_err(Error::io("reading", &place))?;
                blob_id(target.as_os_str().as_bytes())? == entry.id
            }
        } else {
            let executable = found.mode() & 0o100 != 0;
            let mode_fits = !self.executable_counts || executable == (entry.mode == Mode::FILE_EXECUTABLE);
            found.is_file() && mode_fits && (self.untouched(entry, &found) || self.same_bytes(entry, &place, path)?)
        };
        Ok(if same { OnDisk::Same } else { OnDisk::Changed })
    }

    /// Whether size and times say that nobody wrote to the file since the index was made; a time that is not before the
    /// index's says nothing.
    fn untouched(&self, entry: &gix::index::Entry, found: &fs::Metadata) -> bool {
        let stat = &entry.stat;
        let (seconds, part) = (i64::from(stat.mtime.secs), i64::from(stat.mtime.nsecs));
        found.mtime() == seconds
            && (part == 0 || found.mtime_nsec() == part)
            && found.size() & 0xffff_ffff == u64::from(stat.size)
            && (stat.ctime.secs == 0 || found.ctime() == i64::from(stat.ctime.secs))
            && (stat.ino == 0 || found.ino() & 0xffff_ffff == u64::from(stat.ino))
            && seconds < self.index.timestamp().unix_seconds()
    }

    fn same_bytes(&mut self, entry: &gix::index::Entry, place: &Path, path: &[u8]) -> Result<bool> {
        let (inner, index) = (&self.repository.inner, self.index);
        let (pipeline, attributes) = match &mut self.filters {
            Some(filters) => filters,
            empty => {
                let (pipeline, _) = inner.filter_pipeline(None).map_err(git_error)?;
                let (mut pipeline, attributes) = pipeline.into_parts();
                // No program of the repository's choice is run; libgit2 runs none either.
                pipeline.options_mut().drivers.clear();
                empty.insert((pipeline, attributes))
            }
        };
        let file = File::open(place).map_err(Error::io("opening", place))?;
        let relative = Path::new(std::ffi::OsStr::from_bytes(path));
        let mut bytes = Vec::new();
        let at = attributes.at_path(relative, None, &inner.objects).map_err(git_error)?;
        let mut chosen = |_: &BStr, found: &mut gix::attrs::search::Outcome| {
            at.matching_attributes(found);
        };
        let mut in_index = |buffer: &mut Vec<u8>| {
            let Some(entry) = index.entry_by_path(BStr::new(path)) else { return Ok(None) };
            let mut blob = inner.find_blob(entry.id)?;
            *buffer = blob.take_data();
            Ok(Some(()))
        };
        let converted = pipeline.convert_to_git(file, relative, &mut chosen, &mut in_index);
        let read = match converted.map_err(git_error)? {
            ToGitOutcome::Unchanged(mut file) => file.read_to_end(&mut bytes),
            ToGitOutcome::Process(mut output) => output.read_to_end(&mut bytes),
            ToGitOutcome::Buffer(buffer) => {
                bytes.extend_from_slice(buffer);
                Ok(bytes.len())
            }
        };
        read.map_err(Error::io("reading", place))?;
        Ok(blob_id(&bytes)? == entry.id)
    }
}

fn blob_id(bytes: &[u8]) -> Result<ObjectId> {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes).map_err(git_error)
}
