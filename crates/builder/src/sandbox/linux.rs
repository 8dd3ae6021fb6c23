//! The parent's side: starts a confined process and owns it until it is gone.
//!
//! Two ways in: [`start`] re-executes our own binary, which shuts itself in as the request says; [`start_direct`] becomes
//! the builder at once, for builds without isolation. Either way the child dies with the thread that started it, so that
//! thread must stay until the child was waited for. Dropping [`Confined`] kills what still runs.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::cgroup;
use super::child::{self, CHILD_ARGUMENT, Failure, Word};
use super::request::{Action, SandboxRequest};
use super::seccomp;
use super::spawn::{Confine, Spawn, SpawnError, Step, spawn};
use super::strays;
use super::sys;
use super::wire::{self, c_path, c_text};
use crate::error::{Error, Result};

/// A running builder.
#[derive(Debug)]
pub(crate) struct Confined {
    pid: Pid,
    /// Becomes readable when the process ends.
    handle: OwnedFd,
    /// It leads a process group that is killed with it; a pid namespace needs no such help.
    group: bool,
    /// Nothing else of ours runs as this user.
    user: Option<u32>,
    gone: bool,
}

impl Confined {
    fn new(pid: u32, group: bool, user: Option<u32>) -> Result<Self> {
        let number = pid;
        let pid = Pid::from_raw(pid as i32).ok_or_else(|| Error::Setup {
            step: "starting a process".into(),
            source: io::ErrorKind::InvalidData.into(),
        })?;
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => Ok(Self { pid, handle, group, user, gone: false }),
            Err(error) => {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
                strays::ended(number, user);
                Err(Error::Setup { step: "watching a process".into(), source: error.into() })
            }
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// A descriptor to poll: readable once the process has ended.
    pub(crate) fn ended(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Waits for the end and takes the status. Whatever is left of its process group or its user dies then.
    pub(crate) fn wait(&mut self) -> io::Result<WaitStatus> {
        loop {
            match rustix::process::waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => {
                    self.gone = true;
                    if self.group {
                        // The group keeps its number while a member lives, and is gone otherwise.
                        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
                    }
                    strays::ended(self.pid.as_raw_pid() as u32, self.user);
                    return Ok(status);
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends it, and all that came from it, the signal that ends them.
    pub(crate) fn strike(&self) {
        if self.group {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
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
    let begin = Spawn {
        program: &program,
        argv: &argv,
        env: &[],
        work_dir: Some(c"/"),
        input: theirs.as_fd(),
        output,
        control: Some(theirs.as_fd()),
        identity: request.identity.as_ref(),
        confine: None,
    };
    let usher = begin_as(own_user(request), &begin).map_err(|failure| Error::Setup {
        step: format!("executing {} as a sandbox child", own_binary.display()),
        source: failure.error,
    })?;
    drop(theirs);
    // An usher's group is also the inmate's until that leaves it, so it must not be killed after the usher.
    let mut usher = Confined::new(usher, request.isolation.is_none(), own_user(request))?;
    if let Some(group) = group {
        // It has not read what to do, so nothing that it starts is outside.
        cgroup::enter(group, usher.pid).map_err(fail("entering the control group"))?;
    }
    // Declared behind the usher, so that it is let go before that is waited for.
    let mut held = strays::hold();
    child::write_frame(&mut ours, request).map_err(fail("handing over the request"))?;
    if request.isolation.is_none() {
        drop(held);
        // The child itself is the builder.
        return match read_word(&mut ours)? {
            None => Ok(usher),
            Some(Word::Failed(failure)) => Err(failed(failure)),
            Some(Word::Process(_)) => Err(strange()),
        };
    }
    let mut inmate = None;
    loop {
        match read_word(&mut ours)? {
            Some(Word::Process(pid)) if inmate.is_none() => {
                strays::know(pid, held.take());
                let _ = usher.wait();
                inmate = Some(Confined::new(pid, false, None)?);
            }
            Some(Word::Process(_)) => return Err(strange()),
            Some(Word::Failed(failure)) => return Err(failed(failure)),
            None => break,
        }
    }
    inmate.ok_or_else(strange)
}

/// The user that nothing else of ours runs as; what comes from the builder is then ours to end.
fn own_user(request: &SandboxRequest) -> Option<u32> {
    let user = request.identity.as_ref().filter(|_| request.isolation.is_none())?.uid;
    (user != rustix::process::geteuid().as_raw()).then_some(user)
}

fn begin_as(user: Option<u32>, begin: &Spawn<'_>) -> std::result::Result<u32, SpawnError> {
    if user.is_some() { strays::start(|| spawn(begin)) } else { spawn(begin) }
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

/// Starts a builder without isolation. The request's action must be [`Action::Exec`].
///
/// # Errors
/// `Ok(Err(_))` is a program that cannot be executed, which is a failure of the build; everything else is
/// [`Error::Setup`].
pub(crate) fn start_direct(
    request: &SandboxRequest,
    output: BorrowedFd<'_>,
) -> Result<std::result::Result<Confined, io::Error>> {
    let Action::Exec { program, argv, env } = &request.action else { return Err(strange()) };
    let fail = |step: &'static str| move |source: io::Error| Error::Setup { step: step.into(), source };
    let texts = |texts: &[OsString]| texts.iter().map(|text| c_text(text)).collect::<io::Result<Vec<CString>>>();
    let program = c_path(program).map_err(fail("reading the builder's path"))?;
    let argv = texts(argv).map_err(fail("reading the arguments"))?;
    let env = texts(env).map_err(fail("reading the environment"))?;
    let work_dir = c_path(&request.work_dir).map_err(fail("reading the build folder's path"))?;
    let filter = if request.limits.filter_syscalls { seccomp::program() } else { Vec::new() };
    let null =
        std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map_err(fail("opening /dev/null"))?;
    let begin = Spawn {
        program: &program,
        argv: &argv,
        env: &env,
        work_dir: Some(&work_dir),
        input: null.as_fd(),
        output,
        control: None,
        identity: request.identity.as_ref(),
        confine: Some(Confine {
            filter: &filter,
            allow_new_privileges: request.limits.allow_new_privileges,
            personality: sys::personality_flags(request.limits.personality_32bit),
        }),
    };
    match begin_as(own_user(request), &begin) {
        Ok(pid) => Confined::new(pid, true, own_user(request)).map(Ok),
        Err(failure) if failure.step == Step::Exec => Ok(Err(failure.error)),
        Err(failure) => {
            Err(Error::Setup { step: format!("starting the builder ({:?})", failure.step), source: failure.error })
        }
    }
}
