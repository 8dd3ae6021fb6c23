//! The parent's side: starts a confined process and owns it until it is gone.
//!
//! [`start`] re-executes our own binary, which shuts itself in as the request says, or stands over the builder where there
//! are no walls. It dies with the thread that started it, so that thread must stay until it was waited for. Dropping
//! [`Confined`] ends what still runs.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::cgroup;
use super::child::{self, CHILD_ARGUMENT, Failure, Word};
use super::request::SandboxRequest;
use super::spawn::{Spawn, spawn};
use super::wire::{self, c_path};
use crate::error::{Error, Result};

/// A running builder.
#[derive(Debug)]
pub(crate) struct Confined {
    pid: Pid,
    /// Becomes readable when the process ends.
    handle: OwnedFd,
    /// A keeper, which ends what came from the builder; the first process of a namespace needs no such help.
    keeper: bool,
    gone: bool,
}

impl Confined {
    fn new(pid: u32, keeper: bool) -> Result<Self> {
        let pid = Pid::from_raw(pid as i32).ok_or_else(|| Error::Setup {
            step: "starting a process".into(),
            source: io::ErrorKind::InvalidData.into(),
        })?;
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Self { pid, handle, keeper, gone: false }),
            Err(error) => {
                // A keeper has not started anything yet.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
                Err(Error::Setup { step: "watching a process".into(), source: error.into() })
            }
        }
    }

    /// Whether the process is not the builder, but stands over it.
    pub(crate) fn is_keeper(&self) -> bool {
        self.keeper
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// A descriptor to poll: readable once the process has ended.
    pub(crate) fn ended(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Waits for the end and takes the status. Nothing is left then of what came from the builder.
    pub(crate) fn wait(&mut self) -> io::Result<WaitStatus> {
        loop {
            match rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => {
                    self.gone = true;
                    return Ok(status);
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends it the signal by which it, and all that came from it, ends.
    pub(crate) fn strike(&self) {
        if self.keeper {
            let _ = rustix::process::kill_process(self.pid, Signal::TERM);
            // Whoever stopped it.
            let _ = rustix::process::kill_process(self.pid, Signal::CONT);
        } else {
            let _ = rustix::process::kill_process(self.pid, Signal::KILL);
        }
    }

    /// Ends it and all that came from it.
    pub(crate) fn kill(&mut self) {
        if self.gone {
            return;
        }
        self.strike();
        let _ = self.wait();
        self.gone = true;
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
    let fail = |step: &str| {
        let step = step.to_owned();
        move |source: io::Error| Error::Setup { step, source }
    };
    let (mut ours, theirs) = UnixStream::pair().map_err(fail("making a socket"))?;
    let program = c_path(own_binary).map_err(fail("reading the path of our own binary"))?;
    let argv = [c_path(Path::new("firn-builder")), CString::new(CHILD_ARGUMENT).map_err(Into::into)];
    let argv = argv.into_iter().collect::<io::Result<Vec<_>>>().map_err(fail("naming the child"))?;
    let begin = Spawn { program: &program, argv: &argv, env: &[], work_dir: c"/", input: theirs.as_fd(), output };
    let usher = spawn(&begin).map_err(|failure| Error::Setup {
        step: format!("executing {} as a sandbox child ({:?})", own_binary.display(), failure.step),
        source: failure.error,
    })?;
    drop(theirs);
    let mut usher = Confined::new(usher, request.isolation.is_none())?;
    if let Some(group) = group {
        // It has not read what to do, so nothing that it starts is outside.
        cgroup::enter(group, usher.pid).map_err(fail("entering the control group"))?;
    }
    child::write_frame(&mut ours, request).map_err(fail("handing over the request"))?;
    let mut inmate = None;
    loop {
        match read_word(&mut ours)? {
            Some(Word::Process(_)) if usher.keeper => return Ok(usher),
            Some(Word::Process(pid)) if inmate.is_none() => {
                let _ = usher.wait();
                inmate = Some(Confined::new(pid, false)?);
            }
            Some(Word::Process(_)) => return Err(strange()),
            Some(Word::Failed(failure)) => return Err(failed(failure)),
            None => break,
        }
    }
    inmate.ok_or_else(strange)
}

fn read_word(from: &mut UnixStream) -> Result<Option<Word>> {
    let fail = |source| Error::Setup { step: "hearing from the sandbox child".into(), source };
    match child::read_frame(from) {
        Ok(None) => Ok(None),
        Ok(Some(bytes)) => wire::decode::<Word>(&bytes).map(Some).ok_or_else(strange),
        // A child that was killed in the middle of the request resets the connection.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(fail(error)),
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
