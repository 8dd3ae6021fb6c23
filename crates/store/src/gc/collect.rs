//! A collection, from taking the lock to giving it back.
//!
//! `gc.lock` is held and the socket served from before the first root is read until the last object has its place no more.
//! Then, batch by batch, those first to which nothing refers: the paths become pending; one transaction looks once more for
//! whoever refers to them and deletes the rows of the others; when that is durable, the objects are renamed into the trash,
//! beside the transaction of the next batch; the paths are pending no more. An object without a row is garbage that the next
//! collection finds; a row without an object would be a lie, so nothing is renamed before the commit. Unlinking goes on
//! beside all that.
//!
//! On a full disk the space set aside is given back first, and what needs no row is deleted first; when the database cannot
//! grow, what was renamed is unlinked before the next try, with fewer paths.
//!
//! Absent: what lives (`live.rs`), roots (`roots.rs`), unlinking (`trash.rs`).

use super::graph::{Graph, Node};
use super::live::{Live, Policy};
use super::socket::{Server, Shared};
use super::trash::{Trash, measure};
use crate::local::lock::{open_lock_file, try_flock, wait_flock};
use crate::local::{LocalStore, last_use};
use crate::{Error, GcAction, GcOptions, GcResults, Result};
use activity::{Activity, Verbosity};
use rusqlite::{Connection, Transaction};
use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ScopedJoinHandle;
use store_model::StorePath;

/// Paths that are deleted together: a client that wants one of them waits for all, about half a second. The rows of a batch
/// lie all over the database, so many small ones would write every page of it many times.
const BATCH: usize = 8192;

/// One collection.
pub(super) struct Collection<'a> {
    store: &'a LocalStore,
    activity: &'a Activity,
    options: &'a GcOptions,
    results: &'a mut GcResults,
    shared: Arc<Shared>,
    graph: Arc<Graph>,
    deleted: Vec<bool>,
    /// Bytes of what was deleted, measured before; only with a bound.
    measured: u64,
}

/// What stands in the store's folder beside the valid paths.
#[derive(Default)]
struct Others {
    /// Names that are store paths, of objects that nobody registered.
    invalid: Vec<StorePath>,
    /// Other names.
    unknown: Vec<OsString>,
}

