//! Objects from one store to another, streamed, several at once.
//!
//! A path goes when all that it refers to is there; of those that can go, as many go at once as there are places. For each
//! one thread reads from the one store while another writes to the other, with a few pieces between them. The first error
//! lets no new path begin and is the result. Absent: deciding which paths (closures are the caller's), and building.

use crate::pipe::{is_closed, pipe};
use crate::{Error, Result, Store, TemporaryRoots, WritableStore, WriteOptions};
use activity::{Activity, ActivityKind, CancelToken, Field};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use store_model::{PathInfo, References, StoreDir, StorePath};

/// A store in messages, and what may be done with it.
#[derive(Clone)]
pub struct Place<S: ?Sized> {
    /// The store.
    pub store: Arc<S>,
    /// Its URI.
    pub uri: String,
}

/// Where copies go.
pub struct Destination<'a> {
    /// The store.
    pub place: Place<dyn WritableStore>,
    /// Keeps what is there already from being collected.
    pub roots: Option<&'a dyn TemporaryRoots>,
    /// How it is written to.
    pub options: WriteOptions,
    /// How many paths go at once.
    pub jobs: usize,
}

/// Copies those of the paths that the destination does not have. They stand after what they refer to, which is among them
/// or there already.
pub fn copy_paths(
    activity: &Activity,
    from: &Place<dyn Store>,
    to: &Destination<'_>,
    paths: &[StorePath],
) -> Result<()> {
    if let Some(roots) = to.roots {
        roots.add_temp_roots(activity, paths)?;
    }
    let valid = if to.options.repair { BTreeSet::new() } else { to.place.store.valid_paths(activity, paths)? };
    let missing: Vec<StorePath> = paths.iter().filter(|path| !valid.contains(*path)).cloned().collect();
    let mut infos = Vec::with_capacity(missing.len());
    for (path, info) in missing.iter().zip(from.store.path_infos(activity, &missing)?) {
        infos.push(info.ok_or_else(|| Error::InvalidPath(from.store.store_dir().print(path)))?);
    }
    if infos.is_empty() {
        return Ok(());
    }
    let text = format!("copying {} paths...", infos.len());
    let work = activity.child(ActivityKind::CopyPaths, &text, &[]);
    run(&work, from, to, infos)
}

/// What waits for what.
struct Graph {
    infos: Vec<Option<PathInfo>>,
    /// How many of the paths that one refers to are still to come.
    open: Vec<usize>,
    referrers: Vec<Vec<usize>>,
}

impl Graph {
    fn new(infos: Vec<PathInfo>) -> Graph {
        let at: BTreeMap<StorePath, usize> =
            infos.iter().enumerate().map(|(at, info)| (info.path.clone(), at)).collect();
        let mut graph = Graph {
            open: vec![0; infos.len()],
            referrers: vec![Vec::new(); infos.len()],
            infos: Vec::with_capacity(infos.len()),
        };
        for (own, info) in infos.into_iter().enumerate() {
            for other in info.references.iter().filter_map(|path| at.get(path)).filter(|other| **other != own) {
                graph.open[own] += 1;
                graph.referrers[*other].push(own);
            }
            graph.infos.push(Some(info));
        }
        graph
    }

    fn ready(&self) -> Vec<usize> {
        (0..self.open.len()).filter(|at| self.open[*at] == 0).collect()
    }

    /// A path is there: what can go now.
    fn done(&mut self, at: usize) -> Vec<usize> {
        let mut ready = Vec::new();
        for referrer in std::mem::take(&mut self.referrers[at]) {
            self.open[referrer] -= 1;
            if self.open[referrer] == 0 {
                ready.push(referrer);
            }
        }
        ready
    }
}

