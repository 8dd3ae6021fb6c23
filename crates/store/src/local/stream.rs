//! Streams that bytes of objects pass through: watched for the wish to stop, and hashed beside the copying.
//!
//! Hashing costs about as much as writing. From 2 MB on a thread of its own does it, while the next pieces are read and
//! written; little is handed over, so memory stays at a few buffers. Absent: where the bytes come from and go.

use activity::{Activity, Watched};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use store_model::{Hash, HashAlgorithm, Hasher};

/// Reads while the user does not want to stop, and hashes what was read.
pub(super) struct HashedReader<'a> {
    activity: &'a Activity,
    inner: &'a mut dyn Read,
    hasher: StreamHasher,
}

impl<'a> HashedReader<'a> {
    pub(super) fn new(activity: &'a Activity, inner: &'a mut dyn Read) -> HashedReader<'a> {
        HashedReader { activity, inner, hasher: StreamHasher::new(HashAlgorithm::Sha256) }
    }

    /// Hash and number of the bytes read.
    pub(super) fn finish(self) -> (Hash, u64) {
        self.hasher.finish()
    }
}

impl Read for HashedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.activity.check().map_err(io::Error::other)?;
        let got = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..got]);
        Ok(got)
    }
}

/// Bytes that are hashed on the spot; beyond them a thread is worth its making.
const INLINE: u64 = 2 << 20;
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

/// Hashes a stream, a long one in a thread of its own.
pub(super) struct StreamHasher {
    state: State,
    bytes: u64,
}

enum State {
    Inline(Hasher),
    Threaded(Worker),
}

struct Worker {
    pieces: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    filling: Vec<u8>,
    thread: JoinHandle<Hasher>,
}

impl StreamHasher {
    pub(super) fn new(algorithm: HashAlgorithm) -> StreamHasher {
        StreamHasher { state: State::Inline(Hasher::new(algorithm)), bytes: 0 }
    }

    pub(super) fn update(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        match &mut self.state {
            State::Inline(hasher) => {
                hasher.update(data);
                // Where no thread can be made, hashing goes on here.
                if self.bytes > INLINE
                    && let Ok(worker) = Worker::start(hasher.clone())
                {
                    self.state = State::Threaded(worker);
                }
            }
            State::Threaded(worker) => worker.update(data),
        }
    }

    /// Hash and number of the bytes.
    pub(super) fn finish(self) -> (Hash, u64) {
        let hasher = match self.state {
            State::Inline(hasher) => hasher,
            State::Threaded(worker) => worker.finish(),
        };
        (hasher.finish(), self.bytes)
    }
}

impl Write for StreamHasher {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Worker {
    fn start(mut hasher: Hasher) -> io::Result<Worker> {
        let (pieces, full) = sync_channel::<Vec<u8>>(PIECES);
        let (give_back, empty) = sync_channel(PIECES + 1);
        let thread = std::thread::Builder::new().name("hash".to_owned()).spawn(move || {
            for mut piece in full {
                hasher.update(&piece);
                piece.clear();
                // Nobody waits for the buffer when the stream has ended.
                let _ = give_back.try_send(piece);
            }
            hasher
        })?;
        Ok(Worker { pieces, empty, filling: Vec::with_capacity(PIECE), thread })
    }

    fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let (head, tail) = data.split_at(data.len().min(PIECE - self.filling.len()));
            self.filling.extend_from_slice(head);
            data = tail;
            if self.filling.len() == PIECE {
                let next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
                // The thread ends only when this end does, or by a panic that `finish` passes on.
                let _ = self.pieces.send(std::mem::replace(&mut self.filling, next));
            }
        }
    }

    fn finish(self) -> Hasher {
        let _ = self.pieces.send(self.filling);
        drop(self.pieces);
        match self.thread.join() {
            Ok(hasher) => hasher,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// sha256 and size of the NAR of an object of the host.
pub(super) fn hash_tree(activity: &Activity, path: &Path) -> Result<(Hash, u64), file_tree::Error> {
    let mut hasher = StreamHasher::new(HashAlgorithm::Sha256);
    file_tree::nar::dump_path(path, &mut Watched::new(activity, &mut hasher))?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_streams_hash_as_short_ones_do() {
        let data: Vec<u8> = (0..5_000_000u32).map(|n| (n >> 3) as u8).collect();
        for length in [0, 1, INLINE as usize, INLINE as usize + 1, 3_000_000, data.len()] {
            for step in [1000, PIECE, PIECE + 1, data.len()] {
                let mut hasher = StreamHasher::new(HashAlgorithm::Sha256);
                data[..length].chunks(step).for_each(|piece| hasher.update(piece));
                let expected = (Hash::of(HashAlgorithm::Sha256, &data[..length]), length as u64);
                assert_eq!(hasher.finish(), expected, "{length} {step}");
            }
        }
    }
}