/// Why deleting ended before all was done.
enum Stop {
    /// Enough was freed.
    Enough,
    /// Something failed.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// Collects, after whoever collects now.
pub(super) fn run(store: &LocalStore, activity: &Activity, options: &GcOptions, results: &mut GcResults) -> Result<()> {
    with_reserve(store, options, || {
        let path = store.options.state_dir.join("gc.lock");
        let lock = open_lock_file(&path)?;
        if !try_flock(&lock, &path, true)? {
            activity.message(Verbosity::Error, "waiting for the big garbage collector lock...");
            wait_flock(activity, &lock, &path, true)?;
        }
        locked(store, activity, options, results, lock)
    })
}

/// Collects, unless somebody does; tells whether it did.
pub(super) fn run_unless_running(
    store: &LocalStore,
    activity: &Activity,
    options: &GcOptions,
    results: &mut GcResults,
) -> Result<bool> {
    with_reserve(store, options, || {
        let path = store.options.state_dir.join("gc.lock");
        let lock = open_lock_file(&path)?;
        let free = try_flock(&lock, &path, true)?;
        if free {
            locked(store, activity, options, results, lock)?;
        }
        Ok(free)
    })
}

fn deletes(options: &GcOptions) -> bool {
    matches!(options.action, GcAction::DeleteDead | GcAction::DeleteSpecific(_))
}

/// Deleting needs a little space, which was set aside for it.
fn with_reserve<T>(store: &LocalStore, options: &GcOptions, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if !deletes(options) {
        return work();
    }
    if store.options.read_only {
        return Err(Error::ReadOnly(store.options.state_dir.clone()));
    }
    store.database.free_reserve();
    let done = work();
    store.database.reserve();
    done
}

fn locked(
    store: &LocalStore,
    activity: &Activity,
    options: &GcOptions,
    results: &mut GcResults,
    lock: File,
) -> Result<()> {
    store.files.faults.pass("gc-locked")?;
    // Deleting certain paths in spite of roots must not reach for their derivations or outputs as well.
    let certain = matches!(options.action, GcAction::DeleteSpecific(_)) && options.ignore_liveness;
    let policy = Policy {
        keep_outputs: store.options.keep_outputs && !certain,
        keep_derivations: store.options.keep_derivations && !certain,
    };
    let shared = Shared::new(Live::new(policy));
    let server = Server::start(&store.options.state_dir, &store.options.store_dir, &shared)?;
    activity.message(Verbosity::Info, "finding garbage collector roots...");
    // The temporary ones first: whoever makes a lasting root of one of them and ends meanwhile is seen in one place or
    // the other.
    for root in store.temporary_roots(activity)? {
        shared.live().temporary_root(&root.path);
    }
    if !options.ignore_liveness {
        for root in store.lasting_roots(activity)?.keys() {
            shared.live().root(root);
        }
    }
    store.files.faults.pass("gc-roots-found")?;
    let realised =
        |connection: &Connection, drvs: &[(i64, StorePath)]| store.realised_pairs(activity, connection, drvs);
    let file = store.options.state_dir.join("db/db.sqlite");
    let graph = Arc::new(
        store
            .database
            .read(activity, |connection| Graph::load(connection, &store.options.store_dir, &file, &realised))?,
    );
    shared.live().set_graph(Arc::clone(&graph));
    let deleted = vec![false; graph.len()];
    let mut collection = Collection { store, activity, options, results, shared, graph, deleted, measured: 0 };
    if !deletes(options) {
        return collection.tell();
    }
    let mut trash = Trash::create(activity, &store.options.real_dir, &format!("tmp-gc-{}", store.files.unique()))?;
    let stopped = collection.delete(&mut trash);
    let results = collection.results;
    // Everything has left its place: others may go on as if there were no collection.
    drop(server);
    drop(lock);
    let (bytes, unlinked) = trash.finish();
    results.bytes_freed += bytes;
    match stopped {
        Err(Stop::Failed(error)) => return Err(error),
        Err(Stop::Enough) => {
            let text = format!("deleted more than {} bytes; stopping", options.max_freed);
            activity.message(Verbosity::Info, &text);
        }
        Ok(()) => {}
    }
    unlinked?;
    // C++ Nix's collector, which would come upon links that vanish, has the folder for itself while it holds the lock.
    let path = store.options.state_dir.join("gc.lock");
    let lock = open_lock_file(&path)?;
    // Who collects now sweeps as well.
    if try_flock(&lock, &path, true)? { super::links::sweep(store, activity) } else { Ok(()) }
}

impl Collection<'_> {
    fn message(&self, text: &str) {
        self.activity.message(Verbosity::Info, text);
    }

    fn logical(&self, name: &OsStr) -> PathBuf {
        Path::new(self.store.options.store_dir.as_str()).join(name)
    }

    /// Tells what lives or could be deleted.
    fn tell(&mut self) -> Result<()> {
        self.message("determining live/dead paths...");
        let wants_alive = self.options.action == GcAction::ReturnLive;
        let others = self.others()?;
        let dead = if wants_alive { Vec::new() } else { self.dead_in_order()? };
        let live = self.shared.live();
        let nodes: Vec<Node> =
            if wants_alive { self.graph.nodes().filter(|node| live.is_alive(*node)).collect() } else { dead };
        let bytes = nodes.iter().map(|node| self.graph.size(*node)).sum();
        let invalid = others.invalid.iter().filter(|path| live.is_protected(path) == wants_alive);
        let mut found: Vec<&StorePath> = nodes.iter().map(|node| self.graph.path(*node)).chain(invalid).collect();
        found.sort_unstable_by_key(|path| path.as_str());
        let store_dir = &self.store.options.store_dir;
        self.results.paths = found.into_iter().map(|path| PathBuf::from(store_dir.print(path))).collect();
        drop(live);
        self.results.bytes_freed = if wants_alive { 0 } else { bytes };
        Ok(())
    }

