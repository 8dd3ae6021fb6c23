//! The parent's side: starts a confined process and owns it until it is gone.
//!
//! [`start`] re-executes our own binary, which shuts itself in as the request says, or stands over the builder where there
//! are no walls. The one dies with the thread that started it, so that thread must stay until it was waited for; the other
//! is kept for the next builder. Dropping [`Confined`] ends what still runs.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::cgroup;
use super::child::{self, CHILD_ARGUMENT, Failure, Word};
use super::request::{Limits, SandboxRequest};
use super::spawn::{Spawn, spawn};
use super::wire::{self, Status, c_path};
use crate::error::{Error, Result};

/// A running builder.
#[derive(Debug)]
pub(crate) struct Confined {
    /// Its number, or that of the keeper that stands over it, and whether that is so.
    pub(crate) leader: (Pid, bool),
    /// `None` once it has ended.
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    /// The first process of a namespace, by what becomes readable when it ends.
    Process(OwnedFd),
    /// Below a keeper.
    Kept(Keeper),
}

/// A process that stands over one builder after the other.
#[derive(Debug)]
struct Keeper {
    pid: Pid,
    control: UnixStream,
    /// What its builders may do.
    limits: Limits,
    /// It is in a control group of a builder's.
    grouped: bool,
}

/// Keepers without a builder.
static IDLE: Mutex<Vec<Keeper>> = Mutex::new(Vec::new());

/// So many of them wait for builders to come.
const MOST_IDLE: usize = 16;

fn idle() -> MutexGuard<'static, Vec<Keeper>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Takes the answer to a request. `None` where it has ended before.
    fn begun(mut self) -> Result<Option<Confined>> {
        match read_word(&mut self.control)? {
            Some(Word::Process(_)) => {
                Ok(Some(Confined { leader: (self.pid, true), running: Some(Running::Kept(self)) }))
            }
            Some(Word::Failed(failure)) => Err(failed(failure)),
            // What was to become the builder was killed, or its keeper.
            Some(Word::Ended(_)) | None => Ok(None),
        }
    }

    /// Asks it for a builder.
    fn ask(mut self, request: &SandboxRequest, output: BorrowedFd<'_>) -> Result<Option<Confined>> {
        let asked =
            wire::send_descriptor(&self.control, output).and_then(|()| child::write_frame(&mut self.control, request));
        // One that somebody has killed; there are others.
        if asked.is_err() { Ok(None) } else { self.begun() }
    }

    /// Lets it end what came from its builder, and itself.
    fn strike(&self) {
        let _ = self.control.shutdown(std::net::Shutdown::Both);
        // Whoever stopped it.
        let _ = rustix::process::kill_process(self.pid, Signal::CONT);
    }

    /// Its builder has ended: it waits for the next, unless it is in that one's control group.
    fn rest(self) {
        let mut idle = idle();
        if !self.grouped && idle.len() < MOST_IDLE {
            idle.push(self);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.strike();
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {}
    }
}

