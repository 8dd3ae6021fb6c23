//! A store made visible at its logical path, for programs that are run from it.
//!
//! For a store that lies elsewhere than its paths say: [`enter`] executes our own binary once more in this very process,
//! so that process number and terminal stay; there, with one thread, a new mount namespace (and a user namespace, unless
//! root) shows the store where it belongs, and the program takes over. Three ways, by what the host has at that place:
//!
//! - nothing: a root of its own in memory, with everything of the host's root and the store added;
//! - an empty folder: the store lies over it;
//! - a store of its own: both together, by an overlay, else path by path.
//!
//! Users and groups stay what they are. Nothing outlives the program. Absent: isolation of any kind.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, MemfdFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::child::{CHILD_ARGUMENT, Failure, Step};
use super::sys;
use super::wire::{self, c_path, c_text, wire_struct};
use crate::error::Error;

/// What is run, and which store it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnterRequest {
    /// Where the store's objects lie.
    pub real_store: PathBuf,
    /// Where they are to be seen, absolute.
    pub store_dir: PathBuf,
    /// Path of the program, as seen with the store in place.
    pub program: PathBuf,
    /// Arguments, the program's name first.
    pub argv: Vec<OsString>,
    /// Variables, `NAME=value`.
    pub env: Vec<OsString>,
}

wire_struct!(EnterRequest { real_store, store_dir, program, argv, env });

/// The word after [`CHILD_ARGUMENT`] that leads here.
const WORD: &str = "enter";

/// More paths than this are not shown one by one.
const MOST_PATHS: usize = 50_000;

/// Becomes the program; returns only if our own binary could not be executed. Later failures are told on standard error
/// by the process itself, which then ends with status 1.
pub fn enter(own_binary: &Path, request: &EnterRequest) -> Error {
    let pass_on = || -> io::Result<OwnedFd> {
        // Stays open over exec on purpose.
        let mut file = File::from(rustix::fs::memfd_create("firn-enter", MemfdFlags::empty())?);
        file.write_all(&wire::encode(request))?;
        file.rewind()?;
        Ok(file.into())
    };
    let error = match pass_on() {
        Ok(file) => {
            let number = file.as_raw_fd().to_string();
            Command::new(own_binary).args([CHILD_ARGUMENT, WORD, &number]).exec()
        }
        Err(error) => error,
    };
    Error::Setup { step: format!("executing {} to show the store", own_binary.display()), source: error }
}

/// The re-executed end. `None` where the arguments are those of another kind of child.
pub(super) fn child() -> Option<i32> {
    let mut arguments = std::env::args_os().skip(2);
    if arguments.next().as_deref() != Some(OsStr::new(WORD)) {
        return None;
    }
    let mut read = || -> Option<EnterRequest> {
        let mut file = File::from(sys::inherited(arguments.next()?.to_str()?.parse().ok()?).ok()?);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        wire::decode(&bytes)
    };
    let text = match read() {
        None => "no request was handed over".to_owned(),
        Some(request) => match show_and_run(&request) {
            Ok(never) => match never {},
            Err(failure) => {
                let why = io::Error::from_raw_os_error(failure.errno as i32);
                let (store, at) = (request.real_store.display(), request.store_dir.display());
                format!("cannot show the store '{store}' at '{at}': {}: {why}", failure.step)
            }
        },
    };
    let _ = io::stderr().write_all(format!("error: {text}\n").as_bytes());
    Some(1)
}

fn show_and_run(request: &EnterRequest) -> Result<std::convert::Infallible, Failure> {
    let work_dir = std::env::current_dir();
    new_namespace()?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(io::Error::from)
        .step(|| "making the mounts private".into())?;
    let store = clone_tree(&request.real_store)?;
    match fs::read_dir(&request.store_dir).map(|mut entries| entries.next().is_some()) {
        Err(_) => new_root(&request.store_dir, store.as_fd())?,
        Ok(false) => attach(store.as_fd(), &request.store_dir)?,
        Ok(true) => together(request, store.as_fd())?,
    }
    if let Ok(dir) = work_dir {
        // May be hidden now; the program then starts in the root.
        let _ = std::env::set_current_dir(dir);
    }
    let texts = |texts: &[OsString]| texts.iter().map(|text| c_text(text)).collect::<io::Result<Vec<CString>>>();
    let program = c_path(&request.program).step(|| "reading the program's path".into())?;
    let argv = texts(&request.argv).step(|| "reading the arguments".into())?;
    let env = texts(&request.env).step(|| "reading the environment".into())?;
    let (argv, env) = (sys::PointerArray::new(&argv), sys::PointerArray::new(&env));
    let error = sys::exec(&program, argv.as_slice(), env.as_slice());
    Err(error).step(|| format!("executing '{}'", request.program.display()))
}

/// A mount namespace; inside a user namespace that changes nobody's name, unless the caller may do without.
fn new_namespace() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() && sys::unshare(libc::CLONE_NEWNS).is_ok() {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    sys::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).refused("making a user and mount namespace")?;
    for (name, text) in
        [("setgroups", "deny".to_owned()), ("uid_map", format!("{uid} {uid} 1")), ("gid_map", format!("{gid} {gid} 1"))]
    {
        fs::write(format!("/proc/self/{name}"), text).refused(&format!("writing {name}"))?;
    }
    Ok(())
}

/// A copy of a mount tree that is attached nowhere yet.
fn clone_tree(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(CWD, path, flags).map_err(io::Error::from).step(|| format!("opening {}", path.display()))
}