    /// What may be deleted, in an order in which each path stands before what it refers to, and otherwise those first that
    /// were not used for longest.
    fn dead_in_order(&self) -> Result<Vec<Node>> {
        let graph = &self.graph;
        let used = self.last_uses()?;
        let mut live = self.shared.live();
        if let Some(since) = self.options.keep_since {
            for node in graph.nodes().filter(|node| used[*node as usize] >= since) {
                live.keep(node);
            }
        }
        let mut order = graph.referrers_first(|node| !live.is_alive(node));
        drop(live);
        // Who uses a path uses what it refers to, so no path comes before one that refers to it.
        order.sort_by_key(|node| used[*node as usize]);
        if let Some(most) = self.options.max_size {
            let mut size: u64 = graph.nodes().map(|node| graph.size(node)).sum();
            let mut count = 0;
            while size > most && count < order.len() {
                size = size.saturating_sub(graph.size(order[count]));
                count += 1;
            }
            order.truncate(count);
        }
        Ok(order)
    }

    /// When each path, or one that leads to it, was last used or registered.
    fn last_uses(&self) -> Result<Vec<i64>> {
        let graph = &self.graph;
        let file = self.store.options.state_dir.join("db/last-use");
        let noted = last_use::load(&self.store.options.state_dir).map_err(Error::io("reading", &file))?;
        let own = |node: Node| {
            let noted = noted.get(&last_use::digits_of(graph.path(node))).copied();
            noted.unwrap_or(0).max(graph.registered(node))
        };
        let mut used: Vec<i64> = graph.nodes().map(own).collect();
        for node in graph.referrers_first(|_| true) {
            for reference in graph.references(node) {
                used[*reference as usize] = used[*reference as usize].max(used[node as usize]);
            }
        }
        Ok(used)
    }

    /// What stands in the store's folder without being valid.
    fn others(&self) -> Result<Others> {
        let folder = &self.store.options.real_dir;
        let mut others = Others::default();
        for entry in std::fs::read_dir(folder).map_err(Error::io("reading directory", folder))? {
            let entry = entry.map_err(Error::io("reading directory", folder))?;
            let name = entry.file_name();
            match StorePath::parse_bytes(name.as_bytes()) {
                Ok(path) if self.graph.find(&path).is_some() => {}
                Ok(path) => others.invalid.push(path),
                Err(_) if name == ".links" => {}
                Err(_) => others.unknown.push(name),
            }
        }
        others.invalid.sort_unstable();
        others.unknown.sort_unstable();
        Ok(others)
    }

    fn delete(&mut self, trash: &mut Trash) -> Result<(), Stop> {
        if let GcAction::DeleteSpecific(paths) = &self.options.action {
            return self.delete_these(paths, trash);
        }
        if self.options.max_freed == 0 {
            return Ok(());
        }
        self.message("deleting garbage...");
        let others = self.others()?;
        self.delete_others(others, trash)?;
        let order = self.dead_in_order()?;
        self.store.database.expect_many_changes(self.activity)?;
        self.delete_nodes(&order, trash)
    }

    /// Deletes certain paths, or fails at the first that is needed.
    fn delete_these(&mut self, paths: &BTreeSet<StorePath>, trash: &mut Trash) -> Result<(), Stop> {
        let graph = Arc::clone(&self.graph);
        let needed = |path: &StorePath| Error::StillAlive(self.store.options.store_dir.print(path));
        for path in paths {
            let Some(node) = graph.find(path) else {
                if self.shared.live().is_protected(path) {
                    return Err(needed(path).into());
                }
                self.delete_others(Others { invalid: vec![path.clone()], unknown: Vec::new() }, trash)?;
                continue;
            };
            if self.deleted[node as usize] {
                continue;
            }
            let deleted = &self.deleted;
            let allowed = |node: Node| deleted[node as usize] || paths.contains(graph.path(node));
            let Some(dependents) = self.shared.live().dependents(node, allowed) else {
                return Err(needed(path).into());
            };
            let chosen: BTreeSet<Node> = dependents.into_iter().filter(|node| !deleted[*node as usize]).collect();
            let order = graph.referrers_first(|node| chosen.contains(&node));
            self.delete_nodes(&order, trash)?;
            if !self.deleted[node as usize] {
                return Err(Error::StillAlive(self.store.options.store_dir.print(path)).into());
            }
        }
        Ok(())
    }

