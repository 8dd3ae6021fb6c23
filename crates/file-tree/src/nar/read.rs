//! NAR bytes to events.
//!
//! Strings have limits (those of C++ Nix 2.34), so a hostile length allocates nothing; contents stream through one
//! buffer; nesting is bounded. Reads exactly the archive and not a byte more, so it may stand inside a longer stream.

use super::MAGIC;
use super::write::padding;
use crate::path::is_file_name;
use crate::{ArchiveError, Error, MAX_DEPTH, TreeEvent, TreeSink};
use std::io::{self, Read};

/// The longest keyword, with some slack so that messages can show what was found.
const MAX_TAG: usize = 32;
const MAX_NAME: usize = 255;
const MAX_TARGET: usize = 4095;
const PIECE: usize = 64 << 10;

/// Reads one archive into the sink. Give it a buffered reader: it reads in small steps.
pub fn read_nar(input: &mut dyn Read, sink: &mut dyn TreeSink) -> Result<(), Error> {
    let mut reader = NarReader { input, sink, buffer: Vec::new() };
    match reader.string(MAGIC.len()) {
        Ok(magic) if magic == MAGIC => {}
        Err(Error::Stream(error)) => return Err(error.into()),
        _ => return Err(ArchiveError::NotAnArchive.into()),
    }
    reader.object(0)
}

struct NarReader<'a> {
    input: &'a mut dyn Read,
    sink: &'a mut dyn TreeSink,
    buffer: Vec<u8>,
}

impl NarReader<'_> {
    fn object(&mut self, depth: usize) -> Result<(), Error> {
        if depth >= MAX_DEPTH {
            return Err(ArchiveError::TooDeep.into());
        }
        self.tag("(")?;
        self.tag("type")?;
        let file_type = self.string(MAX_TAG)?;
        match file_type.as_slice() {
            b"regular" => self.regular(),
            b"directory" => self.directory(depth),
            b"symlink" => {
                self.tag("target")?;
                let target = self.string(MAX_TARGET)?;
                if target.is_empty() || target.contains(&0) {
                    return Err(ArchiveError::SymlinkTarget.into());
                }
                self.sink.event(TreeEvent::Symlink(&target))?;
                self.tag(")")
            }
            other => Err(ArchiveError::FileType(lossy(other)).into()),
        }
    }

    fn directory(&mut self, depth: usize) -> Result<(), Error> {
        self.sink.event(TreeEvent::Directory)?;
        let mut previous = Vec::new();
        loop {
            let tag = self.string(MAX_TAG)?;
            match tag.as_slice() {
                b")" => break,
                b"entry" => {}
                other => return Err(ArchiveError::Tag { expected: "entry' or ')", got: lossy(other) }.into()),
            }
            self.tag("(")?;
            self.tag("name")?;
            let name = self.string(MAX_NAME)?;
            if !is_file_name(&name) {
                return Err(ArchiveError::FileName(lossy(&name)).into());
            }
            if name <= previous {
                return Err(ArchiveError::NotSorted.into());
            }
            self.tag("node")?;
            self.sink.event(TreeEvent::Entry(&name))?;
            previous = name;
            self.object(depth + 1)?;
            self.tag(")")?;
            self.sink.event(TreeEvent::EntryEnd)?;
        }
        self.sink.event(TreeEvent::DirectoryEnd)
    }

    fn regular(&mut self) -> Result<(), Error> {
        let mut tag = self.string(MAX_TAG)?;
        let executable = tag == b"executable";
        if executable {
            if self.number()? != 0 {
                return Err(ArchiveError::ExecutableMarker.into());
            }
            tag = self.string(MAX_TAG)?;
        }
        if tag != b"contents" {
            return Err(ArchiveError::Tag { expected: "contents", got: lossy(&tag) }.into());
        }
        let size = self.number()?;
        self.sink.event(TreeEvent::Regular { executable, size })?;
        let mut left = size;
        self.buffer.resize(PIECE, 0);
        while left > 0 {
            let want = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let got = match self.input.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(ArchiveError::Truncated.into()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.sink.event(TreeEvent::Contents(&self.buffer[..got]))?;
            left -= got as u64;
        }
        self.padding(size)?;
        self.sink.event(TreeEvent::RegularEnd)?;
        self.tag(")")
    }

    fn tag(&mut self, expected: &'static str) -> Result<(), Error> {
        let got = self.string(MAX_TAG)?;
        if got == expected.as_bytes() { Ok(()) } else { Err(ArchiveError::Tag { expected, got: lossy(&got) }.into()) }
    }

    fn string(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let length = self.number()?;
        match usize::try_from(length) {
            Ok(size) if size <= limit => {
                let mut bytes = vec![0; size];
                self.exact(&mut bytes)?;
                self.padding(length)?;
                Ok(bytes)
            }
            _ => Err(ArchiveError::TooLong { length, limit }.into()),
        }
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn padding(&mut self, length: u64) -> Result<(), Error> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..padding(length)];
        self.exact(bytes)?;
        if bytes.iter().all(|b| *b == 0) { Ok(()) } else { Err(ArchiveError::Padding.into()) }
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Truncated.into(),
            _ => error.into(),
        })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
