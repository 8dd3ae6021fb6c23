//! Starts our own binary once more, the quick way: the child borrows our memory until it execs, so nothing is copied.
//!
//! Between clone and exec the child makes only
//! raw system calls on data prepared before; it allocates nothing, takes no lock, and cannot panic. A failed step is
//! told through the shared memory. Absent: namespaces and mounts, which need more than that ([`super::child`]).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use super::sys::{self, PointerArray};

/// What to start.
pub(crate) struct Spawn<'a> {
    /// The program's path.
    pub program: &'a CStr,
    /// Arguments, the program's name first.
    pub argv: &'a [CString],
    /// Variables.
    pub env: &'a [CString],
    /// Working folder.
    pub work_dir: &'a CStr,
    /// Becomes standard input, and descriptor 3.
    pub input: BorrowedFd<'a>,
    /// Becomes standard output and standard error.
    pub output: BorrowedFd<'a>,
}

/// The step that failed between clone and exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The process itself could not be made.
    Clone = 1,
    /// Descriptors could not be placed.
    Descriptors,
    /// The working folder could not be entered.
    WorkDir,
    /// The program could not be executed.
    Exec,
}

/// Why nothing runs.
#[derive(Debug)]
pub(crate) struct SpawnError {
    pub step: Step,
    pub error: io::Error,
}

/// What the child reads and writes in the parent's memory.
struct Shared<'a> {
    spawn: &'a Spawn<'a>,
    argv: PointerArray<'a>,
    env: PointerArray<'a>,
    descriptors: [RawFd; 2],
    parent: u32,
    step: AtomicI32,
    errno: AtomicI32,
}

const STACK: usize = 64 * 1024;

/// Starts the program and returns its process id once it runs. It leads a session and dies with the calling thread.
pub(crate) fn spawn(spawn: &Spawn<'_>) -> Result<u32, SpawnError> {
    let failed = |error| SpawnError { step: Step::Clone, error };
    // Far from the numbers that the child fills, so that one dup2 never overwrites the source of another.
    let high = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 16).map_err(|e| failed(e.into()));
    let (input, output) = (high(spawn.input)?, high(spawn.output)?);
    let shared = Shared {
        spawn,
        argv: PointerArray::new(spawn.argv),
        env: PointerArray::new(spawn.env),
        descriptors: [input.as_raw_fd(), output.as_raw_fd()],
        parent: std::process::id(),
        step: AtomicI32::new(0),
        errno: AtomicI32::new(0),
    };
    let mut stack = vec![0u128; STACK / size_of::<u128>()];
    // SAFETY: all signals are blocked over the clone, so no handler of ours runs in the child on shared memory. The
    // stack grows down from the aligned end of `stack`. CLONE_VFORK suspends this thread until the child has exec'ed or
    // ended, so `shared` and `stack` outlive its use of them; other threads go on, but the child touches only `shared`,
    // its own stack, and the suspended thread's errno.
    let pid = unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut before = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let top = stack.as_mut_ptr_range().end.cast();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = std::ptr::from_ref(&shared).cast_mut().cast();
        let pid = libc::clone(run, top, flags, argument);
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        if pid == -1 { Err(failed(error)) } else { Ok(pid as u32) }
    }?;
    let step = match shared.step.load(Ordering::Acquire) {
        0 => return Ok(pid),
        2 => Step::Descriptors,
        3 => Step::WorkDir,
        4 => Step::Exec,
        _ => Step::Clone,
    };
    let error = io::Error::from_raw_os_error(shared.errno.load(Ordering::Acquire));
    // The child is a zombie by now.
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
    Err(SpawnError { step, error })
}

/// The child between clone and exec.
extern "C" fn run(argument: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent passes a pointer to its `Shared` and is suspended while this runs.
    let shared = unsafe { &*argument.cast::<Shared<'_>>() };
    if let Err((step, error)) = steps(shared) {
        shared.errno.store(error.raw_os_error().unwrap_or(libc::EINVAL), Ordering::Release);
        shared.step.store(step as i32, Ordering::Release);
    }
    sys::exit_now(127)
}

/// `io::Error` from the system holds a number only, so making one allocates nothing.
fn steps(shared: &Shared<'_>) -> Result<(), (Step, io::Error)> {
    let spawn = shared.spawn;
    let fail = |step| move |error| (step, error);
    sys::new_session();
    // Dies with the parent, and at once where it is gone already.
    sys::die_with_parent().map_err(fail(Step::Clone))?;
    if sys::parent_id() != shared.parent {
        sys::exit_now(1);
    }
    place_descriptors(shared).map_err(fail(Step::Descriptors))?;
    sys::no_core_files();
    sys::set_umask(0o022);
    // SAFETY: a live C string.
    if unsafe { libc::chdir(spawn.work_dir.as_ptr()) } == -1 {
        return Err((Step::WorkDir, io::Error::last_os_error()));
    }
    sys::reset_signals();
    Err((Step::Exec, sys::exec(spawn.program, shared.argv.as_slice(), shared.env.as_slice())))
}

fn place_descriptors(shared: &Shared<'_>) -> io::Result<()> {
    let [input, output] = shared.descriptors;
    for (from, to) in [(input, 0), (output, 1), (output, 2), (input, 3)] {
        // SAFETY: the descriptor table is the child's own copy, so no owner in the parent is cheated.
        if unsafe { libc::dup2(from, to) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    sys::close_on_exec_from(4)
}