fn run(work: &Activity, from: &Place<dyn Store>, to: &Destination<'_>, infos: Vec<PathInfo>) -> Result<()> {
    let total = infos.len() as u64;
    let mut graph = Graph::new(infos);
    let (give, take) = channel::<PathInfoAt>();
    let take = Mutex::new(take);
    let (tell, hear) = channel();
    // Ends this copy's threads only.
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        for _ in 0..to.jobs.max(1).min(graph.infos.len()) {
            let (tell, take, token) = (tell.clone(), &take, token.clone());
            scope.spawn(move || {
                loop {
                    let next = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((at, info)) = next else { return };
                    let mine = work.with_token(token.clone());
                    let copied = copy_path(&mine, from, to, &info);
                    if tell.send((at, copied)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        let mut running = 0;
        let mut done = 0;
        let mut result = Ok(());
        let mut ready = graph.ready();
        loop {
            if result.is_ok() {
                for at in ready.drain(..) {
                    let Some(info) = graph.infos[at].take() else { continue };
                    running += u64::from(give.send((at, info)).is_ok());
                }
            }
            work.progress(done, total, running, 0);
            if running == 0 {
                break;
            }
            match hear.recv_timeout(std::time::Duration::from_millis(100)) {
                Ok((at, copied)) => {
                    running -= 1;
                    match copied {
                        Ok(()) => {
                            done += 1;
                            ready.extend(graph.done(at));
                        }
                        Err(error) => {
                            token.cancel();
                            result = result.and(Err(error));
                        }
                    }
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
            if result.is_ok()
                && let Err(cancelled) = work.check()
            {
                token.cancel();
                result = Err(cancelled.into());
            }
        }
        drop(give);
        if result.is_ok() && done < total {
            let dir = from.store.store_dir();
            let left = graph.infos.iter().flatten().next().map(|info| dir.print(&info.path)).unwrap_or_default();
            result = Err(Error::Cycle { path: left.clone(), parent: left });
        }
        result
    })
}

type PathInfoAt = (usize, PathInfo);

/// Copies one path; what it refers to is there.
pub fn copy_path(activity: &Activity, from: &Place<dyn Store>, to: &Destination<'_>, info: &PathInfo) -> Result<()> {
    let path = from.store.store_dir().print(&info.path);
    let text = match (from.uri.as_str(), to.place.uri.as_str()) {
        (source, "local" | "auto" | "daemon") => format!("copying path '{path}' from '{source}'"),
        ("local" | "auto" | "daemon", target) => format!("copying path '{path}' to '{target}'"),
        (source, target) => format!("copying path '{path}' from '{source}' to '{target}'"),
    };
    let fields = [Field::from(path.as_str()), Field::from(from.uri.as_str()), Field::from(to.place.uri.as_str())];
    let token = activity.cancel_token().clone();
    let shown = activity.child(ActivityKind::CopyPath, &text, &fields);
    let there = translated(info, from.store.store_dir(), to.place.store.store_dir())?;
    let (mut writer, mut reader) = pipe();
    std::thread::scope(|scope| {
        let source = &from.store;
        let reading = shown.with_token(token);
        let sent = scope.spawn(move || {
            source.nar(&reading, &info.path, &mut writer)?;
            writer.finish().map_err(Error::Stream)
        });
        let taken = to.place.store.add_nar(&shown, &there, &mut reader, &to.options);
        // A destination that has the path already, or refuses it, does not read to the end.
        drop(reader);
        let sent = sent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (taken, sent) {
            // What the source says explains why the stream broke off.
            (Err(Error::Stream(_) | Error::Tree(_)), Err(error)) if !is_closed(&error) => Err(error),
            (taken, _) => taken,
        }
    })
}

/// What the destination should know of a path. Between stores of different folders only what proves itself and refers to
/// nothing can go: its path changes.
fn translated(info: &PathInfo, from: &StoreDir, to: &StoreDir) -> Result<PathInfo> {
    let mut there = info.clone();
    there.ultimate = false;
    there.registration_time = 0;
    if from == to {
        return Ok(there);
    }
    let path = from.print(&info.path);
    match &info.content_address {
        Some(address) if info.references.is_empty() => {
            there.path = to.content_addressed_path(info.path.name(), address, &References::default())?;
            there.deriver = None;
            // They are about the other path.
            there.signatures.clear();
            Ok(there)
        }
        _ => Err(Error::Remote {
            message: format!("cannot copy '{path}' to a store in '{to}': its path would be wrong there"),
            class: crate::ErrorClass::Permanent,
        }),
    }
}