impl Confined {
    fn process(pid: u32) -> Result<Self> {
        let pid = number(pid)?;
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Self { leader: (pid, false), running: Some(Running::Process(handle)) }),
            Err(error) => {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
                Err(Error::Setup { step: "watching a process".into(), source: error.into() })
            }
        }
    }

    /// A descriptor to poll: readable once the process has ended, and nothing is left of it. `None` after that was taken.
    pub(crate) fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| match running {
            Running::Process(handle) => handle.as_fd(),
            Running::Kept(keeper) => keeper.control.as_fd(),
        })
    }

    /// Waits for the end and takes the status, once. Nothing is left then of what came from the builder.
    pub(crate) fn wait(&mut self) -> io::Result<Status> {
        match self.running.take() {
            Some(Running::Process(_)) => loop {
                match rustix::process::waitpid(Some(self.leader.0), WaitOptions::empty()) {
                    Ok(Some((_, status))) => return Ok(status.into()),
                    Ok(None) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            },
            Some(Running::Kept(mut keeper)) => Ok(match read_word(&mut keeper.control) {
                Ok(Some(Word::Ended(status))) => {
                    keeper.rest();
                    status
                }
                // It was struck, by us or by others.
                _ => Status::Signalled(libc::SIGKILL as u32),
            }),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Lets it, and all that came from it, be ended.
    pub(crate) fn strike(&self) {
        match &self.running {
            Some(Running::Process(_)) => {
                let _ = rustix::process::kill_process(self.leader.0, Signal::KILL);
            }
            Some(Running::Kept(keeper)) => keeper.strike(),
            None => {}
        }
    }

    /// Ends it and all that came from it.
    pub(crate) fn kill(&mut self) {
        self.strike();
        let _ = self.wait();
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts our own binary as a sandbox child, in a control group where one is given, and waits until the builder runs inside.
///
/// # Errors
/// [`Error::IsolationRefused`] where this machine does not give us the isolation asked for; [`Error::Setup`] for
/// everything else that went wrong before the builder ran.
pub(crate) fn start(
    own_binary: &Path,
    request: &SandboxRequest,
    output: BorrowedFd<'_>,
    group: Option<&Path>,
) -> Result<Confined> {
    let kept = request.isolation.is_none();
    // Who is in a control group is not let out of it.
    if kept && group.is_none() {
        while let Some(keeper) = take_idle(&request.limits) {
            if let Some(begun) = keeper.ask(request, output)? {
                return Ok(begun);
            }
        }
    }
    let (mut ours, theirs) = UnixStream::pair().map_err(fail("making a socket"))?;
    let pid = execute(own_binary, theirs, output)?;
    let enter = || match group {
        // It has not read what to do, so nothing that it starts is outside.
        Some(group) => cgroup::enter(group, number(pid)?).map_err(fail("entering the control group")),
        None => Ok(()),
    };
    if kept {
        let mut keeper =
            Keeper { pid: number(pid)?, control: ours, limits: request.limits.clone(), grouped: group.is_some() };
        enter()?;
        child::write_frame(&mut keeper.control, request).map_err(fail("handing over the request"))?;
        return keeper.begun()?.ok_or_else(strange);
    }
    let mut usher = Confined::process(pid)?;
    enter()?;
    child::write_frame(&mut ours, request).map_err(fail("handing over the request"))?;
    let mut inmate = None;
    loop {
        match read_word(&mut ours)? {
            Some(Word::Process(pid)) if inmate.is_none() => {
                let _ = usher.wait();
                inmate = Some(Confined::process(pid)?);
            }
            Some(Word::Process(_) | Word::Ended(_)) => return Err(strange()),
            Some(Word::Failed(failure)) => return Err(failed(failure)),
            None => break,
        }
    }
    inmate.ok_or_else(strange)
}

/// One of the keepers without a builder; others are not kept waiting for longer than that takes.
fn take_idle(limits: &Limits) -> Option<Keeper> {
    let mut idle = idle();
    let at = idle.iter().rposition(|keeper| keeper.limits == *limits)?;
    Some(idle.swap_remove(at))
}

/// Starts our own binary once more.
fn execute(own_binary: &Path, control: UnixStream, output: BorrowedFd<'_>) -> Result<u32> {
    let program = c_path(own_binary).map_err(fail("reading the path of our own binary"))?;
    let argv = [c_path(Path::new("firn-builder")), CString::new(CHILD_ARGUMENT).map_err(Into::into)];
    let argv = argv.into_iter().collect::<io::Result<Vec<_>>>().map_err(fail("naming the child"))?;
    let begin = Spawn { program: &program, argv: &argv, env: &[], work_dir: c"/", input: control.as_fd(), output };
    spawn(&begin).map_err(|failure| Error::Setup {
        step: format!("executing {} as a sandbox child ({:?})", own_binary.display(), failure.step),
        source: failure.error,
    })
}

fn fail(step: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Setup { step: step.into(), source }
}

fn number(pid: u32) -> Result<Pid> {
    Pid::from_raw(pid as i32).ok_or_else(|| fail("starting a process")(io::ErrorKind::InvalidData.into()))
}

fn read_word(from: &mut UnixStream) -> Result<Option<Word>> {
    match child::read_frame(from) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => wire::decode::<Word>(&bytes).map(Some).ok_or_else(strange),
        // A child that was killed in the middle of the request resets the connection.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(fail("hearing from the sandbox child")(error)),
    }
}

fn strange() -> Error {
    Error::Setup {
        step: "starting the sandbox child, which ended too early".into(),
        source: io::ErrorKind::Other.into(),
    }
}

fn failed(failure: Failure) -> Error {
    let source = io::Error::from_raw_os_error(failure.errno as i32);
    if failure.refused {
        Error::IsolationRefused { step: failure.step, source }
    } else {
        Error::Setup { step: failure.step, source }
    }
}
