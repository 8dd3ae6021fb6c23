//! Job slots that builds share: GNU make's job server (4.4, style `fifo`), which ninja, cargo and others speak too.
//!
//! A build has one slot of its own and takes a byte out of its named pipe for every further job that it starts, and puts
//! it back. Every build has a pipe of its own, so that what it took is known, and is free again when the build ends,
//! however it ends. A thread looks at the pipes and spreads the slots that nobody has taken evenly over them: who
//! empties its pipe gets what lies unused in others.
//!
//! What a builder puts into its pipe beyond what it got is thrown away. Absent: slots across processes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};

use crate::error::{IoContext, Result};

/// Name of the pipe in the build folder.
pub(crate) const PIPE: &str = ".job-server";

/// How often pipes are looked at.
const TICK: Duration = Duration::from_millis(10);

/// The slots of one builder.
#[derive(Clone)]
pub(crate) struct JobServer {
    state: Arc<Mutex<State>>,
}

struct State {
    /// Jobs at the same time, the builds' own slots included.
    slots: usize,
    clients: Vec<Client>,
    next: u64,
    looking: bool,
}

struct Client {
    id: u64,
    pipe: File,
    /// Bytes that it got and that were not taken back.
    given: usize,
}

/// A build's part in it; its slots are free when this is dropped.
pub(crate) struct Lease {
    server: JobServer,
    id: u64,
}

impl JobServer {
    pub(crate) fn new(slots: usize) -> Self {
        let state = State { slots, clients: Vec::new(), next: 0, looking: false };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a pipe in a build's folder, for the build's user (number and group).
    pub(crate) fn join(&self, folder: &Path, user: Option<(u32, u32)>) -> Result<Lease> {
        let path = folder.join(PIPE);
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(io::Error::from)
            .io("creating", &path)?;
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path).io("opening", &path)?;
        if let Some((uid, gid)) = user {
            fchown(&pipe, Some(uid), Some(gid)).io("changing the owner of", &path)?;
        }
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.clients.push(Client { id, pipe, given: 0 });
        state.spread();
        if !state.looking {
            state.looking = true;
            let server = self.clone();
            // It ends when the last build has left.
            let started = std::thread::Builder::new().name("job server".into()).spawn(move || server.look());
            state.looking = started.is_ok();
        }
        Ok(Lease { server: self.clone(), id })
    }

    fn look(&self) {
        loop {
            std::thread::sleep(TICK);
            let mut state = self.state();
            if state.clients.is_empty() {
                state.looking = false;
                return;
            }
            state.spread();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.server.state();
        state.clients.retain(|client| client.id != self.id);
        state.spread();
    }
}

impl State {
    /// Gives every client its part of the slots that nobody has taken.
    fn spread(&mut self) {
        let clients = self.clients.len();
        if clients == 0 {
            return;
        }
        let waiting: Vec<usize> = self.clients.iter_mut().map(Client::waiting).collect();
        let taken: Vec<usize> =
            self.clients.iter().zip(&waiting).map(|(client, waiting)| client.given - waiting).collect();
        // Each build has one without asking.
        let free = self.slots.saturating_sub(clients).saturating_sub(taken.iter().sum());
        // What does not go round goes to those that have the least.
        let mut poorest: Vec<usize> = (0..clients).collect();
        poorest.sort_by_key(|at| taken[*at]);
        let mut parts = vec![free / clients; clients];
        poorest.iter().take(free % clients).for_each(|at| parts[*at] += 1);
        // Taken back first: what is given is never more than there is.
        for give in [false, true] {
            for ((client, waiting), part) in self.clients.iter_mut().zip(&waiting).zip(&parts) {
                if give {
                    client.give(part.saturating_sub(*waiting));
                } else {
                    client.take_back(waiting.saturating_sub(*part));
                }
            }
        }
    }
}

impl Client {
    /// Bytes that lie in the pipe and are ours.
    fn waiting(&mut self) -> usize {
        let lying = rustix::io::ioctl_fionread(&self.pipe).map_or(0, |count| count as usize);
        // Whatever is too much was never given.
        let _ = self.pull(lying.saturating_sub(self.given));
        lying.min(self.given)
    }

    fn pull(&mut self, count: usize) -> usize {
        let mut buffer = vec![0; count.min(4096)];
        if count == 0 { 0 } else { self.pipe.read(&mut buffer).unwrap_or(0) }
    }

    fn take_back(&mut self, count: usize) {
        // The builder may have been faster.
        self.given -= self.pull(count).min(self.given);
    }

    fn give(&mut self, count: usize) {
        let bytes = vec![b'+'; count.min(4096)];
        if count != 0 {
            self.given += self.pipe.write(&bytes).unwrap_or(0);
        }
    }
}

/// What tells make and its like of the pipe.
pub(crate) fn make_flags(folder: &Path, cores: usize) -> Vec<u8> {
    let pipe = folder.join(PIPE);
    [format!(" -j{cores} --jobserver-auth=fifo:").as_bytes(), pipe.as_os_str().as_encoded_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(folder: &Path, count: usize) -> usize {
        let flags = libc::O_NONBLOCK;
        let mut pipe = OpenOptions::new().read(true).write(true).custom_flags(flags).open(folder.join(PIPE)).unwrap();
        let mut buffer = vec![0; count];
        pipe.read(&mut buffer).unwrap_or(0)
    }

    fn put(folder: &Path, count: usize) {
        OpenOptions::new().write(true).open(folder.join(PIPE)).unwrap().write_all(&vec![b'+'; count]).unwrap();
    }

    /// The server without its thread: slots are spread when the test says so.
    fn still(slots: usize) -> JobServer {
        let server = JobServer::new(slots);
        server.state().looking = true;
        server
    }

    #[test]
    fn slots_are_shared_and_never_lost() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [one, two] = [folders[0].path(), folders[1].path()];
        let server = still(8);
        let first = server.join(one, None).unwrap();
        assert_eq!(taken(one, 5), 5);
        // One of eight is the build's own, five are taken, and with the second build there is none left for its pipe.
        let second = server.join(two, None).unwrap();
        assert_eq!(taken(two, 9), 1);
        server.state().spread();
        assert_eq!((taken(one, 9), taken(two, 9)), (0, 0));
        put(one, 2);
        server.state().spread();
        assert_eq!(taken(two, 9), 1);
        // Killed with all that it holds: everything but the other build's own slot and what that took is there again.
        drop(first);
        assert_eq!(taken(two, 9), 5);
        drop(second);
        let third = tempfile::tempdir().unwrap();
        let _third = server.join(third.path(), None).unwrap();
        assert_eq!(taken(third.path(), 99), 7);
    }

    #[test]
    fn slots_that_a_builder_makes_up_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let server = still(3);
        let _lease = server.join(folder.path(), None).unwrap();
        put(folder.path(), 1000);
        server.state().spread();
        assert_eq!(taken(folder.path(), 9999), 2);
        put(folder.path(), 1000);
        for _ in 0..3 {
            server.state().spread();
        }
        assert_eq!(taken(folder.path(), 9999), 2);
    }

    #[test]
    fn one_core_has_nothing_to_share() {
        let folder = tempfile::tempdir().unwrap();
        let _lease = still(1).join(folder.path(), None).unwrap();
        assert_eq!(taken(folder.path(), 9), 0);
    }
}
