//! Archives of other people: tar under any usual compression, zip, and Debian's `ar` around a tar.
//!
//! What the bytes are is seen from themselves, never from a name. Everything streams from the file to an [`ArchiveSink`],
//! which judges the names: they come as they stand in the archive, and may be hostile. [`ArchiveTree`] is the sink that
//! makes a tree to be read out of them; `builder` has another that makes files.
//!
//! Absent: owners, and modes other than executable; devices are refused; bounds on the amount of data (the sink's).

mod ar;
mod compression;
mod tar;
mod tree;
mod zip;

pub use compression::Compression;
pub use tree::ArchiveTree;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};

/// Takes the members of an archive in their order. Paths and targets are the archive's own bytes: absolute, leading
/// upwards or empty ones among them.
pub trait ArchiveSink {
    /// Whether a member is to be read at all.
    ///
    /// # Errors
    /// Any error ends the reading, as those of the other methods do.
    fn wants(&mut self, path: &[u8]) -> io::Result<bool> {
        let _ = path;
        Ok(true)
    }

    /// The time of the last change of a member that is wanted, in seconds since 1970; it comes before the member.
    fn changed(&mut self, seconds: u64) {
        let _ = seconds;
    }

    /// A folder, perhaps one that came already or that members came of.
    #[allow(clippy::missing_errors_doc, reason = "said once, at the first method")]
    fn folder(&mut self, path: &[u8]) -> io::Result<()>;

    /// A file with its bytes, which must be read to their end.
    #[allow(clippy::missing_errors_doc, reason = "said once, at the first method")]
    fn file(&mut self, path: &[u8], executable: bool, contents: &mut dyn Read) -> io::Result<()>;

    /// A symbolic link.
    #[allow(clippy::missing_errors_doc, reason = "said once, at the first method")]
    fn link(&mut self, path: &[u8], target: &[u8]) -> io::Result<()>;

    /// Another name of a file that came before.
    #[allow(clippy::missing_errors_doc, reason = "said once, at the first method")]
    fn twin(&mut self, path: &[u8], original: &[u8]) -> io::Result<()>;
}

/// Which forms are read beside tar and zip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forms {
    /// No others, as in C++ Nix's `fetchTarball`.
    Usual,
    /// Debian packages too: of them the tar with the files.
    Packages,
}

/// Layers of compression and `ar` around a tar; more than these few is no archive that anybody made.
const MOST_LAYERS: u32 = 3;

/// Reads a whole archive into a sink. An empty file is an empty archive.
///
/// # Errors
/// What the sink says; [`io::ErrorKind::InvalidData`] for what is no archive, is broken, or holds what no tree can.
pub fn read_archive(mut file: File, forms: Forms, sink: &mut dyn ArchiveSink) -> io::Result<()> {
    let mut magic = [0; 4];
    let found = read_up_to(&mut file, &mut magic)?;
    file.rewind()?;
    if found == 4 && (magic == *b"PK\x03\x04" || magic == *b"PK\x05\x06") {
        return zip::read(BufReader::new(file), sink);
    }
    read_stream(&mut BufReader::with_capacity(1 << 18, file), forms, sink, 0)
}

/// The same from a stream, which is not a zip: a zip's directory stands at its end.
///
/// # Errors
/// As [`read_archive`].
pub fn read_archive_stream(input: &mut dyn BufRead, forms: Forms, sink: &mut dyn ArchiveSink) -> io::Result<()> {
    read_stream(input, forms, sink, 0)
}

fn read_stream(input: &mut dyn BufRead, forms: Forms, sink: &mut dyn ArchiveSink, layer: u32) -> io::Result<()> {
    if layer > MOST_LAYERS {
        return Err(bad("compressed too many times over"));
    }
    // A pipe may give fewer bytes than asked; a file gives the buffer.
    let magic = input.fill_buf()?;
    if forms == Forms::Packages && magic.starts_with(b"!<arch>\n") {
        return ar::find_data(input, |member| read_stream(member, forms, sink, layer + 1));
    }
    match Compression::of(magic) {
        None => tar::read(input, sink),
        Some(compression) => read_stream(&mut *compression.decoder(input)?, forms, sink, layer + 1),
    }
}

/// The words of [`read_archive`] for bytes that are no archive at all.
pub const UNRECOGNISED: &str = "Unrecognized archive format";

/// An archive that is not what it should be.
fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Fills the buffer as far as the input goes.
fn read_up_to(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}
