//! Plain files and archives by URL.
//!
//! What came before is believed for a time, then the server is asked whether it changed (`ETag`, `Last-Modified`). The
//! thing itself is in the store; if it was collected there, it is fetched anew. Source: `src/libfetchers/tarball.cc`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use activity::{Activity, ActivityKind};
use file_tree::archive::{ArchiveSink, ArchiveTree, Forms, UNRECOGNISED, read_archive};
use file_tree::{Contents, DiskAccessor, FileType, Metadata, SourceAccessor, TreePath};
use serde_json::Value;
use store_model::{ContentAddressMethod, Hash, StorePath};
use transfer::TransferError;

use crate::cache::{Fact, Key};
use crate::depot::{Depot, Kept};
use crate::download::{Answer, Validators, download};
use crate::error::{Error, ErrorClass, Result};
use crate::fetch::Fetcher;
use crate::syntax::url::Url;

/// An archive that was fetched and unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    pub(crate) kept: Kept,
    /// The latest time of change in it.
    pub(crate) last_modified: u64,
    pub(crate) immutable_url: Option<String>,
}

impl Fetcher {
    /// A file by URL, in the store under a name. Of answers that are too old the server is asked again; if it does not
    /// answer, they are used after a warning.
    ///
    /// # Errors
    /// [`Error::Transfer`], [`Error::BadUrl`], and what the store says.
    pub fn file(&self, activity: &Activity, depot: &dyn Depot, url: &str, name: &str) -> Result<Kept> {
        self.file_with(activity, depot, (url, &[]), name)
    }

    /// The same with headers for the request.
    pub(crate) fn file_with(
        &self,
        activity: &Activity,
        depot: &dyn Depot,
        (url, headers): (&str, &[(String, String)]),
        name: &str,
    ) -> Result<Kept> {
        let key = |url: &str| Key::new("file", &[depot.store_dir().as_str(), url, name]);
        let asked = key(url);
        let _lock = self.cache.lock(activity, &asked)?;
        let known = self.cache.look_up(&asked).map(|fact| kept_of(activity, depot, &fact).map(|kept| (fact, kept)));
        let known = known.transpose()?.and_then(|(fact, kept)| Some((fact, kept?)));
        if let Some((fact, kept)) = &known
            && !fact.expired
        {
            return Ok(kept.clone());
        }
        let mut bytes = self.cache.scratch()?;
        let validators = known.as_ref().map_or(Validators::default(), |(fact, _)| validators(fact));
        let answer = match (download(activity, &self.transfer, (url, headers), validators, &mut bytes), &known) {
            (Err(Error::Transfer(error)), Some((_, kept))) if error.class() != transfer::ErrorClass::Cancelled => {
                activity.warn(&format!("{error}; using cached version"));
                return Ok(kept.clone());
            }
            (answer, _) => answer?,
        };
        if let (true, Some((fact, kept))) = (answer.unchanged, known) {
            self.cache.refresh(&asked, &fact)?;
            return Ok(kept);
        }
        let file = PlainFile::new(bytes, false)?;
        let kept = depot.add(activity, name, ContentAddressMethod::Flat, &file, &mut |_, _| Ok(true))?;
        for url in &answer.urls {
            self.cache.remember(&key(url), &facts(&answer, &kept, None))?;
        }
        Ok(kept)
    }

    /// An archive by URL, unpacked in the store under a name.
    pub(crate) fn tarball(&self, activity: &Activity, depot: &dyn Depot, url: &str, name: &str) -> Result<Unpacked> {
        let parsed = Url::parse(url)?;
        if parsed.scheme == "file" {
            check_local(&parsed)?;
        }
        let key = |url: &str| Key::new("tarball", &[depot.store_dir().as_str(), url]);
        let asked = key(url);
        let _lock = self.cache.lock(activity, &asked)?;
        let known = match self.cache.look_up(&asked) {
            Some(fact) => unpacked_of(activity, depot, &fact, name)?.map(|unpacked| (fact, unpacked)),
            None => None,
        };
        if let Some((fact, unpacked)) = &known
            && !fact.expired
        {
            return Ok(unpacked.clone());
        }
        let text = format!("unpacking '{url}' into the Git cache");
        let unpacking = activity.child(ActivityKind::Unknown, &text, &[]);
        let mut bytes = self.cache.scratch()?;
        let validators = known.as_ref().map_or(Validators::default(), |(fact, _)| validators(fact));
        let answer = download(&unpacking, &self.transfer, (url, &[]), validators, &mut bytes);
        let answer = answer.map_err(|error| match error {
            Error::Transfer(TransferError::Cancelled(cancelled)) => Error::Cancelled(cancelled),
            Error::Transfer(error) => Error::ArchiveTransfer(error),
            other => other,
        })?;
        if let (true, Some((fact, unpacked))) = (answer.unchanged, known) {
            self.cache.refresh(&asked, &fact)?;
            return Ok(unpacked);
        }
        let tree = self.unpack(&unpacking, bytes)?;
        drop(unpacking);
        let kept = depot.add(activity, name, ContentAddressMethod::NixArchive, &tree, &mut |_, _| Ok(true))?;
        let last_modified = tree.last_modified();
        for url in &answer.urls {
            self.cache.remember(&key(url), &facts(&answer, &kept, Some(last_modified)))?;
        }
        Ok(Unpacked { kept, last_modified, immutable_url: answer.immutable_url })
    }

