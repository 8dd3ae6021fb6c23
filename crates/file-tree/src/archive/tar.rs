//! The tar form: members one after another. Long names come in members of their own, in GNU's way or in pax records;
//! both are read here with bounds, which is why the crate is used in its raw mode.

use std::io::{self, BufRead, Read};

use ::tar::{Archive, Entry, EntryType, PaxExtensions};

use super::{ArchiveSink, UNRECOGNISED, bad};

/// The longest name, link target or set of pax records.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// What earlier members say about the next one.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    changed: Option<u64>,
}

/// Unpacks what the sink wants.
pub(super) fn read(input: &mut dyn BufRead, sink: &mut dyn ArchiveSink) -> io::Result<()> {
    // Blocks of zeros are an empty archive; what is neither that nor has members is none.
    let empty = input.fill_buf()?.iter().take(512).all(|&byte| byte == 0);
    let mut archive = Archive::new(input);
    let mut extensions = Extensions::default();
    let mut any = false;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| header_error(error, any))?;
        any = true;
        match entry.header().entry_type() {
            EntryType::GNULongName => extensions.path = Some(text(&mut entry)?),
            EntryType::GNULongLink => extensions.link = Some(text(&mut entry)?),
            EntryType::XHeader => pax(&mut entry, &mut extensions)?,
            EntryType::XGlobalHeader => {}
            _ => member(&mut entry, std::mem::take(&mut extensions), sink)?,
        }
    }
    if any || empty { Ok(()) } else { Err(bad(UNRECOGNISED)) }
}

/// A header that cannot be read: as the first thing it means that this is no tar at all.
fn header_error(error: io::Error, any: bool) -> io::Error {
    match (error.kind(), any) {
        (io::ErrorKind::Other, false) => bad(UNRECOGNISED),
        (io::ErrorKind::Other, true) if error.to_string() == "failed to read entire block" => {
            bad("cannot get archive member name: Truncated tar archive detected while reading next header")
        }
        _ => error,
    }
}

fn member(entry: &mut Entry<'_, impl Read>, extensions: Extensions, sink: &mut dyn ArchiveSink) -> io::Result<()> {
    let header = entry.header();
    let path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
    if !sink.wants(&path)? {
        return Ok(());
    }
    sink.changed(extensions.changed.or_else(|| header.mtime().ok()).unwrap_or(0));
    let kind = header.entry_type();
    let link =
        || extensions.link.or_else(|| header.link_name_bytes().map(|name| name.into_owned())).unwrap_or_default();
    match kind {
        EntryType::Directory => sink.folder(&path),
        EntryType::Symlink => sink.link(&path, &link()),
        EntryType::Link => sink.twin(&path, &link()),
        // In the oldest form, and in a few broken newer ones, a name with a slash at its end is a folder.
        EntryType::Regular if path.ends_with(b"/") => sink.folder(&path),
        EntryType::Regular | EntryType::Continuous => {
            let executable = header.mode().is_ok_and(|mode| mode & 0o100 != 0);
            let size = entry.size();
            let mut counted = Counted { inner: entry, bytes: 0 };
            sink.file(&path, executable, &mut counted)?;
            if counted.bytes == size { Ok(()) } else { Err(bad("the archive ends in the middle of a file")) }
        }
        other => {
            // The number is the system's for that kind of file; C++ Nix shows it.
            let number = match other {
                EntryType::Char => 0o020_000,
                EntryType::Block => 0o060_000,
                EntryType::Fifo => 0o010_000,
                other => u32::from(other.as_byte()),
            };
            let path = String::from_utf8_lossy(&path);
            Err(bad(format!("file '{path}' in tarball has unsupported file type {number}")))
        }
    }
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

fn contents(entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let size = entry.size();
    if size > LONGEST_EXTENSION {
        return Err(bad("a name is too long"));
    }
    let mut bytes = Vec::new();
    entry.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A name in GNU's way ends in a NUL.
fn text(entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = contents(entry)?;
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    Ok(bytes)
}

fn pax(entry: &mut Entry<'_, impl Read>, extensions: &mut Extensions) -> io::Result<()> {
    let bytes = contents(entry)?;
    for record in PaxExtensions::new(&bytes) {
        let record = record?;
        match record.key_bytes() {
            b"path" => extensions.path = Some(record.value_bytes().to_owned()),
            b"linkpath" => extensions.link = Some(record.value_bytes().to_owned()),
            // Seconds, perhaps with a fraction; before 1970 they do not count.
            b"mtime" => {
                let text = String::from_utf8_lossy(record.value_bytes()).into_owned();
                extensions.changed = text.split('.').next().and_then(|whole| whole.parse().ok());
            }
            // The header's own number is then wrong, and only files over 8 GB have such a record.
            b"size" => return Err(bad("a member is too large")),
            key if key.starts_with(b"GNU.sparse.") => return Err(bad("a sparse member is not supported")),
            _ => {}
        }
    }
    Ok(())
}
