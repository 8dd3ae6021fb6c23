//! Export streams: objects one after the other, each after what it refers to.
//!
//! ```text
//! stream  = { 1 archive magic path references deriver 0 } 0
//! ```
//!
//! Numbers and strings are those of `wire.rs`. A path follows its archive, so what is imported has to wait until its name is
//! known: small archives in memory, large ones in a file that has no name.
//!
//! Absent: signatures, which the form once had and readers pass over; content addresses, which it never had.

use crate::wire::{WireReader, number, path_or_none, paths, string};
use crate::{Error, Result};
use activity::Activity;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use store::{Store, WritableStore, WriteOptions, closure};
use store_model::{HashAlgorithm, Hasher, PathInfo, StorePath};

const MAGIC: u64 = 0x4558_494e;
/// Archives up to this size wait in memory.
const IN_MEMORY: usize = 8 << 20;
const LONGEST_SIGNATURE: u64 = 1 << 20;

/// Writes the objects of valid paths.
///
/// # Errors
/// Paths that are not valid, or whose bytes are not those that were registered: what is broken does not spread.
pub fn export_paths(
    store: &dyn Store,
    activity: &Activity,
    wanted: &BTreeSet<StorePath>,
    out: &mut dyn Write,
) -> Result<()> {
    for path in closure::references_first(store, activity, wanted)? {
        number(out, 1)?;
        export_path(store, activity, &path, out)?;
    }
    number(out, 0)
}

fn export_path(store: &dyn Store, activity: &Activity, path: &StorePath, out: &mut dyn Write) -> Result<()> {
    let dir = store.store_dir();
    let info = store.path_infos(activity, std::slice::from_ref(path))?.pop().flatten();
    let info = info.ok_or_else(|| store::Error::InvalidPath(dir.print(path)))?;
    let mut hashed = Hashed { out, hasher: Hasher::new(info.nar_hash.algorithm()) };
    store.nar(activity, path, &mut hashed)?;
    let found = hashed.hasher.finish();
    if found != info.nar_hash {
        let registered = Box::new(info.nar_hash);
        return Err(Error::Changed { path: dir.print(path), registered, found: Box::new(found) });
    }
    number(out, MAGIC)?;
    string(out, dir.print(path).as_bytes())?;
    paths(out, dir, &info.references)?;
    path_or_none(out, dir, info.deriver.as_ref())?;
    number(out, 0)
}

/// Reads objects into a store and tells their paths. `scratch` is a folder for those that are too large for memory. Whoever
/// calls this trusts the stream.
///
/// # Errors
/// A stream of another form, references that are not valid; what came before stays.
pub fn import_paths(
    store: &dyn WritableStore,
    activity: &Activity,
    input: &mut dyn Read,
    scratch: &Path,
) -> Result<Vec<StorePath>> {
    import_from(store, activity, &mut WireReader::new(input), scratch)
}

/// The same from a stream that goes on behind it.
pub(crate) fn import_from(
    store: &dyn WritableStore,
    activity: &Activity,
    wire: &mut WireReader<'_>,
    scratch: &Path,
) -> Result<Vec<StorePath>> {
    let mut imported = Vec::new();
    loop {
        wire.next_message();
        match wire.number()? {
            0 => return Ok(imported),
            1 => imported.push(import_path(store, activity, wire, scratch)?),
            _ => return Err(Error::NotExported),
        }
    }
}

fn import_path(
    store: &dyn WritableStore,
    activity: &Activity,
    wire: &mut WireReader<'_>,
    scratch: &Path,
) -> Result<StorePath> {
    let dir = store.store_dir().clone();
    let hasher = Hasher::new(HashAlgorithm::Sha256);
    let place = Place::Memory(Vec::new());
    let mut archive = Waiting { input: wire.raw(), activity, hasher, scratch, place };
    file_tree::read_nar(&mut archive, &mut Nowhere)?;
    let Waiting { hasher, place, .. } = archive;
    if wire.number()? != MAGIC {
        return Err(Error::WrongMagic);
    }
    let path = wire.path(&dir)?;
    let size = hasher.bytes();
    let mut info = PathInfo::new(path, hasher.finish(), size);
    info.references = wire.paths(&dir)?;
    info.deriver = wire.path_or_none(&dir)?;
    if wire.number()? == 1 {
        wire.bytes(LONGEST_SIGNATURE)?;
    }
    let options = WriteOptions::default();
    match place {
        Place::Memory(bytes) => store.add_nar(activity, &info, &mut Cursor::new(bytes), &options)?,
        Place::File(mut file) => {
            file.seek(SeekFrom::Start(0))?;
            store.add_nar(activity, &info, &mut BufReader::with_capacity(256 << 10, file), &options)?;
        }
    }
    Ok(info.path)
}

/// An archive that is read to its end, hashed and kept.
struct Waiting<'a> {
    input: &'a mut dyn Read,
    activity: &'a Activity,
    hasher: Hasher,
    scratch: &'a Path,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    File(File),
}

impl Read for Waiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        let got = self.input.read(buffer)?;
        self.hasher.update(&buffer[..got]);
        if let Place::Memory(bytes) = &mut self.place {
            if bytes.len() + got <= IN_MEMORY {
                bytes.extend_from_slice(&buffer[..got]);
                return Ok(got);
            }
            let mut file = unnamed_file(self.scratch)?;
            file.write_all(bytes)?;
            self.place = Place::File(file);
        }
        if let Place::File(file) = &mut self.place {
            file.write_all(&buffer[..got])?;
        }
        Ok(got)
    }
}

/// A file that is gone when it is closed.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    let path = folder.join("import");
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Objects that are only read to find their end.
struct Nowhere;

impl file_tree::TreeSink for Nowhere {
    fn event(&mut self, _: file_tree::TreeEvent<'_>) -> Result<(), file_tree::Error> {
        Ok(())
    }
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.out.write(data)?;
        self.hasher.update(&data[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