    /// Takes an archive apart.
    pub(crate) fn unpack(&self, activity: &Activity, archive: File) -> Result<ArchiveTree> {
        let tree = self.members(activity, archive)?.finish().map_err(archive_error)?;
        // A tree that Git could not hold is none for C++ Nix either.
        refuse_dot_git(&tree, &mut TreePath::root())?;
        Ok(tree)
    }

    /// Reads an archive's members; the tree is not complete.
    fn members(&self, activity: &Activity, archive: File) -> Result<ArchiveTree> {
        activity.check()?;
        let size = archive.metadata().map_err(archive_error)?.len();
        let mut tree = ArchiveTree::new(self.cache.scratch()?, size);
        let read = read_archive(archive, Forms::Usual, &mut Watched { tree: &mut tree, activity });
        // A wish to stop comes out as an error of the archive.
        activity.check()?;
        read.map_err(archive_error)?;
        Ok(tree)
    }

    /// Downloads a file anew, whatever came before, from the first of these places that has it.
    ///
    /// # Errors
    /// What the last place says.
    pub fn download_anew(&self, activity: &Activity, places: &[String]) -> Result<File> {
        let mut last = None;
        for url in places {
            let mut bytes = self.cache.scratch()?;
            match download(activity, &self.transfer, (url, &[]), Validators::default(), &mut bytes) {
                Ok(_) => return Ok(bytes),
                Err(error) if error.class() == ErrorClass::Cancelled => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::BadUrl("there is no place to download from".to_owned())))
    }

    /// What an archive holds; a single object at its top is told as the path of it.
    ///
    /// # Errors
    /// [`Error::Archive`], also where there is nothing in it.
    pub fn unpack_whole(&self, activity: &Activity, url: &str, archive: File) -> Result<(ArchiveTree, TreePath)> {
        let tree = self.members(activity, archive)?.complete().map_err(archive_error)?;
        let mut path = TreePath::root();
        let entries = tree.read_dir(&path)?;
        match entries.as_slice() {
            [] => return Err(Error::Archive(format!("archive '{url}' is empty"))),
            [(only, _)] => path.push(only)?,
            _ => {}
        }
        Ok((tree, path))
    }
}

/// A tree that stops taking members when the user wants the end.
struct Watched<'a> {
    tree: &'a mut ArchiveTree,
    activity: &'a Activity,
}

impl ArchiveSink for Watched<'_> {
    fn wants(&mut self, path: &[u8]) -> io::Result<bool> {
        self.activity.check().map_err(io::Error::other)?;
        self.tree.wants(path)
    }

    fn changed(&mut self, seconds: u64) {
        self.tree.changed(seconds);
    }

    fn folder(&mut self, path: &[u8]) -> io::Result<()> {
        self.tree.folder(path)
    }

    fn file(&mut self, path: &[u8], executable: bool, contents: &mut dyn Read) -> io::Result<()> {
        self.tree.file(path, executable, &mut WatchedRead { inner: contents, activity: self.activity })
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        self.tree.link(path, target)
    }

    fn twin(&mut self, path: &[u8], original: &[u8]) -> io::Result<()> {
        self.tree.twin(path, original)
    }
}

struct WatchedRead<'a> {
    inner: &'a mut dyn Read,
    activity: &'a Activity,
}

impl Read for WatchedRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        self.inner.read(buffer)
    }
}

fn archive_error(error: io::Error) -> Error {
    let text = error.to_string();
    // What a decoder says is a matter of opening for C++ Nix; what is wrong with a member is said as it is.
    let opening = text == UNRECOGNISED || error.kind() != io::ErrorKind::InvalidData;
    Error::Archive(if opening { format!("Failed to open archive ({text})") } else { text })
}

fn refuse_dot_git(tree: &ArchiveTree, path: &mut TreePath) -> Result<()> {
    for (name, kind) in tree.read_dir(path)? {
        if name.eq_ignore_ascii_case(b".git") {
            let name = String::from_utf8_lossy(&name);
            let message = format!(
                "adding a file to a tree builder: failed to insert entry: invalid name for a tree entry - {name} \
                 (libgit2 error code = 14)"
            );
            return Err(Error::Archive(message));
        }
        if kind == FileType::Directory {
            path.push(&name)?;
            refuse_dot_git(tree, path)?;
            path.pop();
        }
    }
    Ok(())
}

