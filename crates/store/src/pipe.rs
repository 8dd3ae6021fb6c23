//! Bytes from one thread to another, a few pieces at a time; and a file without a name.
//!
//! A store gives an archive to a writer and takes one from a reader: whoever copies runs both at once and puts this between
//! them, so memory stays at some pieces however large the archive is.

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a piece, and how many may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

/// Makes both ends.
pub fn pipe() -> (PipeWriter, PipeReader) {
    let (send, receive) = sync_channel(PIECES);
    let writer = PipeWriter { pieces: send, filling: Vec::new() };
    (writer, PipeReader { pieces: receive, piece: Vec::new(), at: 0, ended: false })
}

/// The end that is written to. Call [`PipeWriter::finish`]: what is dropped before counts as broken off.
pub struct PipeWriter {
    pieces: SyncSender<Option<Vec<u8>>>,
    filling: Vec<u8>,
}

impl PipeWriter {
    /// Hands over what is left, and says that it was all.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.pieces.send(None).map_err(|_| closed())
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads any more")
}

/// Whether writing failed because nobody reads any more.
pub(crate) fn is_closed(error: &Error) -> bool {
    let is_pipe = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    match error {
        Error::Stream(error) => is_pipe(error),
        Error::Tree(file_tree::Error::Stream(error)) => is_pipe(error),
        _ => false,
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // However much is given at once, no piece becomes large.
        let taken = &bytes[..bytes.len().min(PIECE)];
        self.filling.extend_from_slice(taken);
        if self.filling.len() >= PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.filling, Vec::with_capacity(2 * PIECE));
        self.pieces.send(Some(piece)).map_err(|_| closed())
    }
}

/// The end that is read from. Its end without the writer's word is an error.
pub struct PipeReader {
    pieces: Receiver<Option<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.ended {
            match self.pieces.recv() {
                Ok(Some(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(None) => self.ended = true,
                Err(_) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the source was broken off")),
            }
        }
        let left = &self.piece[self.at..];
        let got = left.len().min(buffer.len());
        buffer[..got].copy_from_slice(&left[..got]);
        self.at += got;
        Ok(got)
    }
}

/// A file for this process alone that vanishes with it.
pub fn unnamed_file() -> Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("firn-{}-{number}", std::process::id()));
        match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path).map_err(Error::io("removing", &path))?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("creating temporary file", &path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_in_order_and_a_broken_source_is_an_error() {
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n >> 2) as u8).collect();
        let (mut writer, mut reader) = pipe();
        let mut got = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                data.chunks(70_001).for_each(|piece| writer.write_all(piece).unwrap());
                writer.finish().unwrap();
            });
            reader.read_to_end(&mut got).unwrap();
        });
        assert!(got == data);
        let (mut writer, mut reader) = pipe();
        writer.write_all(b"half").unwrap();
        writer.flush().unwrap();
        drop(writer);
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
        let (mut writer, reader) = pipe();
        drop(reader);
        assert!(writer.write_all(&data).is_err());
    }
}