    /// Deletes what no row speaks of.
    fn delete_others(&mut self, others: Others, trash: &mut Trash) -> Result<(), Stop> {
        for name in others.unknown {
            self.activity.check().map_err(Error::from)?;
            if name.as_bytes().starts_with(b"tmp-") && self.is_in_use(&name) {
                continue;
            }
            self.take(trash, &name)?;
        }
        let mut rest = others.invalid.as_slice();
        while !rest.is_empty() {
            self.activity.check().map_err(Error::from)?;
            let (batch, later) = rest.split_at(self.batch_size().min(rest.len()));
            rest = later;
            let taken = self.shared.live().begin_invalid(batch);
            let done = taken.iter().try_for_each(|path| self.take(trash, path.as_str().as_ref()));
            self.shared.end_batch();
            done?;
        }
        trash.hand_over();
        Ok(())
    }

    /// Whether another process holds the lock of a folder for what is not finished.
    fn is_in_use(&self, name: &OsStr) -> bool {
        let path = self.store.options.real_dir.join(name);
        match File::open(&path) {
            // The lock is ours until the file is closed; by then the folder has another name.
            Ok(folder) => !try_flock(&folder, &path, true).unwrap_or(false),
            Err(_) => false,
        }
    }

    /// With a bound, each path is looked at alone.
    fn batch_size(&self) -> usize {
        if self.options.max_freed == u64::MAX { BATCH } else { 1 }
    }

    fn delete_nodes(&mut self, order: &[Node], trash: &mut Trash) -> Result<(), Stop> {
        let done = match self.batch_size() {
            1 => self.delete_one_by_one(order, trash),
            _ => self.delete_in_batches(order, trash).map_err(Stop::from),
        };
        trash.hand_over();
        done
    }

    fn delete_one_by_one(&mut self, order: &[Node], trash: &mut Trash) -> Result<(), Stop> {
        let graph = Arc::clone(&self.graph);
        for node in order {
            let gone = self.delete_batch(std::slice::from_ref(node));
            let done = gone.map_err(Stop::from).and_then(|gone| {
                gone.iter().try_for_each(|node| self.take(trash, graph.path(*node).as_str().as_ref()))
            });
            self.shared.end_batch();
            done?;
        }
        Ok(())
    }

    /// While the objects of one batch leave their places, the rows of the next are deleted.
    fn delete_in_batches(&mut self, order: &[Node], trash: &mut Trash) -> Result<()> {
        let (mut rest, mut size) = (order, BATCH);
        let (store, shared, graph) = (self.store, Arc::clone(&self.shared), Arc::clone(&self.graph));
        let (shared, graph, trash) = (&*shared, &*graph, &Mutex::new(trash));
        std::thread::scope(|scope| {
            let mut leaving = None;
            while !rest.is_empty() {
                let count = size.min(rest.len());
                let gone = self.delete_batch(&rest[..count]);
                let left = join(leaving.take());
                match gone {
                    Ok(gone) => {
                        let names = gone.iter().map(|node| graph.path(*node).as_str().as_ref());
                        let names: Vec<&OsStr> = names.collect();
                        let told = names.clone();
                        leaving = Some(scope.spawn(move || leave(store, shared, trash, &names)));
                        told.iter().for_each(|name| self.tell_deletion(name));
                        rest = &rest[count..];
                    }
                    Err(error) if error.is_disk_full() && size > 1 => {
                        shared.end_batch();
                        lock(trash).drain();
                        self.store.database.make_room();
                        size = (size / 8).max(1);
                    }
                    Err(error) => {
                        shared.end_batch();
                        return Err(error);
                    }
                }
                left?;
            }
            join(leaving)
        })
    }