/// Friendly words for what is often mistaken for an archive.
fn check_local(url: &Url) -> Result<()> {
    let path = url.file_path()?;
    let (text, path) = (&path, Path::new(&path));
    if !path.is_absolute() {
        let message = format!(
            "tarball '{}' must use an absolute path. The 'file' scheme does not support relative paths.",
            url.print()
        );
        return Err(Error::Input(message));
    }
    match std::fs::metadata(path) {
        Err(_) => Err(Error::NotFound(format!("tarball \"{text}\" does not exist."))),
        Ok(found) if found.is_dir() && path.join(".git").exists() => Err(Error::Input(format!(
            "tarball \"{text}\" is a git repository, not a tarball. Please use `git+file` as the scheme."
        ))),
        Ok(found) if found.is_dir() => Err(Error::Input(format!("tarball \"{text}\" is a directory, not a file."))),
        Ok(_) => Ok(()),
    }
}

fn validators(fact: &Fact) -> Validators<'_> {
    Validators { etag: fact.text("etag"), last_modified: fact.text("lastModifiedHeader") }
}

fn facts(answer: &Answer, kept: &Kept, last_modified: Option<u64>) -> [(&'static str, Option<Value>); 6] {
    [
        ("etag", answer.etag.clone().map(Value::from)),
        ("lastModifiedHeader", answer.last_modified.clone().map(Value::from)),
        ("immutableUrl", answer.immutable_url.clone().map(Value::from)),
        ("narHash", Some(kept.nar_hash.to_sri().into())),
        ("storePath", Some(kept.path.as_str().into())),
        ("lastModified", last_modified.map(Value::from)),
    ]
}

/// The thing a fact speaks of, if the store still has it.
fn kept_of(activity: &Activity, depot: &dyn Depot, fact: &Fact) -> Result<Option<Kept>> {
    match fact.text("storePath").and_then(|path| StorePath::parse(path).ok()) {
        Some(path) => depot.find(activity, &path),
        None => Ok(None),
    }
}

/// The same under a name that need not be that of the fact: then the tree is copied within the store.
fn unpacked_of(activity: &Activity, depot: &dyn Depot, fact: &Fact, name: &str) -> Result<Option<Unpacked>> {
    let Some(hash) = fact.text("narHash").and_then(|text| Hash::parse_sri(text).ok()) else { return Ok(None) };
    let kept = match depot.find_tree(activity, name, &hash)? {
        Some(kept) => kept,
        None => match kept_of(activity, depot, fact)? {
            Some(other) => {
                let accessor = DiskAccessor::new(depot.real_path(&other.path));
                depot.add(activity, name, ContentAddressMethod::NixArchive, &accessor, &mut |_, _| Ok(true))?
            }
            None => return Ok(None),
        },
    };
    Ok(Some(Unpacked {
        kept,
        last_modified: fact.number("lastModified").unwrap_or(0),
        immutable_url: fact.text("immutableUrl").map(str::to_owned),
    }))
}

/// A downloaded file as a tree that is one file.
pub struct PlainFile {
    bytes: File,
    size: u64,
    executable: bool,
}

impl PlainFile {
    /// The file with these bytes.
    ///
    /// # Errors
    /// What the system says about its size.
    pub fn new(bytes: File, executable: bool) -> Result<PlainFile> {
        let size = bytes.metadata().map_err(|error| Error::Tree(file_tree::Error::Stream(error)))?.len();
        Ok(PlainFile { bytes, size, executable })
    }
}

impl SourceAccessor for PlainFile {
    fn stat(&self, path: &TreePath) -> Result<Option<Metadata>, file_tree::Error> {
        let file = Metadata { file_type: FileType::Regular, executable: self.executable, size: self.size };
        Ok(path.is_root().then_some(file))
    }

    fn open(&self, path: &TreePath) -> Result<Contents<'_>, file_tree::Error> {
        if !path.is_root() {
            return Err(file_tree::Error::NotFound(path.to_string()));
        }
        let reader = Box::new(FromStart { file: &self.bytes, at: 0 });
        Ok(Contents { size: self.size, executable: self.executable, reader })
    }

    fn read_dir(&self, path: &TreePath) -> Result<Vec<(Vec<u8>, FileType)>, file_tree::Error> {
        Err(file_tree::Error::WrongType { path: path.to_string(), expected: "directory" })
    }

    fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, file_tree::Error> {
        Err(file_tree::Error::WrongType { path: path.to_string(), expected: "symbolic link" })
    }

    fn show(&self, path: &TreePath) -> String {
        path.to_string()
    }
}

struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
