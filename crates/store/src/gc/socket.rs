//! The collector's socket: where others tell of roots while a collection holds `gc.lock`.
//!
//! A client writes store paths, one a line, and reads `1` for each. The answer comes when the path, with all that follows
//! from it, will not be deleted any more; a path that is being deleted just now is answered when it is gone, as its new owner
//! may write it then. A client that gets no answer before the connection ends tries again, as the lock may be free.
//!
//! Absent: the client's end (`local/temp_roots.rs`), and what a root means (`live.rs`).

use super::live::Live;
use crate::{Error, Result};
use rustc_hash::FxHashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use store_model::{StoreDir, StorePath};

/// Longer lines are no store paths.
const LONGEST_LINE: u64 = 8 << 10;
/// Socket addresses hold no longer paths.
const LONGEST_ADDRESS: usize = 107;

/// What lives, shared by the collection and the threads of the socket.
pub(super) struct Shared {
    live: Mutex<Live>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(live: Live) -> Arc<Shared> {
        Arc::new(Shared { live: Mutex::new(live), changed: Condvar::new() })
    }

    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        // Every change is completed even if another thread panicked: the state errs on the side of keeping.
        self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The batch that began first is gone: whoever waits for one of its paths may go on.
    pub(super) fn end_batch(&self) {
        self.live().end();
        self.changed.notify_all();
    }

    /// Takes a root, and returns when its path may be used; false when the server ends before.
    fn take_root(&self, path: &StorePath, clients: &Mutex<Clients>) -> bool {
        let mut live = self.live();
        live.temporary_root(path);
        while live.is_pending(path) {
            if lock(clients).ended {
                return false;
            }
            live = self.changed.wait(live).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        true
    }
}

#[derive(Default)]
struct Clients {
    ended: bool,
    next: u64,
    streams: FxHashMap<u64, UnixStream>,
    threads: Vec<JoinHandle<()>>,
}

fn lock(clients: &Mutex<Clients>) -> MutexGuard<'_, Clients> {
    clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The server; dropping it ends it and all connections.
pub(super) struct Server {
    path: PathBuf,
    listener: Arc<UnixListener>,
    clients: Arc<Mutex<Clients>>,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve. The caller holds `gc.lock`, so a socket that is there belongs to nobody.
    pub(super) fn start(state_dir: &Path, store_dir: &StoreDir, shared: &Arc<Shared>) -> Result<Server> {
        let folder = state_dir.join("gc-socket");
        let path = folder.join("socket");
        fs::create_dir_all(&folder).map_err(Error::io("creating directory", &folder))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("deleting", &path)(error)),
            _ => {}
        }
        let listener = Arc::new(bind(&folder, &path).map_err(Error::io("creating socket", &path))?);
        // Whoever may write to the store may root paths.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(Error::io("changing mode of", &path))?;
        let clients: Arc<Mutex<Clients>> = Arc::default();
        let accept = {
            let (listener, clients) = (Arc::clone(&listener), Arc::clone(&clients));
            let (store_dir, shared) = (store_dir.clone(), Arc::clone(shared));
            move || accept_clients(&listener, &store_dir, &shared, &clients)
        };
        let accepting = std::thread::Builder::new().name("gc-socket".to_owned()).spawn(accept);
        let accepting = Some(accepting.map_err(Error::io("serving", &path))?);
        Ok(Server { path, listener, clients, shared: Arc::clone(shared), accepting })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before anything is closed: who finds no socket looks at the lock again.
        let _ = fs::remove_file(&self.path);
        let threads = {
            let mut clients = lock(&self.clients);
            clients.ended = true;
            for stream in clients.streams.values() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut clients.threads)
        };
        drop(self.shared.live());
        self.shared.changed.notify_all();
        // Wakes the thread that waits for clients.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        for thread in self.accepting.take().into_iter().chain(threads) {
            let _ = thread.join();
        }
        let late = std::mem::take(&mut lock(&self.clients).threads);
        late.into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// Binds to a path that may be longer than an address.
fn bind(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    if path.as_os_str().len() <= LONGEST_ADDRESS {
        return UnixListener::bind(path);
    }
    let folder = File::open(folder)?;
    UnixListener::bind(format!("/proc/self/fd/{}/socket", folder.as_raw_fd()))
}

fn accept_clients(listener: &UnixListener, store_dir: &StoreDir, shared: &Arc<Shared>, clients: &Arc<Mutex<Clients>>) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(_) if lock(clients).ended => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // No descriptor is free, say. Clients wait meanwhile.
            Err(_) => {
                std::thread::sleep(std::time::Duration::from_millis(20));
                continue;
            }
        };
        let mut known = lock(clients);
        if known.ended {
            return;
        }
        known.threads.retain(|thread| !thread.is_finished());
        let Ok(second) = stream.try_clone() else { continue };
        let number = known.next;
        known.next += 1;
        known.streams.insert(number, second);
        let (store_dir, shared, all) = (store_dir.clone(), Arc::clone(shared), Arc::clone(clients));
        let serve = move || {
            // Whatever ends the connection, the client notices.
            let _ = serve(&stream, &store_dir, &shared, &all);
            lock(&all).streams.remove(&number);
        };
        match std::thread::Builder::new().name("gc-client".to_owned()).spawn(serve) {
            Ok(thread) => known.threads.push(thread),
            Err(_) => drop(known.streams.remove(&number)),
        }
    }
}

fn serve(stream: &UnixStream, store_dir: &StoreDir, shared: &Shared, clients: &Mutex<Clients>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(());
        }
        // What is no store path roots nothing, and is answered all the same.
        if let Ok(path) = store_dir.parse_bytes(&line)
            && !shared.take_root(&path, clients)
        {
            return Ok(());
        }
        (&mut &*stream).write_all(b"1")?;
    }
}