    /// Deletes the rows of those of a batch that do not live, and tells which. They are pending from now on.
    fn delete_batch(&mut self, nodes: &[Node]) -> Result<Vec<Node>> {
        self.activity.check()?;
        let batch = self.shared.live().begin(nodes);
        if batch.is_empty() {
            return Ok(batch);
        }
        let faults = &self.store.files.faults;
        faults.pass("gc-pending")?;
        // Once begun, a batch is finished.
        let calm = self.activity.with_token(activity::CancelToken::new());
        let gone = self.store.database.write(&calm, |transaction| {
            let gone = self.delete_rows(transaction, &batch)?;
            faults.pass("gc-transaction-filled")?;
            Ok(gone)
        })?;
        faults.pass("gc-transaction-committed")?;
        self.store.database.sync()?;
        faults.pass("gc-transaction-synced")?;
        gone.iter().for_each(|node| self.deleted[*node as usize] = true);
        Ok(gone)
    }

    /// Deletes the rows of paths to which nothing refers any more, and tells which. Others live.
    fn delete_rows(&self, transaction: &Transaction<'_>, batch: &[Node]) -> Result<Vec<Node>> {
        let failed = self.store.database.failed();
        let mut referrer = transaction
            .prepare_cached("select 1 from Refs where reference = ?1 and referrer <> ?1 limit 1")
            .map_err(&failed)?;
        let mut delete = transaction.prepare_cached("delete from ValidPaths where id = ?").map_err(&failed)?;
        let mut gone = Vec::with_capacity(batch.len());
        for node in batch {
            let id = self.graph.id(*node);
            // A referrer earlier in the batch was kept, and this with it.
            if self.shared.live().is_alive(*node) {
                continue;
            }
            if referrer.exists([id]).map_err(&failed)? {
                self.shared.live().keep(*node);
                continue;
            }
            // Somebody else may have deleted the row, and even made the path valid again under a new number.
            if delete.execute([id]).map_err(&failed)? == 1 {
                gone.push(*node);
            }
        }
        Ok(gone)
    }

    /// Tells that an object is deleted.
    fn tell_deletion(&mut self, name: &OsStr) {
        let path = self.logical(name);
        self.message(&format!("deleting '{}'", path.display()));
        self.results.paths.push(path);
    }

    /// Takes an object from its place.
    fn take(&mut self, trash: &mut Trash, name: &OsStr) -> Result<(), Stop> {
        if self.options.max_freed != u64::MAX {
            self.measured += self.measure(name);
        }
        self.tell_deletion(name);
        trash.take(name)?;
        if self.options.max_freed != u64::MAX && self.measured > self.options.max_freed {
            return Err(Stop::Enough);
        }
        Ok(())
    }

    fn measure(&self, name: &OsStr) -> u64 {
        let measured = || {
            let folder = File::open(&self.store.options.real_dir).ok()?;
            measure(folder.as_fd(), &CString::new(name.as_bytes()).ok()?).ok()
        };
        // What cannot be read counts for nothing; deleting it will say why.
        measured().unwrap_or(0)
    }
}

/// Takes the objects of a batch from their places, and ends the batch.
fn leave(store: &LocalStore, shared: &Shared, trash: &Mutex<&mut Trash>, names: &[&OsStr]) -> Result<()> {
    let taken = lock(trash).take_many(names);
    let passed = store.files.faults.pass("gc-renamed");
    shared.end_batch();
    taken.and(passed)
}

fn join(leaving: Option<ScopedJoinHandle<'_, Result<()>>>) -> Result<()> {
    leaving.map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
}

fn lock<'m, 't>(trash: &'m Mutex<&'t mut Trash>) -> MutexGuard<'m, &'t mut Trash> {
    // What a thread that panicked took is unlinked like the rest.
    trash.lock().unwrap_or_else(PoisonError::into_inner)
}
