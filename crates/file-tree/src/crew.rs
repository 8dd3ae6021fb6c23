//! Threads that write the small files of a tree, while the one that reads it goes on.
//!
//! To make a file takes longer than to fill it, and a file system makes files of different folders at the same time, those of
//! one folder one after the other: so each folder belongs to one thread. What is on its way is bounded in number and bytes.
//! Absent: folders, links and large files (`restore.rs`).

use crate::Error;
use crate::restore::make_file;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// The most bytes of a file that is small.
pub(crate) const SMALL: u64 = 32 << 10;
/// Files that wait for one thread.
const WAITING: usize = 64;
/// Most of the time one waits for the disk, so there may be more than processors; but no crowd.
const THREADS: usize = 4;

/// A file to be written.
pub(crate) struct SmallFile {
    pub(crate) path: PathBuf,
    pub(crate) executable: bool,
    pub(crate) contents: Vec<u8>,
    /// Give it the metadata of store objects.
    pub(crate) canonical: bool,
}

/// The threads. Dropped, they write what waits and end.
pub(crate) struct Crew {
    queues: Vec<SyncSender<SmallFile>>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

impl Crew {
    /// Starts the threads; `None` where there is only one processor, or no thread to be had.
    pub(crate) fn start() -> Option<Crew> {
        if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
            return None;
        }
        let mut crew = Crew { queues: Vec::new(), threads: Vec::new() };
        for _ in 0..THREADS {
            let (queue, files) = sync_channel(WAITING);
            let thread = std::thread::Builder::new().name("write".to_owned()).spawn(move || write_all(&files));
            crew.threads.push(thread.ok()?);
            crew.queues.push(queue);
        }
        Some(crew)
    }

    /// Has a file of the folder with this number written; tells what went wrong with an earlier one of its thread.
    pub(crate) fn write(&mut self, folder: usize, file: SmallFile) -> Result<(), Error> {
        match self.queues.get(folder % self.queues.len().max(1)).map(|queue| queue.send(file)) {
            Some(Ok(())) => Ok(()),
            // A thread ends early only with a failure.
            _ => self.finish(),
        }
    }

    /// Waits until all is written; tells the first thing that went wrong.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.queues.clear();
        let mut done = Ok(());
        for thread in self.threads.drain(..) {
            let written = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done = done.and(written);
        }
        done
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // Whoever drops this has another failure to tell.
            let _ = thread.join();
        }
    }
}

fn write_all(files: &Receiver<SmallFile>) -> Result<(), Error> {
    files.iter().try_for_each(|file| {
        let mut made = make_file(&file.path, file.executable)?;
        std::io::Write::write_all(&mut made, &file.contents).map_err(Error::io("writing to", &file.path))?;
        match file.canonical {
            true => crate::make_canonical(&made, &file.path, file.executable),
            false => Ok(()),
        }
    })
}
