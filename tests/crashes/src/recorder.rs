//! A file that remembers every write and every flush, for a loop device to lie on.
//!
//! The file is served through FUSE (`/dev/fuse`, spoken by hand: one node, no folder, a dozen requests). A file system on a
//! loop device above it sends its blocks here and tells by a flush (fsync) what must not be lost: nothing else reaches the
//! "platter". From the log a disk can be made as a power cut at any place in it would leave it.
//!
//! Absent: what lies on the disk (`disk.rs`), where the power is cut (`cuts.rs`).

use crate::Result;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What the disk was told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Bytes for a place; they may be lost until the next flush.
    Write {
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// All that was written before must be kept.
    Flush,
}

/// The log, shared with the thread that serves the file.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Event>>>);

impl Log {
    /// How many events there are: a moment of the recording.
    pub fn now(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn push(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// All events so far.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A served file; unmounted when dropped.
pub struct Recorder {
    path: PathBuf,
    /// What was written.
    pub log: Log,
    thread: Option<JoinHandle<()>>,
}

const HEADER: usize = 40;
const MOST: usize = 1 << 20;

const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const FORGET: u32 = 2;
const BATCH_FORGET: u32 = 42;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const FALLOCATE: u32 = 43;

const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;
const EIO: i32 = 5;

/// Larger writes than a page, and as large as we say.
const BIG_WRITES: u32 = 1 << 5;
const MAX_PAGES: u32 = 1 << 22;

impl Recorder {
    /// Serves `image` at `path`, an empty file, until dropped. What is written is written to `image` as well.
    ///
    /// # Errors
    /// Without the right to mount, or `/dev/fuse`.
    pub fn start(image: &Path, path: &Path) -> Result<Recorder> {
        let backing =
            File::options().read(true).write(true).open(image).map_err(|e| format!("{}: {e}", image.display()))?;
        let size = backing.metadata().map_err(|e| e.to_string())?.len();
        File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let device = File::options().read(true).write(true).open("/dev/fuse").map_err(|e| format!("/dev/fuse: {e}"))?;
        let options = format!("fd={},rootmode=100600,user_id=0,group_id=0", device.as_raw_fd());
        let options = std::ffi::CString::new(options).map_err(|e| e.to_string())?;
        let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        rustix::mount::mount("recorder", path, "fuse", flags, options.as_c_str())
            .map_err(|e| format!("mounting a recorder: {e}"))?;
        let log = Log::default();
        let server = Server { device, backing, size, log: log.clone() };
        let thread = std::thread::spawn(move || server.run());
        Ok(Recorder { path: path.to_owned(), log, thread: Some(thread) })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Server {
    device: File,
    backing: File,
    size: u64,
    log: Log,
}

enum Answer {
    Bytes(Vec<u8>),
    Error(i32),
    None,
}

impl Server {
    fn run(mut self) {
        let mut buffer = vec![0; MOST + 4096 * 2];
        // Unmounted: reading fails.
        while let Ok(count) = self.device.read(&mut buffer) {
            let request = &buffer[..count];
            let Some(opcode) = u32_at(request, 4) else { return };
            let unique = u64_at(request, 8);
            let (error, body) = match self.answer(opcode, &request[HEADER.min(count)..]) {
                Answer::None => continue,
                Answer::Bytes(body) => (0, body),
                Answer::Error(error) => (-error, Vec::new()),
            };
            let mut out = Vec::with_capacity(16 + body.len());
            out.extend(u32::try_from(16 + body.len()).unwrap_or(0).to_ne_bytes());
            out.extend(error.to_ne_bytes());
            out.extend(unique.to_ne_bytes());
            out.extend(body);
            // Whoever asked may be gone.
            let _ = self.device.write(&out);
        }
    }

    fn answer(&self, opcode: u32, body: &[u8]) -> Answer {
        match opcode {
            INIT => {
                let mut out = Vec::new();
                let flags = BIG_WRITES | MAX_PAGES;
                for word in [7u32, 31, 0, flags] {
                    out.extend(word.to_ne_bytes());
                }
                out.extend(0u32.to_ne_bytes()); // background requests: as usual
                out.extend((MOST as u32).to_ne_bytes());
                out.extend(1u32.to_ne_bytes());
                out.extend(256u16.to_ne_bytes());
                out.resize(64, 0);
                Answer::Bytes(out)
            }
            GETATTR | SETATTR => {
                let mut out = Vec::new();
                out.extend(3600u64.to_ne_bytes());
                out.extend(0u64.to_ne_bytes());
                for word in [1, self.size, self.size / 512, 0, 0, 0] {
                    out.extend(word.to_ne_bytes());
                }
                for word in [0u32, 0, 0, 0o100_600, 1, 0, 0, 0, 4096, 0] {
                    out.extend(word.to_ne_bytes());
                }
                Answer::Bytes(out)
            }
            OPEN => Answer::Bytes(vec![0; 16]),
            READ => {
                let length = u32_at(body, 16).unwrap_or(0) as usize;
                let offset = u64_at(body, 8);
                let length = length.min(usize::try_from(self.size.saturating_sub(offset)).unwrap_or(0));
                let mut data = vec![0; length];
                match self.backing.read_exact_at(&mut data, offset) {
                    Ok(()) => Answer::Bytes(data),
                    Err(_) => Answer::Error(EIO),
                }
            }
            WRITE => {
                let offset = u64_at(body, 8);
                let data = body.get(40..).unwrap_or_default();
                if self.backing.write_all_at(data, offset).is_err() {
                    return Answer::Error(EIO);
                }
                self.log.push(Event::Write { offset, data: data.to_vec() });
                let mut out = u32::try_from(data.len()).unwrap_or(0).to_ne_bytes().to_vec();
                out.resize(8, 0);
                Answer::Bytes(out)
            }
            FSYNC => {
                self.log.push(Event::Flush);
                Answer::Bytes(Vec::new())
            }
            STATFS => Answer::Bytes(vec![0; 80]),
            RELEASE | FLUSH | DESTROY => Answer::Bytes(Vec::new()),
            FORGET | BATCH_FORGET | INTERRUPT => Answer::None,
            FALLOCATE => Answer::Error(EOPNOTSUPP),
            _ => Answer::Error(ENOSYS),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_ne_bytes)
}
