//! One pass over an output: its archive is hashed and searched for references as it is made, and nothing is kept.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use activity::{Activity, Cancelled};
use file_tree::{Both, DiskAccessor, FlatContents, NarWriter, RestoreOptions, Restorer, TreePath, TreeSink, walk};
use store_model::{ContentAddressMethod, Hash, HashAlgorithm, Hasher, RefScanner, StorePath};

use crate::error::{Error, Result};

/// What one pass finds.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// sha256 of the archive.
    pub nar_hash: Hash,
    /// Bytes of the archive.
    pub nar_size: u64,
    /// The candidates that occur in it.
    pub references: BTreeSet<StorePath>,
    /// The hash that a content address was asked for with.
    pub address: Option<Hash>,
}

/// Hashes, searches, and looks at the wish to stop.
struct Pass<'a> {
    activity: &'a Activity,
    archive: Hasher,
    second: Option<Hasher>,
    scanner: RefScanner,
}

impl Write for Pass<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        self.archive.update(data);
        self.scanner.update(data);
        if let Some(second) = &mut self.second {
            second.update(data);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wanted of a pass beside hash and references.
#[derive(Default)]
pub(crate) struct ScanOptions<'a> {
    /// Hash for a content address as well.
    pub address: Option<(ContentAddressMethod, HashAlgorithm)>,
    /// Make a fresh copy on the way, so that nobody who kept a descriptor can change it later.
    pub copy_to: Option<&'a Path>,
}

/// Reads the tree at `path` once.
///
/// # Errors
/// A tree that an archive cannot hold, errors of reading, [`Error::Cancelled`].
pub(crate) fn scan(
    activity: &Activity,
    path: &Path,
    candidates: impl IntoIterator<Item = StorePath>,
    options: &ScanOptions<'_>,
) -> Result<Scanned> {
    let flat = matches!(options.address, Some((ContentAddressMethod::Flat | ContentAddressMethod::Text, _)));
    // The archive hash serves for a recursive sha256 address too.
    let second = match options.address {
        Some((_, algorithm)) if !flat && algorithm != HashAlgorithm::Sha256 => Some(Hasher::new(algorithm)),
        _ => None,
    };
    let pass =
        Pass { activity, archive: Hasher::new(HashAlgorithm::Sha256), second, scanner: RefScanner::new(candidates) };
    let mut contents = Hasher::new(options.address.map_or(HashAlgorithm::Sha256, |(_, algorithm)| algorithm));
    // An archive is written in many small strings; hashes and searches like long ones.
    let mut writer = NarWriter::new(BufWriter::with_capacity(1 << 16, pass)).map_err(Error::from)?;
    {
        let restorer = options.copy_to.map(|to| Restorer::new(to, RestoreOptions { canonical: true }));
        let flat = flat.then_some(FlatContents(&mut contents));
        let mut sink = Both(Maybe(restorer), Both(Maybe(flat), &mut writer));
        let accessor = DiskAccessor::new(path);
        walk(&accessor, &TreePath::root(), &mut |_, _| Ok(true), &mut sink).map_err(|error| {
            match activity.check() {
                Err(cancelled) => Error::from(cancelled),
                Ok(()) => error.into(),
            }
        })?;
    }
    let pass = writer.finish().map_err(Error::from)?.into_inner().map_err(|error| match activity.check() {
        Err(cancelled) => Error::from(cancelled),
        Ok(()) => Error::Io { action: "hashing", path: path.to_owned(), source: error.into_error() },
    })?;
    let nar_size = pass.archive.bytes();
    let nar_hash = pass.archive.finish();
    let address = options.address.map(|_| match pass.second {
        _ if flat => contents.finish(),
        Some(second) => second.finish(),
        None => nar_hash,
    });
    Ok(Scanned { nar_hash, nar_size, references: pass.scanner.finish(), address })
}

/// A sink that may be absent.
struct Maybe<S>(Option<S>);

impl<S: TreeSink> TreeSink for Maybe<S> {
    fn event(&mut self, event: file_tree::TreeEvent<'_>) -> Result<(), file_tree::Error> {
        self.0.as_mut().map_or(Ok(()), |sink| sink.event(event))
    }
}

impl From<file_tree::Error> for Error {
    fn from(error: file_tree::Error) -> Self {
        match error {
            file_tree::Error::Caller(inner) if inner.is::<Cancelled>() => Self::Cancelled(Cancelled),
            other => Self::Tree(other),
        }
    }
}