fn attach(tree: impl AsFd, target: &Path) -> Result<(), Failure> {
    rustix::mount::move_mount(tree, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(io::Error::from)
        .step(|| format!("mounting at {}", target.display()))
}

/// Something of the host to be put into a new root.
enum Piece {
    Tree(OwnedFd, bool),
    Link(PathBuf),
}

/// Copies of all entries of a folder but one. What may not be opened is left out.
fn pieces(dir: &Path, without: &OsStr) -> Result<Vec<(OsString, Piece)>, Failure> {
    let mut pieces = Vec::new();
    for entry in fs::read_dir(dir).step(|| format!("reading {}", dir.display()))? {
        let entry = entry.step(|| format!("reading {}", dir.display()))?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == without {
            continue;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_symlink() {
            if let Ok(target) = fs::read_link(&path) {
                pieces.push((name, Piece::Link(target)));
            }
        } else if let Ok(tree) = clone_tree(&path) {
            pieces.push((name, Piece::Tree(tree, kind.is_dir())));
        }
    }
    Ok(pieces)
}

fn put(pieces: Vec<(OsString, Piece)>, dir: &Path) -> Result<(), Failure> {
    for (name, piece) in pieces {
        let target = dir.join(name);
        let made = match &piece {
            Piece::Link(link) => symlink(link, &target),
            Piece::Tree(_, true) => fs::create_dir(&target),
            Piece::Tree(_, false) => File::create(&target).map(drop),
        };
        made.step(|| format!("making {}", target.display()))?;
        if let Piece::Tree(tree, _) = piece {
            attach(tree, &target)?;
        }
    }
    Ok(())
}

fn memory(target: &Path) -> Result<(), Failure> {
    rustix::mount::mount("none", target, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=755")
        .map_err(io::Error::from)
        .step(|| format!("mounting memory at {}", target.display()))
}

/// The host's root with the store added: a root in memory that holds every entry of the host's, down to where the store
/// belongs.
fn new_root(store_dir: &Path, store: impl AsFd) -> Result<(), Failure> {
    // Only ever removed as one empty folder: the host's own tree hangs below it for a while.
    let place = tempfile::Builder::new().prefix("firn-root-").tempdir().step(|| "making a folder".into())?.keep();
    let result = fill_root(&place, store_dir, store).and_then(|()| enter_root(&place));
    if result.is_err() {
        let _ = rustix::mount::unmount(&place, UnmountFlags::DETACH);
    }
    // As seen from the new root nothing is mounted on it.
    let _ = fs::remove_dir(&place);
    result
}

fn fill_root(place: &Path, store_dir: &Path, store: impl AsFd) -> Result<(), Failure> {
    // All copies are made before the new root is mounted, so that none of them holds it.
    let mut levels = Vec::new();
    let mut host = PathBuf::from("/");
    for name in store_dir.strip_prefix("/").unwrap_or(store_dir).components() {
        if !host.is_dir() {
            break;
        }
        levels.push((host.clone(), pieces(&host, name.as_os_str())?));
        host.push(name);
    }
    memory(place)?;
    let below = |inside: &Path| place.join(inside.strip_prefix("/").unwrap_or(inside));
    for (dir, pieces) in levels {
        let target = below(&dir);
        fs::create_dir_all(&target).step(|| format!("making {}", target.display()))?;
        put(pieces, &target)?;
    }
    let target = below(store_dir);
    fs::create_dir_all(&target).step(|| format!("making {}", target.display()))?;
    attach(store, &target)
}

fn enter_root(place: &Path) -> Result<(), Failure> {
    rustix::process::chdir(place).map_err(io::Error::from).step(|| "entering the new root".into())?;
    rustix::process::pivot_root(".", ".").map_err(io::Error::from).step(|| "pivot_root".into())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(io::Error::from)
        .step(|| "leaving the old root".into())?;
    rustix::process::chdir("/").map_err(io::Error::from).step(|| "entering the new root".into())
}

/// The host's store and ours at one place.
fn together(request: &EnterRequest, store: impl AsFd) -> Result<(), Failure> {
    if overlay(&request.real_store, &request.store_dir).is_ok() {
        return Ok(());
    }
    let theirs = pieces(&request.store_dir, OsStr::new(""))?;
    let ours = pieces(&request.real_store, OsStr::new(""))?;
    if theirs.len() + ours.len() > MOST_PATHS {
        return Err(io::Error::from_raw_os_error(libc::E2BIG)).step(|| {
            format!("'{}' holds a store already, too large to be shown together", request.store_dir.display())
        });
    }
    drop(store);
    memory(&request.store_dir)?;
    let names: std::collections::HashSet<OsString> = ours.iter().map(|(name, _)| name.clone()).collect();
    put(ours, &request.store_dir)?;
    put(theirs.into_iter().filter(|(name, _)| !names.contains(name)).collect(), &request.store_dir)
}

fn overlay(upper: &Path, lower: &Path) -> io::Result<()> {
    let escaped = |path: &Path| -> Vec<u8> {
        let special = |byte: &u8| matches!(byte, b'\\' | b':' | b',');
        path.as_os_str()
            .as_bytes()
            .iter()
            .flat_map(|byte| special(byte).then_some(b'\\').into_iter().chain([*byte]))
            .collect()
    };
    let options = [b"lowerdir=".as_slice(), &escaped(upper), b":", &escaped(lower)].concat();
    let options = CString::new(options)?;
    rustix::mount::mount("overlay", lower, "overlay", MountFlags::RDONLY, &*options).map_err(io::Error::from)
}
