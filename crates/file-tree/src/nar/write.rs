//! Events to NAR bytes.
//!
//! Small strings gather in a buffer, so that the writer beneath (a hasher, a file) is called with pieces worth its while;
//! large contents pass without being copied.

use super::MAGIC;
use crate::{Error, TreeEvent, TreeSink};
use std::io::Write;

/// Writes the archive of the tree that it is given as events. Call [`NarWriter::finish`] at the end.
pub struct NarWriter<W: Write> {
    out: W,
    buffer: Vec<u8>,
    padding: usize,
}

const BUFFER: usize = 32 << 10;

impl<W: Write> NarWriter<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Result<NarWriter<W>, Error> {
        let mut writer = NarWriter { out, buffer: Vec::with_capacity(BUFFER), padding: 0 };
        writer.string(MAGIC)?;
        Ok(writer)
    }

    /// Writes what is left, and gives the writer beneath.
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.write_all(&self.buffer)?;
        Ok(self.out)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        if bytes.len() >= BUFFER / 2 {
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
            self.out.write_all(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Error> {
        self.bytes(&(text.len() as u64).to_le_bytes())?;
        self.bytes(text)?;
        self.bytes(&[0; 8][..padding(text.len() as u64)])
    }

    fn strings(&mut self, texts: &[&[u8]]) -> Result<(), Error> {
        texts.iter().try_for_each(|text| self.string(text))
    }
}

/// Zero bytes that follow a string of this length.
pub(super) fn padding(length: u64) -> usize {
    (8 - (length % 8) as usize) % 8
}

impl<W: Write> TreeSink for NarWriter<W> {
    fn event(&mut self, event: TreeEvent<'_>) -> Result<(), Error> {
        match event {
            TreeEvent::Directory => self.strings(&[b"(", b"type", b"directory"]),
            TreeEvent::Entry(name) => self.strings(&[b"entry", b"(", b"name", name, b"node"]),
            TreeEvent::EntryEnd | TreeEvent::DirectoryEnd => self.string(b")"),
            TreeEvent::Symlink(target) => self.strings(&[b"(", b"type", b"symlink", b"target", target, b")"]),
            TreeEvent::Regular { executable, size } => {
                self.strings(&[b"(", b"type", b"regular"])?;
                if executable {
                    self.strings(&[b"executable", b""])?;
                }
                self.string(b"contents")?;
                self.padding = padding(size);
                self.bytes(&size.to_le_bytes())
            }
            TreeEvent::Contents(bytes) => self.bytes(bytes),
            TreeEvent::RegularEnd => {
                self.bytes(&[0; 8][..self.padding])?;
                self.string(b")")
            }
        }
    }
}
